"""Wikidata's JSON dump: values by hand after its documentation, and the excerpt's round trip."""

import json
from pathlib import Path

import pytest

from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.importing import ALL, import_graph
from webfarer.graph.files import load, save
from webfarer.graph.packed.store import PackedGraph
from webfarer.types import BadInput, Value
from wikidata_forms import dump, item, snak, statement

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"


def entity(id: str, label: str = "", **claims):
    labels = {"en": {"language": "en", "value": label}} if label else []
    return {"type": "item", "id": id, "labels": labels, "claims": claims or []}


def when(time: str, precision: int):
    calendar = "http://www.wikidata.org/entity/Q1985727"
    about = {"timezone": 0, "before": 0, "after": 0, "calendarmodel": calendar}
    return snak("time", {"time": time, "precision": precision, **about})


def amount(number: str, unit: str = "1"):
    return snak("quantity", {"amount": number, "unit": unit})


def imported(folder: Path, *rows, filters: Filters = ALL):
    lines = [row if isinstance(row, str) else json.dumps(row) + "," for row in rows]
    folder.mkdir(exist_ok=True)
    (folder / "x.json").write_text("[\n" + "\n".join(lines) + "\n]\n")
    done = import_graph([folder / "x.json"], folder / "x", filters)
    graph = PackedGraph.open(folder / "x")
    return done, graph.subgraph(range(len(graph)), "all").graph


def values(graph, subject="Q1"):
    return {fact.relation: fact.object for fact in graph.facts_of(subject)}


@pytest.mark.parametrize(
    ("time", "precision", "date"),
    [
        ("+1952-03-11T00:00:00Z", 11, "1952-03-11"), ("+1952-03-00T00:00:00Z", 10, "1952-03"),
        ("+1952-00-00T00:00:00Z", 9, "1952"), ("+1952-03-11T00:00:00Z", 9, "1952"),
        ("-0044-03-15T00:00:00Z", 11, "-0043-03-15"), ("-0001-00-00T00:00:00Z", 9, "0000"),
        ("+0476-09-04T00:00:00Z", 11, "0476-09-04"), ("+1900-00-00T00:00:00Z", 7, None),
        ("+1950-00-00T00:00:00Z", 8, None), ("-13798000000-00-00T00:00:00Z", 3, None),
        ("+12000-00-00T00:00:00Z", 9, None), ("+1900-02-29T00:00:00Z", 11, None),
    ],
)  # fmt: skip
def test_times_keep_their_precision_and_44_bc_is_year_minus_43(tmp_path, time, precision, date):
    """Wikidata's JSON has no year 0; ISO 8601 counts 1 BC as year 0."""
    row = entity("Q1", P1=[statement(when(time, precision))], P2=[statement(item("Q2"))])
    done, graph = imported(tmp_path, row)
    found = values(graph).get("P1")
    assert (None if found is None else found.value) == date
    assert done.manifest.notes.get("times less precise than a year", 0) == (date is None)


def test_values_of_every_kind(tmp_path):
    metre = "http://www.wikidata.org/entity/Q11573"
    league = "http://www.wikidata.org/entity/Q102"
    text = {"text": "per aspera", "language": "la"}
    english = {"text": "through  hardship", "language": "en"}
    row = entity(
        "Q1", "One",
        P31=[statement(item("Q5")), statement(item("Q6"))],
        P1=[statement(item("Q2"))],
        P2=[statement(amount("+1.70", metre))],
        P3=[statement(amount("-12"))],
        P4=[statement(amount("+3", league))],
        P5=[statement(snak("string", "N 1"))],
        P6=[statement(snak("monolingualtext", text)), statement(snak("monolingualtext", english))],
        P7=[statement(snak("external-id", "0000 0001"))],
        P8=[statement({"snaktype": "somevalue"}), statement({"snaktype": "novalue"})],
        P9=[statement(snak("globecoordinate", {"latitude": 1.0}, "globe-coordinate"))],
    )  # fmt: skip
    done, graph = imported(tmp_path, row, entity("Q102", "league"))
    assert values(graph) == {
        "P1": "Q2",
        "P2": Value(kind="number", value=1.7, unit="m"),
        "P3": Value(kind="number", value=-12.0),
        "P4": Value(kind="number", value=3.0, unit="league"),
        "P5": Value(kind="name", value="N 1"),
        "P6": Value(kind="name", value="through hardship"),
    }
    assert graph.entities["Q1"].types == ("Q5", "Q6")
    assert done.manifest.notes == {
        "names in other languages": 1,
        "values that are not read: external-id": 1,
        "values that are not read: globe-coordinate": 1,
        "values that are unknown or known to be none": 2,
    }


def test_ranks(tmp_path):
    claims = [statement(item("Q2")), statement(item("Q3"), "preferred"),
              statement(item("Q4"), "deprecated"), statement(item("Q5"), "preferred")]  # fmt: skip
    done, graph = imported(tmp_path, entity("Q1", P1=claims, P2=[claims[0], claims[2]]))
    assert {(fact.relation, fact.object) for fact in graph.facts} == {
        ("P1", "Q3"), ("P1", "Q5"), ("P2", "Q2"),
    }  # fmt: skip
    assert done.manifest.notes == {"statements of a lower rank than others, left out": 3}


