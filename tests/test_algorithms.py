"""The algorithms against numbers worked by hand, finite differences and one another."""

import math
import random
from dataclasses import replace

import pytest
import torch

from test_rl import SETTINGS, TASKS, Bandit, metrics
from webfarer.algo import (
    ALGORITHMS,
    Advantages,
    Algorithm,
    Clip,
    Outcome,
    duplicate,
    duplicate_by_spread,
    entropy,
    first,
    gae,
    generalised,
    group_mean,
    keep_all,
    keep_spread,
    kl,
    overlong_filtered,
    row_of,
    sequence_mean,
    soft_overlong,
    surrogate,
    token_mean,
    truncated_importance,
    value_loss,
    weighted_sum,
    within_batch,
    within_group,
)
from webfarer.train.rl import reinforce
from webfarer.train.rl_tasks import TaskOrder
from webfarer.types import BadInput, RlSettings, RowSettings

CLIP = Clip(0.2, 0.28)
MIXED = {
    task.id for task in TaskOrder(TASKS, SETTINGS, 0).take(0, 0, 2)[0]
}  # of the first step's 4


def logs(*ratios):
    return torch.tensor([[math.log(ratio) for ratio in ratios]], dtype=torch.float64)


def old(n):
    return torch.zeros(1, n, dtype=torch.float64)


def test_surrogate_by_hand():
    # Bounds 0.8 and 1.28. With A = 2: ratio 1.5 counts as 1.28, 0.5 as 0.5 (the lesser), 1.1 as it
    # is. With A = -2: ratio 0.5 counts as 0.8, 1.5 as 1.5.
    ratios = logs(1.5, 0.5, 1.1, 0.5, 1.5)
    advantages = torch.tensor([[2.0, 2.0, 2.0, -2.0, -2.0]], dtype=torch.float64)
    found = surrogate(ratios, old(5), advantages, torch.ones(1, 5), CLIP)
    assert found.loss_BT[0].tolist() == pytest.approx([-2.56, -1.0, -2.2, 1.6, 3.0])
    assert found.held_high_BT[0].tolist() == [True, False, False, False, False]
    assert found.held_low_BT[0].tolist() == [False, False, False, True, False]


def test_importance_is_a_weight_of_its_own():
    # exp(old - engine) is 1.5 and, cut at 2, 2; the ratio new / old is 1.1: -1.1 x 1.5, -1.1 x 2.
    before, engine = logs(1.5, 8.0), logs(1.0, 1.0)
    weight = truncated_importance(before, engine, torch.ones(1, 2), cap=2.0)
    assert weight[0].tolist() == pytest.approx([1.5, 2.0])
    new = before + math.log(1.1)
    found = surrogate(new, before, torch.ones(1, 2), torch.ones(1, 2), CLIP, weight)
    assert found.loss_BT[0].tolist() == pytest.approx([-1.65, -2.2])


def test_a_clipped_token_has_no_gradient_and_an_observation_exactly_none():
    new = logs(1.5, 1.1, 1.1).requires_grad_()
    mask = torch.tensor([[1, 1, 0]])
    before = torch.tensor([[0.0, 0.0, -math.inf]], dtype=torch.float64)  # of no use where masked
    found = surrogate(new, before, torch.ones(1, 3), mask, CLIP)
    found.loss_BT.sum().backward()
    assert new.grad[0, [0, 2]].tolist() == [0.0, 0.0]
    assert new.grad[0, 1] == pytest.approx(-1.1)
    assert found.loss_BT[0, 2] == 0


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_of_finite_differences(seed):
    generator = torch.Generator().manual_seed(seed)
    new = torch.randn(3, 4, generator=generator, dtype=torch.float64) * 0.2
    before = torch.randn(3, 4, generator=generator, dtype=torch.float64) * 0.2
    advantages = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    mask = (torch.rand(3, 4, generator=generator) < 0.7).int()
    mask[:, 0] = 1
    reference = torch.randn(3, 4, generator=generator, dtype=torch.float64)

    def loss(x):
        terms = surrogate(x, before, advantages, mask, CLIP).loss_BT + 0.1 * kl(x, reference, mask)
        total, count = weighted_sum(terms, mask, torch.tensor([1.0, 2.0, 0.5]))
        return total / count

    assert torch.autograd.gradcheck(loss, (new.requires_grad_(),))


