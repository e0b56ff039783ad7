"""Recipes: the files that come with Webfarer, settings put in, and what is refused."""

from __future__ import annotations

import json

import pytest

from webfarer.recipes import load_recipe, names
from webfarer.types import BadInput, Recipe


def test_every_recipe_that_comes_along_is_valid():
    assert set(names()) >= {"quickstart", "graph"}
    for name in names():
        assert load_recipe(name).name == name


def test_the_quickstart_is_the_defaults():
    quickstart = load_recipe("quickstart")
    assert quickstart == Recipe(rl=quickstart.rl)  # what changes the algorithm is in its file


def test_a_recipe_says_everything_and_reads_back_from_json():
    recipe = load_recipe("graph")
    again = Recipe.model_validate(json.loads(recipe.model_dump_json()))
    assert again == recipe
    assert again.model_dump(mode="json") == json.loads(recipe.model_dump_json())


def test_settings_are_put_in(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[sft]\nepochs = 3\n', encoding="utf-8")
    recipe = load_recipe(
        str(path),
        {"sft.learning_rate": 0.5, "eval.levels": [3], "tasks.train": {"1": 7}, "seed": 9},
    )
    assert (recipe.name, recipe.seed, recipe.sft.epochs) == ("mine", 9, 3)
    assert recipe.sft.learning_rate == 0.5
    assert recipe.eval.levels == (3,)
    assert recipe.tasks.train == {1: 7}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("sft.epoch", 2, "setting sft.epoch: Extra inputs are not permitted"),
        ("sfft.epochs", 2, "setting sfft: Extra inputs"),
        ("sft.epochs", "many", "setting sft.epochs: "),
        ("sft.epochs", 0, "greater than or equal to 1"),
        ("sft.learning_rate", float("nan"), "setting sft.learning_rate"),
        ("seed.x", 2, "setting seed.x: seed is no section"),
        ("rollout.prompt", "long", "'brief' or 'full'"),
        ("rollout.max_turns", 0, "setting rollout.max_turns"),
        ("rollout.chunk", 0, "setting rollout.chunk"),
        ("rollout.slots", 0, "setting rollout.slots"),
        ("rollout.context", 0, "setting rollout.context"),
        ("rollout.turn_tokens", 0, "setting rollout.turn_tokens"),
        ("rollout.max_cache_tokens", 2047, "max_cache_tokens 2047 holds no context of 2048"),
        ("rollout.prefill_chunk", 0, "setting rollout.prefill_chunk"),
        ("rollout.batch_tokens", 0, "setting rollout.batch_tokens"),
        ("tools.hits", 0, "setting tools.hits"),
        ("tools.observation_tokens", -1, "setting tools.observation_tokens"),
        ("worlds.train", 0, "setting worlds.train"),
        ("worlds.test", 0, "setting worlds.test"),
        ("worlds.valid", -1, "setting worlds.valid"),
        ("tasks.test", {"4": 1}, "setting tasks.test.4"),
        ("tasks.test", {"1": -1}, "setting tasks.test.1"),
        ("tasks.train", {"one": 1}, "setting tasks.train.one"),
        ("expert.fault_rate", 1.5, "setting expert.fault_rate"),
        ("expert.attempts", 0, "setting expert.attempts"),
        ("funnel.per_task", 0, "setting funnel.per_task"),
        ("eval.levels", [], "setting eval.levels"),
        ("eval.levels", [4], "setting eval.levels.0"),
        ("eval.k", 0, "setting eval.k"),
        ("eval.samples", -1, "setting eval.samples"),
        ("eval.temperature", float("inf"), "setting eval.temperature"),
        ("graph.test", 2.0, "setting graph.test"),
        ("", 1, "setting "),
    ],
)
def test_what_is_no_setting_is_told_in_one_line_before_anything_runs(path, value, says):
    with pytest.raises(BadInput) as told:
        load_recipe("quickstart", {path: value})
    assert says in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        ("[sft]\nepoch = 1", "setting sft.epoch"),
        ("sft = 3", "setting sft: "),
        ("\x00", "is not TOML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, says):
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        load_recipe(str(path))


def test_no_such_recipe(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for source in ("quick", "", str(tmp_path), str(tmp_path / "bytes.toml"), "../quickstart"):
        with pytest.raises(BadInput, match=r"give a TOML file, or one of .*graph.*quickstart"):
            load_recipe(source)
