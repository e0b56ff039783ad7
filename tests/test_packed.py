"""Packed graphs: what goes in comes out, whatever the order and the memory; torn ones refused."""

import errno
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.graph.dumps.names_of import plain_name
from webfarer.graph.files import load
from webfarer.graph.graph import Fact, KnowledgeGraph
from webfarer.graph.packed import columns, layout, pack
from webfarer.graph.packed.columns import ArrayWriter, Texts, mapped, text_writers
from webfarer.graph.packed.layout import EDGE, Incidence, lay_out
from webfarer.graph.packed.pack import Packer
from webfarer.graph.packed.sample import sample
from webfarer.graph.packed.store import PackedGraph, Step
from webfarer.graph.walk import Edge, WalkSettings
from webfarer.graph.worlds.world import build_world
from webfarer.store.atomic import folder as new_folder
from webfarer.types import BadInput, Value, WebfarerError


def packed(folder: Path, graph: KnowledgeGraph, seed: int = 0) -> PackedGraph:
    """The graph packed, its statements in an order of the seed's."""
    says = []
    with new_folder(folder) as building:
        packer = Packer(building, ["en", "zh"])
        for entity in graph.entities.values():
            for language, text in entity.labels.items():
                says.append((packer.label, entity.id, language, text))
            for language, text in entity.descriptions.items():
                says.append((packer.description, entity.id, language, text))
            for language, texts in entity.aliases.items():
                says += [(packer.alias, entity.id, language, text, place)
                         for place, text in enumerate(texts)]  # fmt: skip
            says += [(packer.type, entity.id, kind, n) for n, kind in enumerate(entity.types)]
        for fact in graph.facts:
            say = packer.edge if isinstance(fact.object, str) else packer.literal
            says.append((say, *fact))
        random.Random(seed).shuffle(says)
        for say, *what in says:
            say(*what)
        packer.finish(graph.name)
    return PackedGraph.open(folder)


def whole(graph: PackedGraph) -> KnowledgeGraph:
    return graph.subgraph(range(len(graph)), graph.name).graph


@pytest.fixture(scope="module")
def world():
    return build_world(3, 80)


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    return packed(tmp_path_factory.mktemp("packed") / "world", world)


def test_a_world_comes_out_as_it_went_in(world, store):
    found = whole(store)
    assert set(found.facts) == set(world.facts)
    for id, entity in world.entities.items():
        assert found.entities[id].labels == entity.labels
        assert found.entities[id].types == entity.types
        assert found.entities[id].aliases.get("en", ()) == entity.aliases["en"]
    assert {id: each.value for id, each in found.relations.items()} == {
        id: each.value for id, each in world.relations.items() if id in found.relations
    }


def test_nodes_are_found_and_their_edges_are_the_graphs(world, store):
    for id in world.entities:
        node = store.node(id)
        assert (store.id(node), store.label(node)) == (id, world.label(id))
        out = {(s.relation, s.other) for s in store.neighbours(node) if s.out}
        back = {(s.relation, s.other) for s in store.neighbours(node) if not s.out}
        between = [fact for fact in world.facts_of(id) if isinstance(fact.object, str)]
        assert {(store.relations[r], store.id(o)) for r, o in out} == {f[1:] for f in between}
        assert {(store.relations[r], store.id(o)) for r, o in back} == {
            (fact.relation, fact.subject) for fact in world.facts_to(id)
        }
        assert store.degree(node) == len(between) + len(world.facts_to(id))
    assert [store.find(id) for id in ("", "zzz", "person-", "\U0010ffff")] == [None] * 4


