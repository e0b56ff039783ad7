"""What the documentation works out by hand is what the code gives."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_algorithms_by_hand():
    pytest.importorskip("torch", reason="the algorithms work on tensors")
    found = doctest.testfile(str(DOCS / "reinforcement.md"), module_relative=False)
    assert found.attempted > 15
    assert not found.failed
