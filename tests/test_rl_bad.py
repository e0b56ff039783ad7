"""What goes wrong in reinforcement learning is defined, said, and safe to run again."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="reinforcement learning needs torch")

from test_rl import (  # noqa: E402
    SETTINGS,
    TASKS,
    Bandit,
    Killed,
    a_rolled,
    a_task,
    metrics,
    sampled,
)
from webfarer.algo import ALGORITHMS  # noqa: E402
from webfarer.grade.rules import RuleGrader  # noqa: E402
from webfarer.policy.llm import LlmPolicy  # noqa: E402
from webfarer.policy.model import load_model  # noqa: E402
from webfarer.rollout.collect import graded  # noqa: E402
from webfarer.rollout.trainee import Trainee  # noqa: E402
from webfarer.store import read_jsonl  # noqa: E402
from webfarer.train.attention import choose_way, logprobs  # noqa: E402
from webfarer.train.pack import collate  # noqa: E402
from webfarer.train.rl import reinforce  # noqa: E402
from webfarer.train.rl_batch import make_batch  # noqa: E402
from webfarer.train.rl_metrics import Watch, told  # noqa: E402
from webfarer.train.rl_tasks import Seen, TaskOrder  # noqa: E402
from webfarer.train.scorer import Scorer  # noqa: E402
from webfarer.types import (  # noqa: E402
    BadInput,
    Reward,
    RlSettings,
    Segment,
    WebfarerError,
)

PLAIN = SETTINGS.model_copy(update={"eval_every": 0})
TIMELESS = {"rollout_s", "update_s", "tool_s"}


def settings(**changes) -> RlSettings:
    return PLAIN.model_copy(update=changes)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


class Through:
    """An engine that a test changes on its way: `sampling` what is asked, `load` what it takes."""

    def __init__(self, engine, temperature=1.0, noise=0.0) -> None:
        self._engine, self._temperature, self._noise = engine, temperature, noise

    def __getattr__(self, name):
        return getattr(self._engine, name)

    async def generate(self, prompt, sampling):
        return await self._engine.generate(prompt, replace(sampling, temperature=self._temperature))

    def load_state(self, state, version) -> None:
        torch.manual_seed(0)
        moved = {name: x + self._noise * torch.randn_like(x) for name, x in state.items()}
        self._engine.load_state(moved, version)


def a_bandit(folder, *, cls=Bandit, **engine):
    bandit = cls(folder)
    bandit.engine = Through(bandit.engine, **engine)
    return bandit


# Log-probabilities are those of the distribution sampled from


@pytest.mark.parametrize("more", [{}, {"mini_batches": 2}, {"kl": 0.1}])
def test_engine_and_trainer_agree_after_temperature(more, tiny_model, tmp_path):
    warm = settings(steps=2, temperature=0.7, **more)
    reinforce(warm, tiny_model, a_bandit(tiny_model, temperature=0.7), TASKS, tmp_path / "warm")
    found = metrics(tmp_path / "warm")
    assert all(metric.gap < 1e-5 for metric in found)
    assert found[0].kl < 1e-6  # the reference, too, is after temperature
    # A trainer that knows nothing of the temperature is found out:
    wrong = settings(steps=1, gap_alarm=1e-3, **more)
    reinforce(wrong, tiny_model, a_bandit(tiny_model, temperature=0.7), TASKS, tmp_path / "wrong")
    (metric,) = metrics(tmp_path / "wrong")
    assert metric.gap > 0.01
    assert "gap" in metric.alarms


@pytest.mark.parametrize("split", [True, False])
def test_log_probabilities_after_temperature_by_hand(split, tiny_model):
    """log softmax(logits / 0.7), worked out from the model's own logits."""
    model = load_model(tiny_model, device="cpu")
    way = choose_way(model)
    ids = [20, 21, 22, 23, 24]
    row = collate([Segment("", ids, [0] + [1] * 4, [0.0] * 5)])
    scorer = Scorer(model, way, 0.7)
    scorer._split = split
    plain = logprobs(model, row, way)
    found = scorer.logprobs(row)
    assert not torch.allclose(found, plain, atol=1e-3)
    model.set_attn_implementation("eager")
    logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    wanted = torch.log_softmax(logits.double() / 0.7, -1)[range(4), ids[1:]]
    assert torch.allclose(found.double(), wanted, atol=1e-5)


