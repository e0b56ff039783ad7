"""The algorithms against TRL's own code on the same tensors, values and gradients.

Nothing of TRL is copied: the methods of its `GRPOTrainer` are called on a stand-in that holds only
what they read, and say themselves what the loss, the advantages and the importance weights are.
Where the two define a thing differently the test says how, and by how much the numbers differ.

TRL 1.16 has no PPO: advantages and loss of a value head are held by hand in `test_algorithms.py`,
and PPO's clipped policy loss, the same for all, is held here. Of WebSailor's mean over groups it
has nothing either.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from types import SimpleNamespace as Stub

import pytest
import torch

from webfarer.algo import (
    Clip,
    entropy,
    group_mean,
    kl,
    overlong_filtered,
    sequence_mean,
    soft_overlong,
    surrogate,
    token_mean,
    truncated_importance,
    weighted_sum,
    within_batch,
    within_group,
)

pytest.importorskip("trl", reason="TRL is not installed: pip install -e '.[dev]'")
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.grpo_trainer import GRPOTrainer

GROUPS, SIZE, T = 3, 4, 7
B = GROUPS * SIZE
GROUP_B = torch.arange(GROUPS).repeat_interleave(SIZE)
OUR_EPS, TRL_EPS = 1e-6, 1e-4  # what is added to a standard deviation before dividing by it


def numbers(seed, *shape, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * spread


def one_process():
    """An accelerator of one process: nothing to gather, nothing to add up."""
    return Stub(
        device=torch.device("cpu"),
        num_processes=1,
        process_index=0,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
        sync_gradients=True,
    )


class Case:
    """A step's tensors. The mask has holes, as observations make them, and ends of its own."""

    def __init__(self, seed=0):
        self.new = numbers(seed, B, T, spread=0.3) - 2.0
        self.old = self.new + numbers(seed + 1, B, T, spread=0.3)
        self.reference = self.new + numbers(seed + 2, B, T, spread=0.3)
        self.engine = self.old + numbers(seed + 3, B, T, spread=0.5)
        self.advantages = numbers(seed + 4, B)
        lengths = torch.arange(B) % T + 1
        self.completion = (torch.arange(T)[None] < lengths[:, None]).long()
        self.tool = torch.ones_like(self.completion)
        self.tool[:, 1:4:2] = 0
        self.mask = self.completion * self.tool
        self.advantages_BT = self.advantages[:, None] * self.mask

    def rows(self, rows):
        part = Case()
        for name, value in vars(self).items():
            setattr(part, name, value[rows])
        return part


