"""The branching walk: by hand, by its rules, and walk by walk the same however it is walked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_packed import packed
from webfarer.graph import walk as module
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.walk import Edge, Incidence, WalkSettings, mix, numbered, walk, walks
from webfarer.graph.worlds.world import build_world
from webfarer.types import BadInput, Value


def graph_of(triples, nodes=()):
    ids = dict.fromkeys([*nodes, *(end for s, _, o in triples for end in (s, o))])
    relations = dict.fromkeys(relation for _, relation, _ in triples)
    return KnowledgeGraph(
        "g", map(Entity, ids), [Relation(each, {}) for each in relations],
        [Fact(*triple) for triple in triples],
    )  # fmt: skip


CHAIN = graph_of([("a", "r", "b"), ("b", "r", "c"), ("c", "r", "d"), ("d", "r", "e")])
WORLD = build_world(3, 120)


def test_the_mixing_function_is_splitmix64():
    """The first numbers of SplitMix64 with seed 1234567, as published with xoshiro's code."""
    numbers = [mix((1234567 + (n + 1) * module.GOLDEN) & module.MASK) for n in range(3)]
    assert numbers == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_edges_are_different_touch_what_was_walked_and_are_the_graphs():
    at = numbered(WORLD)
    everything = {
        Edge(at.entities.index(f.subject), at.relations.index(f.relation),
             at.entities.index(f.object))
        for f in WORLD.facts if isinstance(f.object, str)
    }  # fmt: skip
    for number in range(40):
        one = walk(at.at, number, WalkSettings(edges=15), seed=9, number=number)
        assert len(set(one.edges)) == len(one.edges) <= one.steps
        assert set(one.edges) <= everything
        seen = {number}
        for edge in one.edges:
            assert seen & {edge.subject, edge.object}
            seen |= {edge.subject, edge.object}


def test_without_returns_it_goes_on_from_the_newest_node():
    """A star of chains has no circles: with back = 0 only a dead end makes it branch."""
    chain = graph_of([(f"n{i:02}", "r", f"n{i + 1:02}") for i in range(50)])
    at = numbered(chain).at
    for seed in range(20):
        one = walk(at, 0, WalkSettings(edges=3, back=0.0, steps=3), seed)
        assert one.edges[0] == Edge(0, 0, 1)
        for number, edge in enumerate(one.edges):
            assert edge == Edge(number, 0, number + 1)  # there is no other fresh one


def test_how_often_it_returns_is_the_probability():
    """Among 150 nodes all joined a step mostly finds a new one, so returns can be counted.

    Of thousands of steps that had a choice 0.3 return: within 4 standard deviations.
    """
    triples = [(f"{i}", "x", f"{j}") for i in range(150) for j in range(i)]
    at = numbered(graph_of(triples)).at
    returned = tried = 0
    for number in range(800):
        one = walk(at, 0, WalkSettings(edges=10, back=0.3, steps=10), 5, number)
        newest, seen = 0, {0}
        for place, edge in enumerate(one.edges if len(one.edges) == 10 else ()):
            tried += place > 0
            returned += newest not in (edge.subject, edge.object)
            newest = next(iter({edge.subject, edge.object} - seen), newest)
            seen.add(newest)
    assert tried > 5000
    assert abs(returned - 0.3 * tried) < 4 * (tried * 0.3 * 0.7) ** 0.5


def test_the_whole_of_a_small_neighbourhood_is_found_and_it_stops():
    at = numbered(CHAIN).at
    one = walk(at, 2, WalkSettings(edges=10, steps=500), seed=1)
    assert sorted(one.edges) == [Edge(n, 0, n + 1) for n in range(4)]
    assert one.steps == 500


def test_a_root_without_edges_and_a_graph_without():
    at = numbered(graph_of([("a", "r", "b")], nodes=["z"])).at
    assert walk(at, 2, WalkSettings(edges=3)).edges == ()
    empty = Incidence(np.zeros((3, 2), np.int64), np.zeros((0, 2), np.uint32))
    for engine in engines():
        found = walks(empty, [0, 1], WalkSettings(edges=3), engine=engine)
        assert (found.counts.tolist(), found.steps.tolist()) == ([0, 0], [48, 48])
    with pytest.raises(BadInput, match="node 7 is not in the graph"):
        walks(at, [0, 7])


def test_loops_and_facts_between_the_same_two_nodes_are_edges_of_their_own():
    at = numbered(graph_of([("a", "r", "a"), ("a", "r", "b"), ("a", "q", "b"), ("b", "r", "a")])).at
    one = walk(at, 0, WalkSettings(edges=4, steps=400), seed=3)
    assert sorted(one.edges) == [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 1, 0)]


