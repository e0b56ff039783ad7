"""`webfarer graph`: graphs of any size, packed to be walked; parts of them as ordinary graphs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from webfarer.cli.options import Json, Quiet, Seed, print_json, print_table
from webfarer.cli.progress import Teller
from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.importing import import_graph
from webfarer.graph.files import save
from webfarer.graph.packed.sample import HUB, any_root, sample
from webfarer.graph.packed.store import PackedGraph, Part
from webfarer.graph.walk import Walk, WalkSettings, compiled, walks
from webfarer.web.http.endpoint import USER_AGENT
from webfarer.web.http.sparql import Expansion, expand

app = typer.Typer(
    help="Import graphs of any size, walk them, and take parts of them out.", no_args_is_help=True
)

Store = Annotated[Path, typer.Argument(help="A packed graph's folder, made by graph import.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")]
Languages = Annotated[
    str, typer.Option("--language", help="Languages of labels, by code, such as en,zh.")
]
Properties = Annotated[
    str, typer.Option("--property", help="Only facts of these, by id, such as P19,P20.")
]
Without = Annotated[str, typer.Option("--without", help="No facts of these, by id.")]
Edges = Annotated[int, typer.Option(help="Different edges wanted of a walk.")]
Back = Annotated[float, typer.Option(help="How likely a step returns to an earlier node.")]
Hub = Annotated[int, typer.Option(help="Most edges of a node that is gone on from; 0: any.")]


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="N-Triples (.nt) or Wikidata's JSON dump.")],
    out: Out,
    language: Languages = "en",
    properties: Properties = "",
    without: Without = "",
    limit: Annotated[int, typer.Option(min=0, help="Most lines of each file; 0: all.")] = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Packs N-Triples or Wikidata's JSON dump (.nt, .json; .gz and .bz2 too), of any size.

    Lines that cannot be read are skipped and counted. The folder is written whole or not at all.

    Example:

        webfarer graph import latest-all.json.bz2 --out wikidata --language en,zh
    """
    teller = Teller(quiet)
    with teller.bar("import", None) as update:
        done = import_graph(
            files, out, _filters(language, properties, without), limit, _megabytes(update)
        )
    for complaint in (line for each in done.files for line in each.complaints):
        teller.warn(complaint)
    if json:
        rows = [{"path": str(each.path), "lines": each.lines, "skipped": each.skipped,
                 "broken": each.broken} for each in done.files]  # fmt: skip
        print_json({**_summary(PackedGraph.open(out)), "files": rows})
        return
    _print_summary(PackedGraph.open(out))


@app.command("show")
def show(
    store: Store,
    check: Annotated[bool, typer.Option("--check", help="Read all of it and compare.")] = False,
    json: Json = False,
) -> None:
    """Says what a packed graph holds.

    Example:

        webfarer graph show wikidata
    """
    graph = PackedGraph.open(store)
    if check:
        graph.check()
    if json:
        print_json(_summary(graph))
        return
    _print_summary(graph)
    rows = sorted(graph.manifest.relations, key=lambda each: -each.facts)[:40]
    table = [(f"{each.id} ({graph.relation_label(graph.relation(each.id))})", each.value,
              f"{each.facts:,}") for each in rows]  # fmt: skip
    print_table([("relation", "values", "facts"), *table])


@app.command("walk")
def walk(
    store: Store,
    root: Annotated[str | None, typer.Option(help="Where to begin: an entity's id.")] = None,
    edges: Edges = 12,
    back: Back = 0.3,
    hub: Hub = HUB,
    properties: Properties = "",
    seed: Seed = 1,
    count: Annotated[int, typer.Option(min=1, help="How many walks.")] = 1,
    json: Json = False,
) -> None:
    """Walks as WebSailor's questions begin: on from the newest node, or back to an earlier one.

    Example:

        webfarer graph walk wikidata --root Q42 --edges 12 --back 0.3
    """
    graph = PackedGraph.open(store)
    at = graph.at
    if properties:
        at = at.only([graph.relation(each) for each in _split(properties)])
    start = any_root(graph, seed) if root is None else graph.node(root)
    many = walks(at, [start] * count, WalkSettings(edges, back, hub), seed)
    if json:
        print_json([_walk_row(graph, each) for each in many])
        return
    for each in many:
        _print_walk(graph, each, edges)


