"""`webfarer train rl` by hand: a real engine, real tools, an untrained model."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("torch", reason="training needs torch")

from webfarer.cli.manifest import claim
from webfarer.cli.progress import Teller
from webfarer.cli.rl_live import Live
from webfarer.store.jsonl import write_jsonl
from webfarer.train import rl_board
from webfarer.train.rl_board import Board
from webfarer.train.rl_metrics import StepMetric, told
from webfarer.types import BadInput, Recipe

FEW = ("--set", "rl.tasks=2", "--set", "rl.group=2", "--set", "rl.eval_every=1",
       "--set", "rollout.max_turns=2", "--set", "rollout.turn_tokens=8",
       "--set", "rollout.context=1024", "--set", "rl.show_every=1")  # fmt: skip


@pytest.fixture
def files(lore_tasks, tmp_path):
    tasks = list(lore_tasks.values())
    write_jsonl(tmp_path / "train.jsonl", tasks[:8])
    write_jsonl(tmp_path / "valid.jsonl", tasks[8:10])
    return tmp_path


def test_a_run_leaves_a_model_metrics_and_attempts_to_read(
    webfarer, files, world_folder, tiny_model
):
    arguments = ("train", "rl", str(files / "train.jsonl"), str(files / "out"), "-w",
                 str(world_folder), "--model", str(tiny_model), "--steps", "2", *FEW)  # fmt: skip
    said = webfarer(*arguments, "--valid", str(files / "valid.jsonl"), "--json", "-q")
    assert said.code == 0, said.err
    out = files / "out"
    assert json.loads(said.out) == {"model": str(out / "model")}
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["algorithm"], line["attempts"]) for line in lines] == [
        (1, "dupo", 4), (2, "dupo", 4)]  # fmt: skip
    # An untrained model solves nothing: no group has a spread, and that is said, not trained on.
    assert all(line["note"].startswith("no group to learn from") for line in lines)
    assert all(line["alarms"] == ["limits"] for line in lines)  # 2 turns of 8 tokens
    assert (out / "model" / "model.safetensors").read_bytes() == (
        tiny_model / "model.safetensors"
    ).read_bytes()
    assert len(list((out / "shown").glob("*.jsonl"))) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("--algorithm", "reinforce"), "reinforce"),
        (("--set", "rl.group=1"), "rl.group"),
        (("--set", "rl.row.gamma=0.9"), "dupo has none"),
        (("--set", "rl.row.selects=all"), "rl.row.selects"),
        (("--algorithm", "ppo", "--set", "rl.row.advantage=batch"), "rl.row.advantage"),
        (("--set", "rl.row.refill=true"), "rl.row.refill"),
        (("--set", "rl.temperature=0"), "rl.temperature"),
        (("--set", "rl.oversample=0.5"), "rl.oversample"),
        (("--valid", "train.jsonl"), "learnt from too"),
        (("--model", "nowhere/at/all"), "nowhere/at/all"),
    ],
)
def test_what_it_refuses(webfarer, files, world_folder, tiny_model, monkeypatch, change, complaint):
    monkeypatch.chdir(files)
    given = {"--model": str(tiny_model), "-w": str(world_folder)}
    pairs = [part for name, value in given.items() if name not in change for part in (name, value)]
    said = webfarer("train", "rl", "train.jsonl", "out", *pairs, *FEW, *change)
    assert said.code == 2
    assert complaint in said.err
    assert "Traceback" not in said.err


def test_settings_that_are_not_given_are_the_plain_ones(webfarer, files, world_folder, tiny_model):
    """Not the quickstart's, which are chosen for its small model and its levels."""
    lines = [json.loads(line) for line in (files / "train.jsonl").read_text().splitlines()]
    for place, line in enumerate(lines):
        line["level"] = 1 + place % 3
    (files / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = ("train", "rl", str(files / "train.jsonl"), "-w", str(world_folder), "--model",
                 str(tiny_model), "--steps", "1", *FEW)  # fmt: skip
    said = webfarer(*arguments[:3], str(files / "plain"), *arguments[3:])
    assert said.code == 0, said.err
    assert "levels_by_step" not in said.err
    about = json.loads((files / "plain" / "model" / "training.json").read_text())
    assert about["settings"]["entropy"] == 0.0
    assert about["settings"]["partly_solved"] == 0.0
    said = webfarer(*arguments[:3], str(files / "quick"), *arguments[3:], "--recipe", "quickstart")
    assert said.code == 0, said.err
    assert "2 of 8 tasks are above the levels of rl.levels_by_step" in said.err


def test_what_fits_a_run_into_memory_may_change_where_it_goes_on(tmp_path):
    """As the errors of a lack of memory advise."""
    asked = Recipe().model_dump(mode="json")
    claim(tmp_path / "run", asked)
    fitted = {
        **asked,
        "rl": {**asked["rl"], "micro_tokens": 512, "checkpointing": True},
        "sft": {**asked["sft"], "checkpointing": True},
    }
    claim(tmp_path / "run", fitted)
    for part, name, value in (("rl", "steps", 3), ("sft", "epochs", 9), ("rollout", "slots", 2)):
        other = {**asked, part: {**asked[part], name: value}}
        with pytest.raises(BadInput, match=rf"other settings made \({part} differ\)"):
            claim(tmp_path / "run", other)


def test_out_of_memory_anywhere_is_one_line(capsys, monkeypatch):
    from webfarer.cli import app

    torch = pytest.importorskip("torch")
    for error in (torch.OutOfMemoryError("CUDA out of memory.\nTried"), MemoryError()):

        def fail(error=error, **_):
            raise error

        monkeypatch.setattr(app, "app", fail)
        with pytest.raises(SystemExit) as stopped:
            app.main_with(None)
        assert stopped.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("webfarer: out of memory")
        assert len(said.splitlines()) == 1
    monkeypatch.setattr(app, "app", lambda **_: (_ for _ in ()).throw(RuntimeError("another")))
    with pytest.raises(RuntimeError, match="another"):
        app.main_with(None)


def test_a_preset_runs_with_its_sizes_made_small(webfarer, files, world_folder, tiny_model):
    small = ("--set", "rl.mini_batches=1", "--set", "rl.prefilter=1", "--set", "tools.hits=2",
             "--set", "rollout.slots=4")  # fmt: skip
    said = webfarer(
        "train", "rl", str(files / "train.jsonl"), str(files / "out"), "-w", str(world_folder),
        "--model", str(tiny_model), "--recipe", "websailor", "--steps", "1", *FEW, *small,
    )  # fmt: skip
    assert said.code == 0, said.err
    (line,) = (files / "out" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["algorithm"] == "dupo"
    assert len((files / "out" / "prefilter.jsonl").read_text().splitlines()) == 8


def test_a_task_without_accepted_answers_is_refused_in_one_line(
    webfarer, files, world_folder, tiny_model
):
    lines = (files / "train.jsonl").read_text().splitlines()
    broken = {**json.loads(lines[1]), "answers": []}
    (files / "train.jsonl").write_text("\n".join([lines[0], json.dumps(broken), *lines[2:]]))
    said = webfarer("train", "rl", str(files / "train.jsonl"), str(files / "out"), "-w",
                    str(world_folder), "--model", str(tiny_model), *FEW)  # fmt: skip
    assert said.code == 2
    assert "answers" in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (files / "out").exists()


# What a person sees


def a_metric(step=12, **changes) -> StepMetric:
    plain = dict(
        step=step, algorithm="dapo", solved=0.714, reward=0.7, format=0.9, failures=0, limited=0.1,
        attempts=128, made=256, groups=16, kept=12, copies=0, turns=4.5, tokens=100_000,
        made_tokens=200_000, trained=20_000, loss=0.1, grad_norm=0.2, lr=1e-3, entropy=0.0312,
        kl=0.0, held_low=0.0, held_high=0.0, gap=6e-7, gap_most=1e-5, rollout_s=4.0, tool_s=8.0,
        update_s=2.0, cursor=16,
    )  # fmt: skip
    return StepMetric(**{**plain, **changes})


def test_the_line_says_what_a_person_needs_and_fits():
    line = told(a_metric(), 0.8)
    assert line == "solved 71% held-out 80% kept 12/16 entropy 0.031 gap 6e-07"


def test_the_live_line_fits_100_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    teller = Teller()
    teller.console.width = 100
    assert teller.console.is_terminal
    with teller.bar("dapo", slim=True) as update:
        live = Live(teller, update)
        live.scored(110, 0.8)
        for step in range(110, 121):
            live(a_metric(step), 200)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).splitlines()
    assert any("120/200" in line and line.rstrip().endswith("gap 6e-07") for line in shown)
    assert all(len(line.split("\r")[-1]) <= 100 for line in shown)


def test_each_kind_of_alarm_is_said_once(capfd):
    live = Live(Teller(quiet=True), lambda *_: None)
    for step in range(1, 5):
        live(a_metric(step, alarms=("gap",), note="the engine has other weights"), 5)
    live(a_metric(5, alarms=("gap", "flat"), note="no group with a spread"), 5)
    said = capfd.readouterr().err.strip().splitlines()
    assert said == ["step 1: the engine has other weights", "step 5: no group with a spread"]


# TensorBoard


def scalars(folder):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder))
    found.Reload()
    return {
        name: [(event.step, round(event.value, 4)) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_tensorboard_draws_steps_and_scores(webfarer, files, world_folder, tiny_model):
    pytest.importorskip("tensorboard", reason="an option")
    said = webfarer(
        "train", "rl", str(files / "train.jsonl"), str(files / "out"), "-w", str(world_folder),
        "--model", str(tiny_model), "--steps", "2", *FEW, "--valid", str(files / "valid.jsonl"),
        "--tensorboard",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = scalars(files / "out" / "tensorboard")
    assert found["held-out/score"] == [(0, 0.0), (1, 0.0), (2, 0.0)]
    assert found["train/attempts"] == [(1, 4.0), (2, 4.0)]
    assert not {name for name in found if name.endswith(("note", "alarms", "algorithm"))}


def test_tensorboard_draws_no_step_twice_where_a_run_goes_on(tmp_path):
    pytest.importorskip("tensorboard", reason="an option")
    for first, solved in ((1, 0.25), (3, 0.75)):  # the checkpoint was of step 2
        board = Board(tmp_path)
        for step in range(first, first + 4):
            board.metric(a_metric(step, solved=solved))
        board.score(first + 3, solved)
        board.close()
    found = scalars(tmp_path)
    assert found["train/solved"] == [
        (1, 0.25), (2, 0.25), (3, 0.75), (4, 0.75), (5, 0.75), (6, 0.75)]  # fmt: skip
    assert found["held-out/score"] == [(6, 0.75)]


def test_without_tensorboard_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(rl_board, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'webfarer\[tensorboard\]'") as told:
        Board(tmp_path)
    assert "\n" not in str(told.value)
