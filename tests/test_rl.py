"""The loop on a bandit: real weights, a real engine, one turn; correct where a token is even."""

from __future__ import annotations

import asyncio
import math

import pytest

torch = pytest.importorskip("torch", reason="reinforcement learning needs torch")

from webfarer.algo import ALGORITHMS  # noqa: E402
from webfarer.policy.engine import Sampling  # noqa: E402
from webfarer.policy.local import LocalEngine  # noqa: E402
from webfarer.policy.model import load_model  # noqa: E402
from webfarer.rollout.react import Rolled  # noqa: E402
from webfarer.store import read_jsonl  # noqa: E402
from webfarer.train.attention import choose_way, logprobs  # noqa: E402
from webfarer.train.pack import collate  # noqa: E402
from webfarer.train.rl import reinforce  # noqa: E402
from webfarer.train.rl_batch import (  # noqa: E402
    Sampled,
    make_batch,
    micro_batches,
    mini_batches,
)
from webfarer.train.rl_files import RunFiles  # noqa: E402
from webfarer.train.rl_metrics import Score, StepMetric, step_metric  # noqa: E402
from webfarer.train.rl_tasks import Seen, TaskOrder  # noqa: E402
from webfarer.train.rl_update import Update  # noqa: E402
from webfarer.train.scorer import Scorer  # noqa: E402
from webfarer.types import (  # noqa: E402
    Answer,
    BadInput,
    Failure,
    Origin,
    Reward,
    RlSettings,
    Segment,
    Task,
    Trajectory,
    Turn,
    Verdict,
    WebfarerError,
    random_for,
    seed_for,
)

SETTINGS = RlSettings(
    steps=12, tasks=4, group=16, learning_rate=2e-2, warmup=0, eval_every=4, checkpoint_every=3,
    show_every=6, micro_tokens=64, margin=2,
)  # fmt: skip


def a_task(name: str, level: int = 1) -> Task:
    origin = Origin(recipe="hand", seed=0, graph="0")
    return Task(id=name, question="Even?", answers=(Answer(text="x"),), level=level, origin=origin)


TASKS = [a_task(f"t{number}") for number in range(12)]


def a_rolled(task, member, version, correct, segment, failed=False) -> Rolled:
    verdict = Verdict(status="correct" if correct else "wrong", reason="hand", grader="hand")
    reward = Reward(
        parts={"format": 1.0, "answer": float(correct)}, weights={"format": 0.1, "answer": 0.9}
    )
    return Rolled(
        Trajectory(
            task_id=task, member=member, policy="bandit", policy_version=version, trainable=True,
            system="", question="", turns=(Turn(text="x", policy_version=version),), answer="x",
            stop="failure" if failed else "answer",
            failure=Failure(kind="engine", message="it fell over") if failed else None,
            verdict=None if failed else verdict, reward=None if failed else reward,
        ),
        (segment,),
    )  # fmt: skip


class Killed(BaseException):
    """As a kill would: nothing catches it."""


class Bandit:
    """Two tokens after a prompt of the task's own; `fails` says which steps break on our side, and
    at the step `dies` it is killed between rollout and update."""

    longest = 8

    def __init__(self, folder, fails=lambda step: False, judge=None, dies=None) -> None:
        self.engine = LocalEngine(load_model(folder, device="cpu"), slots=64, context=8)
        self.version, self.fails, self.dies = -1, fails, dies
        self.judge = judge or (lambda job, ids: ids[-1] % 2 == 0)
        self.asked: list[tuple[int, str, int]] = []

    def take(self, model, version) -> None:
        self.engine.load_state(model.state_dict(), version)
        self.version = version

    def make(self, jobs, step):
        self.asked += [(step, job.task.id, job.member) for job in jobs]
        rolled = asyncio.run(self._all(jobs, step))
        if step == self.dies:
            raise Killed
        return rolled

    async def _all(self, jobs, step):
        await self.engine.forget()
        return await asyncio.gather(*(self._one(job, step) for job in jobs))

    async def _one(self, job, step):
        prompt = [5, 6, 7 + int(job.task.id[1:])]
        seed = seed_for("bandit", step, job.task.id, job.member)
        said = await self.engine.generate(prompt, Sampling(max_tokens=2, seed=seed))
        segment = Segment("tok")
        segment.given(prompt)
        segment.chosen(said.ids, said.logprobs, said.policy_version)
        correct = self.judge(job, said.ids)
        return a_rolled(job.task.id, job.member, self.version, correct, segment, self.fails(step))

    def score(self, done) -> float:
        assert done == self.version
        rolled = self.make([_Job(task) for task in TASKS], 10_000)
        return sum(one.trajectory.verdict.status == "correct" for one in rolled) / len(rolled)


