"""A folder's graph in Wikidata's two public forms: N-Triples and JSON dump lines.

Written apart from the readers, after Wikidata's own documentation, so that the two can disagree.
"""

from __future__ import annotations

import json

from webfarer.graph.graph import Entity, KnowledgeGraph, Relation

ENTITY = "http://www.wikidata.org/entity/"
DIRECT = "http://www.wikidata.org/prop/direct/"


def quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def triples(graph: KnowledgeGraph) -> list[str]:
    """Lines of N-Triples: texts, types and the facts between entities."""
    lines: list[str] = []
    for thing in (*graph.entities.values(), *graph.relations.values()):
        subject = f"<{ENTITY}{thing.id}>"
        for language, text in thing.labels.items():
            label = "<http://www.w3.org/2000/01/rdf-schema#label>"
            lines.append(f"{subject} {label} {quoted(text)}@{language} .")
        if not isinstance(thing, Entity):
            continue
        for language, text in thing.descriptions.items():
            said = "<http://schema.org/description>"
            lines.append(f"{subject} {said} {quoted(text)}@{language} .")
        for language, texts in thing.aliases.items():
            other = "<http://www.w3.org/2004/02/skos/core#altLabel>"
            lines += [f"{subject} {other} {quoted(text)}@{language} ." for text in texts]
        lines += [f"{subject} <{DIRECT}P31> <{ENTITY}{kind}> ." for kind in thing.types]
    for fact in graph.facts:
        ends = f"<{ENTITY}{fact.subject}> <{DIRECT}{fact.relation}> <{ENTITY}{fact.object}>"
        lines.append(f"{ends} .")
    return lines


def dump(graph: KnowledgeGraph) -> list[str]:
    """Lines of the JSON dump, with the brackets of the list."""
    rows = [_entity(graph, entity) for entity in graph.entities.values()]
    rows += [_property(relation) for relation in graph.relations.values()]
    lines = [json.dumps(row, ensure_ascii=False) + "," for row in rows]
    return ["[", *lines[:-1], lines[-1].removesuffix(","), "]"]


def snak(kind: str, value: object, datatype: str = "") -> dict[str, object]:
    value_types = {"wikibase-item": "wikibase-entityid", "external-id": "string"}
    data = {"value": value, "type": value_types.get(kind, kind)}
    return {"snaktype": "value", "datatype": datatype or kind, "datavalue": data}


def statement(main: dict[str, object], rank: str = "normal") -> dict[str, object]:
    return {"mainsnak": main, "type": "statement", "rank": rank}


def item(id: str) -> dict[str, object]:
    return snak("wikibase-item", {"entity-type": "item", "numeric-id": int(id[1:]), "id": id})


def _terms(texts) -> object:
    said = {key: {"language": key, "value": text} for key, text in texts.items()}
    return said or []  # as PHP writes what is empty


def _entity(graph: KnowledgeGraph, entity: Entity) -> dict[str, object]:
    claims: dict[str, list[object]] = {}
    for kind in entity.types:
        claims.setdefault("P31", []).append(statement(item(kind)))
    for fact in graph.facts_of(entity.id):
        assert isinstance(fact.object, str)
        claims.setdefault(fact.relation, []).append(statement(item(fact.object)))
    aliases = {
        key: [{"language": key, "value": text} for text in texts]
        for key, texts in entity.aliases.items()
    }
    return {"type": "item", "id": entity.id, "labels": _terms(entity.labels),
            "descriptions": _terms(entity.descriptions), "aliases": aliases or [],
            "claims": claims or [], "sitelinks": {}}  # fmt: skip


def _property(relation: Relation) -> dict[str, object]:
    return {"type": "property", "datatype": "wikibase-item", "id": relation.id,
            "labels": _terms(relation.labels), "descriptions": [], "aliases": [],
            "claims": {"P1629": [statement(item("Q1"))]}}  # fmt: skip
