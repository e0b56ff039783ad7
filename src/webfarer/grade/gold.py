"""A graph's node as the `Answer` that a grader compares with."""

from __future__ import annotations

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.text import number_text, value_text
from webfarer.types import Answer


def gold_answer(graph: KnowledgeGraph, node: Node | int) -> Answer:
    """The answer that an entity, a literal or a count is.

    An entity is accepted by its label and its aliases in the language. Aliases that are one
    character, say nothing but marks, or repeat the label are left out; one that another entity
    bears too stays, since the question decides which of them is meant. Raises KeyError for an
    entity that the graph does not have.
    """
    if isinstance(node, int):
        return Answer(text=number_text(float(node), graph.language), kind="number")
    if not isinstance(node, str):
        return Answer(text=value_text(node, graph.language), kind=node.kind)
    label = graph.label(node)
    seen = {label.strip()}
    aliases: list[str] = []
    for alias in graph.aliases(node):
        alias = alias.strip()
        if alias not in seen and len(alias) >= 2 and any(c.isalnum() for c in alias):
            seen.add(alias)
            aliases.append(alias)
    return Answer(text=label, kind="entity", aliases=tuple(aliases))
