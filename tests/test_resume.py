"""`webfarer run`, killed with SIGKILL wherever it hurts, goes on and comes to the same report.

One run is left alone. Another is killed again and again in one folder, each time at the place that
its test names, and must end with the same bytes but for `seconds`. Most kills come from within, at
the n-th call of a function, so that the place is exact; some come from without, when a file shows.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import TINY

pytest.importorskip("torch", reason="a run fine-tunes a model")

DRIVER = """
import importlib, os, signal, sys
place, *arguments = sys.argv[1:]
if place:
    name, attribute, times = place.split(":")
    module = importlib.import_module(name)
    original, calls = getattr(module, attribute), 0
    def dies(*given, **named):
        global calls
        calls += 1
        if calls == int(times):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **named)
    setattr(module, attribute, dies)
sys.argv = ["webfarer", *arguments]
from webfarer.__main__ import main
main()
"""


class Runner:
    """Runs the tiny recipe into a folder, killed at a place or when a file shows."""

    def __init__(self, recipe: Path, model: Path) -> None:
        self._options = ["run", "--recipe", str(recipe), "--model", str(model), "-q"]

    def start(self, out: Path, place: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, place, *self._options, "--out", str(out)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def whole(self, out: Path) -> str:
        process = self.start(out)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return err

    def killed_at(self, out: Path, place: str) -> None:
        process = self.start(out, place)
        _, err = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, err

    def killed_when(self, out: Path, shows: Callable[[], bool]) -> None:
        process = self.start(out)
        while not shows():
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def runner(tmp_path_factory, tiny_model) -> Runner:
    recipe = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    recipe.write_text(TINY, encoding="utf-8")
    return Runner(recipe, tiny_model)


@pytest.fixture(scope="module")
def alone(runner: Runner, tmp_path_factory) -> Path:
    """The folder of a run that nobody killed."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    runner.whole(out)
    return out


@pytest.fixture(scope="module")
def often(tmp_path_factory) -> Path:
    """The folder of the run that is killed and killed again."""
    return tmp_path_factory.mktemp("runs") / "often"


def stages(out: Path) -> dict[str, bool]:
    """The stages begun, and whether they are done."""
    if not (out / "manifest.json").exists():
        return {}
    found = json.loads((out / "manifest.json").read_text("utf-8"))["stages"]
    return {name: stage["done"] for name, stage in found.items()}


BEFORE = (
    "worlds", "tasks", "expert", "valid", "curated", "eval-base", "sft", "eval-sft",
    "rl", "eval-rl",
)  # fmt: skip


def is_in(out: Path, stage: str) -> bool:
    """Whether the run is in that stage: those before it are done, and it is not."""
    done = BEFORE[: BEFORE.index(stage)]
    return stages(out) == {**dict.fromkeys(done, True), stage: False}


def test_killed_before_and_after_the_first_manifest(runner, often):
    runner.killed_at(often, "webfarer.cli.manifest:write_manifest:1")
    runner.killed_at(often, "webfarer.cli.pipeline:stage:1")
    assert stages(often) == {}


def test_killed_within_the_worlds_twice_in_a_row(runner, often):
    for _ in range(2):
        runner.killed_at(often, "webfarer.cli.pipeline:save:2")
        assert is_in(often, "worlds")
        assert len(list((often / "worlds").iterdir())) == 1


def test_killed_while_a_world_is_half_written(runner, often):
    """While its files are flushed to the disk, before the folder gets its name."""
    runner.killed_at(often, "os:fsync:9")
    assert len(list((often / "worlds").glob(".*"))) == 1


def test_killed_in_the_expert_between_and_within_chunks(runner, often):
    runner.killed_at(often, "webfarer.rollout.collect:roll:6")
    assert is_in(often, "expert")
    assert [path.name for path in (often / "expert").glob("*.jsonl")] == ["part-00000.jsonl"]
    runner.killed_at(often, "webfarer.rollout.collect:together:2")
    assert len(list((often / "expert").glob("*.jsonl"))) == 2


def test_killed_in_the_funnel_with_its_files_half_written(runner, often):
    runner.killed_at(often, "webfarer.curate.training_set:write_json:1")
    assert is_in(often, "curated")
    assert (often / "curated" / "tokens.safetensors").exists()
    assert not (often / "curated" / "kept.jsonl").exists()