@pytest.mark.parametrize("cut", [{"top_p": 0.9}, {"top_k": 20}])
def test_impossible_a_truncated_distribution(cut):
    with pytest.raises(BadInput, match="top-p and top-k"):
        Trainee(LlmPolicy("rl", None, None, **cut), None, None)


def test_impossible_an_engine_with_other_weights_goes_unseen(tiny_model, tmp_path):
    """Weights that are not the trainer's show in the first step's gap."""
    reinforce(settings(steps=2), tiny_model, a_bandit(tiny_model, noise=0.2), TASKS, tmp_path)
    for metric in metrics(tmp_path):
        assert metric.gap > 0.1
        assert "gap" in metric.alarms
        assert "log-probabilities" in metric.note


def test_impossible_an_engine_with_other_weights_goes_unseen_where_nothing_is_learnt(
    tiny_model, tmp_path
):
    bandit = a_bandit(tiny_model, noise=0.2)
    bandit.judge = lambda job, ids: False
    reinforce(settings(steps=2), tiny_model, bandit, TASKS, tmp_path)
    for metric in metrics(tmp_path):
        assert metric.trained == 0
        assert metric.gap > 0.1
        assert "gap" in metric.alarms


# Dynamic sampling


class Slow(Bandit):
    """Attempts end in an order that has nothing to do with the tasks'."""

    async def _one(self, job, step):
        await asyncio.sleep(random.Random(f"{job.task.id} {job.member}").random() / 50)
        return await super()._one(job, step)


def test_groups_are_accepted_in_task_order_whatever_ends_first(tiny_model, tmp_path):
    dapo = settings(algorithm="dapo", steps=3, tasks=2, group=4, oversample=2.5)
    found = {}
    for cls in (Bandit, Slow):
        reinforce(dapo, tiny_model, cls(tiny_model), TASKS, tmp_path / cls.__name__)
        found[cls] = (
            list(read_jsonl(tmp_path / cls.__name__ / "groups.jsonl", Seen)),
            [(m.solved, m.kept, m.made, m.cursor) for m in metrics(tmp_path / cls.__name__)],
        )
    assert found[Bandit] == found[Slow]


def test_what_is_made_and_not_used_is_charged(tiny_model, tmp_path):
    """Lots of ceil(2.5 x 2) = 5 tasks: the groups after the second with a spread are not used."""
    dapo = settings(algorithm="dapo", steps=4, tasks=2, group=4, oversample=2.5)
    bandit = Bandit(tiny_model)
    reinforce(dapo, tiny_model, bandit, TASKS, tmp_path)
    for number, metric in enumerate(metrics(tmp_path)):
        asked = [name for step, name, _ in bandit.asked if step == number]
        assert metric.made == len(asked)
        assert len(set(asked[:20])) == 5
        assert metric.kept == 2
        assert metric.made_tokens == 5 * metric.made  # three of the prompt, two said
        assert metric.tokens == 5 * metric.attempts
    assert any(metric.made > metric.attempts for metric in metrics(tmp_path))


def test_a_second_lot_is_of_what_is_still_wanted_and_of_other_tasks(tiny_model, tmp_path):
    """Only even tasks ever have a spread: a lot is of what is still missing, 3 at most."""

    def judge(job, ids):
        return int(job.task.id[1:]) % 2 == 0 and job.member % 2 == 0

    dapo = settings(algorithm="dapo", steps=1, tasks=4, group=4, rounds=3)
    bandit = Bandit(tiny_model, judge=judge)
    reinforce(dapo, tiny_model, bandit, TASKS, tmp_path)
    names = [name for _, name, member in bandit.asked if member == 0]
    assert len(names) == len(set(names))
    (metric,) = metrics(tmp_path)
    assert metric.made == len(bandit.asked)
    lots = []  # of 4, and then of as many as the lots before it lack
    while names:
        wanted = 4 - sum(int(name[1:]) % 2 == 0 for lot in lots for name in lot)
        lots.append(names[:wanted])
        names = names[wanted:]
    assert 2 <= len(lots) <= 3
    spread = sum(int(name[1:]) % 2 == 0 for lot in lots for name in lot)
    assert metric.kept == spread
    assert metric.note == ("" if spread == 4 else f"only {spread} of 4 groups have a spread")


