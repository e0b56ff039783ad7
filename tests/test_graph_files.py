"""Graphs as folders: identity, bytes, and every way in which a file can be wrong."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.graph.files import load, read, save
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.rows import clean, clean_prose
from webfarer.graph.worlds.world import build_world
from webfarer.types import BadInput, Value

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def full():
    """Every field of every record, literals between triples, three languages."""
    return KnowledgeGraph(
        "full",
        [
            Entity(
                "Q1", ("Q2", "kind of"), {"en": "Zoë “Z”", "zh": "佐伊", "pt-BR": "Zoé"},
                {"en": ("Z", "Zed 👩‍🔬"), "zh": ("佐",)}, {"zh": "一个人"},
                {"en": "Line one.\n\nLine two.", "zh": "第一行。"},
            ),
            Entity("Q2"),
            Entity("an id with spaces", (), {"zh": "只有中文"}),
        ],
        [
            Relation("born", {"en": "date of birth", "zh": "生日"}, "date"),
            Relation("knows", {}, sentences={"en": ("{s} knows {o}.",), "zh": ("{s}认识{o}。",)},
                     inverse={"en": "Known by", "zh": "被认识"}),
            Relation("size", {"en": "size"}, "number", "km²"),
            Relation("mass", {"en": "mass"}, "number"),
            Relation("motto", {"en": "motto"}, "name"),
        ],
        [
            Fact("Q1", "born", Value(kind="date", value="-0043-03-15")),
            Fact("Q1", "knows", "Q2"),
            Fact("Q1", "size", Value(kind="number", value=0.1 + 0.2, unit="km²")),
            Fact("Q2", "mass", Value(kind="number", value=3.0, unit="kg")),
            Fact("Q2", "mass", Value(kind="number", value=1e300, unit="t")),
            Fact("Q2", "knows", "an id with spaces"),
            Fact("Q1", "motto", Value(kind="name", value='Say "yes"\\')),
        ],
    )  # fmt: skip


def test_save_then_load_is_the_identity(tmp_path):
    graph = full()
    save(graph, tmp_path / "full")
    loaded = load(tmp_path / "full")
    assert loaded.sha256 == graph.sha256
    assert loaded.facts == graph.facts
    assert loaded.entities == graph.entities
    assert loaded.relations == graph.relations
    assert (loaded.name, load(tmp_path / "full", "other").name) == ("full", "other")


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    save(full(), tmp_path / "a")
    save(full(), tmp_path / "b")
    first = bytes_of(tmp_path / "a")
    assert first == bytes_of(tmp_path / "b")
    save(load(tmp_path / "a"), tmp_path / "a")
    assert bytes_of(tmp_path / "a") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_procedural_world_survives(tmp_path):
    world = build_world(seed=5, size=120)
    save(world, tmp_path / "w")
    assert load(tmp_path / "w").sha256 == world.sha256


words = st.text(st.characters(codec="utf-8"), max_size=8).map(clean)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
    lambda text: text.isprintable() and text == text.strip()
)
by_language = st.dictionaries(st.sampled_from(["en", "zh", "pt-BR"]), words)


@st.composite
def graphs(draw):
    names = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    entities = [
        Entity(
            name, tuple(draw(st.lists(ids, max_size=2, unique=True))), draw(by_language),
            {"en": tuple(word for word in draw(st.lists(words, max_size=2)) if word)},
            draw(by_language), {key: clean_prose(text) for key, text in draw(by_language).items()},
        )
        for name in names
    ]  # fmt: skip
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    objects = st.sampled_from(names).map(lambda name: ("r", name)) | numbers.map(
        lambda number: ("n", Value(kind="number", value=number))
    )
    drawn = draw(st.lists(st.tuples(st.sampled_from(names), objects), min_size=1, max_size=6))
    facts = [Fact(subject, relation, end) for subject, (relation, end) in drawn]
    return KnowledgeGraph("h", entities, [Relation("r", {}), Relation("n", {}, "number")], facts)


@settings(max_examples=60, deadline=None)
@given(graph=graphs())
def test_any_clean_graph_survives(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / "g"
    save(graph, folder)
    assert load(folder).sha256 == graph.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": [Entity("a\tb")]}, "not an id"),
        ({"entities": [Entity("a", (), {"en": "A\u200f"})]}, "would not read back"),
        ({"entities": [Entity("a", (), {"en": "two\nlines"})]}, "would not read back"),
        ({"entities": [Entity("a", ("t", "t"))]}, "would not read back"),
        ({"entities": [Entity("a", (), {"not a language": "A"})]}, "would not read back"),
        ({"entities": [Entity("a", extracts={"../x": "A"})]}, "extract"),
        ({"entities": [Entity("a", extracts={"en": " A"})]}, "extract"),
        ({"facts": [Fact("a", "n", "a")]}, "number values belong"),
        ({"facts": [Fact("a", "r", Value(kind="name", value="x"))]}, "relations.jsonl says"),
        ({"facts": [Fact("a", "n", Value(kind="number", value=1.0, unit="ft"))]}, "unit is 'ft'"),
        ({"facts": []}, "no facts"),
    ],
)
def test_what_would_not_read_back_is_not_written(tmp_path, change, message):
    parts = {
        "entities": [Entity("a")],
        "relations": [Relation("r", {}), Relation("n", {}, "number", "m")],
    } | change
    facts = change.get("facts", [Fact(parts["entities"][0].id, "r", parts["entities"][0].id)])
    graph = KnowledgeGraph("g", parts["entities"], parts["relations"], facts)
    with pytest.raises(ValueError, match=message):
        save(graph, tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def test_saving_spares_files_that_are_not_a_graphs(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match=r"thesis\.txt"):
        save(full(), tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        save(full(), tmp_path / "thesis.txt")
    assert bytes_of(tmp_path) == {"thesis.txt": b"years of work"}


# Foreign folders


def write(folder, **files):
    """A small folder in the published form; `files` replaces contents by stem, None removes."""
    contents = {
        "entities.jsonl": '{"id": "Q1", "label": "One", "aliases": [], "types": []}\n'
        '{"id": "Q2", "label": "Two", "wikipedia": "https://example.org", "label_zh": ""}\n',
        "relations.jsonl": '{"id": "P1", "label": "next", "description": "what follows"}\n'
        '{"id": "P2", "label": "size", "value": "number", "unit": "m"}\n',
        "triples.tsv": "Q1\tP1\tQ2\n",
    }
    names = {"entities": "entities.jsonl", "relations": "relations.jsonl",
             "triples": "triples.tsv", "literals": "literals.jsonl",
             "extracts": "extracts.en.jsonl"}  # fmt: skip
    contents |= {names[stem]: text for stem, text in files.items()}
    for name, text in contents.items():
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_the_published_form(tmp_path):
    reading = read(write(tmp_path, triples="\ufeffQ1\tP1\tQ2\r\n\r\nQ1\tP1\tQ2\r\n"))
    assert reading.graph.facts == (Fact("Q1", "P1", "Q2"),)
    assert reading.graph.in_language("zh").label("Q2") == "Two"
    assert reading.graph.entities["Q2"].labels == {"en": "Two"}
    assert reading.notes == {"facts given twice, dropped": 1}


def test_what_is_mended_is_counted(tmp_path):
    lines = [
        {"id": "Q1", "label": "", "aliases": ["تهران\u200e", "", "a  b"], "types": ["Q2", "Q2"]},
        {"id": "Q2", "label": None, "label_zh": "\u200b二\u2060", "types": ["Q99"]},
    ]
    extracts = '{"id": "Q2", "text": " one \\r\\n\\n two\\u200b\\n"}\n{"id": "Q7", "text": "x"}\n'
    reading = read(write(tmp_path, entities="\n".join(map(json.dumps, lines)), extracts=extracts))
    first, second = reading.graph.entities.values()
    assert (first.aliases, first.types) == ({"en": ("تهران", "a b")}, ("Q2",))
    assert reading.graph.label("Q1") == "Q1"
    assert second.labels == {"zh": "二"}
    assert second.extracts == {"en": "one\n\ntwo"}
    assert reading.graph.type_label("Q99") == "Q99"
    assert reading.notes == {
        "entities without a label in the graph's language or in English, named by their id": 1,
        "extracts of entities that are not in the graph, ignored": 1,
        "texts with invisible characters, removed": 2,
        "types given twice, dropped": 1,
        "types that no entity describes, named by their id": 1,
    }


def test_joiners_that_spell_are_kept():
    assert clean("👩\u200d🔬 می\u200cخواهم\ufeff") == "👩\u200d🔬 می\u200cخواهم"


def test_literals_without_a_place_come_last_and_take_the_relations_unit(tmp_path):
    literals = '{"subject": "Q1", "relation": "P2", "kind": "number", "value": 3}\n'
    graph = load(write(tmp_path, literals=literals))
    assert graph.facts[1:] == (Fact("Q1", "P2", Value(kind="number", value=3.0, unit="m")),)


def test_literals_alone_are_facts_enough(tmp_path):
    literals = '{"subject": "Q1", "relation": "P2", "kind": "number", "value": 3}\n'
    assert len(load(write(tmp_path, literals=literals, triples="")).facts) == 1


def row(**fields):
    return json.dumps({"subject": "Q1", "relation": "P2", "kind": "number", "value": 1} | fields)


Q1 = '{"id": "Q1"}\n'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"triples": "Q1\tP1\tQ2\nQ1\tP1\tQ9\n"}, r"triples\.tsv:2: unknown entity 'Q9'"),
        ({"triples": "Q9\tP1\tQ2\n"}, r"triples\.tsv:1: unknown entity 'Q9'"),
        ({"triples": "Q1\tP9\tQ2\n"}, r"triples\.tsv:1: unknown relation 'P9'"),
        ({"triples": "Q1\tP2\tQ2\n"}, r"triples\.tsv:1: .*literals\.jsonl"),
        ({"triples": "Q1 P1 Q2\n"}, r"triples\.tsv:1: 1 columns, not 3"),
        ({"triples": "Q1\tP1\tQ2\t\n"}, r"triples\.tsv:1: 4 columns, not 3"),
        ({"triples": b"Q1\tP1\tQ2\nQ1\tP1\t\xff\n"}, r"triples\.tsv:2: not UTF-8"),
        ({"triples": ""}, "no facts"),
        ({"triples": None}, r"cannot read .*triples\.tsv"),
        ({"entities": None}, r"cannot read .*entities\.jsonl"),
        ({"relations": None}, r"cannot read .*relations\.jsonl"),
        ({"entities": Q1 + '{"id": "Q2"'}, r"entities\.jsonl:2: not JSON"),
        ({"entities": Q1 + "[" * 100_000}, r"entities\.jsonl:2: not JSON"),
        ({"entities": Q1 + '["Q2"]'}, r"entities\.jsonl:2: not a JSON object"),
        ({"entities": Q1 + '{"id": "Q2"}\n{"id": "Q1"}'}, r"entities\.jsonl:3: .*'Q1' .*twice"),
        ({"entities": '{"label": "x"}'}, r"entities\.jsonl:1: id is None"),
        ({"entities": '{"id": "Q1\\tQ2"}'}, r"entities\.jsonl:1: id is"),
        ({"entities": '{"id": "Q1", "label": 7}'}, r"entities\.jsonl:1: label is 7"),
        ({"entities": '{"id": "Q1", "aliases": "x"}'}, r"entities\.jsonl:1: aliases is 'x'"),
        ({"entities": '{"id": "Q1", "types": [5]}'}, r"entities\.jsonl:1: types is"),
        ({"relations": '{"id": "P1"}\n{"id": "P1"}'}, r"relations\.jsonl:2: .*'P1' .*twice"),
        ({"relations": '{"id": "P1", "value": "hue"}'}, r"relations\.jsonl:1: value is 'hue'"),
        ({"literals": row(subject="Q9")}, r"literals\.jsonl:1: unknown entity 'Q9'"),
        ({"literals": row(relation="P9")}, r"literals\.jsonl:1: unknown relation 'P9'"),
        ({"literals": row(relation="P1")}, r"literals\.jsonl:1: kind is 'number'"),
        ({"literals": row(kind="date")}, r"literals\.jsonl:1: kind is 'date'"),
        ({"literals": row(value="1")}, r"literals\.jsonl:1: value is '1', not a number"),
        ({"literals": row(value=True)}, r"literals\.jsonl:1: value is True"),
        ({"literals": row(value=float("nan"))}, r"literals\.jsonl:1: .*finite"),
        ({"literals": row(value=10**400)}, r"literals\.jsonl:1: .*finite"),
        ({"literals": row(unit="ft")}, r"literals\.jsonl:1: unit is 'ft'"),
        ({"literals": row(after=2)}, r"literals\.jsonl:1: after is 2"),
        ({"extracts": '{"id": "Q1"}'}, r"extracts\.en\.jsonl:1: text is None"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_its_place(tmp_path, files, message):
    with pytest.raises(BadInput, match=message) as caught:
        load(write(tmp_path, **files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1912-02-30", "", "next year"])
def test_a_bad_date(tmp_path, value):
    relations = '{"id": "P1"}\n{"id": "P2", "value": "date"}'
    with pytest.raises(BadInput, match=r"literals\.jsonl:1"):
        load(write(tmp_path, relations=relations, literals=row(kind="date", value=value)))


def test_no_folder_and_a_cut_gzip(tmp_path):
    with pytest.raises(BadInput, match="not a folder"):
        load(tmp_path / "nowhere")
    write(tmp_path)
    whole = gzip.compress(b'{"id": "Q1", "text": "One."}\n' * 50)
    for data in (whole[:-12], b"plain text"):
        (tmp_path / "extracts.en.jsonl.gz").write_bytes(data)
        with pytest.raises(BadInput, match="gzip"):
            load(tmp_path)
    (tmp_path / "extracts.en.jsonl.gz").rename(tmp_path / "extracts.x1.jsonl.gz")
    with pytest.raises(BadInput, match="no language"):
        load(tmp_path)


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_the_wikidata_excerpt(tmp_path):
    """The numbers are those its own description gives, and counts taken with grep and sort."""
    reading = read(WIKIDATA)
    graph = reading.graph
    assert (len(graph.entities), len(graph.relations), len(graph.facts)) == (5975, 71, 45960)
    assert graph.name == "wikidata"
    assert graph.in_language("zh").label("Q5") == "人類"
    assert "United States" in graph.label("Q30")
    assert sum(not graph.degree(name) for name in graph.entities) == 1034
    assert reading.notes["types that no entity describes, named by their id"] == 57
    assert sum("en" in entity.extracts for entity in graph.entities.values()) == 913  # and 2 empty
    save(graph, tmp_path / "w")
    assert load(tmp_path / "w").sha256 == graph.sha256