class _Job:
    member = 0

    def __init__(self, task) -> None:
        self.task = task


def metrics(out):
    return list(read_jsonl(out / "metrics.jsonl", StepMetric))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_learns(name, tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"algorithm": name, "steps": 20})
    bandit = Bandit(tiny_model)
    reinforce(settings, tiny_model, bandit, TASKS, tmp_path, evaluate=bandit.score)
    found = metrics(tmp_path)
    assert [metric.step for metric in found] == list(range(1, 21))
    early, late = found[0].solved, sum(metric.solved for metric in found[-3:]) / 3
    assert early < 0.7
    assert late > 0.85
    assert all(metric.gap < 1e-4 for metric in found)  # the engine has the trainer's weights
    scores = list(read_jsonl(tmp_path / "scores.jsonl", Score))
    assert [score.step for score in scores] == [0, 4, 8, 12, 16, 20]
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert not list(tmp_path.glob("*.safetensors"))
    assert len(list((tmp_path / "shown").glob("*.jsonl"))) == 3


@pytest.mark.parametrize("name", ["ppo", "dapo", "dupo"])
@pytest.mark.parametrize("moment", [2, 7])
def test_a_killed_run_ends_with_the_same_weights(name, moment, tiny_model, tmp_path):
    settings = SETTINGS.model_copy(
        update={"algorithm": name, "steps": 9, "mini_batches": 2, "partly_solved": 0.25}
    )

    def train(out, bandit):
        return reinforce(settings, tiny_model, bandit, TASKS, out, seed=3, evaluate=bandit.score)

    whole = train(tmp_path / "whole", Bandit(tiny_model))
    with pytest.raises(Killed):
        train(tmp_path / "again", Bandit(tiny_model, dies=moment))
    again = train(tmp_path / "again", Bandit(tiny_model))
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    timeless = {"rollout_s", "update_s", "tool_s"}
    assert [m.model_dump(exclude=timeless) for m in metrics(tmp_path / "again")] == [
        m.model_dump(exclude=timeless) for m in metrics(tmp_path / "whole")
    ]
    asked = Bandit(tiny_model)
    train(tmp_path / "again", asked)  # finished: nothing is done again
    assert asked.asked == []


@pytest.mark.parametrize("step", [0, 4, 8])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_beside_the_best_weights(step, moment, tiny_model, tmp_path, monkeypatch):
    """Before they are written, and after them before their score is: the weights that come out are
    those of the best score, whatever the next checkpoint would have been."""
    settings = SETTINGS.model_copy(update={"steps": 9, "checkpoint_every": 3})
    scores = {0: 0.5, 4: 0.6, 8: 0.55}
    given = {"tasks": TASKS, "seed": 3, "evaluate": scores.get}
    whole = reinforce(settings, tiny_model, Bandit(tiny_model), out=tmp_path / "whole", **given)
    save, append = RunFiles.save_best, RunFiles.append

    def dying_save(files, updater, at):
        if at == step:
            raise Killed
        save(files, updater, at)

    def dying_append(files, name, lines):
        if name == "scores.jsonl" and lines[0].step == step:
            raise Killed
        append(files, name, lines)

    with monkeypatch.context() as patch:
        if moment == "before" and step != 8:  # 8 is not the best
            patch.setattr(RunFiles, "save_best", dying_save)
        else:
            patch.setattr(RunFiles, "append", dying_append)
        with pytest.raises(Killed):
            reinforce(settings, tiny_model, Bandit(tiny_model), out=tmp_path / "again", **given)
    again = reinforce(settings, tiny_model, Bandit(tiny_model), out=tmp_path / "again", **given)
    for name in ("model.safetensors", "training.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    said = [(one.step, one.score) for one in read_jsonl(tmp_path / "again/scores.jsonl", Score)]
    assert said == list(scores.items())


def test_a_model_that_was_removed_is_made_again_with_the_same_best_weights(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 4})
    given = {"tasks": TASKS, "out": tmp_path, "evaluate": lambda done: 1.0 - done / 10}
    made = reinforce(settings, tiny_model, Bandit(tiny_model), **given)
    first = (made / "model.safetensors").read_bytes()
    made.rename(tmp_path / "gone")
    made = reinforce(settings, tiny_model, Bandit(tiny_model), **given)
    assert (made / "model.safetensors").read_bytes() == first
    assert [one.step for one in read_jsonl(tmp_path / "scores.jsonl", Score)] == [0, 4]


