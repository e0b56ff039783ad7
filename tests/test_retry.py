"""`--retry-failures`: what an outage broke is made again, and the scores are those without it."""

from __future__ import annotations

import pytest

from webfarer.policy.expert import Expert
from webfarer.types import FailureError


@pytest.fixture
def outage(monkeypatch):
    """A context in which half of the expert's attempts find our side broken."""
    start = Expert.start

    def breaks(self, attempt):
        if attempt.seed % 2:
            raise FailureError("search", "down")
        return start(self, attempt)

    def begin():
        patch = pytest.MonkeyPatch()
        patch.setattr(Expert, "start", breaks)
        return patch

    return begin


def test_rollout_makes_failures_again_where_asked(webfarer, world_folder, task_file, tmp_path,
                                                  outage):  # fmt: skip
    def run(out, *more):
        return webfarer("rollout", task_file, tmp_path / out, "-w", world_folder, "-q", "--json",
                        *more).json  # fmt: skip

    want = run("whole")
    patch = outage()
    broken = run("r")
    patch.undo()
    assert 0 < broken["failures"] < broken["attempts"]
    assert run("r") == broken
    assert run("r", "--retry-failures") == want | {"folder": str(tmp_path / "r")}


def test_eval_makes_failures_again_where_asked(webfarer, world_folder, task_file, tmp_path, outage):
    def run(out, *more):
        return webfarer("eval", task_file, tmp_path / out, "-w", world_folder, "-p", "expert",
                        "--samples", 1, "-k", 1, "-q", "--json", *more).json  # fmt: skip

    want = run("whole")
    patch = outage()
    broken = run("e")
    patch.undo()
    assert broken["policies"]["expert"]["failures"] > 0
    assert run("e")["policies"] == broken["policies"]
    assert run("e", "--retry-failures")["policies"] == want["policies"]