def test_the_order_of_statements_and_the_memory_make_no_difference(
    world, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(pack, "LINES", 7)
    monkeypatch.setattr(pack, "_EDGES", 5)
    monkeypatch.setattr(layout, "BUCKET", 16)
    other = packed(tmp_path / "world", world, seed=4)
    assert other.manifest.files == store.manifest.files
    assert not list(other.folder.glob("*.tmp*"))


def numbers(most: int):
    return st.integers(0, most)


@given(
    st.lists(st.tuples(numbers(12), numbers(3), numbers(12)), max_size=60),
    st.sampled_from([1, 3, 8, 1000]),
)
def test_layout_against_a_dictionary(tmp_path_factory, triples, bucket):
    folder = tmp_path_factory.mktemp("layout")
    edges = np.array(triples, EDGE)
    before, layout.BUCKET = layout.BUCKET, bucket
    try:
        count = lay_out(lambda: [edges[:20], edges[20:]], 13, folder)
    finally:
        layout.BUCKET = before
    times = [sum(kind == each for _, kind, _ in set(triples)) for each in range(4)]
    assert count.tolist() == times[: len(count)]
    assert count.sum() == len(set(triples))
    at = Incidence(mapped(folder / "bounds.npy"), mapped(folder / "slots.npy"))
    for node in range(13):
        start, middle = at.bounds[node]
        outs = at.slots[start:middle, ::-1].tolist()
        ins = at.slots[middle : at.bounds[node + 1, 0], ::-1].tolist()
        assert outs == sorted([r, o] for s, r, o in set(triples) if s == node)
        assert ins == sorted([r, s] for s, r, o in set(triples) if o == node)


def test_numbers_too_wide_for_one_word_are_sorted_all_the_same():
    rows = np.array([(2**32 - 1, 2**20, 5), (0, 1, 2**32 - 1), (0, 1, 3), (0, 1, 3)], EDGE)
    assert layout._sorted(rows).tolist() == [(0, 1, 3), (0, 1, 2**32 - 1), (2**32 - 1, 2**20, 5)]


def test_an_incidence_of_some_relations_or_one_direction():
    # 0 -r0-> 1, 0 -r1-> 2, 2 -r0-> 0
    bounds = np.array([[0, 2], [3, 3], [4, 5], [6, 6]])
    at = Incidence(bounds, np.array([[1, 0], [2, 1], [2, 0], [0, 0], [0, 0], [0, 1]], np.uint32))
    some = at.only([0])
    assert some.bounds.tolist() == [[0, 1], [2, 2], [3, 4], [4, 4]]
    assert some.slots.tolist() == [[1, 0], [2, 0], [0, 0], [0, 0]]
    out = at.only(direction="out")
    assert out.bounds.tolist() == [[0, 2], [2, 2], [2, 3], [3, 3]]
    assert at.only([1], "in").slots.tolist() == [[0, 1]]


@given(st.lists(st.text(), max_size=20))
def test_texts_by_node(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("texts")
    said = [text.encode(errors="replace") for text in texts]
    with text_writers(folder, ["x"]) as writers:
        for text in said:
            writers["x"].append(text)
    found = Texts(folder, "x")
    assert [found.raw(place) for place in range(len(found))] == said


def test_an_array_is_an_ordinary_numpy_file(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.uint32, 2)
    for size in (0, 3, 100_000):
        writer.append(np.ones((size, 2)))
    writer.close()
    assert np.load(tmp_path / "a.npy").sum() == 200_006


def test_a_part_has_the_edges_between_its_nodes_and_its_types_labels(store):
    person = store.node("person-1")
    near = [step.other for step in store.neighbours(person)][:3]
    found = store.subgraph([person, *near], "part").graph
    inside = {store.id(node) for node in (person, *near)}
    expected = {
        fact for fact in whole(store).facts
        if fact.subject in inside and (isinstance(fact.object, Value) or fact.object in inside)
    }  # fmt: skip
    assert set(found.facts) == expected
    step = next(step for step in store.neighbours(person) if step.out)
    edge = Edge(person, step.relation, step.other)
    one = store.subgraph_of([edge], "one").graph
    assert [f for f in one.facts if isinstance(f.object, str)] == [store.fact(edge)]


def test_labels_of_several_ranks_languages_and_none(tmp_path):
    with new_folder(tmp_path / "g") as building:
        packer = Packer(building, ["zh", "en"])
        packer.label("a", "en", "second", 1)
        packer.label("a", "en", "first", 0)
        packer.label("a", "en", "third", 2)
        packer.alias("a", "en", "third")
        packer.label("a", "zh", "一")
        packer.edge("a", "http://x.example/p#bornIn", "http://x.example/New_York%2C_NY")
        packer.literal("a", "when", Value(kind="date", value="1912"))
        packer.finish("g")
    graph = PackedGraph.open(tmp_path / "g")
    entity = graph.entity(graph.node("a"))
    assert entity.labels == {"en": "first", "zh": "一"}
    assert entity.aliases == {"en": ("third", "second")}
    assert graph.label(graph.node("a")) == "一"
    assert graph.label(graph.node("a"), "en") == "first"
    assert graph.label(graph.node("http://x.example/New_York%2C_NY")) == "New York, NY"
    assert graph.relation_label(graph.relation("http://x.example/p#bornIn")) == "born in"
    assert graph.literals(graph.node("a")) == [("when", Value(kind="date", value="1912"))]


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("Q42", "Q42"), ("http://x.example/Alan_Turing", "Alan Turing"), ("urn:x", "urn:x"),
        ("http://x.example/p/birthPlace", "birth place"), ("http://x.example/", "x.example"),
        ("http://x.example/%E4%B8%AD", "中"),
    ],
)  # fmt: skip
def test_plain_names(id, name):
    assert plain_name(id) == name


