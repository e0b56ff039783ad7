"""The papers' settings, as far as the papers print them; what is ours is said in each file."""

from __future__ import annotations

import pytest

from webfarer.algo import Clip, row_of, within_batch, within_group
from webfarer.recipes import load_recipe, names

# arXiv 2507.02592 (WebSailor); 2503.14476, section 4.1 (DAPO); 2402.03300, section 4.2 (GRPO);
# 1707.06347, tables 3 and 5, and 2203.02155, appendix C.4 (PPO).
# WebDancer's learning rate was not at hand, and PPO's is of another model: those two are ours.
RATE = {"learning_rate": 1e-6}
PRINTED = {
    "websailor": {"algorithm": "dupo", "group": 8, "tasks": 128, "prefilter": 8, **RATE},
    "webdancer": {"algorithm": "dapo"},
    "dapo": {
        "algorithm": "dapo", "group": 16, "tasks": 512, "warmup": 20, "margin": 4096, "kl": 0,
        **RATE,
    },
    "grpo": {"algorithm": "grpo", "group": 64, "kl": 0.04, "mini_batches": 1, **RATE},
    "ppo": {"algorithm": "ppo", "warmup": 10},
}  # fmt: skip


@pytest.mark.parametrize("name", PRINTED)
def test_a_preset_says_what_the_paper_says(name):
    assert name in names()
    recipe = load_recipe(name)
    rl = recipe.rl
    printed = {"temperature": 1.0, **PRINTED[name]}
    assert {key: getattr(rl, key) for key in printed} == printed
    assert (rl.precision, recipe.rollout.dtype, rl.checkpointing) == ("bf16", "bfloat16", True)


def test_batches_and_mini_batches_are_counted_as_the_papers_count_them():
    def counts(name):
        rl = load_recipe(name).rl
        attempts = rl.tasks * rl.group
        return rl.tasks // rl.mini_batches, attempts, attempts // rl.mini_batches

    assert counts("websailor") == (32, 1024, 256)  # batch 128 and mini-batch 32, in tasks
    assert counts("dapo")[1:] == (8192, 512)  # 512 prompts x 16, mini-batches of 512 attempts
    assert counts("grpo")[1:] == (1024, 1024)  # a batch of 1,024 attempts, one update
    assert counts("ppo")[1:] == (512, 64)  # 512 episodes in mini-batches of 64


def test_the_rows_of_the_presets():
    rows = {name: row_of(load_recipe(name).rl) for name in PRINTED}
    assert rows["dapo"].clip == rows["websailor"].clip == Clip(0.2, 0.28)
    assert rows["grpo"].clip == rows["ppo"].clip == Clip(0.2, 0.2)
    assert rows["webdancer"].advantage is within_batch
    assert rows["dapo"].advantage is rows["websailor"].advantage is within_group
    assert rows["websailor"].prefilter
    assert rows["dapo"].refill
    assert load_recipe("websailor").rl.as_weights is False  # copies, as they do it
    changes = load_recipe("ppo").rl.row
    assert (changes.gamma, changes.lam) == (1.0, 0.95)


def test_dapo_expects_16384_tokens_and_punishes_4096_more():
    recipe = load_recipe("dapo")
    assert recipe.rollout.context - recipe.rl.margin == 16384
