"""What an agent may call: `search` and `visit`, and the toolbox that checks and runs calls."""

from webfarer.tools.base import Tool
from webfarer.tools.reader import ExtractiveReader, Reader, TokenCount, count_words
from webfarer.tools.search import SearchTool
from webfarer.tools.toolbox import Toolbox, problem_of
from webfarer.tools.visit import VisitTool

__all__ = [
    "ExtractiveReader",
    "Reader",
    "SearchTool",
    "TokenCount",
    "Tool",
    "Toolbox",
    "VisitTool",
    "count_words",
    "problem_of",
]