@app.command("sample")
def sample_(
    store: Store,
    out: Annotated[Path, typer.Argument(help="The folder of the graph to write.")],
    entities: Annotated[int, typer.Option(min=2, help="How many to take.")] = 2000,
    root: Annotated[
        list[str] | None, typer.Option(help="Where to begin: an entity's id; may be repeated.")
    ] = None,
    back: Back = 0.3,
    hub: Hub = HUB,
    seed: Seed = 1,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Takes a neighbourhood out as an ordinary graph, which every other command takes.

    Example:

        webfarer graph sample wikidata worlds/adams --root Q42 --entities 2000
    """
    graph, teller = PackedGraph.open(store), Teller(quiet)
    roots = [graph.node(each) for each in root or ()]
    if not compiled():
        teller.say("walking in Python: pip install 'webfarer[graphs]' is faster")
    with teller.bar("sample", entities) as update:
        part = sample(
            graph, out.resolve().name, entities, seed, roots, WalkSettings(12, back, hub), update
        )
    save(part.graph, out)
    _tell_part(part, out, teller, json)


@app.command("expand")
def expand_(
    endpoint: Annotated[str, typer.Argument(help="A SPARQL endpoint's address.")],
    root: Annotated[
        list[str], typer.Option(help="Where to begin: an IRI, or an item such as Q42; repeatable.")
    ],
    out: Out,
    hops: Annotated[int, typer.Option(min=1, help="How far from the roots.")] = 2,
    limit: Annotated[int, typer.Option(min=1, help="Most facts each way of one node.")] = 50,
    most: Annotated[int, typer.Option(min=1, help="Most entities in all.")] = 2000,
    language: Languages = "en",
    properties: Properties = "",
    without: Without = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one query.")] = 60.0,
    user_agent: Annotated[
        str, typer.Option(help="Who is asking, with an address to write to, as Wikimedia wants.")
    ] = USER_AGENT,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fetches a neighbourhood from a SPARQL endpoint as an ordinary graph.

    What came is kept beside the folder: stopped and run again, it goes on and asks nothing twice.

    Example:

        webfarer graph expand https://query.wikidata.org/sparql --root Q42 --out worlds/adams
    """
    teller = Teller(quiet)
    filters = _filters(language, properties, without)
    what = Expansion(endpoint, tuple(root), hops, limit, most, filters, timeout, user_agent)
    with teller.bar("expand", None) as update:
        part = expand(what, out, lambda done, total, note: update(done, total, note=note))
    _tell_part(part, out, teller, json)


def _filters(language: str, properties: str, without: str) -> Filters:
    return Filters(
        tuple(_split(language)), frozenset(_split(properties)), frozenset(_split(without))
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _megabytes(update: Any) -> Any:
    """Progress in megabytes of the files as they lie on the disk."""
    return lambda done, total, note: update(done >> 20, max(1, total >> 20), note=note or "MB")


def _summary(graph: PackedGraph) -> dict[str, object]:
    said = graph.manifest
    return {"folder": str(graph.folder), "name": said.name, "entities": said.nodes,
            "edges": said.edges, "literals": said.literals, "relations": len(said.relations),
            "languages": list(said.languages), "notes": said.notes}  # fmt: skip


def _print_summary(graph: PackedGraph) -> None:
    for name, value in _summary(graph).items():
        if isinstance(value, int):
            typer.echo(f"{name}: {value:,}")
        elif isinstance(value, dict):
            for reason, count in value.items():
                typer.echo(f"note: {reason}: {count:,}")
        else:
            typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _walk_row(graph: PackedGraph, walk: Walk) -> dict[str, object]:
    edges = [
        {"subject": fact.subject, "subject_label": graph.label(edge.subject),
         "relation": fact.relation, "relation_label": graph.relation_label(edge.relation),
         "object": fact.object, "object_label": graph.label(edge.object)}
        for edge in walk.edges for fact in [graph.fact(edge)]
    ]  # fmt: skip
    return {"root": graph.id(walk.root), "root_label": graph.label(walk.root),
            "steps": walk.steps, "edges": edges}  # fmt: skip


def _print_walk(graph: PackedGraph, walk: Walk, wanted: int) -> None:
    short = "" if len(walk.edges) == wanted else f" of the {wanted} wanted"
    typer.echo(
        f"from {graph.label(walk.root)} ({graph.id(walk.root)}): "
        f"{len(walk.edges)} edges{short} in {walk.steps} steps"
    )
    for edge in walk.edges:
        ends = [f"{graph.label(node)} ({graph.id(node)})" for node in (edge.subject, edge.object)]
        typer.echo(f"  {ends[0]} | {graph.relation_label(edge.relation)} | {ends[1]}")


def _tell_part(part: Part, out: Path, teller: Teller, json: bool) -> None:
    graph = part.graph
    for reason, count in part.notes.items():
        teller.warn(f"{reason}: {count:,}")
    if json:
        print_json({"folder": str(out), "name": graph.name, "sha256": graph.sha256,
                    "entities": len(graph.entities), "facts": len(graph.facts),
                    "notes": part.notes})  # fmt: skip
        return
    most = Counter(fact.relation for fact in graph.facts).most_common(3)
    typer.echo(
        f"{len(graph.entities):,} entities and {len(graph.facts):,} facts in {out}; most are "
        + ", ".join(f"{graph.relation_label(relation)} ({count:,})" for relation, count in most)
    )
