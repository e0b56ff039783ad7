"""`Turn` and `Trajectory`: an attempt and its accounting; `Segment`: its token ids."""

from __future__ import annotations

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


@dataclass(slots=True)
class Segment:
    """An append-only run of token ids with its loss mask and sampled log-probabilities.

    `mask` is 1 where the policy sampled the token (or, for fine-tuning, where the expert wrote it);
    `logprobs` is 0.0 where the mask is 0. The three always have one length.
    """

    tokenizer: str
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def given(self, ids: Sequence[int]) -> None:
        """Appends tokens that the policy did not choose: prompt, template, observation."""
        self.ids.extend(ids)
        self.mask.extend([0] * len(ids))
        self.logprobs.extend([0.0] * len(ids))

    def chosen(self, ids: Sequence[int], logprobs: Sequence[float]) -> None:
        """Appends tokens that the policy chose. Raises ValueError where lengths differ."""
        if len(ids) != len(logprobs):
            raise ValueError(f"{len(ids)} ids but {len(logprobs)} log-probabilities")
        self.ids.extend(ids)
        self.mask.extend([1] * len(ids))
        self.logprobs.extend(logprobs)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Group:
    """The trajectories of one task by one policy under one version.

    Raises ValueError where they mix, or hold one member twice.
    """

    task_id: str
    policy_version: int
    members: tuple[Trajectory, ...]

    def __post_init__(self) -> None:
        for member in self.members:
            if member.task_id != self.task_id or member.policy_version != self.policy_version:
                raise ValueError(
                    f"group of {self.task_id} version {self.policy_version} was handed "
                    f"{member.id} version {member.policy_version}"
                )
        if len({member.policy for member in self.members}) > 1:
            raise ValueError(f"group of {self.task_id} mixes policies")
        if len({member.member for member in self.members}) != len(self.members):
            raise ValueError(f"group of {self.task_id} holds a member twice")
