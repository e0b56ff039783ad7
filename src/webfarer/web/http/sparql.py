"""A neighbourhood from a SPARQL endpoint as a graph.

Nodes are asked about in batches, hop by hop, then for their texts; one query at a time, slower when
the endpoint asks for it. What was answered is kept, node by node, in a file beside the graph
(`NAME.answers.jsonl`, triples as N-Triples): an expansion that was stopped goes on where it was and
asks nothing twice. A batch that takes too long is halved; one node that does ends the expansion.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from webfarer.graph.dumps import rdf
from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.ntriples import Literal as Text
from webfarer.graph.dumps.ntriples import Statement, line_of, parse_line
from webfarer.graph.files import save
from webfarer.graph.packed.pack import Packer
from webfarer.graph.packed.store import PackedGraph, Part
from webfarer.store.jsonl import append_jsonl, read_jsonl
from webfarer.types import BadInput, WebfarerError
from webfarer.types.base import Record
from webfarer.web.http.endpoint import USER_AGENT, Endpoint, TooLong

Kind = Literal["settings", "out", "in", "texts"]
Tell = Callable[[int, int, str], None]

BATCH = {"out": 16, "in": 16, "texts": 64}  # nodes in a query
_ITEMS = f'STRSTARTS(STR(?o), "{rdf.ENTITY}Q")'
_TIME = f"DATATYPE(?o) = <{rdf.XSD}dateTime>"


@dataclass(frozen=True, slots=True)
class Expansion:
    """What is asked for: `limit` is the most facts each way of a node, `most` the most entities,
    `timeout` the seconds that one query may take, `user_agent` who is asking: public endpoints want
    an address in it."""

    endpoint: str
    roots: tuple[str, ...]
    hops: int = 2
    limit: int = 50
    most: int = 2000
    filters: Filters = field(default_factory=Filters)
    timeout: float = 60.0
    user_agent: str = USER_AGENT


class Answer(Record):
    """What one question about one node brought, as lines of N-Triples."""

    kind: Kind
    node: str
    lines: tuple[str, ...] = ()


def expand(
    what: Expansion,
    out: Path,
    tell: Tell = lambda done, total, note: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Part:
    """Writes the neighbourhood to the folder `out` as an ordinary graph, and returns it.

    Raises BadInput where the endpoint or a root is no address, answers kept are those of other
    settings, or nothing was found; WebfarerError where the endpoint cannot be reached, refuses, or
    takes too long even for one node: what came until then is kept.
    """
    if not _is_web(what.endpoint):
        raise BadInput(f"{what.endpoint!r} is no address of an endpoint: give one with https://")
    if not (
        what.user_agent.isascii() and what.user_agent.isprintable() and what.user_agent.strip()
    ):
        raise BadInput(f"{what.user_agent!r} is no user agent: give letters a header can hold")
    roots = [_root(text) for text in what.roots]
    kept = Answers(Path(out).with_name(f"{Path(out).name}.answers.jsonl"), what)
    with Endpoint(what.endpoint, what.timeout, sleep, what.user_agent) as endpoint:
        asker = _Asker(what, kept, endpoint, tell)
        reached = asker.reach(roots)
        asker.ask("texts", asker.described(reached))
    part = _as_part(what, kept, reached, Path(out).resolve().name)
    if not part.graph.facts:
        raise BadInput(f"{what.endpoint} knows no such facts about {', '.join(what.roots)}")
    save(part.graph, out)
    return part


def _is_web(address: str) -> bool:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _root(text: str) -> str:
    """The IRI of a root. Raises BadInput where it is none."""
    iri = text.removeprefix("<").removesuffix(">").removeprefix("wd:")
    iri = rdf.iri_of(iri) if iri[:1] == "Q" and iri[1:].isdigit() else iri
    if iri.startswith("_:") or line_of(Statement(iri, iri, iri)) is None:
        raise BadInput(f"{text!r} is no root: give an IRI, or one of Wikidata's items such as Q42")
    return iri


class Answers:
    """What was answered so far, in memory and in an append-only file.

    Raises BadInput where the file is of an expansion with other settings.
    """

    def __init__(self, path: Path, what: Expansion) -> None:
        self.path = path
        self.said: dict[tuple[Kind, str], tuple[str, ...]] = {}
        settings = Answer(kind="settings", node=_settings(what))
        before = list(read_jsonl(path, Answer)) if path.exists() else []
        if before and before[0] != settings:
            raise BadInput(f"{path} holds answers to other settings: give those, or another --out")
        if not before:
            append_jsonl(path, [settings])
        self.said |= {(each.kind, each.node): each.lines for each in before[1:]}

    def add(self, answers: Sequence[Answer]) -> None:
        append_jsonl(self.path, answers)
        self.said |= {(each.kind, each.node): each.lines for each in answers}

    def statements(self, kind: Kind, node: str) -> Iterator[Statement]:
        """The triples that came for a node."""
        for line in self.said.get((kind, node), ()):
            if (said := parse_line(line)) is not None:
                yield said


def _settings(what: Expansion) -> str:
    """All that an answer about a node hangs on."""
    filters = what.filters
    said = [what.endpoint, what.limit, filters.languages]
    return json.dumps([*said, sorted(filters.properties), sorted(filters.without)])


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks what is not known yet, batch by batch."""

    what: Expansion
    kept: Answers
    endpoint: Endpoint
    tell: Tell

    def reach(self, roots: list[str]) -> dict[str, None]:
        """The entities within so many hops of the roots, in the order they were met."""
        reached = dict.fromkeys(roots)
        frontier = roots
        for hop in range(self.what.hops):
            self.ask("out", frontier, f"hop {hop + 1}, {len(reached):,} entities")
            self.ask("in", frontier, f"hop {hop + 1}, {len(reached):,} entities")
            before = len(reached)
            for end in (end for node in frontier for end in self._ends(node)):
                if len(reached) < self.what.most:
                    reached.setdefault(end)
            frontier = list(reached)[before:]
        return reached

    def _ends(self, node: str) -> Iterator[str]:
        for kind in ("out", "in"):
            for said in self.kept.statements(kind, node):
                end = said.object if kind == "out" else said.subject
                if isinstance(end, Text) or end.startswith("_:") or said.predicate in rdf.TYPES:
                    continue
                if rdf.id_of(end):
                    yield end

    def described(self, reached: Iterable[str]) -> list[str]:
        """All that has a label to be asked for: the entities, their relations and types."""
        named = dict.fromkeys(reached)
        for node in list(named):
            for kind in ("out", "in"):
                for said in self.kept.statements(kind, node):
                    if relation := rdf.relation_of(said.predicate):
                        named.setdefault(_described_at(relation))
                    if said.predicate in rdf.TYPES and isinstance(said.object, str):
                        named.setdefault(said.object)
        return [iri for iri in named if not iri.startswith("_:")]

    def ask(self, kind: Kind, nodes: Sequence[str], note: str = "") -> None:
        """Asks about those of the nodes that were not asked about before."""
        missing = [node for node in nodes if (kind, node) not in self.kept.said]
        done = len(nodes) - len(missing)
        size = BATCH[kind]
        while missing:
            self.tell(done, len(nodes), f"{kind}: {note}" if note else kind)
            batch = missing[:size]
            try:
                found = self.endpoint.select(_query(kind, batch, self.what))
            except TooLong as error:
                if len(batch) == 1:
                    raise WebfarerError(
                        f"{self.what.endpoint}: {error} for <{batch[0]}> alone: give a longer "
                        "--timeout or a smaller --limit; what came before is kept"
                    ) from error
                size = max(1, len(batch) // 2)
                continue
            self.kept.add(_answers(kind, batch, found))
            missing, done = missing[len(batch) :], done + len(batch)


def _described_at(relation: str) -> str:
    """Where a relation's label is: Wikidata gives it to the property's entity."""
    return relation if ":" in relation else rdf.ENTITY + relation


def _answers(kind: Kind, batch: Sequence[str], found: Iterable[Statement]) -> list[Answer]:
    lines: dict[str, list[str]] = {node: [] for node in batch}
    for said in found:
        node = said.object if kind == "in" else said.subject
        line = line_of(said)
        if line is not None and isinstance(node, str) and node in lines:
            lines[node].append(line)
    return [Answer(kind=kind, node=node, lines=tuple(lines[node])) for node in batch]


def _query(kind: Kind, nodes: Sequence[str], what: Expansion) -> str:
    """One query for all nodes; facts by a part for each, so that each has a limit of its own."""
    if kind == "texts":
        values = " ".join(f"<{node}>" for node in nodes)
        terms = " ".join(f"<{iri}>" for iri in (*rdf.TEXTS, *rdf.TYPES))
        return (
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {values} }} VALUES ?p {{ {terms} }} "
            f"?s ?p ?o . FILTER(!isLiteral(?o) || {_spoken(what)}) }}"
        )
    parts = [f"{{ {_facts(kind, node, what)} }}" for node in nodes]
    return f"SELECT ?s ?p ?o WHERE {{ {' UNION '.join(parts)} }}"


