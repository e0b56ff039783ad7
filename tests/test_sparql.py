"""Expansion from a real endpoint: what it finds, and every way in which an endpoint fails."""

from pathlib import Path

import pytest

from sparql_server import endpoint
from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.ntriples import parse_line
from webfarer.graph.files import load
from webfarer.graph.graph import KnowledgeGraph
from webfarer.types import BadInput, Value, WebfarerError
from webfarer.web.http import sparql
from webfarer.web.http.sparql import Expansion, expand
from wikidata_forms import triples

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"
E, D = "http://www.wikidata.org/entity/", "http://www.wikidata.org/prop/direct/"
XSD = "http://www.w3.org/2001/XMLSchema#"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
ITEMS = [
    f'<{E}Q1> <{LABEL}> "Ada"@en .',
    f'<{E}Q1> <{LABEL}> "阿达"@zh .',
    f'<{E}Q1> <http://schema.org/description> "a person"@en .',
    f"<{E}Q1> <{D}P31> <{E}Q5> .",
    f'<{E}Q5> <{LABEL}> "human"@en .',
    f"<{E}Q1> <{D}P19> <{E}Q2> .",
    f'<{E}P19> <{LABEL}> "place of birth"@en .',
    f'<{E}Q2> <{LABEL}> "London"@en-gb .',
    f"<{E}Q2> <{D}P17> <{E}Q3> .",
    f"<{E}Q4> <{D}P19> <{E}Q2> .",
    f"<{E}Q4> <{D}P26> <{E}Q9> .",
    f'<{E}Q1> <{D}P569> "1815-12-10T00:00:00Z"^^<{XSD}dateTime> .',
    f'<{E}Q1> <{D}P213> "0000 0001" .',
    f'<{E}Q1> <{D}P1477> "Augusta Ada"@en .',
    f"<{E}Q1> <http://www.wikidata.org/prop/P19> <{E}statement/Q1-1> .",
    f"<{E}Q2> <{D}P18> <http://commons.example/picture.jpg> .",
]
PLAIN = [
    f'<http://x.example/Ada_L> <{LABEL}> "Ada L." .',
    "<http://x.example/Ada_L> <http://x.example/p/birthPlace> <http://x.example/London> .",
    "<http://x.example/Bob> <http://x.example/p/birthPlace> <http://x.example/London> .",
    f'<http://x.example/Bob> <http://x.example/p/height> "1.8"^^<{XSD}decimal> .',
    "<http://x.example/Bob> <http://x.example/p/knows> _:somebody .",
]


def facts(graph: KnowledgeGraph):
    return {(fact.subject, fact.relation, fact.object) for fact in graph.facts}


def asked(server, out, roots=("Q1",), **settings):
    what = Expansion(server.url, roots, **{"timeout": 5.0, **settings})
    waits: list[float] = []
    part = expand(what, out, sleep=waits.append)
    return part.graph, waits


def test_two_hops_of_wikidatas_shape_by_hand(tmp_path):
    with endpoint(ITEMS) as server:
        graph, waits = asked(server, tmp_path / "g", filters=Filters(("en", "zh")))
    born = Value(kind="date", value="1815-12-10")
    name = Value(kind="name", value="Augusta Ada")
    assert facts(graph) == {
        ("Q1", "P19", "Q2"), ("Q4", "P19", "Q2"), ("Q2", "P17", "Q3"),
        ("Q1", "P569", born), ("Q1", "P1477", name),
    }  # fmt: skip
    assert graph.entities["Q1"].types == ("Q5",)
    assert graph.type_label("Q5") == "human"
    assert graph.entities["Q1"].labels == {"en": "Ada", "zh": "阿达"}
    assert graph.entities["Q2"].labels == {"en": "London"}
    assert graph.relation_label("P19") == "place of birth"
    assert waits == []
    assert load(tmp_path / "g").sha256 == graph.sha256


def test_one_hop_has_what_touches_the_root_alone(tmp_path):
    with endpoint(ITEMS) as server:
        graph, _ = asked(server, tmp_path / "g", hops=1)
    assert {fact[:2] for fact in facts(graph)} == {("Q1", "P19"), ("Q1", "P569"), ("Q1", "P1477")}


