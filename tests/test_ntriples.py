"""N-Triples: odd lines by hand and against pyoxigraph's parser; what triples say of a graph."""

import bz2
import gzip
from pathlib import Path

import pyoxigraph
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.importing import import_graph
from webfarer.graph.dumps.ntriples import Literal, Statement, line_of, parse_line
from webfarer.graph.dumps.rdf import value_of
from webfarer.graph.files import load
from webfarer.graph.packed.store import PackedGraph
from webfarer.types import BadInput, Value
from wikidata_forms import triples

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"
XSD = "http://www.w3.org/2001/XMLSchema#"

# W3C's N-Triples test suite has these cases; the texts here are our own.
GOOD = [
    "<http://a.example/s> <http://a.example/p> <http://a.example/o> .",
    "<http://a.example/s><http://a.example/p><http://a.example/o>.",
    "  <http://a.example/s>\t<http://a.example/p>   <http://a.example/o>  .  # a comment",
    '<http://a.example/s> <http://a.example/p> "plain" .',
    '<http://a.example/s> <http://a.example/p> "" .',
    '<http://a.example/s> <http://a.example/p> "# no comment" .',
    '<http://a.example/s> <http://a.example/p> "ends in a backslash\\\\" .',
    '<http://a.example/s> <http://a.example/p> "\\t\\b\\n\\r\\f\\"\\\'\\\\" .',
    '<http://a.example/s> <http://a.example/p> "caf\\u00E9 \\U0001F600 \\u4e2d" .',
    '<http://a.example/s> <http://a.example/p> "中文"@zh-Hans .',
    '<http://a.example/s> <http://a.example/p> "1"^^<http://www.w3.org/2001/XMLSchema#byte> .',
    "<http://a.example/caf\\u00E9> <http://a.example/p> <http://a.example/中> .",
    "_:b0 <http://a.example/p> _:b.1 .",
    "_:1a <urn:p> _:x-y .",
    "<urn:isbn:1> <mailto:a@b.example> <http://a.example/?q=1&r=2#f> .",
    "<http://a.example/%20> <http://a.example/p> <http://a.example/(o)> .",
    "# only a comment",
    "",
    "   ",
]
BAD = [
    "<http://a.example/s> <http://a.example/p> <http://a.example/o>",
    "<http://a.example/s> <http://a.example/p> .",
    "<s> <http://a.example/p> <http://a.example/o> .",
    "<http://a.example/a space> <http://a.example/p> <http://a.example/o> .",
    '"text" <http://a.example/p> <http://a.example/o> .',
    "<http://a.example/s> _:p <http://a.example/o> .",
    '<http://a.example/s> <http://a.example/p> "open .',
    '<http://a.example/s> <http://a.example/p> "bad \\x escape" .',
    '<http://a.example/s> <http://a.example/p> "\\uD800" .',
    '<http://a.example/s> <http://a.example/p> "\\U00110000" .',
    '<http://a.example/s> <http://a.example/p> "x"@ .',
    '<http://a.example/s> <http://a.example/p> "x"^^integer .',
    "<http://a.example/s> <http://a.example/p> 'single' .",
    "<http://a.example/s> <http://a.example/p> <http://a.example/o> . more",
    "_:b. <http://a.example/p> <http://a.example/o> .",
    '{"id": "Q1"}',
]


def peer(line: str):
    """What pyoxigraph reads: None for no triple."""
    found = list(pyoxigraph.parse(line.encode(), format=pyoxigraph.RdfFormat.N_TRIPLES))
    return _said(found[0]) if found else None


def _said(quad):
    def name(term):
        return f"_:{term.value}" if isinstance(term, pyoxigraph.BlankNode) else term.value

    end = quad.object
    if not isinstance(end, pyoxigraph.Literal):
        return name(quad.subject), quad.predicate.value, name(end)
    plain = end.datatype.value if not end.language else ""
    text = (end.value, "" if plain == f"{XSD}string" else plain, (end.language or "").lower())
    return name(quad.subject), quad.predicate.value, text


def ours(line: str):
    said = parse_line(line)
    if said is None or isinstance(said.object, str):
        return said
    return said.subject, said.predicate, tuple(said.object)


@pytest.mark.parametrize("line", GOOD)
def test_odd_lines_are_read_as_pyoxigraph_reads_them(line):
    assert ours(line) == peer(line)
    assert ours(line + "\r\n") == peer(line)


