"""From the groups of a step to its `Batch`, and from the batch to packed rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from webfarer.algo import Algorithm, Outcome, overlong_filtered, soft_overlong
from webfarer.rollout.collect import Rolled
from webfarer.train.pack import Packed, collate
from webfarer.types import BadInput, Batch, Group, RlSettings, Segment


@dataclass(frozen=True)
class Sampled:
    """One task's attempts: the group, and the segments of each member."""

    group: Group
    segments: tuple[tuple[Segment, ...], ...]

    @staticmethod
    def of(task_id: str, version: int, rolled: Sequence[Rolled]) -> Sampled:
        members = tuple(one.trajectory for one in rolled)
        return Sampled(
            Group(task_id, version, len(members), members),
            tuple(one.segments for one in rolled),
        )

    @property
    def tokens(self) -> int:
        """Those of all its members, prompts and observations included."""
        return sum(len(segment) for each in self.segments for segment in each)

    @property
    def outcome(self) -> Outcome:
        """How the members that count did; a group with fewer than half of them left counts not."""
        valid = self.group.valid if self.group.usable else ()
        correct = sum(one.verdict is not None and one.verdict.status == "correct" for one in valid)
        return Outcome(correct, len(valid))


@dataclass(frozen=True)
class Drawn:
    """A step's groups, in task order; the `spare` ones that dynamic sampling made beyond the last
    that it accepted; where in the order of tasks it ended, and what there is to say."""

    sampled: Sequence[Sampled]
    spare: Sequence[Sampled]
    cursor: int
    note: str = ""


@dataclass(frozen=True)
class StepBatch:
    """A step's sequences as token runs and as the tensors that the algorithms are given.

    `lengths_B` are the trained tokens of each; `rewards_B` what its trajectory got, shaped.
    """

    segments: tuple[Segment, ...]
    batch: Batch
    lengths_B: Tensor
    rewards_B: Tensor

    def row(self, places: Sequence[int]) -> Packed:
        """Some sequences end to end."""
        return collate([self.segments[place] for place in places])

    def picked(self, tensor_BT: Tensor, places: Sequence[int]) -> Tensor:
        """What the tensor says of the trained tokens of those sequences, in a row's order."""
        return torch.cat([tensor_BT[place][self.batch.mask_BT[place] != 0] for place in places])

    def spread(self, values_N: Tensor, places: Sequence[int], out_BT: Tensor) -> None:
        """The opposite of `picked`: writes a row's values to where they belong."""
        at = 0
        for place in places:
            size = int(self.lengths_B[place])
            out_BT[place, self.batch.mask_BT[place] != 0] = values_N[at : at + size]
            at += size


def make_batch(
    sampled: Sequence[Sampled],
    counts: Sequence[int],
    row: Algorithm,
    settings: RlSettings,
    longest: int,
) -> StepBatch | None:
    """The sequences of the groups that `counts` selects; None where it selects none.

    A failure of ours, an unjudged answer and what overlong filtering leaves out are no part of it.
    A count above 1 is a weight, or so many groups of their own where `as_weights` is off.
    """
    segments: list[Segment] = []
    rewards: list[float] = []
    numbers: list[int] = []
    weights: list[float] = []
    number = 0
    for one, count in zip(sampled, counts, strict=True):
        for _ in range(1 if settings.as_weights else count):
            for segment, reward in _members(one, row, settings, longest) if count else ():
                segments.append(segment)
                rewards.append(reward)
                numbers.append(number)
                weights.append(float(count) if settings.as_weights else 1.0)
            number += 1
    return _tensors(segments, rewards, numbers, weights, row) if segments else None


def _members(
    sampled: Sampled, row: Algorithm, settings: RlSettings, longest: int
) -> list[tuple[Segment, float]]:
    """The sequence and the shaped reward of each member that counts."""
    found = []
    for member, segments in zip(sampled.group.members, sampled.segments, strict=True):
        if member not in sampled.group.valid or not any(map(_learns, segments)):
            continue
        if len(segments) != 1:
            raise BadInput(
                f"{member.id} has {len(segments)} segments: reinforcement learning takes policies "
                "that write one"
            )
        if row.overlong == "filter" and overlong_filtered(member.stop):
            continue
        assert member.reward is not None, "a judged member has a reward"
        reward = member.reward.total
        if not 0.0 <= reward <= 1.0:
            raise BadInput(f"{member.id} has the reward {reward:g}, which is not between 0 and 1")
        if row.overlong == "soft":
            reward += soft_overlong(len(segments[0]), longest, min(settings.margin, longest))
        found.append((segments[0], reward))
    return found


def _learns(segment: Segment) -> bool:
    return any(segment.mask[1:])


def _tensors(
    segments: list[Segment],
    rewards: list[float],
    numbers: list[int],
    weights: list[float],
    row: Algorithm,
) -> StepBatch:
    size = len(segments), max(map(len, segments))
    tokens_BT = torch.zeros(size, dtype=torch.long)
    mask_BT = torch.zeros(size, dtype=torch.int8)
    engine_BT = torch.zeros(size)
    version_BT = torch.full(size, -1, dtype=torch.long)
    for place, segment in enumerate(segments):
        span = slice(0, len(segment))
        tokens_BT[place, span] = torch.tensor(segment.ids)
        mask_BT[place, span] = torch.tensor(segment.mask, dtype=torch.int8)
        engine_BT[place, span] = torch.tensor(segment.logprobs)
        version_BT[place, span] = torch.tensor(segment.versions)
    mask_BT[:, 0] = 0  # nothing comes before a sequence's first token
    if not bool(engine_BT[mask_BT != 0].isfinite().all()):
        raise BadInput("a token to learn from was not sampled: it has no log-probability")
    rewards_B, group_B = torch.tensor(rewards), torch.tensor(numbers)
    advantages_BT = torch.zeros(size)
    if not row.critic:
        advantages_BT = row.advantage(rewards_B, group_B, mask_BT, None).advantages_BT
    batch = Batch(
        tokens_BT=tokens_BT,
        mask_BT=mask_BT,
        engine_logprobs_BT=engine_BT,
        old_logprobs_BT=engine_BT.clone(),
        advantages_BT=advantages_BT,
        weight_B=torch.tensor(weights),
        group_B=group_B,
        version_BT=version_BT,
    )
    return StepBatch(tuple(segments), batch, mask_BT.sum(dim=1), rewards_B)


def mini_batches(group_B: Tensor, count: int, rng: random.Random) -> list[list[int]]:
    """The places of a step's sequences in at most `count` lots, groups kept whole and shuffled."""
    groups = group_B.unique().tolist()
    rng.shuffle(groups)
    count = min(count, len(groups))
    lots = [set(groups[lot::count]) for lot in range(count)]
    return [[b for b, group in enumerate(group_B.tolist()) if group in lot] for lot in lots]


def micro_batches(lengths: Sequence[int], places: Sequence[int], longest: int) -> list[list[int]]:
    """Lots of sequences of at most `longest` tokens together (one alone may be longer), filled by
    decreasing length."""
    lots: list[tuple[int, list[int]]] = []
    for place in sorted(places, key=lambda place: -lengths[place]):
        for at, (used, lot) in enumerate(lots):
            if used + lengths[place] <= longest:
                lot.append(place)
                lots[at] = used + lengths[place], lot
                break
        else:
            lots.append((lengths[place], [place]))
    return [lot for _, lot in lots]