def test_no_walk_goes_on_from_a_hub_but_the_root():
    spokes = [(f"s{n:02}", "in", "hub") for n in range(30)]
    at = numbered(graph_of([*spokes, ("root", "in", "hub"), ("root", "by", "x"), ("x", "by", "y")]))
    root, hub = at.entities.index("root"), at.entities.index("hub")
    near = walk(at.at, root, WalkSettings(edges=20, hub=5, steps=2000), seed=1)
    ends = {at.entities[end] for edge in near.edges for end in (edge.subject, edge.object)}
    assert ends == {"root", "hub", "x", "y"}
    assert len(walk(at.at, hub, WalkSettings(edges=20, hub=5), seed=1).edges) > 5


@pytest.mark.parametrize("wrong", [{"edges": 0}, {"back": 1.5}, {"hub": -1}, {"steps": -2}])
def test_settings_that_make_no_walk(wrong):
    with pytest.raises(BadInput, match="give"):
        WalkSettings(**wrong)


def engines():
    return ["python", "numba"] if module.compiled() else ["python"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("walks") / "world", WORLD)


def named(store, one):
    return [store.fact(edge) for edge in one.edges]


def test_a_packed_graph_and_the_graph_in_memory_give_the_same_walks(store):
    """The graph in memory is numbered and ordered by code of its own, apart from the packer's."""
    at = numbered(WORLD)
    between = {fact.relation for fact in WORLD.facts if isinstance(fact.object, str)}
    assert set(at.relations) == between
    for number in range(60):
        root = at.entities[number * 2 % len(at.entities)]
        one = walk(at.at, at.entities.index(root), WalkSettings(), 7, number)
        other = walk(store.at, store.node(root), WalkSettings(), 7, number)
        assert one.steps == other.steps
        assert named(store, other) == [
            Fact(at.entities[s], at.relations[r], at.entities[o]) for s, r, o in one.edges
        ]


@pytest.mark.skipif(not module.compiled(), reason="compiled walks need numba")
@pytest.mark.parametrize(
    "settings",
    [
        WalkSettings(), WalkSettings(1), WalkSettings(40, 0.9), WalkSettings(12, 0.0),
        WalkSettings(12, 1.0), WalkSettings(12, 0.3, hub=6), WalkSettings(12, 0.3, steps=5),
    ],
)  # fmt: skip
def test_compiled_walks_are_the_python_walks_however_many_go_side_by_side(store, settings):
    from webfarer.graph.packed.kernels import walk_many

    roots = np.arange(150, dtype=np.uint32) % len(store)
    wanted = list(walks(store.at, roots, settings, seed=2**63 + 5, first=3, engine="python"))
    for lanes, threads in [(1, 1), (2, 1), (7, 1), (64, 1), (512, 1), (16, 2), (16, 3)]:
        found = walk_many(store.at, roots, settings, 2**63 + 5, 3, threads, lanes)
        assert list(module.Walks(roots, *found)) == wanted
    alone = walks(store.at, roots[77:78], settings, seed=2**63 + 5, first=80)
    assert alone[0] == wanted[77]


@pytest.mark.skipif(not module.compiled(), reason="compiled walks need numba")
@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=25),
    st.integers(-5, 2**64), st.floats(0, 1), st.integers(0, 4),
)  # fmt: skip
def test_any_graph_gives_the_same_walks_compiled(triples, seed, back, hub):
    graph = graph_of([(f"n{s}", f"r{r}", f"n{o}") for s, r, o in triples])
    at, settings = numbered(graph).at, WalkSettings(8, back, hub)
    roots = list(range(len(graph.entities)))
    assert list(walks(at, roots, settings, seed)) == list(
        walks(at, roots, settings, seed, engine="python")
    )


def test_without_numba_the_walks_are_the_same_and_asking_for_it_is_told(store, monkeypatch):
    before = list(walks(store.at, [1, 2, 3], seed=4))
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert list(walks(store.at, [1, 2, 3], seed=4)) == before
    with pytest.raises(BadInput, match=r"webfarer\[graphs\]"):
        walks(store.at, [1], engine="numba")


def test_walks_of_some_relations_stay_with_them(store):
    some = {store.relation("born_in"), store.relation("country")}
    at = store.at.only(some)
    for engine in engines():
        found = walks(at, list(range(len(store))), seed=1, engine=engine)
        assert {edge.relation for one in found for edge in one.edges} == some


def test_literals_are_not_walked_to(store):
    assert all(
        not isinstance(fact.object, Value)
        for one in walks(store.at, list(range(20))) for fact in named(store, one)
    )  # fmt: skip
