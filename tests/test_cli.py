"""Every command by hand: with real input, and with input that cannot be used.

What the user gave is told in one line on standard error, with exit code 2 and no traceback; with
`--json` standard output is JSON and nothing else.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import TINY
from webfarer.cli.app import app
from webfarer.cli.options import levels
from webfarer.curate.training_set import read_training_set
from webfarer.evals.report import read
from webfarer.recipes import load_recipe
from webfarer.rollout.world import host_of
from webfarer.store.jsonl import read_jsonl
from webfarer.types import BadInput, Recipe, SftSettings, Task, Trajectory

VERBS = [
    (), ("run",), ("world", "build"), ("world", "show"), ("web", "search"), ("web", "visit"),
    ("web", "serve"), ("web", "crawl"), ("web", "index"), ("web", "show"),
    ("tasks", "make"), ("tasks", "check"), ("rollout",),
    ("curate",), ("train", "sft"), ("train", "rl"), ("train", "base"), ("eval",),
    ("graph", "import"), ("graph", "show"), ("graph", "walk"),
    ("graph", "sample"), ("graph", "expand"),
]  # fmt: skip


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


# Help


def test_every_command_is_listed_here():
    import typer

    def leaves(group, path=()):
        for name, command in getattr(group, "commands", {}).items():
            below = list(leaves(command, (*path, name)))
            yield from below or [(*path, name)]

    assert set(leaves(typer.main.get_command(app))) == {verb for verb in VERBS if verb}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_shows_an_example(webfarer, verb):
    said = webfarer(*verb, "--help")
    assert said.code == 0
    if verb:
        assert f"webfarer {' '.join(verb)}" in said.out.split("Example")[1]


def test_version_and_usage(webfarer):
    from webfarer import __version__

    assert webfarer("--version").out == f"webfarer {__version__}\n"
    for arguments in (
        ["--nope"],
        ["fly"],
        ["world", "build"],
        ["web", "search", ".", "x", "-k", "0"],
    ):
        said = webfarer(*arguments)
        assert said.code == 2
        assert "Traceback" not in said.err


# Worlds and webs


def test_world_build_and_show(webfarer, tmp_path):
    first = webfarer("world", "build", tmp_path / "a", "--seed", 5, "--size", 60, "--json").json
    again = webfarer("world", "build", tmp_path / "b", "--seed", 5, "--size", 60, "--json").json
    assert (first["entities"], first["sha256"]) == (60, again["sha256"])
    shown = webfarer("world", "show", tmp_path / "a", "--json").json
    assert (shown["sha256"], shown["facts"]) == (first["sha256"], first["facts"])
    assert sum(shown["relations"].values()) <= shown["facts"]
    plain = webfarer("world", "show", tmp_path / "a")
    assert plain.code == 0
    assert "entities: 60" in plain.out


def test_a_graph_whose_labels_are_terminal_markup_is_shown_as_it_is(webfarer, tmp_path):
    from webfarer.graph.files import save
    from webfarer.graph.worlds.world import build_world

    graph = build_world(5, 60)
    save(graph, tmp_path / "w")
    path = tmp_path / "w" / "relations.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in rows:
        row["label"] = f"[/red] {row['id']} :smile:"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = webfarer("world", "show", tmp_path / "w")
    assert said.code == 0, said.err
    assert "[/red] " in said.out
    assert ":smile:" in said.out


def test_web_search_and_visit(webfarer, world_folder, lore):
    label = lore.graph.label(next(iter(lore.graph.entities)))
    hits = webfarer("web", "search", world_folder, label, "-k", 2, "--json").json
    assert len(hits) == 2
    assert webfarer("web", "search", world_folder, label).out.startswith("1. ")
    url = hits[0]["url"]
    page = webfarer("web", "visit", world_folder, url, "--json").json
    assert (page["url"], page["title"]) == (url, label)
    assert webfarer("web", "visit", world_folder, url).out.strip() == page["text"].strip()
    assert "<html" in webfarer("web", "visit", world_folder, url, "--html").out
    short = webfarer("web", "visit", world_folder, url, "--goal", "born", "--limit", 5).out
    assert len(short.split()) <= 5


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"{host_of('lore')}/wiki/Nobody_At_All", "not_found"),
        ("file:///etc/passwd", "refused"),
        ("http://169.254.169.254/latest", "refused"),
        ("", "refused"),
        ("http://[", "refused"),
    ],
)
def test_an_unknown_address_is_told(webfarer, world_folder, url, says):
    said = webfarer("web", "visit", world_folder, url)
    assert f"{says}; search first" in said.complaint


def test_what_is_no_world_is_told(webfarer, tmp_path):
    for command in (("world", "show"), ("web", "search")):
        tail = ["x"] if command[0] == "web" else []
        assert "is not a folder" in webfarer(*command, tmp_path / "none", *tail).complaint
        assert "entities.jsonl" in webfarer(*command, tmp_path, *tail).complaint
    for name in ("entities.jsonl", "relations.jsonl", "triples.tsv"):
        (tmp_path / name).write_text("")
    assert "the graph has no facts" in webfarer("world", "show", tmp_path).complaint
    (tmp_path / "entities.jsonl").write_text("{nope\n")
    assert "entities.jsonl:1" in webfarer("world", "show", tmp_path).complaint
    assert (
        "too small: give at least"
        in webfarer("world", "build", tmp_path / "w", "--size", 3).complaint
    )


def test_a_world_is_not_written_over_other_files(webfarer, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    assert "not part of a graph" in webfarer("world", "build", tmp_path, "--size", 60).complaint
    file = tmp_path / "letter.txt"
    assert "is a file" in webfarer("world", "build", file, "--size", 60).complaint
    assert file.read_text() == "dear"


# Tasks


def test_tasks_make_and_check(webfarer, world_folder, tmp_path):
    out = tmp_path / "tasks.jsonl"
    made = webfarer(
        "tasks", "make", out, "-w", world_folder, "--level", "1=3,2=2,3=1", "--json"
    ).json
    listed = list(read_jsonl(out, Task))
    assert made == {"file": str(out), "tasks": len(listed)}
    assert [one.level for one in listed] == [1, 1, 1, 2, 2, 3]
    checked = webfarer("tasks", "check", out, "-w", world_folder, "--json").json
    assert checked["proven"] == 6
    assert (
        "6 tasks, each with exactly one answer"
        in webfarer("tasks", "check", out, "-w", world_folder).out
    )


@pytest.mark.parametrize("text", ["", "1", "4=1", "1=x", "1=-1", "1=1;2=2", "0=5", "1=2=3"])
def test_bad_levels(webfarer, world_folder, tmp_path, text):
    said = webfarer("tasks", "make", tmp_path / "t", "-w", world_folder, "--level", text)
    assert "give counts by level" in said.complaint
    with pytest.raises(BadInput):
        levels(text)


def test_a_world_with_no_valid_question(webfarer, recipe_file, tmp_path):
    """Two people who are each other's friend, and three of one's: nothing has one answer."""
    folder = tmp_path / "poor"
    folder.mkdir()
    people = [{"id": f"p{n}", "label": f"Person {n}", "types": ["t"]} for n in range(4)]
    rows = [*people, {"id": "t", "label": "person", "types": []}]
    (folder / "entities.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    relation = {"id": "r", "label": "friend"}
    (folder / "relations.jsonl").write_text(json.dumps(relation) + "\n")
    (folder / "triples.tsv").write_text("p0\tr\tp1\np0\tr\tp2\np0\tr\tp3\n")
    said = webfarer("tasks", "make", tmp_path / "t.jsonl", "-w", folder)
    assert "no valid question can be asked of these worlds" in said.complaint
    assert not (tmp_path / "t.jsonl").exists()
    said = webfarer(
        "run", "--recipe", recipe_file, "--graph", folder, "--out", tmp_path / "run", "-q"
    )
    assert "question can be asked of this graph" in said.complaint


def test_two_worlds_of_one_name(webfarer, world_folder, tmp_path):
    shutil.copytree(world_folder, tmp_path / "lore")
    said = webfarer("tasks", "make", tmp_path / "t", "-w", world_folder, "-w", tmp_path / "lore")
    assert "two worlds are called 'lore'" in said.complaint


@pytest.fixture
def commands_on_tasks(webfarer, world_folder, tmp_path):
    """Every command that reads tasks, given a file and world."""

    def run(file: Path, world: Path = world_folder):
        yield webfarer("tasks", "check", file, "-w", world)
        yield webfarer("rollout", file, tmp_path / "out", "-w", world, "-q")
        yield webfarer("eval", file, tmp_path / "out", "-w", world, "-p", "expert", "-q")

    return run


def test_task_files_that_cannot_be_used(commands_on_tasks, task_file, tmp_path):
    bad = tmp_path / "bad.jsonl"
    line = task_file.read_text("utf-8").splitlines()[0]
    for text, says in [
        ("", "holds no task"),
        ("not json\n", "bad.jsonl:1: not a Task"),
        ('{"id": "x"}\n', "bad.jsonl:1: not a Task"),
        (f"{line}\n{line}\n", "is given twice"),
        (line.replace('"world":"lore"', '"world":"atlantis"') + "\n", "the world 'atlantis'"),
        (line[: len(line) // 2] + "\n", "bad.jsonl:1: not a Task"),
    ]:
        bad.write_text(text, encoding="utf-8")
        for said in commands_on_tasks(bad):
            assert says in said.complaint
    for path in (tmp_path / "none.jsonl", tmp_path):
        for said in commands_on_tasks(path):
            assert "cannot read" in said.complaint
    assert not (tmp_path / "out").exists()


def test_tasks_of_another_graph_of_that_name(webfarer, commands_on_tasks, task_file, tmp_path):
    webfarer("world", "build", tmp_path / "lore", "--seed", 6, "--size", 60)
    for said in commands_on_tasks(task_file, tmp_path / "lore"):
        assert "made from another graph than that of 'lore'" in said.complaint


def test_check_finds_a_wrong_gold_answer_and_a_missing_query(
    webfarer, world_folder, task_file, tmp_path
):
    bad = tmp_path / "bad.jsonl"
    task = next(read_jsonl(task_file, Task))
    answer = task.answers[0].model_copy(update={"text": "Bram Lys", "kind": "entity"})
    for changes, says in [
        ({"answers": (answer,)}, "not its gold answer"),
        ({"query": None}, "has no query"),
    ]:
        bad.write_text(task.model_copy(update=changes).model_dump_json() + "\n", encoding="utf-8")
        assert says in webfarer("tasks", "check", bad, "-w", world_folder).complaint


# Rollouts and the funnel


def test_rollout_then_curate(webfarer, world_folder, task_file, tmp_path):
    out = tmp_path / "rolled"
    arguments = ("rollout", task_file, out, "-w", world_folder, "--samples", 2, "--greedy", "-q")
    made = webfarer(*arguments, "--json").json
    assert made["attempts"] == 3 * len(list(read_jsonl(task_file, Task)))
    assert (made["failures"], made["correct"] > 0) == (0, True)
    before = (out / "part-00000.jsonl").read_bytes()
    assert webfarer(*arguments, "--json").json == made  # again: nothing is left to do
    assert (out / "part-00000.jsonl").read_bytes() == before
    kept = webfarer("curate", out, task_file, tmp_path / "set", "--json").json
    assert kept["entered"] == made["attempts"]
    assert kept["kept"] <= made["correct"]
    listed = list(read_jsonl(tmp_path / "set" / "kept.jsonl", Trajectory))
    assert len(listed) == kept["kept"]
    plain = webfarer("curate", out, task_file, tmp_path / "set2")
    assert plain.code == 0
    assert f"{kept['kept']} kept in" in plain.out


def test_impossible_5_no_command_reports_what_another_policy_or_setting_made(
    webfarer, world_folder, task_file, tmp_path, tiny_model
):
    arguments = ("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    assert webfarer(*arguments).code == 0
    for changes, says in [
        (("--policy", tiny_model), "model, policy differ"),
        (("--samples", 2), "samples differ"),
        (("--seed", 2), "seed differ"),
        (("--set", "rollout.prompt=full"), "rollout differ"),
        (("--greedy",), "greedy differ"),
    ]:
        assert says in webfarer(*arguments, *changes).complaint
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_text(task_file.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    said = webfarer("rollout", shorter, tmp_path / "r", "-w", world_folder, "-q")
    assert "tasks differ" in said.complaint


def test_folders_that_cannot_be_written_to(
    webfarer, world_folder, task_file, tmp_path, recipe_file
):
    file = tmp_path / "file"
    file.write_text("x")
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    for out, says in [(file, "is a file"), (file / "below", "is a file"), (other, "other files")]:
        tail = ("-w", world_folder, "-q")
        assert says in webfarer("rollout", task_file, out, *tail).complaint
        assert says in webfarer("run", "--recipe", recipe_file, "--out", out, "-q").complaint
    webfarer("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    assert "is a file" in webfarer("curate", tmp_path / "r", task_file, file / "set").complaint
    assert (file.read_text(), [path.name for path in other.iterdir()]) == ("x", ["letter.txt"])


def test_curate_what_cannot_be_curated(webfarer, world_folder, task_file, tmp_path):
    assert (
        "holds no trajectories"
        in webfarer("curate", tmp_path / "none", task_file, tmp_path / "set").complaint
    )
    webfarer("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    one = tmp_path / "one.jsonl"
    one.write_text(task_file.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert (
        "is of no task that is given"
        in webfarer("curate", tmp_path / "r", one, tmp_path / "set").complaint
    )
    assert (
        "tokenizer.json"
        in webfarer(
            "curate", tmp_path / "r", task_file, tmp_path / "set", "--model", tmp_path
        ).complaint
    )
    assert (
        "per_task"
        in webfarer(
            "curate", tmp_path / "r", task_file, tmp_path / "set", "--per-task", 0
        ).complaint
    )
    part = tmp_path / "r" / "part-00000.jsonl"
    part.write_text("{}\n" + part.read_text("utf-8"), encoding="utf-8")
    assert (
        "part-00000.jsonl:1: not a Trajectory"
        in webfarer("curate", tmp_path / "r", task_file, tmp_path / "set").complaint
    )
    assert not (tmp_path / "set").exists()


def test_models_that_cannot_be_used(
    webfarer, world_folder, task_file, tmp_path, tiny_model, recipe_file
):
    torn = tmp_path / "torn"
    shutil.copytree(tiny_model, torn)
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    foreign = tmp_path / "foreign"
    shutil.copytree(tiny_model, foreign)
    (foreign / "config.json").write_text('{"model_type": "no such model"}')
    headless = tmp_path / "headless"
    shutil.copytree(tiny_model, headless)
    (headless / "tokenizer.json").write_text("{}")
    for folder in (torn, foreign, headless, tmp_path, world_folder, task_file, tmp_path / "a/b/c"):
        tail = ("-w", world_folder, "-p", folder, "-q")
        assert str(folder) in webfarer("rollout", task_file, tmp_path / "out", *tail).complaint
        assert str(folder) in webfarer("eval", task_file, tmp_path / "out", *tail).complaint
    for folder in (headless, tmp_path, task_file, tmp_path / "a/b/c"):
        out = tmp_path / "run"
        said = webfarer("run", "--recipe", recipe_file, "--model", folder, "--out", out, "-q")
        assert str(folder) in said.complaint
        assert not (out / "tasks").exists()
        shutil.rmtree(out, ignore_errors=True)
    assert not (tmp_path / "out").exists()


def test_eval_of_an_expert(webfarer, world_folder, task_file, tmp_path):
    arguments = ("eval", task_file, tmp_path / "e", "-w", world_folder, "-p", "expert",
                 "--samples", 1, "-k", 1)  # fmt: skip
    report = webfarer(*arguments, "--json", "-q").json
    assert report["policies"]["expert"]["greedy"] > 0.5
    manifest = report["manifest"]
    assert manifest["models"] == {"expert": "expert"}
    assert manifest["task_set"]["split"] == "given"
    assert read(tmp_path / "e" / "report.json").model_dump(mode="json") == report | {"seconds": {}}
    plain = webfarer(*arguments)
    assert plain.code == 0
    assert "pass@1" in plain.out
    assert "given twice" in webfarer(*arguments, "-p", "expert").complaint
    assert "samples differ" in webfarer(*arguments, "--samples", 2, "-q").complaint
    assert webfarer(*arguments, "-k", 0, "-q").code == 2


def test_impossible_5_a_policy_that_calls_no_tool_is_told(
    webfarer, world_folder, task_file, tmp_path, tiny_model
):
    """Random weights write nothing that can be read: the score is not that of an agent."""
    import torch

    one = tmp_path / "one.jsonl"
    one.write_text(task_file.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    said = webfarer("eval", one, tmp_path / "e", "-w", world_folder, "-p", tiny_model, "--samples",
                    0, "--json", "-q")  # fmt: skip
    (score,) = said.json["policies"].values()
    assert (score["behaviour"]["attempts"], score["behaviour"]["calls"]) == (1, 0)
    assert f"{tiny_model} made no tool call in 1 attempts" in said.err
    # Run again on other threads, it says what made the attempts, and not what reads them.
    threads = torch.get_num_threads()
    assert said.json["manifest"]["engine"][str(tiny_model)]["threads"] == threads
    torch.set_num_threads(threads + 1)
    try:
        again = webfarer("eval", one, tmp_path / "e", "-w", world_folder, "-p", tiny_model,
                         "--samples", 0, "--json", "-q")  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    assert again.out == said.out
    tail = ("-w", world_folder, "-p", tiny_model, "--json", "-q")
    rolled = webfarer("rollout", one, tmp_path / "r", *tail).json
    assert rolled["attempts"] == 1
    (trajectory,) = read_jsonl(tmp_path / "r" / "part-00000.jsonl", Trajectory)
    assert trajectory.trainable
    assert len(trajectory.segments) == 1
    assert (
        "no trajectory survived"
        in webfarer(
            "curate", tmp_path / "r", one, tmp_path / "set", "--model", tiny_model
        ).complaint
    )


# Training


def test_train_sft_and_what_it_refuses(webfarer, world_folder, task_file, tmp_path, tiny_model):
    webfarer("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    training = tmp_path / "set"
    webfarer("curate", tmp_path / "r", task_file, training, "--model", tiny_model)
    out = tmp_path / "m"
    start = ("train", "sft", training, out, "--model", tiny_model, "-q")
    settings = ("--rows", 1, "--length", 1024)
    made = webfarer(*start, *settings, "--json").json
    assert (Path(made["model"]) / "model.safetensors").is_file()
    again = webfarer(*start, *settings)
    assert (again.code, again.out) == (0, f"model: {out / 'model'}\n")
    assert "another run's model" in webfarer(*start, *settings, "--seed", 5).complaint
    assert (
        "every segment is longer"
        in webfarer(
            "train", "sft", training, tmp_path / "n", "--model", tiny_model, "-q", "--length", 9
        ).complaint
    )
    for arguments, says in [
        ((tmp_path / "none", out), "holds no training set"),
        ((training, tmp_path / "r" / "part-00000.jsonl"), "is a file"),
        ((training, tmp_path / "x", "--epochs", 0), "setting sft.epochs"),
        ((training, tmp_path / "x", "--learning-rate", -1), "setting sft.learning_rate"),
        ((training, tmp_path / "x", "--set", "sft.epoch=1"), "setting sft.epoch"),
        ((training, tmp_path / "x", "--valid", tmp_path / "none"), "holds no training set"),
        ((training, tmp_path / "x", "--model", world_folder), "lore"),
    ]:
        tail = () if "--model" in arguments else ("--model", tiny_model)
        assert says in webfarer("train", "sft", *arguments, *tail, "-q").complaint
    (tmp_path / "c").mkdir()
    checkpoint = tmp_path / "c" / "checkpoint.safetensors"
    checkpoint.write_bytes(b"corrupt")
    start = ("train", "sft", training, tmp_path / "c", "--model", tiny_model, "-q", *settings)
    assert "not a readable checkpoint" in webfarer(*start).complaint
    shutil.copy(tiny_model / "model.safetensors", checkpoint)
    assert "no checkpoint" in webfarer(*start).complaint


def test_train_sft_takes_the_recipes_settings_and_tells_what_is_too_long(
    webfarer, world_folder, task_file, tmp_path, tiny_model, recipe_file
):
    webfarer("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    training = tmp_path / "set"
    webfarer("curate", tmp_path / "r", task_file, training, "--model", tiny_model)
    lengths = sorted(map(len, read_training_set(training)))
    middle = lengths[len(lengths) // 2]
    long = sum(length > middle for length in lengths)
    assert 0 < long < len(lengths)
    start = ("train", "sft", training)
    tail = ("--model", tiny_model, "-q")
    for name, given, wanted in [
        ("a", ("--set", "sft.steps=1"), SftSettings(steps=1)),
        ("b", ("--recipe", recipe_file, "--valid", training, "--epochs", 3, "--seed", 4),
         load_recipe(str(recipe_file)).sft.model_copy(update={"epochs": 3, "seed": 4})),
        ("c", ("--recipe", recipe_file, "--length", middle), load_recipe(
            str(recipe_file), {"sft.length": middle}).sft),
    ]:  # fmt: skip
        said = webfarer(*start, tmp_path / name, *tail, *given)
        assert said.code == 0, said.err
        told = json.loads((tmp_path / name / "model" / "training.json").read_text("utf-8"))
        assert SftSettings.model_validate(told["settings"]) == wanted
        losses = [row["valid_loss"] for row in metrics(tmp_path / name)]
        assert any(losses) == (name == "b")
        warned = f"{long} of {len(lengths)} trajectories are longer than sft.length ({middle:,} tok"
        assert (warned in said.err) == (name == "c")


def metrics(folder: Path) -> list[dict]:
    return [json.loads(row) for row in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_train_base_refuses_what_gives_no_text(webfarer, tmp_path):
    assert "no page text" in webfarer("train", "base", tmp_path / "m", "--worlds", 0).complaint
    assert "too small" in webfarer("train", "base", tmp_path / "m", "--size", 3).complaint
    assert list(tmp_path.iterdir()) == []


# The run


def test_run_and_what_it_refuses(webfarer, recipe_file, tiny_model, tmp_path):
    out = tmp_path / "run"
    arguments = ("run", "--recipe", recipe_file, "--model", tiny_model, "--out", out)
    said = webfarer(*arguments, "--json", "-q")
    assert said.code == 0, said.err
    report = said.json
    assert list(report["policies"]) == ["base", "sft", "rl"]
    assert [point["step"] for point in report["learning"]] == [0, 1, 2, 3]
    pairs = [(both["policy"], both["baseline"]) for both in report["comparisons"]]
    assert pairs == [("sft", "base"), ("rl", "base"), ("rl", "sft")]
    assert report["manifest"]["recipe"]["name"] == "tiny"
    assert "<html" in (out / "report.html").read_text("utf-8")
    again = webfarer(*arguments)
    assert again.code == 0
    assert f"report: {out / 'report.html'}" in again.out
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for changes, says in [
        (("--set", "seed=2"), "seed differ"),
        (("--set", "sft.epochs=9", "--set", "eval.k=2"), "eval, sft differ"),
    ]:
        assert says in webfarer(*arguments, "-q", *changes).complaint
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "manifest.json").write_text("{}")
    assert "is not a manifest" in webfarer(*arguments, "-q").complaint


def test_run_has_validation_losses_and_says_what_was_too_long(
    webfarer, recipe_file, tiny_model, tmp_path
):
    arguments = ("run", "--recipe", recipe_file, "--model", tiny_model, "--json")
    report = webfarer(*arguments, "--out", tmp_path / "a", "-q", "--set", "sft.length=4096").json
    losses = [point["valid_loss"] for point in report["training"]]
    assert [at for at, loss in enumerate(losses, 1) if loss] == [1, 2, 3, 4, 5, 6]  # all of six
    assert losses == [row["valid_loss"] for row in metrics(tmp_path / "a" / "sft")]
    kept = report["funnel"][-2]["kept"]
    whole = {"stage": "length", "entered": kept, "kept": kept, "dropped": {}}
    assert report["funnel"][-1] == whole
    page = (tmp_path / "a" / "report.html").read_text("utf-8")
    assert 'polyline class="valid"' in page
    assert "base made no tool call</strong> in" in page
    assert {name: one["name"] for name, one in report["manifest"]["engine"].items()} == {
        name: "transformers-local" for name in ("base", "sft", "rl")
    }  # fmt: skip
    # Without validation tasks, and with a row that holds but the shortest of the trajectories.
    shortest, *_, longest = sorted(map(len, read_training_set(tmp_path / "a" / "curated")))
    assert shortest < longest
    said = webfarer(*arguments, "--out", tmp_path / "b", "--set", "worlds.valid=0", "--set",
                    "tasks.valid={}", "--set", f"sft.length={longest - 1}")  # fmt: skip
    assert said.code == 0, said.err
    assert not any(point["valid_loss"] for point in said.json["training"])
    last = said.json["funnel"][-1]
    long = last["entered"] - last["kept"]
    assert (last["entered"], last["dropped"]) == (kept, {"longer than sft.length": long})
    assert 0 < long < kept
    assert f"{long} of {kept} trajectories are longer than sft.length" in said.err
    assert "worlds: 2/2" in said.err


def nameless(model: Path, out: Path) -> Path:
    """A copy of a model whose files do not show its chat family: one of our control tokens has
    another name, and the template says nothing."""
    shutil.copytree(model, out)
    path = out / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace("</tool_response>", "<|spare|>"), "utf-8")
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) | {"chat_template": "{{ messages }}"}
    path.write_text(json.dumps(config), "utf-8")
    return out


def test_a_model_whose_chat_family_does_not_show_is_given_one(
    webfarer, recipe_file, tiny_model, world_folder, task_file, tmp_path
):
    model = nameless(tiny_model, tmp_path / "model")
    one = tmp_path / "one.jsonl"
    one.write_text(task_file.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    family = ("--set", "family=qwen2.5")
    limits = ("--set", "rollout.max_turns=1", "--set", "rollout.turn_tokens=4", "-q")
    for command in (("rollout", one, tmp_path / "r"), ("eval", one, tmp_path / "e")):
        tail = ("-w", world_folder, "-p", model, *limits)
        assert "no known chat family" in webfarer(*command, *tail).complaint
        assert "no chat family is named" in webfarer(*command, *tail, "--set", "family=x").complaint
        said = webfarer(*command, *tail, *family)
        assert said.code == 0, said.err
    manifest = read(tmp_path / "e" / "report.json").manifest
    assert manifest["family"] == {str(model): "qwen2.5"}
    webfarer("rollout", task_file, tmp_path / "x", "-w", world_folder, "-q")
    curate = ("curate", tmp_path / "x", task_file, tmp_path / "set", "--model", model)
    assert "no known chat family" in webfarer(*curate).complaint
    assert webfarer(*curate, "--family", "qwen2.5").code == 0
    run = ("run", "--recipe", recipe_file, "--model", model, "--out", tmp_path / "run", "-q",
           "--set", "sft.steps=1", "--set", "eval.samples=0")  # fmt: skip
    assert "no known chat family" in webfarer(*run).complaint
    shutil.rmtree(tmp_path / "run")
    said = webfarer(*run, *family, "--json")
    assert said.code == 0, said.err
    assert said.json["manifest"]["family"] == dict.fromkeys(("base", "sft", "rl"), "qwen2.5")


def test_run_shows_its_settings(webfarer, recipe_file, tmp_path):
    shown = webfarer("run", "--recipe", recipe_file, "--show", "--set", "sft.epochs=7", "--set",
                     "rollout.prompt=full", "--set", "eval.levels=[1]").json  # fmt: skip
    recipe = Recipe.model_validate(shown)
    assert (recipe.sft.epochs, recipe.rollout.prompt, recipe.eval.levels) == (7, "full", (1,))
    quickstart = Recipe.model_validate(webfarer("run", "--show").json)
    assert quickstart == Recipe(rl=quickstart.rl)  # what changes the algorithm is in its file
    shown = webfarer("run", "--show", "--graph", "there").json
    assert (shown["name"], shown["graph"]["folder"]) == ("graph", "there")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--recipe", "fast"), "there is no recipe fast"),
        (("--set", "sft.epoch=2"), "setting sft.epoch"),
        (("--set", "sft"), "give SECTION.NAME=VALUE"),
        (("--set", "=2"), "give SECTION.NAME=VALUE"),
        (("--set", "worlds.size=many"), "setting worlds.size"),
        (("--set", "tasks.test={4=1}"), "setting tasks.test.4"),
        (("--set", "worlds.size=3"), "too small"),
        (("--graph", "no/such/graph"), "no/such/graph is not a folder"),
        (("--set", "tasks.test={1=0}"), "no valid test question"),
        (("--set", "eval.levels=[3]"), "no test task of the levels to score"),
    ],
)
def test_run_with_settings_that_cannot_be(
    webfarer, recipe_file, tiny_model, tmp_path, arguments, says
):
    first = () if "--recipe" in arguments else ("--recipe", recipe_file)
    said = webfarer("run", *first, "--model", tiny_model, "--out", tmp_path / "r", "-q", *arguments)
    assert says in said.complaint


# The disk


@pytest.mark.parametrize("command", ["world", "tasks", "rollout", "curate", "run"])
def test_a_full_disk_is_one_line_and_loses_nothing(
    webfarer, world_folder, task_file, tmp_path, monkeypatch, recipe_file, command
):
    webfarer("rollout", task_file, tmp_path / "r", "-w", world_folder, "-q")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = {
        "world": ("world", "build", tmp_path / "w", "--size", 60),
        "tasks": ("tasks", "make", tmp_path / "t.jsonl", "-w", world_folder, "--level", "1=2"),
        "rollout": ("rollout", task_file, tmp_path / "r2", "-w", world_folder, "-q"),
        "curate": ("curate", tmp_path / "r", task_file, tmp_path / "set"),
        "run": ("run", "--recipe", recipe_file, "--out", tmp_path / "run", "-q"),
    }[command]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = webfarer(*arguments)
    monkeypatch.undo()
    assert (said.code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    assert "no space left on the disk while writing" in line
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_that_may_not_be_made_is_one_line(webfarer, world_folder, task_file):
    """/proc takes no folders, not even root's."""
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    for arguments in (
        ("rollout", task_file, "/proc/out", "-w", world_folder, "-q"),
        ("run", "--out", "/proc/out", "-q"),
        ("world", "build", "/proc/out", "--size", 60),
    ):
        said = webfarer(*arguments)
        assert said.code == 1
        assert "Traceback" not in said.err
        assert len(said.err.splitlines()) == 1


