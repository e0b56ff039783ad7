"""Several processes for one stage: what they do, what they leave, and that they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import TINY
from webfarer.cli.workers import alongside, side_by_side, workers_for
from webfarer.types import WebfarerError


def leave_a_mark(folder: Path, number: int, count: int) -> None:
    (folder / f"{number}-of-{count}").touch()


def fail_but_for_the_first(folder: Path, number: int, count: int) -> None:
    if number:
        raise RuntimeError("broken")
    leave_a_mark(folder, number, count)


def wait_for_ever(folder: Path, number: int, count: int) -> None:
    (folder / f"{os.getpid()}").touch()
    time.sleep(600)


def add_up(folder: Path, ranks) -> None:
    import torch

    ranks.sum(torch.tensor([10.0]))
    assert ranks.gathered(ranks.rank) == [0, 1]


def fall_over(folder: Path, ranks) -> None:
    raise ValueError("no room for\nthe ladder")


def test_what_a_process_that_dies_would_have_said_is_said():
    import torch

    with (
        pytest.raises(WebfarerError, match=r"died \(no room for the ladder\): run the same"),
        alongside(2, fall_over, (Path(),)) as ranks,
    ):
        ranks.sum(torch.tensor([1.0]))


def test_every_share_is_done_and_watched(tmp_path):
    seen = []
    side_by_side(2, leave_a_mark, (tmp_path,), lambda: seen.append(len(list(tmp_path.iterdir()))))
    assert {path.name for path in tmp_path.iterdir()} == {"0-of-2", "1-of-2"}
    assert seen[-1] == 2


def test_one_that_fails_is_silent_and_the_others_go_on(tmp_path, capfd):
    side_by_side(2, fail_but_for_the_first, (tmp_path,), lambda: None)
    assert {path.name for path in tmp_path.iterdir()} == {"0-of-2"}
    assert capfd.readouterr().err == ""


def test_an_error_in_the_caller_ends_them(tmp_path):
    def broken() -> None:
        if len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(2, wait_for_ever, (tmp_path,), broken)
    assert not any(alive(int(path.name)) for path in tmp_path.iterdir())


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_workers import wait_for_ever
from webfarer.cli.workers import side_by_side
if __name__ == "__main__":
    side_by_side(2, wait_for_ever, (Path(sys.argv[1]),), lambda: None)
"""


def test_they_end_with_a_parent_that_is_killed(tmp_path):
    program, marks = tmp_path / "parent.py", tmp_path / "marks"
    program.write_text(PARENT)
    marks.mkdir()
    here = str(Path(__file__).parent)
    parent = subprocess.Popen([sys.executable, program, marks, here])
    while len(list(marks.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(500):
        if not any(alive(int(path.name)) for path in marks.iterdir()):
            return
        time.sleep(0.02)
    raise AssertionError("a process outlived its parent by ten seconds")


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ranks_add_up(tmp_path):
    torch = pytest.importorskip("torch", reason="ranks add tensors")
    with alongside(2, add_up, (tmp_path,)) as ranks:
        assert (ranks.rank, ranks.size) == (0, 2)
        assert ranks.sum(torch.tensor([1.0])).item() == 11.0
        assert ranks.gathered(ranks.rank) == [0, 1]
    with alongside(1, add_up, ()) as ranks:
        assert (ranks.first, ranks.size) == (True, 1)


def test_how_many(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert workers_for(0, 100, local=True) == 4  # by itself no more: each holds the worlds
    assert workers_for(8, 100, local=True) == 8
    assert workers_for(8, 3, local=True) == 3  # chunks
    assert workers_for(0, 0, local=True) == 1
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert workers_for(0, 100, local=True) == 2


def test_two_make_the_attempts_that_one_makes(webfarer, tiny_model, tmp_path):
    """Token by token: a chunk is the same whoever makes it, where threads are as many."""
    found = []
    for workers in (1, 2):
        recipe = tmp_path / f"{workers}.toml"
        recipe.write_text(TINY.replace("workers = 1", f"workers = {workers}"))
        out = tmp_path / f"run{workers}"
        said = webfarer("run", "--recipe", recipe, "--model", tiny_model, "--out", out, "-q",
                        "--set", "rl.steps=2")  # fmt: skip
        assert said.code == 0, said.err
        found.append(out)
    for stage in ("expert", "valid", "eval-base"):
        one, two = (attempts(out / stage) for out in found)
        assert one == two
    for out in found:
        report = json.loads((out / "report.json").read_text("utf-8"))
        assert list(report["policies"]) == ["base", "sft", "rl"]


def attempts(folder: Path) -> list[str]:
    text = "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.jsonl")))
    text = re.sub(r'"((seconds|(tool|model|queue)_s|cached_tokens|logprob))":[-+.e0-9]+', "", text)
    return text.splitlines()