def test_neither_the_old_policy_nor_the_weight_of_the_engine_has_a_gradient():
    before, engine = logs(1.5, 1.2), logs(1.0, 1.0)
    for each in (before, engine):
        each.requires_grad_()
    new = logs(1.4, 1.3).requires_grad_()
    weight = truncated_importance(before, engine, torch.ones(1, 2), cap=2.0)
    found = surrogate(new, before, torch.ones(1, 2), torch.ones(1, 2), CLIP, weight)
    found.loss_BT.sum().backward()
    assert before.grad is engine.grad is None
    assert (new.grad != 0).all()


def test_bounds_and_shapes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="ratio"):
        surrogate(old(2), old(2), old(2), old(2), Clip(1.5, 0.2))
    with pytest.raises(ValueError, match="shapes"):
        surrogate(old(2), old(3), old(2), old(2), CLIP)
    with pytest.raises(ValueError, match="cap"):
        truncated_importance(old(2), old(2), old(2), 0.5)


# Aggregation: two groups; a sequence of 1 token with loss 6, one of 3 tokens with loss 2, and alone
# in the second group one of 2 tokens with loss 1.

LOSS = torch.tensor([[6.0, 9.0, 9.0], [2.0, 2.0, 2.0], [1.0, 1.0, 9.0]])
MASK = torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 0]])
GROUP = torch.tensor([0, 0, 1])
ONES = torch.ones(3)


def mean(aggregate, loss=LOSS, mask=MASK, weight=ONES, group=GROUP):
    total, count = weighted_sum(loss, mask, aggregate(mask.sum(1), weight, group))
    return (total / count).item()


@pytest.mark.parametrize(
    ("aggregate", "by_hand"),
    [
        (sequence_mean, (6 + 2 + 1) / 3),
        (group_mean, ((6 + 3 * 2) / 4 + 1) / 2),
        (token_mean, (6 + 3 * 2 + 2 * 1) / 6),
    ],
)
def test_aggregation_by_hand(aggregate, by_hand):
    assert mean(aggregate) == pytest.approx(by_hand)


@pytest.mark.parametrize("aggregate", [sequence_mean, group_mean, token_mean])
def test_micro_batches_order_and_padding_change_nothing(aggregate):
    w = aggregate(MASK.sum(1), ONES, GROUP)
    halves = [weighted_sum(LOSS[r], MASK[r], w[r]) for r in ([0, 2], [1])]  # splits a group
    apart = sum(h[0] for h in halves) / sum(h[1] for h in halves)
    assert apart.item() == pytest.approx(mean(aggregate))
    order = [2, 0, 1]
    assert mean(aggregate, LOSS[order], MASK[order], ONES, GROUP[order]) == pytest.approx(
        mean(aggregate)
    )
    wide = torch.nn.functional.pad(LOSS, (0, 2), value=math.inf)
    assert mean(aggregate, wide, torch.nn.functional.pad(MASK, (0, 2))) == pytest.approx(
        mean(aggregate)
    )


@pytest.mark.parametrize("aggregate", [sequence_mean, group_mean, token_mean])
def test_copies_of_a_group_are_its_weight(aggregate):
    """A user of WebSailor pointed out that copying is reweighting; so it is where the copies share
    a mini-batch and the weight is in the sum and in what it is divided by."""
    copied = [0, 1, 0, 1, 2]
    with_copies = mean(
        aggregate, LOSS[copied], MASK[copied], torch.ones(5), torch.tensor([0, 0, 2, 2, 1])
    )
    weight = torch.tensor([2.0, 2.0, 1.0])
    assert mean(aggregate, weight=weight) == pytest.approx(with_copies)
    # Where the weight is in the sum alone, it is another loss:
    w = aggregate(MASK.sum(1), weight, GROUP)
    _, count = weighted_sum(LOSS, MASK, aggregate(MASK.sum(1), ONES, GROUP))
    assert (weighted_sum(LOSS, MASK, w)[0] / count).item() != pytest.approx(with_copies)


