"""Two gloo processes under torchrun do what one does: losses, weights, checkpoints, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="reinforcement learning needs torch")

from safetensors.torch import load_file  # noqa: E402

import processes  # noqa: E402
from processes import RUNS, TASKS, MadeUp, train  # noqa: E402
from webfarer.algo import ALGORITHMS  # noqa: E402
from webfarer.rollout.collect import Job  # noqa: E402
from webfarer.store import read_jsonl, write_jsonl  # noqa: E402
from webfarer.train.processes import Ranks, dealt  # noqa: E402
from webfarer.train.rl_batch import Sampled, make_batch  # noqa: E402
from webfarer.train.rl_metrics import StepMetric  # noqa: E402
from webfarer.train.rl_update import Updater  # noqa: E402
from webfarer.train.scored import load_trained  # noqa: E402

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo",
)


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "--standalone", *map(str, arguments)], env=environment, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Both:
    """The folders of what one process and what two made, and what each of the two said."""

    model: Path
    one: Path
    two: Path
    found: list[dict]


@pytest.fixture(scope="module")
def both(tiny_model, tmp_path_factory) -> Both:
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    ran = torchrun(processes.__file__, tiny_model, two)
    assert ran.returncode == 0, ran.stderr[-4000:]
    for name in RUNS:
        train(name, tiny_model, one, Ranks())
    found = [json.loads((two / f"process-{rank}.json").read_text()) for rank in range(2)]
    return Both(tiny_model, one, two, found)


def metrics(folder: Path) -> list[StepMetric]:
    return list(read_jsonl(folder / "metrics.jsonl", StepMetric))


def same_weights(a: Path, b: Path) -> None:
    mine, other = (load_file(folder / "model" / "model.safetensors") for folder in (a, b))
    assert mine.keys() == other.keys()
    for name in mine:
        assert torch.allclose(mine[name], other[name], atol=2e-5), name


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_give_the_loss_and_the_weights_of_one(name, both, tmp_path):
    """Sequences do not divide evenly (9 or 3 a step), nor their tokens; PPO's mini-batches are of
    one sequence, so that one of the processes has none. An average over processes would give half
    the loss and half the norm."""
    one, two = metrics(both.one / name), metrics(both.two / name)
    assert len(one) == len(two) == 3
    for mine, other in zip(two, one, strict=True):
        assert mine.loss == pytest.approx(other.loss, rel=1e-4, abs=1e-6)
        assert mine.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)
        for part in ("gap", "gap_most", "entropy", "kl", "held_low", "held_high"):
            assert getattr(mine, part) == pytest.approx(getattr(other, part), rel=1e-4, abs=1e-6)
        exact = ("trained", "kept", "tokens", "attempts", "cursor", "score", "note")
        assert [getattr(mine, part) for part in exact] == [getattr(other, part) for part in exact]
    same_weights(both.one / name, both.two / name)
    before = load_file(both.model / "model.safetensors")
    after = load_file(both.two / name / "model" / "model.safetensors")
    assert any(not torch.allclose(before[part], after[part], atol=1e-4) for part in before)


def test_each_attempt_is_made_by_one_process_and_is_that_of_one(both):
    parts = [found["made"]["grpo"] for found in both.found]
    made = sorted(map(tuple, parts[0] + parts[1]))
    assert len(made) == len(set(made)) == 27
    assert abs(len(parts[0]) - len(parts[1])) <= 3
    assert made == sorted(train("grpo", both.model, both.one / "fresh", Ranks()).made)


@pytest.mark.parametrize("name", ["ppo", "sharded ppo"])
def test_a_killed_run_of_two_goes_on_with_two_or_with_one(name, both):
    train(name, both.model, both.two / "alone", Ranks())
    for again in ("again", "alone"):
        same_weights(both.two / name, both.two / again / name)
        assert [line.step for line in metrics(both.two / again / name)] == [1, 2, 3]
    one, other = (load_file(both.two / part / name / "model" / "model.safetensors")
                  for part in ("", "again"))  # fmt: skip
    assert all(torch.equal(one[part], other[part]) for part in one)


def test_impossible_an_error_of_one_process_leaves_the_others_hanging(both):
    assert both.found[1]["said"][0] == "BadInput: no such world"
    assert both.found[0]["said"][0] == "BadInput: process 1: no such world"
    assert both.found[0]["said"][1] == "ZeroDivisionError('oh')"
    assert both.found[1]["said"][1] == "WebfarerError: process 0: ZeroDivisionError: oh"


class Deaf(Ranks):
    """Hears nothing of the others: what one share alone comes to."""

    def sum(self, tensor):
        return tensor

    def sum_gradients(self, parameters):
        pass

    def gathered(self, value):
        return [value]


def test_shares_of_the_loss_are_summed_not_averaged(tiny_model):
    """By hand: with a token mean and no ratio the loss is -sum(advantage x tokens) / all tokens;
    each share is divided by the tokens of all, so that the shares' sum is the whole. The mean of
    the shares' own means is another number."""
    made = MadeUp()
    groups = [
        Sampled.of(task.id, 0, made.make([Job(task, n) for n in range(3)], 0)) for task in TASKS[:3]
    ]
    settings = RUNS["grpo"].model_copy(update={"algorithm": "dapo", "importance_cap": None})
    row = ALGORITHMS["dapo"]
    batch = make_batch(groups, [1, 1, 1], row, settings, 64)
    assert batch is not None
    losses, tokens = [], []
    for ranks in (Ranks(), Deaf(0, 2), Deaf(1, 2)):
        model = load_trained(settings, tiny_model, False, "cpu", Ranks(), 0)
        update = Updater(settings, row, model, ranks).update(batch, 0, 0)
        losses.append(update.loss)
        tokens.append(update.trained)
    advantage_B = batch.batch.advantages_BT.sum(dim=1)  # each is the same over its tokens
    assert losses[0] == pytest.approx(-float(advantage_B.sum()) / tokens[0], abs=1e-6)
    assert tokens[0] == tokens[1] + tokens[2]
    assert tokens[1] != tokens[2]
    assert losses[1] + losses[2] == pytest.approx(losses[0], abs=1e-6)
    means = [loss * tokens[0] / count for loss, count in zip(losses[1:], tokens[1:], strict=True)]
    assert sum(means) / 2 != pytest.approx(losses[0], abs=1e-3)