def spoiled(store: PackedGraph, folder: Path) -> Path:
    shutil.copytree(store.folder, folder)
    return folder


@pytest.mark.parametrize("name", ["slots.npy", "labels.en.text.npy", "ids.ends.npy"])
def test_a_torn_store_is_refused(store, tmp_path, name):
    folder = spoiled(store, tmp_path / "torn")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1])
    with pytest.raises(BadInput, match="not as it was written: import the graph again"):
        PackedGraph.open(folder)
    (folder / name).unlink()
    with pytest.raises(BadInput, match="not as it was written"):
        PackedGraph.open(folder)
    (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BadInput, match="not as it was written"):
        PackedGraph.open(folder).check()


def test_another_form_and_no_store_are_refused(store, tmp_path, world_folder):
    folder = spoiled(store, tmp_path / "other")
    said = json.loads((folder / "packed.json").read_text())
    (folder / "packed.json").write_text(json.dumps(said | {"version": 9}))
    with pytest.raises(BadInput, match="form 9, and this reads form 1"):
        PackedGraph.open(folder)
    (folder / "packed.json").write_text('{"form": "webf')
    with pytest.raises(BadInput, match="not as it was written"):
        PackedGraph.open(folder)
    with pytest.raises(BadInput, match="make one with webfarer graph import"):
        PackedGraph.open(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is an ordinary graph, not a packed one"):
        PackedGraph.open(world_folder)
    with pytest.raises(BadInput, match="is a packed graph; take a part"):
        load(store.folder)


def test_a_full_disk_leaves_what_was_there(store, world, tmp_path, monkeypatch):
    folder = spoiled(store, tmp_path / "g")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(columns.ArrayWriter, "append", full)
    with pytest.raises(WebfarerError, match="no space left"):
        packed(folder, world)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g"]
    PackedGraph.open(folder).check()


def test_two_ids_of_one_hash_are_noticed(tmp_path, monkeypatch):
    packer = Packer(tmp_path, ["en"])
    packer.edge("a", "r", "b")
    monkeypatch.setattr(pack, "hash", lambda _: 7, raising=False)
    with pytest.raises(WebfarerError, match="one hash"):
        packer.finish("g")


def test_a_sample_is_connected_of_the_size_asked_and_the_same_again(store):
    root = store.node("person-1")
    one = sample(store, "s", 30, seed=2, roots=[root]).graph
    assert len(one.entities) == 30
    assert one.sha256 == sample(store, "s", 30, seed=2, roots=[root]).graph.sha256
    assert one.sha256 != sample(store, "s", 30, seed=3, roots=[root]).graph.sha256
    reached, edge = {"person-1"}, {"person-1"}
    while edge:
        edge = {end for id in edge for end in _near(one, id)} - reached
        reached |= edge
    assert reached == set(one.entities)


def _near(graph: KnowledgeGraph, id: str):
    for fact in (*graph.facts_of(id), *graph.facts_to(id)):
        yield fact.subject
        if isinstance(fact.object, str):
            yield fact.object


def test_a_sample_of_more_than_there_is_says_so(store):
    part = sample(store, "s", 10_000, seed=1)
    assert part.notes["entities fewer than asked for"] == 10_000 - len(part.graph.entities)


def test_a_hub_is_taken_along_but_not_gone_on_from(tmp_path):
    """A hub with 40 spokes: from a root beside it one gets the hub, never another spoke."""
    facts = [Fact(f"s{n}", "in", "hub") for n in range(40)] + [Fact("root", "in", "hub")]
    with new_folder(tmp_path / "g") as building:
        packer = Packer(building, ["en"])
        for fact in facts:
            packer.edge(*fact)
        packer.finish("g")
    graph = PackedGraph.open(tmp_path / "g")
    part = sample(graph, "s", 20, roots=[graph.node("root")], settings=WalkSettings(hub=10))
    assert set(part.graph.entities) == {"root", "hub"}
    assert Step(0, graph.node("hub"), True) in graph.neighbours(graph.node("root"))
