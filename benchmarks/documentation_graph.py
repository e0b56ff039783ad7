"""A small graph of Python's library documentation, read off its own pages.

Its entities are the modules that have a page. What it says of them stands on the page in a form
that can be read without doubt: what the module is for (the page's title), its one source file
("Source code: Lib/shlex.py"), and the one module that its "See also" names. Questions made over it
are questions about a web that nobody made for the purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.types import Page, Value

RELATIONS = (
    Relation("purpose", {"en": "purpose"}, "name"),
    Relation("source", {"en": "source file"}, "name"),
    Relation("related", {"en": "related module"}),
)
_TITLE = re.compile(r"([A-Za-z_][\w.]*) — (.+)")
_SOURCE = re.compile(r"^Source code: (\S+)$", re.MULTILINE)
_MODULE = re.compile(r"^Module ([\w.]+)$", re.MULTILINE)


def documentation_graph(
    pages: Iterable[Page], name: str = "python-documentation"
) -> tuple[KnowledgeGraph, Mapping[str, str]]:
    """The graph of these pages, in their order, and the URL of each entity's page."""
    titled = ((page, _TITLE.match(page.title)) for page in pages)
    found = {match[1]: (page, match[2]) for page, match in titled if match}
    entities = [Entity(_id(module), ("module",), {"en": module}) for module in found]
    facts = [fact for module in found for fact in _facts(module, *found[module], found)]
    graph = KnowledgeGraph(name, entities, RELATIONS, facts)
    return graph, {_id(module): page.url for module, (page, _) in found.items()}


def _id(module: str) -> str:
    return f"module {module}"


def _facts(module: str, page: Page, purpose: str, known: Mapping[str, object]) -> Iterator[Fact]:
    """What the page says of its module; of what it says several of, nothing."""
    id = _id(module)
    yield Fact(id, "purpose", Value(kind="name", value=purpose))
    sources = set(_SOURCE.findall(page.text))
    if len(sources) == 1:
        yield Fact(id, "source", Value(kind="name", value=sources.pop()))
    related = set(_MODULE.findall(page.text)) - {module}
    if len(related) == 1 and related <= known.keys():
        yield Fact(id, "related", _id(related.pop()))
