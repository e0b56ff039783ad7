"""`Turn` and `Trajectory`: an attempt and its accounting; `Segment`: its token ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, model_validator

from webfarer.types.base import Record
from webfarer.types.errors import FailureKind
from webfarer.types.score import Reward, Verdict


class TextPart(Record):
    type: Literal["text"] = "text"
    text: str


class ImagePart(Record):
    type: Literal["image"] = "image"
    media_type: str
    data: str  # base64


Part = TextPart | ImagePart

ObservationKind = Literal[
    "ok",  # the tool answered
    "not_found",  # the web said 404
    "empty",  # a page or a search with nothing in it
    "unloadable",  # a page that will not load after its retries
    "refused",  # an address the agent may not fetch
    "not_archived",  # a page that a frozen web never recorded
    "unknown_tool",  # the call named no known tool
    "bad_arguments",  # the tool's schema does not accept the arguments
]


class Observation(Record):
    """What a tool said: a list of text or image parts, and what kind of answer it was."""

    kind: ObservationKind = "ok"
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """The text parts, joined by a newline."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

    @staticmethod
    def of(text: str, kind: ObservationKind = "ok") -> Observation:
        return Observation(kind=kind, parts=(TextPart(text=text),))


class Call(Record):
    """A tool call as the policy wrote it."""

    name: str
    arguments: dict[str, Any]


class Usage(Record):
    """What a turn cost. Tokens are counts, times are seconds, cost is in US dollars.

    `prompt_tokens` is the whole context the turn was sampled from, `cached_tokens` the part of it
    that was not computed again.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    thought_tokens: int = 0
    action_tokens: int = 0
    observation_tokens: int = 0
    queue_s: float = 0.0
    model_s: float = 0.0
    tool_s: float = 0.0
    cost: float = 0.0


FinishReason = Literal["stop", "length"]


class Turn(Record):
    """One thought, one action (a call or an answer) and what came back.

    `text` is what was accepted of what the policy wrote. A turn that could not be read has neither
    call nor answer and says why in `problem`; a call to an unknown tool or with bad arguments is
    kept, with its `problem`, and observed.
    """

    text: str
    thought: str = ""
    call: Call | None = None
    answer: str | None = None
    problem: str | None = None
    observation: Observation | None = None
    usage: Usage = Usage()
    segment: int = 0
    finish: FinishReason = "stop"
    policy_version: int = 0


StopReason = Literal["answer", "malformed", "turn_limit", "token_limit", "failure"]


class Failure(Record):
    """Our side broke: what and how. A trajectory with a failure is counted, never scored."""

    kind: FailureKind
    message: str


class SegmentRef(Record):
    """Where a segment's token arrays lie: a shard file, and the row within it."""

    shard: str
    row: int
    length: int
    tokenizer: str  # SHA-256 of the tokenizer


class Trajectory(Record):
    """A whole attempt at a task by one policy.

    `member` numbers the attempts at one task; `greedy` marks the attempt at temperature 0. What
    our side broke has no verdict and no reward, and what no one could judge has no reward.
    """

    task_id: str
    member: int = 0
    greedy: bool = False
    policy: str
    policy_version: int = 0
    trainable: bool = False
    system: str
    question: str
    turns: tuple[Turn, ...] = ()
    answer: str | None = None
    stop: StopReason
    failure: Failure | None = None
    segments: tuple[SegmentRef, ...] = ()
    verdict: Verdict | None = None
    reward: Reward | None = None
    faults: tuple[str, ...] = Field(default=(), description="faults a scripted expert put in")

    @model_validator(mode="after")
    def _no_score_where_none_is_due(self) -> Trajectory:
        if (self.failure is None) == (self.stop == "failure"):
            raise ValueError("stop is failure if, and only if, the failure is said")
        if self.failure is not None and (self.verdict is not None or self.reward is not None):
            raise ValueError("a failure of ours has neither verdict nor reward")
        if self.reward is not None and self.verdict and self.verdict.status == "unjudged":
            raise ValueError("an unjudged answer has no reward")
        return self

    @property
    def id(self) -> str:
        return f"{self.task_id}/{self.policy}/{'greedy' if self.greedy else self.member}"