@pytest.mark.parametrize("line", BAD)
def test_what_pyoxigraph_refuses_is_no_triple(line):
    with pytest.raises(SyntaxError):
        peer(line)
    with pytest.raises(ValueError, match=r"not a triple|no character"):
        parse_line(line)


@given(st.text(), st.sampled_from(["", "en", "zh-hans"]))
def test_any_text_survives_being_written_and_read(text, language):
    said = Statement("http://a.example/s", "urn:p", Literal(text, "", language))
    line = line_of(said)
    if line is not None:
        assert parse_line(line) == said
        assert ours(line) == peer(line)
    assert line is not None or any(0xD800 <= ord(c) < 0xE000 for c in text)


def test_what_cannot_be_written_as_a_triple_is_not():
    assert line_of(Statement("no iri", "urn:p", "urn:o")) is None
    assert line_of(Statement("urn:s", "urn:p", "urn:o> <x")) is None
    assert line_of(Statement("urn:s", "urn:p", Literal("x", "a b"))) is None


@pytest.mark.parametrize(
    ("text", "datatype", "value"),
    [
        ("1952-03-11", "date", "1952-03-11"), ("1952-03-11Z", "date", "1952-03-11"),
        ("1952-03-11T00:00:00Z", "dateTime", "1952-03-11"), ("1952", "gYear", "1952"),
        ("1952-03", "gYearMonth", "1952-03"), ("-0043-03-15", "date", "-0043-03-15"),
        ("1952-01-01T00:00:00Z", "dateTime", "1952"), ("1952-01-01", "date", "1952-01-01"),
        ("1952-01-01T12:30:00Z", "dateTime", "1952-01-01"), ("1952-02-30", "date", None),
        ("12952", "gYear", None), ("yesterday", "date", None), ("3", "integer", 3.0),
        ("-0.5e3", "double", -500.0), ("INF", "double", None), ("x", "decimal", None),
        ("a  b", "string", "a b"), ("true", "boolean", None), ("  ", "string", None),
    ],
)  # fmt: skip
def test_literals_by_datatype(text, datatype, value):
    found = value_of(Literal(text, XSD + datatype))
    assert (None if found is None else found.value) == value


LINES = """
<http://www.wikidata.org/entity/Q1> <http://www.w3.org/2000/01/rdf-schema#label> "One"@en .
<http://www.wikidata.org/entity/Q1> <http://www.w3.org/2000/01/rdf-schema#label> "Une"@fr .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P31> <http://www.wikidata.org/entity/Q5> .
this is no triple
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P2> <http://www.wikidata.org/entity/Q2> .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/P2> <http://www.wikidata.org/entity/statement/x> .
<http://www.wikidata.org/entity/statement/x> <http://www.wikidata.org/prop/statement/P2> <http://www.wikidata.org/entity/Q2> .
<http://www.wikidata.org/entity/Q1> <http://schema.org/version> "7"^^<http://www.w3.org/2001/XMLSchema#integer> .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P3> <http://commons.example/a.jpg> .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P2> _:genid .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P4> "+5"^^<http://www.w3.org/2001/XMLSchema#decimal> .
<http://www.wikidata.org/entity/Q1> <http://www.wikidata.org/prop/direct/P5> "motto"@fr .
<http://www.wikidata.org/entity/P2> <http://www.w3.org/2000/01/rdf-schema#label> "second"@en .
<http://www.wikidata.org/entity/P2> <http://www.wikidata.org/prop/direct/P1629> <http://www.wikidata.org/entity/Q2> .
nor is this
"""  # noqa: E501


def opened(folder: Path):
    graph = PackedGraph.open(folder)
    return graph, graph.subgraph(range(len(graph)), "all").graph


def test_wikidatas_triples_by_hand(tmp_path):
    (tmp_path / "x.nt").write_text(LINES)
    done = import_graph([tmp_path / "x.nt"], tmp_path / "x")
    packed, graph = opened(tmp_path / "x")
    assert set(graph.facts) == {
        ("Q1", "P2", "Q2"), ("Q1", "P4", Value(kind="number", value=5.0)),
    }  # fmt: skip
    assert graph.entities["Q1"].types == ("Q5",)
    assert graph.entities["Q1"].labels == {"en": "One"}
    assert graph.relation_label("P2") == "second"
    assert packed.manifest.notes == {
        "facts with a value that is a blank node or a web address": 2,
        "lines that are not of the form, skipped": 2,
        "names in other languages": 1,
        "triples about Wikidata's inner nodes, left out": 1,
        "triples of Wikidata's inner properties, left out": 2,
    }
    (read,) = done.files
    assert read.bad == [5, 16]
    assert read.complaints == [
        f"{tmp_path / 'x.nt'}: 2 of 16 lines are not of the form and were skipped, "
        "the first at 5, 16"
    ]