def test_tasks_drawn_again_are_others_in_every_lot(tiny_model, tmp_path):
    """All tasks are known to be partly solved, and drawn again: nothing is drawn twice in a step,
    and where every one has been made the step goes on with what there is."""
    dapo = settings(algorithm="dapo", steps=3, tasks=4, group=4, rounds=9, partly_solved=1.0)
    bandit = Bandit(tiny_model, judge=lambda job, ids: job.member % 2 == 0)
    reinforce(dapo.model_copy(update={"tasks": len(TASKS)}), tiny_model, bandit, TASKS, tmp_path)
    order = TaskOrder(TASKS, dapo, 0)
    order.learn(Seen(step=1, task=task.id, correct=2, valid=4, count=1) for task in TASKS)
    first, cursor = order.take(7, 0, 4)
    second, _ = order.take(7, cursor, 4, {task.id for task in first})
    assert not {task.id for task in first} & {task.id for task in second}
    assert len(second) == 4
    never = Bandit(tiny_model, judge=lambda job, ids: False)
    reinforce(dapo, tiny_model, never, TASKS, tmp_path / "never")
    for step in range(3):
        asked = [name for at, name, member in never.asked if at == step and member == 0]
        assert sorted(asked) == sorted(task.id for task in TASKS)


# Rewards and answers


class Rewarding(Bandit):
    """Gives a reward of its own making to one attempt."""

    total = 1.5

    async def _one(self, job, step):
        rolled = await super()._one(job, step)
        odd = Reward(
            parts={"format": 1.0, "answer": self.total}, weights={"format": 0, "answer": 1}
        )
        trajectory = rolled.trajectory.model_copy(update={"reward": odd})
        return replace(rolled, trajectory=trajectory) if job.member == 3 else rolled