def test_sequences_are_dealt_by_their_tokens():
    assert dealt([5, 9, 3, 2, 20], range(5), 2) == [[4], [1, 0, 2, 3]]  # 20 and 9 + 5 + 3 + 2
    assert dealt([5, 9, 3], [2], 3) == [[2], [], []]
    assert dealt([4, 4, 4], range(3), 1) == [[0, 1, 2]]


def test_the_command_runs_under_torchrun(tokenizer_folder, lore_tasks, world_folder, tiny_model,
                                         tmp_path):  # fmt: skip
    """Only one of the two processes talks, of what they made and of what is wrong."""
    tasks = list(lore_tasks.values())
    write_jsonl(tmp_path / "train.jsonl", tasks[:8])
    write_jsonl(tmp_path / "valid.jsonl", tasks[8:11])
    few = ("rl.tasks=2", "rl.group=3", "rl.eval_every=1", "rollout.max_turns=2",
           "rollout.turn_tokens=8", "rollout.context=1024", "rl.show_every=1")  # fmt: skip
    command = ("-m", "webfarer", "train", "rl", tmp_path / "train.jsonl", tmp_path / "out", "-w",
               world_folder, "--model", tiny_model, "--steps", 2, "--valid",
               tmp_path / "valid.jsonl", "--json", "-q",
               *(part for one in few for part in ("--set", one)))  # fmt: skip
    ran = torchrun(*command)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert json.loads(ran.stdout) == {"model": str(tmp_path / "out" / "model")}
    assert [line.attempts for line in metrics(tmp_path / "out")] == [6, 6]
    again = torchrun(*command[:-2], "--set", "rl.seed=1")
    assert again.returncode == 1
    said = [line for line in again.stderr.splitlines() if line.startswith("webfarer: ")]
    assert len(said) == 1
    assert "rl.seed" in said[0]