NOT_SAMPLED = -1  # the version of a token that no policy sampled


@dataclass(slots=True, eq=False)
class Segment:
    """An append-only run of token ids: loss mask, sampled log-probabilities, policy versions.

    `mask` is 1 where the policy sampled the token (or, for fine-tuning, where the expert wrote it).
    `logprobs` is 0.0 where the mask is 0, and NaN where a token to learn from was written and not
    sampled: it has no log-probability, and 0.0 would read as probability 1. `versions` is the
    policy version that sampled each token, -1 (`NOT_SAMPLED`) where none did; all of them are where
    no versions are given. The four always have one length.
    """

    tokenizer: str
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.versions = self.versions or [NOT_SAMPLED] * len(self.ids)

    def given(self, ids: Sequence[int]) -> None:
        """Appends tokens that the policy did not choose: prompt, template, observation."""
        self._append(ids, 0, [0.0] * len(ids), NOT_SAMPLED)

    def chosen(self, ids: Sequence[int], logprobs: Sequence[float], version: int = 0) -> None:
        """Appends tokens that the policy sampled under `version`. Raises ValueError where lengths
        differ."""
        if len(ids) != len(logprobs):
            raise ValueError(f"{len(ids)} ids but {len(logprobs)} log-probabilities")
        self._append(ids, 1, logprobs, version)

    def written(self, ids: Sequence[int]) -> None:
        """Appends tokens of a text to learn from, which no engine sampled (an expert's turn)."""
        self._append(ids, 1, [math.nan] * len(ids), NOT_SAMPLED)

    def _append(
        self, ids: Sequence[int], mask: int, logprobs: Sequence[float], version: int
    ) -> None:
        self.ids.extend(ids)
        self.mask.extend([mask] * len(ids))
        self.logprobs.extend(logprobs)
        self.versions.extend([version] * len(ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        """Equal where everything is; two log-probabilities that are not there are equal too."""
        if not isinstance(other, Segment):
            return NotImplemented
        mine, its = (
            (one.tokenizer, one.ids, one.mask, one.versions, len(one.logprobs))
            for one in (self, other)
        )
        return mine == its and all(
            one == another or (math.isnan(one) and math.isnan(another))
            for one, another in zip(self.logprobs, other.logprobs, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Group:
    """The `size` trajectories of one task that were asked for, by one policy under one version.

    Failures are members too, so that none goes missing unseen; `valid` leaves them out. Every turn
    of a member was sampled under `policy_version`; a member without a turn (it failed at once, or
    did not fit) was sampled under none. Raises ValueError where tasks, policies or versions mix,
    where one is missing or held twice, and for an attempt at temperature 0.
    """

    task_id: str
    policy_version: int
    size: int
    members: tuple[Trajectory, ...]

    def __post_init__(self) -> None:
        name = f"group of {self.task_id}"
        for member in self.members:
            self._check(member, name)
        if len({member.policy for member in self.members}) > 1:
            raise ValueError(f"{name} mixes policies")
        if len({member.member for member in self.members}) != len(self.members):
            raise ValueError(f"{name} holds a member twice")
        if self.size < 1 or len(self.members) != self.size:
            raise ValueError(f"{name} has {len(self.members)} members, not the {self.size} asked")

    def _check(self, member: Trajectory, name: str) -> None:
        if member.task_id != self.task_id:
            raise ValueError(f"{name} was handed {member.id}")
        if member.greedy:
            raise ValueError(f"{name} was handed {member.id}, which was not sampled")
        under = {turn.policy_version for turn in member.turns}
        if under and {*under, member.policy_version} != {self.policy_version}:
            versions = ", ".join(map(str, sorted({*under, member.policy_version})))
            raise ValueError(
                f"{name} version {self.policy_version} was handed {member.id} version {versions}"
            )

    @property
    def valid(self) -> tuple[Trajectory, ...]:
        """The members that count: not failed on our side, and judged."""
        return tuple(
            member
            for member in self.members
            if member.failure is None
            and member.verdict is not None
            and member.verdict.status != "unjudged"
        )

    @property
    def usable(self) -> bool:
        """Whether at least half of the members asked for are valid; otherwise it is dropped."""
        return 2 * len(self.valid) >= self.size