# Advantages


def test_within_group_by_hand():
    # Rewards 1, 0, 0, 1: mean 0.5, sample deviation sqrt(1/3). The third group is of one.
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.3, 0.3, 0.7], dtype=torch.float64)
    groups = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    mask = torch.ones(7, 2)
    mask[:, 1] = 0
    found, returns = within_group(rewards, groups, mask)
    unit = 0.5 / (math.sqrt(1 / 3) + 1e-6)
    assert found[:, 0].tolist() == pytest.approx([unit, -unit, -unit, unit, 0, 0, 0])
    assert found[:, 1].tolist() == [0] * 7
    assert returns is None


def test_within_batch_by_hand():
    rewards = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    found, _ = within_batch(rewards, torch.tensor([0, 0, 1]), torch.ones(3, 1))
    # Mean 2/3, sample deviation sqrt(1/3): a group without variance pushes all the same.
    high = (1 / 3) / (math.sqrt(1 / 3) + 1e-6)
    assert found[:, 0].tolist() == pytest.approx([high, high, -2 * high])


@pytest.mark.parametrize("advantage", [within_group, within_batch])
def test_a_reward_that_is_no_number_is_refused(advantage):
    with pytest.raises(ValueError, match="reward"):
        advantage(torch.tensor([1.0, math.nan]), torch.zeros(2), torch.ones(2, 1), None)


def test_gae_by_hand_goes_over_the_tokens_of_the_policy_alone():
    # Policy tokens at 0, 1 and 3 with values 0.5, 0.2, 0.1; an observation at 2, whose value is
    # nonsense. gamma 0.9, lambda 0.5, reward 1 at the end.
    # t = 3: 1 - 0.1 = 0.9.  t = 1: 0.9 x 0.1 - 0.2 + 0.45 x 0.9 = 0.295.
    # t = 0: 0.9 x 0.2 - 0.5 + 0.45 x 0.295 = -0.18725.
    values = torch.tensor([[0.5, 0.2, 99.0, 0.1, 7.0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1, 0]])
    found = gae(torch.ones(1, dtype=torch.float64), values, mask, 0.9, 0.5)
    assert found[0].tolist() == pytest.approx([-0.18725, 0.295, 0, 0.9, 0])


def test_gae_without_discount_is_reward_minus_value():
    values = torch.tensor([[0.5, 0.2], [0.0, 0.4]])
    found = gae(torch.tensor([1.0, 0.0]), values, torch.ones(2, 2), 1.0, 1.0)
    assert found.tolist() == [pytest.approx([0.5, 0.8]), pytest.approx([0.0, -0.4])]