def test_no_held_out_score_is_said_and_is_never_the_best(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 8})
    scores = {0: 0.2, 8: 0.3}  # none after 4
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path, evaluate=scores.get)
    assert [one.step for one in read_jsonl(tmp_path / "scores.jsonl", Score)] == [0, 8]
    assert "no held-out score" in metrics(tmp_path)[3].note


def test_fewer_tasks_than_a_step_asks_for_are_tried_once_each(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 2, "eval_every": 0, "tasks": 5})
    bandit = Bandit(tiny_model)
    reinforce(settings, tiny_model, bandit, TASKS[:3], tmp_path)
    assert len(bandit.asked) == len(set(bandit.asked)) == 2 * 3 * 16
    assert all("only 3 of 5 tasks are left" in metric.note for metric in metrics(tmp_path))


def test_micro_batches_change_nothing(tiny_model, tmp_path):
    """The first step's loss and gradient; its Adam step divides noise by noise where there is no
    gradient, so weights are no measure."""
    found = []
    for tokens in (5, 23, 4096):
        settings = SETTINGS.model_copy(update={"steps": 1, "micro_tokens": tokens, "eval_every": 0})
        reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path / str(tokens))
        found.append(metrics(tmp_path / str(tokens))[0])
    assert len({metric.trained for metric in found}) == 1
    for metric in found[1:]:
        assert metric.grad_norm == pytest.approx(found[0].grad_norm, rel=1e-4)
        assert metric.loss == pytest.approx(found[0].loss, abs=1e-6)


def test_where_every_group_is_solved_nothing_is_learnt_and_it_is_said(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 2, "eval_every": 0})
    bandit = Bandit(tiny_model, judge=lambda job, ids: True)
    out = reinforce(settings, tiny_model, bandit, TASKS, tmp_path)
    assert [m.note for m in metrics(tmp_path)] == ["no group to learn from"] * 2
    assert (out / "model.safetensors").exists()
    before, after = load_model(tiny_model).state_dict(), load_model(out).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_impossible_a_failure_in_a_baseline(tiny_model, tmp_path):
    """A step whose attempts all fail teaches nothing and is counted; three in a row stop the run,
    which goes on once our side is mended."""
    settings = SETTINGS.model_copy(update={"steps": 5, "eval_every": 0, "checkpoint_every": 1})
    broken = Bandit(tiny_model, fails=lambda step: step >= 1)
    with pytest.raises(WebfarerError, match="it fell over"):
        reinforce(settings, tiny_model, broken, TASKS, tmp_path)
    found = metrics(tmp_path)
    assert [(m.failures, m.kept) for m in found[1:]] == [(64, 0), (64, 0)]
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    assert len(metrics(tmp_path)) == 5


def test_a_loss_that_is_no_number_stops_and_keeps_what_there_is(tiny_model, tmp_path):
    class Poisoned(Bandit):
        def take(self, model, version):
            super().take(model, version)
            if version == 2:
                with torch.no_grad():
                    next(model.parameters()).fill_(math.nan)

    settings = SETTINGS.model_copy(update={"steps": 4, "eval_every": 0, "checkpoint_every": 1})
    with pytest.raises(WebfarerError, match="learning_rate"):
        reinforce(settings, tiny_model, Poisoned(tiny_model), TASKS, tmp_path)
    assert (tmp_path / "checkpoint.safetensors").exists()