def _facts(kind: Kind, node: str, what: Expansion) -> str:
    wiki = node.startswith(rdf.ENTITY)
    if kind == "out":
        triple, bound = f"<{node}> ?p ?o", f"(<{node}> AS ?s) ?p ?o"
        wanted = f"isLiteral(?o) && {_spoken(what)} || isIRI(?o)"
        if wiki:  # an item's strings are identifiers, hundreds of them
            spoken = f'LANG(?o) != "" && {_spoken(what)}'
            wanted = f"isIRI(?o) && {_ITEMS} || isNumeric(?o) || {_TIME} || {spoken}"
    else:
        triple, bound = f"?s ?p <{node}>", f"?s ?p (<{node}> AS ?o)"
        wanted = _ITEMS.replace("?o", "?s") if wiki else "isIRI(?s)"
    limits = f"FILTER({wanted}) {_properties(kind, wiki, what)}"
    return f"SELECT {bound} WHERE {{ {triple} . {limits} }} LIMIT {what.limit}"


def _properties(kind: Kind, wiki: bool, what: Expansion) -> str:
    def spelt(ids: Iterable[str]) -> str:
        return ", ".join(f"<{each if ':' in each else rdf.DIRECT + each}>" for each in sorted(ids))

    types = [f"<{iri}>" for iri in rdf.TYPES]
    wanted = f'FILTER(STRSTARTS(STR(?p), "{rdf.DIRECT}"))' if wiki else ""
    if what.filters.properties:
        more = [*types] if kind == "out" else []
        wanted = f"FILTER(?p IN ({', '.join([spelt(what.filters.properties), *more])}))"
    unwanted = [f"<{iri}>" for iri in rdf.TEXTS] + ([] if kind == "out" else types)
    if what.filters.without:
        unwanted.append(spelt(what.filters.without))
    return f"{wanted} FILTER(?p NOT IN ({', '.join(unwanted)}))"


def _spoken(what: Expansion) -> str:
    tests = [f'LANGMATCHES(LANG(?o), "{language}")' for language in what.filters.languages]
    return '(LANG(?o) = "" || ' + " || ".join(tests) + ")"


def _as_part(what: Expansion, kept: Answers, reached: Iterable[str], name: str) -> Part:
    """What was answered, packed and taken out again: read as an import would read it."""
    wanted = list(reached)
    with tempfile.TemporaryDirectory() as folder:
        packer = Packer(Path(folder), what.filters.languages)
        reader = rdf.RdfReader(packer, what.filters)
        for kind, node in kept.said:
            for said in kept.statements(kind, node):
                reader.say(said)
        packer.finish(name)
        graph = PackedGraph.open(Path(folder))
        nodes = [graph.find(rdf.id_of(iri)) for iri in wanted]
        part = graph.subgraph([node for node in nodes if node is not None], name)
    return Part(part.graph, {**graph.manifest.notes, **part.notes})