def test_generalised_advantages_are_normalised_and_returns_are_not():
    values = torch.tensor([[0.5, 0.2, 9.0], [0.0, 0.4, 9.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    found, returns = generalised()(torch.tensor([1.0, 0.0]), torch.tensor([0, 1]), mask, values)
    assert returns.tolist() == [[1, 1, 0], [0, 0, 0]]
    kept = found[mask != 0]
    assert kept.mean().item() == pytest.approx(0, abs=1e-6)
    assert kept.std().item() == pytest.approx(1, abs=1e-4)
    assert found[:, 2].tolist() == [0, 0]
    with pytest.raises(ValueError, match="value head"):
        generalised()(torch.ones(1), torch.zeros(1), torch.ones(1, 1), None)


@pytest.mark.parametrize("advantage", [within_group, within_batch, generalised(0.9, 0.8)])
def test_padding_and_order_change_no_advantage(advantage):
    draw = torch.Generator().manual_seed(2)
    rewards = torch.rand(6, generator=draw, dtype=torch.float64)
    values = torch.rand(6, 5, generator=draw, dtype=torch.float64)
    groups = torch.tensor([0, 0, 1, 1, 1, 2])
    mask = (torch.rand(6, 5, generator=draw) < 0.6).int()
    mask[:, 2] = 1
    want = advantage(rewards, groups, mask, values)

    def alike(found, at):
        assert torch.allclose(found.advantages_BT, want.advantages_BT[at])
        if want.returns_BT is not None:
            assert torch.allclose(found.returns_BT, want.returns_BT[at])

    order = torch.tensor([4, 0, 5, 2, 1, 3])
    alike(advantage(rewards[order], groups[order], mask[order], values[order]), order)
    between = [0, 1, 5, 2, 3, 6, 4]  # columns of nothing, full of what must not be read
    wide = torch.cat([values, torch.full((6, 2), 1e6, dtype=torch.float64)], 1)[:, between]
    seen = torch.cat([mask, torch.zeros(6, 2, dtype=torch.int)], 1)[:, between]
    padded = advantage(rewards, groups, seen, wide)
    assert (padded.advantages_BT[:, [2, 5]] == 0).all()
    own = [0, 1, 3, 4, 6]
    narrow = Advantages(
        padded.advantages_BT[:, own],
        None if padded.returns_BT is None else padded.returns_BT[:, own],
    )
    alike(narrow, torch.arange(6))


# Selection

OUTCOMES = [Outcome(4, 4), Outcome(1, 4), Outcome(0, 4), Outcome(2, 4), Outcome(0, 0)]


def test_selection_by_hand():
    rng = random.Random(0)
    assert keep_all(OUTCOMES, rng) == (1, 1, 1, 1, 0)
    assert keep_spread(OUTCOMES, rng) == (0, 1, 0, 1, 0)
    assert first(1, OUTCOMES) == (1,)
    assert first(5, OUTCOMES) == (1, 3)
    assert [outcome.spread for outcome in OUTCOMES] == [0, 0.1875, 0, 0.25, 0]


@pytest.mark.parametrize("select", [duplicate, duplicate_by_spread])
def test_duplicates_fill_the_batch_with_what_has_a_spread(select):
    counts = [select(OUTCOMES, random.Random(seed)) for seed in range(2000)]
    assert all(sum(each) == 5 and each[0] == each[2] == each[4] == 0 for each in counts)
    assert all(each[1] >= 1 and each[3] >= 1 for each in counts)
    share = sum(each[3] - 1 for each in counts) / (3 * 2000)
    # Of the copies, the even group gets 1/2 at random and 0.25 / 0.4375 = 4/7 by spread.
    assert share == pytest.approx(0.5 if select is duplicate else 4 / 7, abs=0.02)


@pytest.mark.parametrize("select", [duplicate, duplicate_by_spread, keep_spread])
def test_where_no_group_has_a_spread_none_is_selected(select):
    assert select([Outcome(4, 4), Outcome(0, 4)], random.Random(0)) == (0, 0)


# Shaping, penalties, the table


def test_soft_overlong_by_hand():
    # DAPO, equation 13, with a limit of 20 and a margin of 4: nothing to 16, -1/4 a token after.
    assert [soft_overlong(n, 20, 4) for n in (1, 16, 17, 18, 20, 30)] == [0, 0, -0.25, -0.5, -1, -1]
    with pytest.raises(ValueError, match="margin"):
        soft_overlong(1, 20, 0)
    assert overlong_filtered("token_limit")
    assert not overlong_filtered("turn_limit")


def test_kl_by_hand_is_never_negative():
    # d = log 2 and log 1/2: 2 - log 2 - 1 and 0.5 + log 2 - 1.
    found = kl(old(3), logs(2.0, 0.5, 7.0), torch.tensor([[1, 1, 0]]))
    assert found[0].tolist() == pytest.approx([1 - math.log(2), math.log(2) - 0.5, 0])


def test_entropy_by_hand():
    # A half and two quarters: 1.5 bits; one token certain: 0; four alike: log 4.
    found = entropy(torch.tensor([[0.5, 0.25, 0.25, 0], [1, 0, 0, 0], [0.25] * 4]).log())
    assert found.tolist() == pytest.approx([1.5 * math.log(2), 0, math.log(4)])


def test_the_gradient_of_entropy_is_that_of_finite_differences():
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: entropy(x.log_softmax(-1)), (logits.requires_grad_(),)
    )


def test_entropy_as_a_penalty_sharpens_and_as_a_bonus_flattens(tiny_model, tmp_path):
    """All rewards are alike, so that nothing else is learnt: without it an update moves nothing."""

    def trained(name, source, weight):
        changes = {"algorithm": "grpo", "steps": 6, "eval_every": 0, "entropy": weight}
        bandit = Bandit(source, judge=lambda *_: True)
        made = reinforce(
            SETTINGS.model_copy(update=changes), source, bandit, TASKS, tmp_path / name
        )
        return made, [metric.entropy for metric in metrics(tmp_path / name)]

    sharp, fell = trained("penalty", tiny_model, -0.5)
    assert fell[-1] < fell[0] - 0.3
    assert trained("bonus", sharp, 0.5)[1][-1] > fell[-1] + 0.3
    same, _ = trained("neither", sharp, 0.0)
    assert (same / "model.safetensors").read_bytes() == (sharp / "model.safetensors").read_bytes()


def test_value_loss_by_hand():
    # Returns 1. Value 0.9 from 0.2 is held at 0.4, and (0.4 - 1)^2 / 2 is the worse; 0.3 is not.
    values, before = torch.tensor([[0.9, 0.3, 5.0]]), torch.tensor([[0.2, 0.2, 0.2]])
    found = value_loss(values, before, torch.ones(1, 3), torch.tensor([[1, 1, 0]]), 0.2)
    assert found[0].tolist() == pytest.approx([0.18, 0.245, 0])


def test_the_gradient_of_the_value_loss_is_that_of_finite_differences():
    draws = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1]])
    assert torch.autograd.gradcheck(
        lambda x: value_loss(x, draws[1], mask, draws[2], 0.2), (draws[0].requires_grad_(),)
    )


