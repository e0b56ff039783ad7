"""`webfarer train rl` by hand: a real engine, real tools, an untrained model."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="training needs torch")

from commands import Webfarer
from webfarer.policy import source
from webfarer.store.jsonl import write_jsonl

FEW = ("--set", "rl.tasks=2", "--set", "rl.group=2", "--set", "rl.eval_every=1",
       "--set", "rollout.max_turns=2", "--set", "rollout.turn_tokens=8",
       "--set", "rollout.context=1024", "--set", "rl.show_every=1")  # fmt: skip


@pytest.fixture
def webfarer(monkeypatch, capfd, tokenizer_folder) -> Webfarer:
    monkeypatch.setattr(source, "base_model", lambda: tokenizer_folder)
    monkeypatch.setenv("COLUMNS", "200")
    return Webfarer(monkeypatch, capfd)


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
    assert {line["note"] for line in lines} == {"no group to learn from"}
    assert (out / "model" / "model.safetensors").read_bytes() == (
        tiny_model / "model.safetensors"
    ).read_bytes()
    assert len(list((out / "shown").glob("*.jsonl"))) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("--algorithm", "reinforce"), "reinforce"),
        (("--set", "rl.group=1"), "rl.group"),
        (("--set", "rl.steps=0"), "rl.steps"),
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