# Without torch, and from a shell

WITHOUT_TORCH = """
import sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from webfarer.policy import source
tokenizer = Path(sys.argv[1])
source.base_model = lambda: tokenizer
from webfarer.__main__ import main
for line in sys.stdin:
    sys.argv = ["webfarer", *line.split()]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def python(code: str, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=stdin, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_the_core_works_without_torch(tokenizer_folder, tmp_path):
    lines = f"""\
world build {tmp_path}/w --size 60
world show {tmp_path}/w
tasks make {tmp_path}/t.jsonl -w {tmp_path}/w --level 1=3,2=2
tasks check {tmp_path}/t.jsonl -w {tmp_path}/w
web search {tmp_path}/w river
rollout {tmp_path}/t.jsonl {tmp_path}/r -w {tmp_path}/w --policy expert -q
curate {tmp_path}/r {tmp_path}/t.jsonl {tmp_path}/set
eval {tmp_path}/t.jsonl {tmp_path}/e -w {tmp_path}/w -p expert --samples 1 -q
"""
    done = python(WITHOUT_TORCH, tokenizer_folder, stdin=lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "set" / "kept.jsonl").is_file()
    assert (tmp_path / "e" / "report.json").is_file()
    wants = f"train sft {tmp_path}/set {tmp_path}/m\n"
    done = python(WITHOUT_TORCH, tokenizer_folder, stdin=wants)
    assert done.returncode == 1
    assert done.stderr == (
        "webfarer: this needs torch: install with pip install 'webfarer[train]'\n"
    )


def test_a_fault_of_ours_is_a_traceback_and_no_setting(webfarer, tmp_path, monkeypatch):
    """A record that we build wrongly is not what the user gave."""
    from pydantic import ValidationError

    from webfarer.cli import world

    monkeypatch.setattr(world, "build_world", lambda *_: Recipe.model_validate({"seed": "x"}))
    with pytest.raises(ValidationError):
        webfarer("world", "build", tmp_path / "w")


@pytest.mark.parametrize("option", ["--per-task", "--learning-rate"])
def test_an_option_out_of_range_is_a_setting_in_one_line(webfarer, tmp_path, option):
    command = ("curate", tmp_path, tmp_path) if option == "--per-task" else ("train", "base")
    said = webfarer(*command, tmp_path / "out", option, 0)
    assert f"setting {option.removeprefix('--').replace('-', '_')}: " in said.complaint


INTERRUPTED = """
import sys
from webfarer.cli import world
def stop(*_): raise KeyboardInterrupt
world.build_world = stop
sys.argv = ["webfarer", "world", "build", sys.argv[1]]
from webfarer.__main__ import main
main()
"""


def test_an_interrupt_says_how_to_go_on(tmp_path):
    done = python(INTERRUPTED, tmp_path / "w")
    assert done.returncode == 130
    assert done.stderr.strip() == "webfarer: interrupted; run the same command again to go on"


def test_a_disk_that_fills_up_midway_loses_nothing_and_the_run_goes_on(
    monkeypatch, recipe_file, tokenizer_folder, tmp_path
):
    """Full at the 3rd, 12th and 25th flush in turn; then emptied, and compared with one run."""
    from webfarer.cli.pipeline import Run
    from webfarer.cli.progress import Teller
    from webfarer.recipes import load_recipe
    from webfarer.types import WebfarerError

    def run(out: Path) -> None:
        recipe = load_recipe(str(recipe_file), {"model": str(tokenizer_folder)})
        stages = Run(recipe, out, Teller(quiet=True), lambda report, samples: "")
        for stage in (stages.worlds, stages.tasks, stages.expert, stages.curated):
            stage()

    flush = os.fsync
    for last in (3, 12, 25):
        left = last

        def full(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            flush(descriptor)

        before = whole(tmp_path / "a")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WebfarerError, match="no space left on the disk"):
            run(tmp_path / "a")
        monkeypatch.setattr(os, "fsync", flush)
        assert set(before) <= set(whole(tmp_path / "a"))
    run(tmp_path / "a")
    run(tmp_path / "b")
    assert whole(tmp_path / "a") == whole(tmp_path / "b")


def whole(out: Path) -> dict[str, str]:
    """Files by name, seconds put aside."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {
        str(path.relative_to(out)): re.sub(
            r'"tool_s":[-+.e0-9]+', "", path.read_bytes().decode("latin-1")
        )
        for path in files
    }


def test_a_prompt_that_is_none_is_told(webfarer, world_folder, task_file, tmp_path):
    for command in (("rollout",), ("eval", "-p", "expert")):
        said = webfarer(
            command[0],
            task_file,
            tmp_path / "o",
            "-w",
            world_folder,
            *command[1:],
            "--set",
            "rollout.prompt=x",
        )
        assert "setting rollout.prompt: Input should be 'brief' or 'full'" in said.complaint
