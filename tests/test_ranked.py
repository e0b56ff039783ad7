"""Drawing by rank gives what `random.choices` gives, float for float."""

import random
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.graph.worlds.ranked import Ranked, days


@given(st.integers(1, 400), st.integers(0, 2**32), st.data())
def test_a_draw_is_that_of_random_choices(count: int, seed: int, data: st.DataObject):
    ids = [f"p-{n}" for n in range(count)]
    kept = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    some = [id for id, keep in zip(ids, kept, strict=True) if keep]
    weights = [1 / (ids.index(id) + 1) for id in some]
    chance = random.Random(seed).random()
    assert Ranked(ids).pick(chance, np.array(kept)) == random.Random(seed).choices(some, weights)[0]
    every = [1 / (n + 1) for n in range(count)]
    assert Ranked(ids).pick(chance) == random.Random(seed).choices(ids, every)[0]


def test_the_ends_of_chance():
    ranked = Ranked(["a", "b", "c"])
    most = float(np.nextafter(1.0, 0.0))
    assert ranked.pick(0.0) == "a"
    assert ranked.pick(most) == "c"
    assert ranked.pick(most, np.array([True, True, False])) == "b"
    assert ranked.pick(0.0, np.array([False, True, True])) == "b"
    with pytest.raises(IndexError):
        ranked.pick(0.5, np.array([False, False, False]))


def test_days_compare_as_dates_do():
    assert days([date(1900, 3, 1), date.max]).tolist() == [693655, 3652059]  # proleptic ordinals