def test_killed_in_an_evaluation_within_a_chunk(runner, often):
    runner.killed_at(often, "webfarer.rollout.collect:roll:6")
    assert is_in(often, "eval-base")
    assert [path.name for path in (often / "eval-base").glob("*")] == ["part-00000.jsonl"]


def test_killed_in_fine_tuning_within_a_step_after_a_checkpoint(runner, often):
    """Steps are checkpointed in twos: the fourth, killed halfway, is taken again with the third."""
    runner.killed_at(often, "webfarer.train.sft:_backward:4")
    assert is_in(often, "sft")
    assert (often / "sft" / "checkpoint.safetensors").exists()
    assert not (often / "sft" / "model").exists()


def test_killed_from_without_when_the_model_is_there_and_then_at_the_next_evaluation(runner, often):
    runner.killed_when(often, (often / "sft" / "model").exists)
    runner.killed_when(often, (often / "eval-sft" / "part-00000.jsonl").exists)
    assert is_in(often, "eval-sft") or stages(often)["eval-sft"]


def test_killed_in_reinforcement_learning_between_rollout_and_update(runner, often):
    """Steps are checkpointed in twos: the third is taken again, rollouts and all."""
    runner.killed_at(often, "webfarer.train.rl:_check_dry:3")
    assert is_in(often, "rl")
    assert (often / "rl" / "checkpoint.safetensors").exists()
    assert not (often / "rl" / "model").exists()


def test_killed_from_without_when_the_improved_model_is_there(runner, often):
    runner.killed_when(often, (often / "rl" / "model").exists)
    assert is_in(often, "rl") or stages(often)["rl"]


def test_killed_while_the_report_is_written_and_then_the_same_as_never_killed(runner, often, alone):
    runner.killed_at(often, "webfarer.cli.pipeline:write_text:1")
    assert (often / "report.json").exists()
    assert not (often / "report.html").exists()
    runner.whole(often)
    reports = [json.loads((out / "report.json").read_text("utf-8")) for out in (often, alone)]
    for report in reports:
        assert set(report.pop("seconds")) == set(BEFORE)
    assert reports[0] == reports[1]
    assert page(often) == page(alone)
    assert files(often) == files(alone)


def page(out: Path) -> str:
    """The report for people without its table of times."""
    text, times = re.subn(
        r'<section id="time">.*?</section>', "", (out / "report.html").read_text("utf-8"),
        flags=re.DOTALL,
    )  # fmt: skip
    assert times == 1
    return text


_TOOK = re.compile(rb'"(seconds|(tool|model|queue|rollout|update)_s|cached_tokens)":[-+.e0-9]+')


def files(out: Path) -> dict[str, bytes]:
    """What every stage wrote, but for what something took: seconds, and what an engine that had
    answered before still held in its cache."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.parent != out:
            data = path.read_bytes()
            if path.suffix == ".jsonl":
                data = _TOOK.sub(b"", data)
            found[str(path.relative_to(out))] = data
    return found


def test_what_was_changed_in_a_finished_run_is_told_and_made_again(runner, alone, tmp_path):
    """A part's answers, a model's weights, the losses: none is believed as it is."""
    out = tmp_path / "run"
    shutil.copytree(alone, out)
    part = out / "eval-base" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"status":"wrong"', b'"status":"correct"'))
    weights = out / "sft" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    err = runner.whole(out)
    for path in (part, weights):
        assert f"{path} was changed or removed since it was written: it is made again" in err
    assert files(out) == files(alone)
    (out / "sft" / "metrics.jsonl").unlink()
    assert "metrics.jsonl was changed or removed" in runner.whole(out)
    assert files(out) == files(alone)


def test_run_again_when_it_is_done_it_makes_nothing_anew(runner, alone):
    before = {path: path.stat().st_mtime_ns for path in alone.rglob("*") if path.is_file()}
    runner.whole(alone)
    after = {path: path.stat().st_mtime_ns for path in alone.rglob("*") if path.is_file()}
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed <= {"report.json", "report.html"}