def test_lines_that_are_no_entity_are_counted_and_nothing_of_them_is_taken(tmp_path):
    torn = json.dumps(entity("Q8", "torn", P1=[statement(item("Q2"))]))[:-20]
    wrong = json.dumps(entity("Q9", "wrong") | {"claims": {"P1": "no list"}}) + ","
    good = entity("Q1", "One", P1=[statement(item("Q2"))])
    done, graph = imported(tmp_path, good, torn, "[1, 2],", wrong, '{"id": "x"}', "\x00", good)
    (read,) = done.files
    assert (read.skipped, read.bad) == (5, [3, 4, 5])
    assert list(graph.entities) == ["Q1", "Q2"]


ODD_ROWS = [
    (entity("Q3", P1=[statement(amount(10**400))]), 0),
    (entity("Q3", P1=[statement(amount("x"))]), 0),
    (entity("Q3", P1=[statement(amount("+1", "metres"))]), 0),
    (entity("Q3", P1=[statement(when("+2000-00-00T00:00:00Z", [9]))]), 0),
    (entity("Q3") | {"labels": {"en": {"language": "en", "value": 7}}}, 1),
    (entity("Q3") | {"aliases": {"en": [{"language": "en", "value": None}]}}, 1),
    (entity("Q3") | {"claims": {"P\n1": [statement(item("Q2"))]}}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("row", "skipped"), ODD_ROWS)
def test_values_of_other_types_than_the_form_has_stop_nothing(tmp_path, row, skipped):
    done, graph = imported(tmp_path, row, entity("Q1", P5=[statement(item("Q2"))]))
    assert (done.files[0].skipped, len(graph.facts)) == (skipped, 1)
    save(graph, tmp_path / "part")


def test_a_relation_keeps_the_kind_that_most_of_its_values_have(tmp_path):
    rows = [entity(f"Q{n}", P1=[statement(item("Q9"))]) for n in (1, 2)]
    done, graph = imported(tmp_path, *rows, entity("Q3", P1=[statement(snak("string", "x"))]))
    assert {fact.subject for fact in graph.facts} == {"Q1", "Q2"}
    assert done.manifest.notes == {"facts whose value is not of its relation's kind, left out": 1}


def test_languages_varieties_and_aliases(tmp_path):
    def said(**texts):
        return {key.replace("_", "-"): {"language": key, "value": text}
                for key, text in texts.items()}  # fmt: skip

    row = entity("Q1", P1=[statement(item("Q2"))]) | {
        "labels": said(zh_hans="简", zh="中", en_gb="Colour", fr="Un"),
        "descriptions": said(zh_hant="繁", en="plain", en_gb="British"),
        "aliases": {"en": [{"value": "b"}, {"value": "a"}, {"value": "b"}], "fr": [{"value": "x"}]},
    }
    _, graph = imported(tmp_path, row, filters=Filters(("en", "zh")))
    one = graph.entities["Q1"]
    assert one.labels == {"en": "Colour", "zh": "中"}
    assert one.descriptions == {"en": "plain", "zh": "繁"}
    assert one.aliases == {"en": ("b", "a"), "zh": ("简",)}


def test_a_limit_reads_no_further(tmp_path):
    rows = [json.dumps(entity(f"Q{n}", P1=[statement(item("Q9"))])) for n in range(1, 9)]
    (tmp_path / "x.json").write_text("[\n" + ",\n".join(rows) + "\n]")
    done = import_graph([tmp_path / "x.json"], tmp_path / "x", limit=4)
    assert (done.files[0].lines, done.manifest.edges) == (4, 3)


@pytest.mark.parametrize(
    ("name", "said"), [("x.ttl", "neither .nt nor .json"), ("gone.nt", "is not a file")]
)
def test_files_that_cannot_be_imported(tmp_path, name, said):
    if name != "gone.nt":
        (tmp_path / name).write_text("x")
    with pytest.raises(BadInput, match=said):
        import_graph([tmp_path / name], tmp_path / "out")


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="needs the Wikidata excerpt")
def test_the_excerpt_comes_back_whole(tmp_path):
    excerpt = load(WIKIDATA)
    (tmp_path / "x.json").write_text("\n".join(dump(excerpt)))
    done = import_graph([tmp_path / "x.json"], tmp_path / "x", Filters(("en", "zh")))
    packed = PackedGraph.open(tmp_path / "x")
    graph = packed.subgraph(range(len(packed)), "all").graph
    assert done.manifest.notes == {}
    assert set(graph.facts) == set(excerpt.facts)
    for id, entity in excerpt.entities.items():
        found = graph.entities[id]
        assert (found.labels, found.types) == (entity.labels, entity.types)
        assert found.descriptions == entity.descriptions
        assert found.aliases.get("en", ()) == tuple(dict.fromkeys(entity.aliases.get("en", ())))