def test_the_table():
    assert set(ALGORITHMS) == {"ppo", "grpo", "dapo", "dupo"}
    dapo, dupo = ALGORITHMS["dapo"], ALGORITHMS["dupo"]
    assert dapo.clip == dupo.clip == Clip(0.2, 0.28)
    assert [name for name, row in ALGORITHMS.items() if row.critic] == ["ppo"]
    assert [name for name, row in ALGORITHMS.items() if row.refill] == ["dapo"]


# Settings that change a row, and a fifth one


def changed(algorithm, **changes):
    return row_of(RlSettings(algorithm=algorithm, row=RowSettings(**changes)))


def test_without_changes_a_row_is_the_tables():
    for name in ("grpo", "dapo", "dupo"):
        assert changed(name) == ALGORITHMS[name]


def test_each_of_dapos_four_changes_can_be_off():
    dapo = ALGORITHMS["dapo"]
    assert changed("dapo", clip_high=0.2) == replace(dapo, clip=Clip(0.2, 0.2))
    assert changed("dapo", select="all", refill=False) == replace(
        dapo, select=keep_all, refill=False
    )
    assert changed("dapo", aggregate="sequence") == replace(dapo, aggregate=sequence_mean)
    assert changed("dapo", overlong="none") == replace(dapo, overlong="none")
    assert changed("dapo", overlong="filter").overlong == "filter"


def test_webdancers_advantage_and_copies_by_variance_are_settings():
    assert changed("dapo", advantage="batch").advantage is within_batch
    assert changed("dupo", select="copies_by_spread").select is duplicate_by_spread
    assert changed("dupo", select="spread").select is keep_spread  # a filter without refill


