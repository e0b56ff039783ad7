"""The benchmark of a step on a GPU runs at a tiny size on a CPU, and its numbers add up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rl_gpu import rows
from rl_parts import Shares, kind_of

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_tiny_size_runs_and_its_parts_are_the_whole():
    script = [sys.executable, str(BENCHMARKS / "rl_gpu.py")]
    asked = [*script, "--size", "tiny", "--device", "cpu", "--world", "60", "--json"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(asked, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    parts = found["model"] + found["tools"] + found["grading"] + found["update"]
    assert found["step"] == pytest.approx(parts)
    assert min(found["model"], found["tools"], found["grading"], found["update"]) > 0
    assert found["attempts"] == 2 * 2  # two tasks, two attempts at each, one measured step
    # Two turns each of 12 tokens at most; one that stops by itself is shorter.
    assert 8 <= found["trained"] <= 4 * 2 * 12 < found["tokens"]
    assert found["gap"] < 1e-4  # the engine has the trainer's weights, in float32
    # By hand: 2048 x 64 embeddings, tied; a layer has 64 x 64 (q), twice 64 x 32 (k, v), 64 x 64
    # (o), two norms of 32, three of 64 x 128, two norms of 64; and a norm of 64 at the end.
    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 2 * 32 + 3 * 64 * 128 + 2 * 64
    assert found["parameters"] == 2048 * 64 + 2 * layer + 64


def test_the_table_says_rates_and_shares():
    found = Shares(steps=2, attempts=16, tokens=800, trained=200, model=3.0, tools=0.5, grading=0.5,
                   update=4.0, gap=0.0)  # fmt: skip
    said = {name: (number, share) for name, number, share in rows(found, 10, 1.0)}
    assert said["attempts a second of rollout"][0] == "4.00"  # 16 in 3 + 0.5 + 0.5 s
    assert said["updates a second of update"][0] == "0.500"
    assert said["update, s a step"] == ("2.000", "50.0%")
    assert said["step, s"] == ("4.000", "100.0%")


def test_operations_have_kinds():
    named = {"aten::addmm": "linear layers", "aten::_log_softmax": "loss",
             "aten::add": "other operations",
             "aten::_scaled_dot_product_flash_attention_for_cpu": "attention",
             "aten::cumsum": "drawing", "aten::_fused_adamw_": "optimiser"}  # fmt: skip
    assert {name: kind_of(name) for name in named} == named