def test_the_order_of_lines_makes_no_difference(tmp_path):
    (tmp_path / "a.nt").write_text(LINES)
    (tmp_path / "b.nt").write_text("\n".join(reversed(LINES.splitlines() * 2)) + "\n")
    one = import_graph([tmp_path / "a.nt"], tmp_path / "a").manifest
    two = import_graph([tmp_path / "b.nt"], tmp_path / "b").manifest
    assert one.files == two.files
    assert one.relations == two.relations  # facts given twice are counted once
    assert [(each.id, each.facts) for each in one.relations] == [("P2", 1), ("P4", 1)]


def small_blocks(data: bytes) -> bytes:
    """bz2 gives nothing before a block is whole: of 100 kB here, of 900 kB in a dump."""
    return bz2.compress(data, 1)


@pytest.mark.parametrize(("suffix", "packing"), [(".gz", gzip.compress), (".bz2", small_blocks)])
def test_compressed_files_whole_cut_and_broken(tmp_path, suffix, packing):
    many = LINES + "".join(
        f"<urn:s{n}> <urn:p> <urn:o{n * 7919 % 1000003}> .\n" for n in range(20000)
    )
    path = tmp_path / f"x.nt{suffix}"
    data = packing(many.encode())
    path.write_bytes(data)
    whole = import_graph([path], tmp_path / "whole")
    assert (whole.manifest.edges, whole.files[0].broken) == (20001, "")
    path.write_bytes(data[: len(data) // 2])
    cut = import_graph([path], tmp_path / "cut")
    assert cut.files[0].broken == "the compressed file is cut short"
    assert 1000 < cut.manifest.edges < 20000
    assert "Fetch the file again" in cut.files[0].complaints[-1]
    path.write_bytes(b"\x00" * 50 + data)
    with pytest.raises(BadInput, match=r"no fact was read.*broken"):
        import_graph([path], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_line_that_is_too_long_or_not_utf8_is_skipped(tmp_path, monkeypatch):
    from webfarer.graph.dumps import importing as dumps

    monkeypatch.setattr(dumps, "LONGEST", 64)
    good = b"<urn:a> <urn:p> <urn:b> .\n"
    lines = [
        good,
        b"<urn:a> <urn:p> " + b"x" * 500 + b" .\n",
        b"\xff\xfe\n",
        good.replace(b"b", b"c"),
    ]
    (tmp_path / "x.nt").write_bytes(b"".join(lines))
    done = import_graph([tmp_path / "x.nt"], tmp_path / "x")
    assert (done.manifest.edges, done.files[0].lines, done.files[0].bad) == (2, 4, [2, 3])


def test_filters(tmp_path):
    (tmp_path / "x.nt").write_text(LINES)
    for number, (filters, facts) in enumerate(
        [
            (Filters(("fr",)), {"P2", "P4", "P5"}),
            (Filters(properties=frozenset({"P4"})), {"P4"}),
            (Filters(without=frozenset({"P4"})), {"P2"}),
        ]
    ):
        import_graph([tmp_path / "x.nt"], tmp_path / str(number), filters)
        assert {fact.relation for fact in opened(tmp_path / str(number))[1].facts} == facts
    assert opened(tmp_path / "0")[1].label("Q1") == "Une"


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="needs the Wikidata excerpt")
def test_the_excerpt_comes_back_whole(tmp_path):
    excerpt = load(WIKIDATA)
    (tmp_path / "x.nt").write_text("\n".join(triples(excerpt)))
    import_graph([tmp_path / "x.nt"], tmp_path / "x", Filters(("en", "zh")))
    _, graph = opened(tmp_path / "x")
    assert set(graph.facts) == set(excerpt.facts)
    for id, entity in excerpt.entities.items():
        found = graph.entities[id]
        assert (found.labels, found.descriptions) == (entity.labels, entity.descriptions)
        assert set(found.types) == set(entity.types)
        assert set(found.aliases.get("en", ())) == set(entity.aliases.get("en", ()))
    used = {fact.relation for fact in excerpt.facts}
    assert {id: graph.relation_label(id) for id in used} == {
        id: excerpt.relation_label(id) for id in used
    }