def test_plain_rdf_keeps_its_iris_and_reads_their_last_part(tmp_path):
    with endpoint(PLAIN) as server:
        graph, _ = asked(server, tmp_path / "g", ("http://x.example/London",))
    bob, place = "http://x.example/Bob", "http://x.example/p/birthPlace"
    height = (bob, "http://x.example/p/height", Value(kind="number", value=1.8))
    assert {(bob, place, "http://x.example/London"), height} < facts(graph)
    assert (graph.label(bob), graph.relation_label(place)) == ("Bob", "birth place")
    assert graph.label("http://x.example/Ada_L") == "Ada L."
    assert len(graph.facts) == 3


def test_properties_wanted_and_not(tmp_path):
    with endpoint(ITEMS) as server:
        some, _ = asked(server, tmp_path / "a", filters=Filters(properties=frozenset({"P19"})))
        others, _ = asked(server, tmp_path / "b", filters=Filters(without=frozenset({"P19"})))
    assert facts(some) == {("Q1", "P19", "Q2"), ("Q4", "P19", "Q2")}
    assert some.entities["Q1"].types == ("Q5",)
    assert {fact[1] for fact in facts(others)} == {"P569", "P1477"}


def test_a_node_brings_at_most_the_limit_each_way(tmp_path):
    lines = [f"<{E}Q{n}> <{D}P19> <{E}Q2> ." for n in range(10, 40)]
    with endpoint(lines) as server:
        graph, _ = asked(server, tmp_path / "g", ("Q2",), limit=7, hops=1)
        few, _ = asked(server, tmp_path / "f", ("Q2",), most=4, hops=1)
    assert len(graph.facts) == 7
    assert len(few.entities) == 4


def test_nothing_is_asked_twice_after_a_stop_anywhere(tmp_path, monkeypatch):
    """Stopped at its n-th query, for every n, and run again: as many queries, the same graph."""
    monkeypatch.setattr(sparql, "BATCH", {"out": 1, "in": 1, "texts": 2})
    with endpoint(ITEMS) as server:
        whole, _ = asked(server, tmp_path / "whole")
        total = len(server.queries)
        for stop in range(1, total):
            server.queries.clear()
            server.faults = [*[""] * stop, "refuse"]
            with pytest.raises(WebfarerError, match=r"403.*<html>"):
                asked(server, tmp_path / f"g{stop}")
            server.faults = []
            again, _ = asked(server, tmp_path / f"g{stop}")
            assert len(server.queries) == total + 1  # the refused one
            assert facts(again) == facts(whole)
            assert len(set(server.queries)) == total


def test_a_second_run_asks_nothing_and_a_torn_answer_is_asked_again(tmp_path):
    with endpoint(ITEMS) as server:
        first, _ = asked(server, tmp_path / "g")
        server.queries.clear()
        again, _ = asked(server, tmp_path / "g")
        assert server.queries == []
        kept = tmp_path / "g.answers.jsonl"
        kept.write_bytes(kept.read_bytes()[:-9])
        with pytest.warns(RuntimeWarning, match="torn"):
            mended, _ = asked(server, tmp_path / "g")
        assert len(server.queries) == 1
    assert first.sha256 == again.sha256 == mended.sha256


def test_answers_to_other_settings_are_refused(tmp_path):
    with endpoint(ITEMS) as server:
        asked(server, tmp_path / "g")
        with pytest.raises(BadInput, match="other settings"):
            asked(server, tmp_path / "g", limit=3)


@pytest.mark.parametrize(("fault", "waits"), [("busy", [7.0, 7.0]), ("many", [1.0, 2.0])])
def test_a_busy_endpoint_is_given_time(tmp_path, fault, waits):
    with endpoint(ITEMS) as server:
        server.faults = [fault, fault]
        graph, waited = asked(server, tmp_path / "g")
    assert waited == waits
    assert len(graph.facts) == 5