def test_no_task_and_another_runs_folder_are_refused(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 1, "eval_every": 0})
    with pytest.raises(BadInput, match="no task"):
        reinforce(settings, tiny_model, Bandit(tiny_model), [], tmp_path)
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    with pytest.raises(BadInput, match="another run"):
        reinforce(settings, tiny_model, Bandit(tiny_model), TASKS[:4], tmp_path)


@pytest.mark.parametrize("change", [{"tasks": TASKS[:6]}, {"seed": 5}, {"given": "other tools"}])
def test_what_another_run_left_before_its_first_checkpoint_is_not_taken(
    change, tiny_model, tmp_path
):
    """Its held-out score and best weights would else count as this run's."""
    dying, given = Bandit(tiny_model, dies=0), {"tasks": TASKS, "seed": 3, "given": "tools"}
    with pytest.raises(Killed):
        reinforce(SETTINGS, tiny_model, dying, out=tmp_path, evaluate=dying.score, **given)
    assert (tmp_path / "best-00000.safetensors").exists()
    with pytest.raises(BadInput, match="another run"):
        reinforce(SETTINGS, tiny_model, Bandit(tiny_model), out=tmp_path, **(given | change))


# The batch


def sampled(name, verdicts, length=4):
    rolled = []
    for member, correct in enumerate(verdicts):
        segment = Segment("tok")
        segment.given([1, 2])
        segment.chosen([3] * (length - 2), [-0.5] * (length - 2), 0)
        rolled.append(a_rolled(name, member, 0, bool(correct), segment, failed=correct is None))
    return Sampled.of(name, 0, rolled)


def test_impossible_a_failure_is_no_member_of_the_batch():
    settings = RlSettings(group=4)
    made = make_batch(
        [sampled("t1", [True, False, None, True])], [1], ALGORITHMS["dupo"], settings, 100
    )
    assert made is not None
    assert made.rewards_B.tolist() == pytest.approx([1.0, 0.1, 1.0])
    assert sampled("t1", [True, None, None, None]).outcome.valid == 0  # fewer than half are left


@pytest.mark.parametrize("as_weights", [True, False])
def test_copies_or_weights(as_weights):
    groups = [sampled("t1", [True, False]), sampled("t2", [True, True])]
    settings = RlSettings(group=2, as_weights=as_weights)
    made = make_batch(groups, [2, 0], ALGORITHMS["dupo"], settings, 100)
    assert made is not None
    assert made.batch.weight_B.tolist() == ([2, 2] if as_weights else [1, 1, 1, 1])
    assert made.batch.group_B.tolist() == ([0, 0] if as_weights else [0, 0, 1, 1])


def test_the_soft_overlong_punishment_reaches_the_reward():
    settings = RlSettings(group=2, algorithm="dapo", margin=4)
    made = make_batch([sampled("t1", [True, False], 8)], [1], ALGORITHMS["dapo"], settings, 10)
    assert made is not None
    assert made.rewards_B.tolist() == pytest.approx([0.5, -0.4])  # 8 is 2 of 4 beyond 6


def test_groups_stay_whole_in_mini_batches():
    group_B = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
    lots = mini_batches(group_B, 3, random_for("x"))
    assert sorted(place for lot in lots for place in lot) == list(range(8))
    where = {int(group_B[place]): number for number, lot in enumerate(lots) for place in lot}
    assert all(where[int(group_B[p])] == n for n, lot in enumerate(lots) for p in lot)


def test_micro_batches_hold_what_they_may():
    lengths = [5, 9, 3, 2, 20]
    lots = micro_batches(lengths, range(5), 10)
    assert sorted(place for lot in lots for place in lot) == list(range(5))
    assert all(sum(lengths[p] for p in lot) <= 10 or len(lot) == 1 for lot in lots)


# Tasks


def test_tasks_come_in_an_order_of_each_epochs_own():
    order = TaskOrder(TASKS, RlSettings(), 1)
    first, cursor = order.take(0, 0, 8)
    second, cursor = order.take(1, cursor, 8)
    names = [task.id for task in first + second]
    assert sorted(names[:12]) == sorted(task.id for task in TASKS)
    assert cursor >= 16  # a task of the next epoch that this step has already waits for its turn
    assert [t.id for t in TaskOrder(TASKS, RlSettings(), 1).take(1, 8, 8)[0]] == names[8:]
    assert [t.id for t in TaskOrder(TASKS, RlSettings(), 2).take(0, 0, 8)[0]] != names[:8]


