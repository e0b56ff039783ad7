"""What an agent is told: the system message, and the user message with its question."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from webfarer.tools.base import Tool
from webfarer.types import Task

PromptStyle = Literal["brief", "full"]

_BRIEF = "Answer the question. Tools: {signatures}."

_FULL = """\
You find facts on the web that are hard to find. Work in turns. In each turn, think, then either \
call one tool or give the answer.

Tools, each with the JSON schema of its arguments:
<tools>
{schemas}
</tools>

Write a turn that calls a tool like this, and stop after it; the result comes back between \
<tool_response> tags:
<think>
what you know, what is missing, what to do next
</think>
<tool_call>
{{"name": "the tool", "arguments": {{"its": "arguments"}}}}
</tool_call>

Write the last turn like this, with nothing but the answer itself between the tags:
<think>
why this is the answer
</think>
<answer>
the answer
</answer>

Search again with other words where a search finds nothing. Believe what you have read, not what \
you remember. Check a name before you answer: many things are called alike."""


def system_prompt(tools: Sequence[Tool], style: PromptStyle = "full") -> str:
    """The system prompt: "full" for models that must be told the format, "brief" for a small model
    that is trained on it (a schema of 600 tokens would be half of what it reads)."""
    if style == "brief":
        return _BRIEF.format(signatures=" ".join(_signature(tool) for tool in tools))
    schemas = "\n".join(
        json.dumps(
            {"name": t.name, "description": t.description, "parameters": t.schema},
            ensure_ascii=False,
        )
        for t in tools
    )
    return _FULL.format(schemas=schemas)


def user_message(task: Task) -> str:
    """The question, and below it a line with the addresses to start from where the task has any."""
    if not task.start_urls:
        return task.question
    return f"{task.question}\nStart from: {' '.join(task.start_urls)}"


def _signature(tool: Tool) -> str:
    return f"{tool.name}({', '.join(tool.schema['properties'])})"