def test_an_endpoint_that_stays_busy_ends_it_in_one_line(tmp_path):
    with endpoint(ITEMS) as server:
        server.faults = ["busy"] * 6
        with pytest.raises(WebfarerError, match="busy 6 times in a row"):
            asked(server, tmp_path / "g")
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("fault", ["late", "cut", "silent", "drip"])
def test_a_query_that_is_late_is_halved(tmp_path, fault):
    with endpoint(ITEMS) as server:
        server.faults = [fault]
        graph, _ = asked(server, tmp_path / "g", ("Q1", "Q2", "Q4"), hops=1, timeout=0.4)
        sizes = [query.count(" AS ?") for query in server.queries]
    assert sizes[:4] == [3, 1, 1, 1]
    assert len(graph.facts) == 6


def test_one_node_that_is_late_ends_it_and_what_came_is_kept(tmp_path):
    with endpoint(ITEMS) as server:
        server.faults = ["", "late"]
        with pytest.raises(
            WebfarerError, match=r"ran out of time for <.*/Q1> alone: give a longer"
        ):
            asked(server, tmp_path / "g")
        graph, _ = asked(server, tmp_path / "g")
    assert len(graph.facts) == 5


def test_queries_are_made_smaller_until_the_endpoint_keeps_up(tmp_path):
    lines = [f"<{E}Q{n}> <{D}P1> <{E}Q{n + 1}> ." for n in range(1, 30)]
    with endpoint(lines) as server:
        server.most = 2
        roots = tuple(f"Q{n}" for n in range(1, 30))
        graph, _ = asked(server, tmp_path / "g", roots, hops=1)
    assert len(graph.facts) == 29


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"roots": ("Q1> . <x",)}, "no root"),
        ({"roots": ("just words",)}, "no root"),
        ({"endpoint": "file:///etc/passwd"}, "no address"),
        ({"endpoint": "http://"}, "no address"),
        ({"roots": ("_:b0",)}, "no root"),
        ({"roots": ("Q77",)}, "knows no such facts"),
        ({"user_agent": "one\r\nX-Two: 2"}, "no user agent"),
        ({"user_agent": "阿达"}, "no user agent"),
        ({"user_agent": " "}, "no user agent"),
    ],
)
def test_what_cannot_be_asked_is_told(tmp_path, settings, said):
    with endpoint(ITEMS) as server:
        what = Expansion(**{"endpoint": server.url, "roots": ("Q1",), **settings})
        with pytest.raises(BadInput, match=said):
            expand(what, tmp_path / "g")


def test_an_endpoint_that_is_down_is_told(tmp_path):
    with endpoint(ITEMS) as server:
        url = server.url
    with pytest.raises(WebfarerError, match="cannot be reached"):
        expand(Expansion(url, ("Q1",)), tmp_path / "g")


def test_it_says_who_asks(tmp_path):
    with endpoint(ITEMS) as server:
        asked(server, tmp_path / "g", hops=1)
        assert all(agent.startswith("webfarer/") for agent in server.agents)
        server.agents.clear()
        asked(server, tmp_path / "h", hops=1, user_agent="readers/1.0 (ada@example.org)")
        assert server.agents == {"readers/1.0 (ada@example.org)"}


def test_what_is_kept_is_n_triples(tmp_path):
    odd = 'a "quote" \\ and\na line'
    lines = [*ITEMS, f'<{E}Q1> <{D}P2> "a \\"quote\\" \\\\ and\\na line"@en .']
    with endpoint(lines) as server:
        graph, _ = asked(server, tmp_path / "g", hops=1)
    assert ("Q1", "P2", Value(kind="name", value=" ".join(odd.split()))) in facts(graph)
    assert parse_line(lines[-1]).object.text == odd


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="needs the Wikidata excerpt")
def test_the_excerpts_neighbourhood_is_the_excerpts_own(tmp_path):
    """Every fact found is the excerpt's; those of the root are all there."""
    excerpt = load(WIKIDATA)
    with endpoint(triples(excerpt)) as server:
        graph, _ = asked(server, tmp_path / "g", ("Q42",), limit=1000, most=60, hops=2)
    assert set(graph.facts) <= set(excerpt.facts)
    near = {fact for fact in excerpt.facts if {fact.subject, fact.object} <= set(graph.entities)}
    ends = {f.object for f in excerpt.facts_of("Q42")} | {"Q42"}
    assert {fact for fact in near if fact.subject == "Q42"} == set(graph.facts_of("Q42"))
    assert ends <= set(graph.entities)
    assert graph.label("Q42") == excerpt.label("Q42")