def test_partly_solved_tasks_come_again_and_levels_in_turn():
    order = TaskOrder(TASKS, RlSettings(partly_solved=0.5), 1)
    order.learn([Seen(step=1, task="t3", correct=2, valid=4, count=1),
                 Seen(step=1, task="t4", correct=4, valid=4, count=1)])  # fmt: skip
    assert "t3" in [task.id for task in order.take(5, 100, 4)[0]]
    levels = [a_task("t1", 1), a_task("t2", 2), a_task("t3", 3)]
    curriculum = TaskOrder(levels, RlSettings(levels_by_step=((0, 1), (5, 3))), 1)
    assert {task.level for task in curriculum.take(0, 0, 3)[0]} == {1}
    assert {task.level for task in curriculum.take(5, 0, 3)[0]} == {1, 2, 3}
    late = TaskOrder(levels, RlSettings(levels_by_step=((5, 2),)), 1)
    assert {task.level for task in late.take(0, 0, 3)[0]} == {1}  # it has not begun
    hard = TaskOrder([*levels, a_task("t4", 7)], RlSettings(), 1)
    assert {task.level for task in hard.take(0, 0, 4)[0]} == {1, 2, 3, 7}


# Log-probabilities in chunks


def test_chunked_log_probabilities_and_their_gradients_are_those_of_the_whole(tiny_model):
    model = load_model(tiny_model, device="cpu")
    way = choose_way(model)
    scorer = Scorer(model, way)
    scorer._rows = 3  # chunks of three tokens
    row = collate([Segment("", list(range(20, 31)), [0] + [1] * 10, [0.0] * 11)])
    whole = logprobs(model, row, way)
    whole.sum().backward()
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    parts = scorer.logprobs(row)
    parts.sum().backward()
    assert torch.allclose(parts, whole, atol=1e-6)
    mine = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine, grads, strict=True))


def test_the_pre_filter_leaves_out_what_is_solved(tiny_model, tmp_path):
    """Tasks 0 to 3 are always solved and 4 to 7 never: by setting both go."""

    def judge(job, ids):
        number = int(job.task.id[1:])
        return number < 4 or (number >= 8 and ids[-1] % 2 == 0)

    for drop, left in ((False, range(4, 12)), (True, range(8, 12))):
        settings = SETTINGS.model_copy(
            update={"steps": 3, "eval_every": 0, "prefilter": 3, "drop_unsolved": drop}
        )
        out = tmp_path / str(drop)
        first = Bandit(tiny_model, judge=judge)
        reinforce(settings, tiny_model, first, TASKS, out)
        names = {name for step, name, _ in first.asked if step >= 0}
        assert names <= {f"t{number}" for number in left}
        assert sum(step == -1 for step, _, _ in first.asked) == 3 * len(TASKS)
        again = Bandit(tiny_model, judge=judge)
        (out / "model" / "training.json").parent.rename(out / "gone")
        reinforce(settings, tiny_model, again, TASKS, out)
        assert all(step >= 0 for step, _, _ in again.asked)  # it was kept


def test_the_pre_filter_tries_again_what_failed_on_our_side(tiny_model, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 1, "eval_every": 0, "prefilter": 3})
    broken = Bandit(tiny_model, fails=lambda step: step == -1)
    with pytest.raises(WebfarerError, match="failed on our side"):
        reinforce(settings, tiny_model, broken, TASKS, tmp_path)
    mended = Bandit(tiny_model)
    reinforce(settings, tiny_model, mended, TASKS, tmp_path)
    assert len({name for step, name, _ in mended.asked if step == -1}) == len(TASKS)