def test_weights_in_place_of_copies_are_refused_where_they_would_not_be_the_same():
    """The mean of a batch counts each copy: of rewards 1, 0 and 0, the first group twice, it is 2/5
    with copies and 1/3 with weights."""
    row = RowSettings(advantage="batch", select="copies")
    with pytest.raises(BadInput, match="as_weights=false"):
        row_of(RlSettings(algorithm="dupo", row=row))
    assert row_of(RlSettings(algorithm="dupo", row=row, as_weights=False)).advantage is within_batch
    with pytest.raises(BadInput, match="as_weights=false"):
        changed("ppo", select="copies")


def test_ppos_discounts_are_settings():
    values = torch.tensor([[0.5, 0.2, 99.0, 0.1, 7.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]])
    rewards, groups = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
    row = changed("ppo", gamma=0.9, lam=0.5)
    _, returns = row.advantage(rewards, groups, mask, values)
    # The advantages of the hand calculation above, plus the values.
    assert returns[0].tolist() == pytest.approx([0.31275, 0.495, 0, 1.0, 0])


@pytest.mark.parametrize(
    ("algorithm", "changes", "says"),
    [
        ("reinforce", {}, "choose one of ppo, grpo, dapo, dupo"),
        ("ppo", {"advantage": "group"}, "rl.row.advantage"),
        ("dapo", {"lam": 0.9}, "dapo has none"),
        ("dapo", {"select": "all"}, "rl.row.refill"),
        ("grpo", {"refill": True}, "rl.row.refill"),
    ],
)
def test_changes_that_do_not_suit_are_refused(algorithm, changes, says):
    with pytest.raises(BadInput, match=says):
        changed(algorithm, **changes)


def test_a_fifth_algorithm_takes_one_function_and_one_row(monkeypatch, tiny_model, tmp_path):
    """As CONTRIBUTING shows: RLOO's baseline, the mean of the other members (Ahmadian et al. 2024),
    by hand 1 - 0 and 0 - 1/2 ... for rewards 1, 0, 0; then through the whole loop."""

    def leave_one_out(rewards_B, group_B, mask_BT, values_BT=None):
        advantages_B = torch.zeros_like(rewards_B)
        for group in group_B.unique():
            mine = group_B == group
            others = max(1, int(mine.sum()) - 1)
            mean_B = (rewards_B[mine].sum() - rewards_B[mine]) / others
            advantages_B[mine] = rewards_B[mine] - mean_B
        return Advantages(advantages_B[:, None] * mask_BT)

    found = leave_one_out(torch.tensor([1.0, 0, 0]), torch.zeros(3), torch.ones(3, 1))
    assert found.advantages_BT[:, 0].tolist() == [1.0, -0.5, -0.5]
    row = Algorithm("rloo", leave_one_out, Clip(0.2, 0.2), token_mean, keep_all)
    monkeypatch.setitem(ALGORITHMS, "rloo", row)
    settings = SETTINGS.model_copy(update={"algorithm": "rloo", "steps": 20, "eval_every": 0})
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    lines = metrics(tmp_path)
    assert lines[0].algorithm == "rloo"
    assert lines[0].solved < 0.7
    assert sum(line.solved for line in lines[-3:]) / 3 > 0.85


@pytest.mark.parametrize("mini_batches", [1, 2])
def test_copies_are_weights_through_the_whole_update_where_they_share_a_mini_batch(
    mini_batches, tiny_model, tmp_path
):
    """One mini-batch: the loss and the gradient are the same. Two: copies may fall into both."""
    found = {}
    for as_weights in (True, False):
        settings = SETTINGS.model_copy(
            update={"steps": 1, "as_weights": as_weights, "mini_batches": mini_batches,
                    "group": 4, "eval_every": 0}
        )  # fmt: skip
        bandit = Bandit(tiny_model, judge=lambda job, ids: job.task.id in MIXED and job.member < 2)
        reinforce(settings, tiny_model, bandit, TASKS, tmp_path / str(as_weights))
        (found[as_weights],) = metrics(tmp_path / str(as_weights))
    assert found[True].copies == found[False].copies == 2
    assert found[False].trained == 2 * found[True].trained
    same = found[True].grad_norm == pytest.approx(found[False].grad_norm, rel=1e-4)
    assert same == (mini_batches == 1)