@pytest.mark.parametrize("total", [1.5, -0.25, math.inf])
def test_a_reward_out_of_range_is_refused_and_teaches_nothing(total, tiny_model, tmp_path):
    bandit = Rewarding(tiny_model)
    bandit.total = total
    for _ in range(2):  # running again says the same
        with pytest.raises(BadInput, match="which is not between 0 and 1") as told:
            reinforce(settings(steps=2), tiny_model, bandit, TASKS, tmp_path)
        assert "\n" not in str(told.value)
    assert not (tmp_path / "model").exists()
    mended = reinforce(settings(steps=2), tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    whole = reinforce(settings(steps=2), tiny_model, Bandit(tiny_model), TASKS, tmp_path / "whole")
    assert weights(mended) == weights(whole)


def test_an_attempt_without_an_answer_is_an_outcome():
    """It is wrong and not well-formed: reward 0, in the baseline like any other."""
    segment = Segment("tok")
    segment.given([1, 2])
    segment.chosen([3, 3], [-0.5, -0.5], 0)
    silent = a_rolled("t1", 1, 0, False, segment).trajectory.model_copy(
        update={"answer": None, "stop": "turn_limit", "verdict": None, "reward": None}
    )
    judged = asyncio.run(graded(silent, a_task("t1"), RuleGrader()))
    assert judged.verdict is not None
    assert judged.verdict.status == "wrong"
    group = sampled("t1", [True, False])
    members = (group.group.members[0], judged)
    group = replace(group, group=replace(group.group, members=members))
    assert (group.outcome.correct, group.outcome.valid) == (1, 2)
    made = make_batch([group], [1], ALGORITHMS["grpo"], RlSettings(group=2), 100)
    assert made is not None
    assert made.rewards_B.tolist() == pytest.approx([1.0, 0.0])


# Steps that teach nothing


@pytest.mark.parametrize("name", ["dupo", "grpo"])
def test_every_group_without_a_spread_is_said_and_alarmed(name, tiny_model, tmp_path):
    flat = Bandit(tiny_model, judge=lambda job, ids: False)
    plan = settings(steps=4, algorithm=name, entropy_alarm=0.0)
    out = reinforce(plan, tiny_model, flat, TASKS, tmp_path)
    found = metrics(tmp_path)
    assert [metric.alarms for metric in found] == [(), (), ("flat",), ("flat",)]
    assert "no group with a spread for 3 steps" in found[2].note
    assert all(0 < metric.gap_most < 1e-4 for metric in found)  # measured, also where none learns
    assert all(metric.entropy > 0.5 for metric in found)
    assert weights(out)
    before, after = load_model(tiny_model).state_dict(), load_model(out).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_alarm_counts_on_where_a_run_goes_on(tiny_model, tmp_path):
    often = settings(steps=3, checkpoint_every=1)
    dying = Bandit(tiny_model, judge=lambda *_: False, dies=2)
    with pytest.raises(Killed):
        reinforce(often, tiny_model, dying, TASKS, tmp_path)
    reinforce(often, tiny_model, Bandit(tiny_model, judge=lambda *_: False), TASKS, tmp_path)
    assert [metric.alarms for metric in metrics(tmp_path)] == [(), (), ("flat",)]


def test_every_rollout_failing_is_alarmed_at_once(tiny_model, tmp_path):
    broken = Bandit(tiny_model, fails=lambda step: True)
    with pytest.raises(WebfarerError, match="run the same command again"):
        reinforce(settings(steps=5, checkpoint_every=1), tiny_model, broken, TASKS, tmp_path)
    found = metrics(tmp_path)
    assert all("64 of 64 attempts failed on our side" in metric.note for metric in found)
    assert {(metric.gap, metric.gap_most, metric.entropy) for metric in found} == {(None,) * 3}
    assert told(found[0], None).endswith("entropy – gap –")
    mended = reinforce(
        settings(steps=5, checkpoint_every=1), tiny_model, Bandit(tiny_model), TASKS, tmp_path
    )
    assert weights(mended)
    assert [metric.step for metric in metrics(tmp_path)] == [1, 2, 3, 4, 5]


def test_collapse_and_limits_by_hand(tiny_model, tmp_path):
    """Entropy is held against the first that was measured; limits against half of the attempts."""
    reinforce(settings(steps=1), tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    (line,) = metrics(tmp_path)
    watch = Watch(RlSettings(entropy_alarm=0.1))

    def look(**changes):
        return watch.look(line.model_copy(update={"note": "", **changes}))

    assert look(entropy=2.0, limited=0.5).alarms == ()
    assert look(entropy=0.21).alarms == ()
    collapsed = look(entropy=0.19, limited=0.75)
    assert collapsed.alarms == ("entropy", "limits")
    assert "entropy 0.19 nats, 2 at the first step" in collapsed.note
    assert "75% of attempts hit a limit" in collapsed.note
    assert look(entropy=None, gap=None, trained=0).alarms == ()  # nothing was measured


# No number


class Poisoned(Bandit):
    """After the second step, every gradient of one weight is infinite, or no number."""

    value = math.inf

    def take(self, model, version) -> None:
        super().take(model, version)
        if version == 2:
            weight = next(model.parameters())
            weight.register_hook(lambda grad: torch.full_like(grad, self.value))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_gradient_that_is_no_number_changes_no_weight(value, tiny_model, tmp_path):
    bandit = Poisoned(tiny_model)
    bandit.value = value
    often = settings(steps=4, checkpoint_every=1)
    with pytest.raises(WebfarerError, match="gradient norm"):
        reinforce(often, tiny_model, bandit, TASKS, tmp_path / "again")
    again = reinforce(often, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "again")
    whole = reinforce(often, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "whole")
    assert weights(again) == weights(whole)


# kill -9

_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_rl import Bandit, TASKS
from test_rl_bad import settings
from webfarer.train.rl import reinforce

class Killed(Bandit):
    def make(self, jobs, step):
        rolled = super().make(jobs, step)
        if step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return rolled

reinforce(settings(**{changes!r}), {model!r}, Killed({model!r}), TASKS, Path({out!r}), seed=2)
"""


def test_kill_9_between_rollout_and_update(tiny_model, tmp_path):
    """A real process, really killed: what it would have been comes of running it again."""
    changes = {"steps": 6, "mini_batches": 2, "partly_solved": 0.5, "algorithm": "dapo"}
    out = tmp_path / "killed"
    code = _KILLED.format(
        tests=str(Path(__file__).parent), changes=changes, model=str(tiny_model), out=str(out)
    )
    died = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [metric.step for metric in metrics(out)] == [1, 2, 3, 4]
    assert not (out / "model").exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = reinforce(settings(**changes), tiny_model, Bandit(tiny_model), TASKS, out, seed=2)
        whole = reinforce(
            settings(**changes), tiny_model, Bandit(tiny_model), TASKS, tmp_path / "whole", seed=2
        )
    finally:
        torch.set_num_threads(threads)
    assert weights(again) == weights(whole)
    assert [m.model_dump(exclude=TIMELESS) for m in metrics(out)] == [
        m.model_dump(exclude=TIMELESS) for m in metrics(tmp_path / "whole")
    ]
