"""Invented names: new each time, near-duplicates among them, and hardly one in two worlds."""

import random
import re

from webfarer.graph.worlds.names import Namer
from webfarer.graph.worlds.world import build_world
from webfarer.types import random_for


def namer(seed=1):
    return Namer(random_for("test", seed))


def test_every_name_is_new_whatever_its_kind():
    source = namer()
    names = [getattr(source, kind)() for kind in ("person", "place", "title") * 300]
    names += [source.stem("place") for _ in range(300)]
    assert len(set(names)) == len(names)
    assert len({name.casefold() for name in names}) == len(names)


def test_a_pool_that_is_used_up_still_gives_new_names():
    source = namer()
    people = [source.person() for _ in range(5000)]  # 48 given times 72 family names are 3,456
    assert len(set(people)) == 5000
    assert all(len(name.split()) in (2, 3) for name in people)


def test_pools_grow_with_a_large_world_and_with_no_other():
    """At 3,456 combinations, more than 1,152 people would take more than a third."""
    assert [Namer(random_for("test", 1), 1152).person() for _ in range(3)] == [
        namer().person() for _ in range(3)
    ]
    source = Namer(random_for("test", 1), 20_000)
    people = [source.person() for _ in range(20_000)]
    assert len(set(people)) == 20_000
    assert all(len(name.split()) == 2 for name in people)
    assert len({name.split()[1] for name in people}) == 300  # int(72 * (60,000 / 3,456) ** 0.5)


def test_names_are_words_one_can_say():
    source = namer()
    for _ in range(500):
        stem = source.stem("place")
        assert re.fullmatch(r"[A-Z][a-z]{3,9}", stem)
        assert not re.search(r"(.)\1\1", stem.lower())


def test_the_same_generator_gives_the_same_names():
    first, again = namer(3), namer(3)
    assert [first.person() for _ in range(50)] == [again.person() for _ in range(50)]
    assert Namer(random.Random(1)).place() != Namer(random.Random(2)).place()


def test_near_duplicates_make_searching_hard():
    graph = build_world(4, 400)
    people = [graph.label(id).split() for id in graph.of_type("person")]
    families = [words[-1] for words in people]
    shared = sum(families.count(family) > 1 for family in families)
    assert shared / len(people) > 0.5
    places = {graph.label(id) for id in graph.of_type("city")}
    built_on_another = [p for p in places if " " in p and p.split()[1] in places]
    assert built_on_another


def test_two_worlds_share_hardly_a_name():
    """Measured over these worlds: at most 3% of the labels of one are labels of another, all but a
    few of them titles; people, places and institutions share under 1%."""
    worlds = [build_world(seed, 300) for seed in range(8)]
    names = [{graph.label(id) for id in graph.entities} for graph in worlds]
    titles = [
        {graph.label(id) for kind in ("book", "film") for id in graph.of_type(kind)}
        for graph in worlds
    ]
    for one in range(len(worlds)):
        for two in range(one):
            both = names[one] & names[two]
            assert len(both) <= 0.03 * 300, both
            assert len(both - titles[one]) <= 0.01 * 300, both