def test_once_steps_are_kept_the_pre_filter_is_not_tried_again(tiny_model, tmp_path):
    """Else a task that it leaves out then would change the order that the steps were taken in."""
    plan = {"steps": 4, "eval_every": 0, "prefilter": 3, "checkpoint_every": 2}
    settings = SETTINGS.model_copy(update=plan)

    class Failing(Bandit):
        def make(self, jobs, step):
            self.fails = lambda _: step == -1 and any(job.task.id == "t3" for job in jobs)
            return super().make(jobs, step)

    whole = reinforce(settings, tiny_model, Failing(tiny_model), TASKS, tmp_path / "whole")
    with pytest.raises(Killed):
        reinforce(settings, tiny_model, Failing(tiny_model, dies=3), TASKS, tmp_path / "killed")
    solved = Bandit(tiny_model)  # it would solve them all, were it asked
    made = reinforce(settings, tiny_model, solved, TASKS, tmp_path / "killed")
    assert all(step >= 2 for step, _, _ in solved.asked)
    one, other = ((tmp_path / at / "groups.jsonl").read_text() for at in ("whole", "killed"))
    assert one == other
    assert (made / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_tells_no_run_from_another_may_change_where_it_goes_on(tiny_model, tmp_path):
    """What one is told to do where memory runs out, above all."""
    settings = SETTINGS.model_copy(update={"steps": 4, "eval_every": 0, "checkpoint_every": 2})
    whole = reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "whole")
    with pytest.raises(Killed):
        reinforce(settings, tiny_model, Bandit(tiny_model, dies=2), TASKS, tmp_path / "killed")
    other = settings.model_copy(
        update={"micro_tokens": 16, "checkpointing": True, "gap_alarm": 9.0, "entropy_alarm": 0.0,
                "show_every": 1, "checkpoint_every": 1}
    )  # fmt: skip
    made = reinforce(other, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "killed")
    want, got = load_model(whole).state_dict(), load_model(made).state_dict()
    assert all(torch.allclose(got[name], want[name], atol=1e-4) for name in want)
    with pytest.raises(BadInput, match="another run"):
        reinforce(settings.model_copy(update={"clip": 0.5}), tiny_model, Bandit(tiny_model), TASKS,
                  tmp_path / "killed")  # fmt: skip


def test_logits_that_are_held_whole_are_said_once(tiny_model, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"steps": 2, "eval_every": 0})
    monkeypatch.setattr(Scorer, "_agrees", lambda self: False)
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    first, second = metrics(tmp_path)
    assert "those of a whole row are held" in first.note
    assert "whole row" not in second.note


def test_solved_is_what_was_judged_correct_whatever_the_reward():
    """A reward model's scores are no shares of correct attempts."""
    segment = Segment("tok", [5, 6], [0, 1], [0.0, -0.5])
    rolled = [a_rolled("t0", member, 0, member < 1, segment) for member in range(4)]
    weights = {"format": 0.0, "answer": 1.0}
    scored = [
        Rolled(
            one.trajectory.model_copy(
                update={"reward": Reward(parts={"format": 1.0, "answer": score}, weights=weights)}
            ),
            one.segments,
        )
        for one, score in zip(rolled, [0.9, 0.4, 0.4, 0.4], strict=True)
    ]
    found = step_metric(
        1, "grpo", [Sampled.of("t0", 0, scored)], [1], Update(), seconds=(0.0, 0.0), cursor=1
    )
    assert found.solved == 0.25
    assert found.reward == pytest.approx(0.525)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_come_out_are_those_of_the_best_score_or_the_last(
    keep, tiny_model, tmp_path
):
    settings = SETTINGS.model_copy(update={"steps": 4, "eval_every": 2, "keep": keep})
    made = reinforce(
        settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path, evaluate=lambda done: -done
    )
    first, out = (load_model(folder, device="cpu").state_dict() for folder in (tiny_model, made))
    same = all(torch.equal(first[name], out[name]) for name in first)
    assert same == (keep == "best")


def test_killed_between_the_model_and_the_removal_of_its_checkpoints(
    tiny_model, tmp_path, monkeypatch
):
    settings = SETTINGS.model_copy(update={"steps": 2, "eval_every": 1})
    given = {"tasks": TASKS, "out": tmp_path, "evaluate": float}

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFiles, "_tidy", killed)
        with pytest.raises(Killed):
            reinforce(settings, tiny_model, Bandit(tiny_model), **given)
    assert (tmp_path / "model").exists()
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    reinforce(settings, tiny_model, Bandit(tiny_model), **given)
    assert not list(tmp_path.glob("*.safetensors"))