def trl_loss(case, loss_type, clip, *, beta=0.0, importance=None, counted=None, parts=1):
    """TRL's loss, its gradient at the new log-probabilities, and its metrics.

    `counted` are the tokens of the whole batch, where the case is one of `parts` micro-batches.
    """
    new = case.new.clone().requires_grad_()
    metrics = defaultdict(list)
    stub = Stub(
        _get_per_token_logps_and_entropies=lambda *a, **k: (new, torch.zeros_like(new), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=beta,
        args=Stub(use_bias_correction_kl=False, delta=None, steps_per_generation=parts),
        loss_type=loss_type,
        epsilon_low=clip.low,
        epsilon_high=clip.high,
        use_vllm=importance is not None,
        vllm_importance_sampling_correction=True,
        model=Stub(training=True),
        current_gradient_accumulation_steps=parts,
        max_completion_length=T,
        accelerator=one_process(),
        _entropy_bonus_enabled=False,
        _metrics={"train": metrics},
    )
    prompt = torch.ones(len(new), 1, dtype=torch.long)
    inputs = {
        "prompt_ids": prompt,
        "prompt_mask": prompt,
        "completion_ids": torch.ones_like(case.completion),
        "completion_mask": case.completion,
        "tool_mask": case.tool,
        "advantages": case.advantages,
        "old_per_token_logps": case.old,
        "ref_per_token_logps": case.reference,
        "importance_sampling_ratio": importance,
        "num_items_in_batch": case.mask.sum() if counted is None else counted,
    }
    loss = GRPOTrainer._compute_loss(stub, None, inputs)
    loss.backward()
    return loss.item(), new.grad, {name: values[0] for name, values in metrics.items()}


def our_loss(case, aggregate, clip, *, beta=0.0, importance=None, group_B=None):
    """Ours, and its gradient; the surrogate beside it."""
    new = case.new.clone().requires_grad_()
    found = surrogate(new, case.old, case.advantages_BT, case.mask, clip, importance)
    loss_BT = found.loss_BT + beta * kl(new, case.reference, case.mask)
    group_B = GROUP_B[: len(new)] if group_B is None else group_B
    w_B = aggregate(case.mask.sum(1), torch.ones(len(new), dtype=torch.float64), group_B)
    total, count = weighted_sum(loss_BT, case.mask, w_B)
    (total / count).backward()
    return (total / count).item(), new.grad, found


def same(mine, theirs):
    assert mine[0] == pytest.approx(theirs[0], rel=1e-12)
    assert torch.allclose(mine[1], theirs[1], rtol=1e-12, atol=1e-15)


NAMES = {"grpo": sequence_mean, "bnpo": token_mean, "dapo": token_mean}
CLIPS = [Clip(0.2, 0.2), Clip(0.2, 0.28), Clip(0.1, 0.4)]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("loss_type", NAMES)
def test_loss_and_gradient_are_those_of_trl(loss_type, clip):
    """PPO's and GRPO's clip, DAPO's clip-higher; the mean of means, and that over all tokens."""
    for seed in range(3):
        case = Case(seed)
        same(our_loss(case, NAMES[loss_type], clip), trl_loss(case, loss_type, clip))


@pytest.mark.parametrize("loss_type", NAMES)
def test_with_the_distance_to_a_reference(loss_type):
    case, clip = Case(), Clip(0.2, 0.28)
    theirs = trl_loss(case, loss_type, clip, beta=0.04)
    same(our_loss(case, NAMES[loss_type], clip, beta=0.04), theirs)
    away = kl(case.new, case.reference, case.mask).sum() / case.mask.sum()
    assert away.item() == pytest.approx(theirs[2]["kl"], rel=1e-9)
    assert theirs[0] != pytest.approx(trl_loss(case, loss_type, clip)[0])


def test_entropy_is_that_of_trl():
    from trl.trainer.utils import entropy_from_logits

    logits = 3 * torch.randn(7, 50, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(entropy(logits.log_softmax(-1)), entropy_from_logits(logits), atol=1e-6)


def test_what_the_clip_held_is_counted_alike():
    case, clip = Case(), Clip(0.2, 0.28)
    _, _, found = our_loss(case, token_mean, clip)
    _, _, metrics = trl_loss(case, "dapo", clip)
    for held, name in (
        (found.held_low_BT, "clip_ratio/low_mean"),
        (found.held_high_BT, "clip_ratio/high_mean"),
    ):
        share = (held * case.mask).sum() / case.mask.sum()
        assert share > 0
        assert share.item() == pytest.approx(metrics[name], rel=1e-6)


def test_dr_grpo_is_our_sum_over_a_length_that_never_changes():
    """No row of the table is Dr. GRPO; its loss is the same weighted sum, over B x the longest."""
    case, clip = Case(), Clip()
    theirs = trl_loss(case, "dr_grpo", clip)
    loss_BT = surrogate(case.new, case.old, case.advantages_BT, case.mask, clip).loss_BT
    total, _ = weighted_sum(loss_BT, case.mask, torch.ones(B, dtype=torch.float64))
    assert total.item() / (B * T) == pytest.approx(theirs[0], rel=1e-12)


def test_the_mean_over_groups_is_trls_over_tokens_only_where_groups_are_equally_long():
    case, clip = Case(), Clip(0.2, 0.28)
    theirs = trl_loss(case, "dapo", clip)[0]
    ours = our_loss(case, group_mean, clip)[0]
    assert ours != pytest.approx(theirs, rel=1e-3)
    case.completion[SIZE:] = case.completion[:SIZE].repeat(GROUPS - 1, 1)
    case.mask = case.completion * case.tool
    case.advantages_BT = case.advantages[:, None] * case.mask
    same(our_loss(case, group_mean, clip), trl_loss(case, "dapo", clip))


def test_micro_batches_add_up_to_trls_dapo_and_not_to_its_mean_of_means():
    """TRL's DAPO knows the tokens of the whole batch, as we do for every aggregation. Its bnpo
    averages the micro-batches' own means: another number wherever they hold unlike numbers of
    tokens (here -0.415 for -0.349)."""
    case, clip = Case(), Clip(0.2, 0.28)
    whole = our_loss(case, token_mean, clip)[0]
    lots = [case.rows(slice(0, 3)), case.rows(slice(3, B))]
    tokens = case.mask.sum()
    found = [trl_loss(lot, "dapo", clip, counted=tokens, parts=2)[0] for lot in lots]
    assert sum(found) == pytest.approx(whole, rel=1e-12)
    means = [trl_loss(lot, "bnpo", clip, parts=2)[0] for lot in lots]
    apart = [our_loss(lot, token_mean, clip)[0] for lot in lots]
    assert sum(means) == pytest.approx(sum(apart) / 2, rel=1e-12)
    assert (sum(means), whole) == pytest.approx((-0.415, -0.349), abs=1e-3)


# Advantages and importance weights: TRL's step from completions to a batch


def trl_scored(rewards, *, scale="group", case=None, cap=None, ends=None, group=SIZE):
    """TRL's batch for these rewards (NaN: no one could score it), in groups of `group`.

    With a case: its mask, old and engine's log-probabilities, the importance cut at `cap`. `ends`
    says which completions ended by themselves; the others are masked, as TRL does when asked to.
    """
    size = len(rewards)
    end, other = 1, 2
    lengths = [1] * size if case is None else case.completion.sum(1).tolist()
    ended = [True] * size if ends is None else ends
    ids = [[other] * (n - 1) + [end if e else other] for n, e in zip(lengths, ended, strict=True)]
    logs = mask = None
    if case is not None:
        logs = [row[:n].tolist() for row, n in zip(case.engine, lengths, strict=True)]
        mask = [row[:n].tolist() for row, n in zip(case.tool, lengths, strict=True)]
    stub = Stub(
        accelerator=one_process(),
        model=Stub(training=True, is_gradient_checkpointing=False),
        args=Stub(
            per_device_train_batch_size=size,
            steps_per_generation=1,
            gradient_accumulation_steps=1,
            gradient_checkpointing_kwargs=None,
        ),
        environment_factories=None,
        environments=None,
        tools=[],
        _generate=lambda prompts: ([[3]] * size, ids, mask, [""] * size, logs, {}, None, []),
        _tokenizer=Stub(pad_token_id=0),
        pad_to_multiple_of=None,
        mask_truncated_completions=ends is not None,
        eos_token_ids=[end],
        num_iterations=1,
        use_vllm=case is not None,
        vllm_importance_sampling_correction=True,
        vllm_importance_sampling_mode="token_truncate",
        vllm_importance_sampling_clip_min=None,
        vllm_importance_sampling_clip_max=cap,
        _get_per_token_logps_and_entropies=lambda *a, **k: (case.old, None, None),
        beta=0.0,
        ref_model=None,
        num_generations=group,
        multi_objective_aggregation="sum_then_normalize",
        _calculate_rewards=lambda *a: rewards[:, None].clone(),
        reward_weights=torch.ones(1, dtype=rewards.dtype),
        scale_rewards=scale,
        reward_func_names=["reward"],
        _metrics={"train": defaultdict(list)},
        _logs=defaultdict(deque, rewards=defaultdict(deque)),
        _pending_extra_logs={},
        _pending_metrics={},
    )
    inputs = [{"prompt": "?"} for _ in range(size)]
    return GRPOTrainer._generate_and_score_completions(stub, inputs)


def spread_of(rewards):
    return rewards.view(-1, SIZE).std(dim=1).repeat_interleave(SIZE)


REWARDS = torch.tensor([1, 0, 0, 1, 0.1, 0.1, 0.1, 1, 0, 0.4, 0, 0], dtype=torch.float64)
ONE = torch.ones(B, 1)


def test_advantages_in_a_group_are_trls_but_for_what_is_added_to_the_deviation():
    """Both take the sample's deviation (n - 1). TRL adds 1e-4 to it, we 1e-6: with rewards between
    0 and 1, advantages 0.02% to 0.05% larger; for deviations of 0.001 it would be 10%."""
    ours = within_group(REWARDS, GROUP_B, ONE).advantages_BT[:, 0]
    theirs = trl_scored(REWARDS)["advantages"]
    deviation = spread_of(REWARDS)
    assert torch.allclose(
        ours * (deviation + OUR_EPS), theirs * (deviation + TRL_EPS), rtol=1e-7
    )  # TRL's n / (n - 1) is in float32
    larger = ours / theirs - 1
    assert 1e-4 < larger.min() < larger.max() < 6e-4


@pytest.mark.parametrize("advantage", [within_group, within_batch])
def test_a_group_without_variance_has_no_advantage(advantage):
    """In TRL it may: the float32 mean of 8 times 0.9 is not 0.9, and what is left over is divided
    by itself and 1e-4 (0.0006; with our 1e-6 it would be 0.056). We look first."""
    rewards = torch.full((8,), 0.9)
    assert rewards.mean() != rewards[0]
    ours = advantage(rewards, torch.zeros(8), torch.ones(8, 1)).advantages_BT
    assert ours.count_nonzero() == 0
    theirs = trl_scored(rewards, group=8)["advantages"]
    assert 1e-4 < theirs.abs().max() < 1e-3


def test_what_no_one_could_score_is_out_of_the_baseline_in_both():
    """TRL has NaN there and gives it advantage 0; with us it is not in the batch at all."""
    rewards = REWARDS.clone()
    rewards[[1, 6]] = math.nan
    kept = ~rewards.isnan()
    ours = within_group(rewards[kept], GROUP_B[kept], ONE[kept]).advantages_BT[:, 0]
    theirs = trl_scored(rewards)["advantages"]
    assert theirs[~kept].tolist() == [0, 0]
    assert torch.allclose(ours, theirs[kept], rtol=1e-3)
    assert not torch.allclose(theirs[kept], trl_scored(REWARDS)["advantages"][kept], rtol=0.05)


def test_trl_scaled_by_the_batch_still_subtracts_the_mean_of_the_group():
    """Ours is normalised within the batch in both respects: mean and deviation are the batch's. So
    the two agree where every group has one mean, and are (group mean - batch mean) / deviation
    apart where not: a group that all solve pushes up with us, and not at all with TRL."""
    alike = torch.tensor([1, 0, 0, 1, 0.5, 0.5, 0.5, 0.5, 0.2, 0.8, 1, 0], dtype=torch.float64)
    ours = within_batch(alike, GROUP_B, ONE).advantages_BT[:, 0]
    theirs = trl_scored(alike, scale="batch")["advantages"]
    assert torch.allclose(
        ours * (alike.std() + OUR_EPS), theirs * (alike.std() + TRL_EPS), atol=1e-7
    )
    solved = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    ours = within_batch(solved, GROUP_B, ONE).advantages_BT[:, 0]
    theirs = trl_scored(solved, scale="batch")["advantages"]
    group_mean_B = solved.view(-1, SIZE).mean(1).repeat_interleave(SIZE)
    apart = (group_mean_B - solved.mean()) / (solved.std() + OUR_EPS)
    assert torch.allclose(ours - theirs, apart, atol=1e-3)
    assert theirs[0] == 0
    assert ours[0].item() == pytest.approx((7 / 12) / solved.std().item(), rel=1e-5)


@pytest.mark.parametrize("cap", [1.0, 1.5, 2.0])
def test_importance_weights_are_trls(cap):
    """Old over engine, token by token, cut from above; both leave what is masked at 1."""
    case = Case()
    theirs = trl_scored(REWARDS, case=case, cap=cap)["importance_sampling_ratio"]
    width = theirs.shape[1]
    ours = truncated_importance(case.old, case.engine, case.mask, cap)[:, :width]
    assert torch.allclose(ours, theirs, rtol=1e-6)  # TRL keeps the engine's in float32
    assert bool((ours == cap).any())
    assert bool((ours < 1).any())


def test_the_whole_way_from_rewards_to_the_gradient():
    """Advantages, importance, clip, aggregation in one: the tokens of TRL's own batch, its loss."""
    case = Case()
    made = trl_scored(REWARDS, case=case, cap=2.0)
    case.advantages = made["advantages"]
    theirs = trl_loss(
        case, "dapo", Clip(0.2, 0.28), importance=made["importance_sampling_ratio"],
        counted=made["num_items_in_batch"],
    )  # fmt: skip
    ours_B = within_group(REWARDS, GROUP_B, ONE).advantages_BT[:, 0]
    case.advantages_BT = ours_B[:, None] * case.mask
    importance = truncated_importance(case.old, case.engine, case.mask, 2.0)
    mine = our_loss(case, token_mean, Clip(0.2, 0.28), importance=importance)
    assert mine[0] == pytest.approx(theirs[0], rel=1e-3)
    assert torch.allclose(mine[1], theirs[1], rtol=1e-3, atol=1e-9)


# Length


@pytest.mark.parametrize(("longest", "margin"), [(20, 4), (100, 20), (7, 7), (4096, 256)])
def test_soft_overlong_punishment_is_trls_at_every_length(longest, margin):
    theirs = get_soft_overlong_punishment(max_completion_len=longest, soft_punish_cache=margin)
    lengths = range(0, longest + 50)
    punished = theirs([[0] * length for length in lengths])
    assert [soft_overlong(length, longest, margin) for length in lengths] == pytest.approx(punished)


def test_a_margin_of_nothing_is_refused_where_trl_takes_it():
    theirs = get_soft_overlong_punishment(max_completion_len=5, soft_punish_cache=0)
    assert theirs([[0] * 5, [0] * 6]) == [0, -1]
    with pytest.raises(ValueError, match="margin"):
        soft_overlong(6, 5, 0)


def test_overlong_filtering_takes_an_attempt_out_where_trl_keeps_its_reward_in_the_baseline():
    """TRL masks what the limit cut and counts its reward in the group all the same; with us it is
    no member: of rewards 1, 0 and two cut with 0, the first has advantage 0.71 and not 1.5."""
    rewards = torch.tensor([1, 0, 0, 0], dtype=torch.float64)
    stops = ["answer", "answer", "token_limit", "token_limit"]
    kept = torch.tensor([not overlong_filtered(stop) for stop in stops])
    theirs = trl_scored(rewards, ends=kept.tolist())
    assert theirs["completion_mask"].sum(1).tolist() == [1, 1, 0, 0]
    assert theirs["advantages"][0].item() == pytest.approx(1.5, rel=1e-3)
    size = int(kept.sum())
    ours = within_group(rewards[kept], torch.zeros(size), torch.ones(size, 1)).advantages_BT
    assert ours[:, 0].tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)], rel=1e-5)
