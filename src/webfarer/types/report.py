"""`Score` and `Report`: scores with n, interval, failures and the manifest that repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from webfarer.types.base import Record
from webfarer.types.errors import BadInput

REPORT_VERSION = 2

MANIFEST_KEYS = (
    "task_set",  # {"sha256": ..., "split": ...}: which questions
    "tools",  # their names and schemas, or a hash of them
    "prompt",  # the system prompt, or a hash of it
    "grader",  # its name and version
    "sampling",  # temperature, top-p, top-k, limits, seed
    "k",  # of pass@k and cons@k
    "failures",  # of our side, by policy
    "versions",  # of the package and of what it stands on
    "recipe",  # the run's whole config, or its name and hash
    "engine",  # what generated, by policy: name, device, dtype, threads
    "tokenizer",  # whose tokens budgets are counted in, by policy
)

Interval = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


def _named(name: str) -> Any:
    """A field whose name in JSON is not an identifier, such as "pass@1"; None by default."""
    return Field(default=None, validation_alias=name, serialization_alias=name)


class ScoreRecord(Record):
    """Read and written under the field's own names ("pass@1"), built under Python's."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Rates(ScoreRecord):
    """Shares between 0 and 1 over `n` tasks; None where nothing was there to measure.

    Intervals are 95% percentile bootstrap over tasks: `interval` is that of pass@1, the others
    are named for their score. `n_greedy` and `n_sampled` count the tasks with a greedy attempt
    and with samples that this reading admits, `n_k` those with at least k such samples.
    """

    n: int = Field(ge=0)
    greedy: Share | None = None
    greedy_interval: Interval | None = None
    pass_at_1: Share | None = _named("pass@1")
    interval: Interval | None = None
    pass_at_k: Share | None = _named("pass@k")
    pass_at_k_interval: Interval | None = _named("pass@k_interval")
    cons_at_k: Share | None = _named("cons@k")
    cons_at_k_interval: Interval | None = _named("cons@k_interval")
    consistency: Share | None = None
    consistency_interval: Interval | None = None
    n_greedy: int = 0
    n_sampled: int = 0
    n_k: int = 0


class Reading(Rates):
    """The same tasks as a whole, by level and by hops; keys are the numbers as text."""

    by_level: dict[str, Rates] = {}
    by_hops: dict[str, Rates] = {}


class Tokens(Record):
    """Mean tokens an attempt, summed over its turns.

    `prompt` counts a turn's whole context again in the next turn, as a server without a cache
    would compute it.
    """

    prompt: float = 0.0
    thought: float = 0.0
    action: float = 0.0
    observation: float = 0.0


class Behaviour(Record):
    """How a policy acted, over its `attempts` (greedy and sampled) that did not fail on our side.

    Shares of calls are None without a call. `malformed_share` is that of turns that could be read
    as neither call nor answer. `seen` counts attempts in which an observation held the answer,
    `after_seen` the calls made after that, `after_seen_share` their share of all calls.
    """

    attempts: int = 0
    turns: float = 0.0
    tokens: Tokens = Tokens()
    calls: int = 0
    unknown_tool: int = 0
    unknown_tool_share: Share | None = None
    seen: int = 0
    after_seen: int = 0
    after_seen_share: Share | None = None
    format_share: Share | None = None
    malformed_share: Share | None = None


class Score(Reading):
    """One policy's score. Its own rates leave failed and unjudged attempts out; `as_wrong` counts
    them as wrong. The truth lies between the two.

    `no_valid_greedy` and `no_valid_sample` count tasks that were attempted so, but of whose
    attempts each failed or was unjudged. `stops` and `failure_kinds` count all attempts.
    """

    policy: str
    k: int = Field(ge=1)
    attempts: int
    failures: int
    unjudged: int
    no_valid_greedy: int = 0
    no_valid_sample: int = 0
    failure_kinds: dict[str, int] = {}
    stops: dict[str, int] = {}
    behaviour: Behaviour = Behaviour()
    as_wrong: Reading


class Difference(Record):
    """Policy minus baseline over the `n` tasks that both were measured on, paired by task.

    `better` and `worse` count the tasks on which the policy did better and worse.
    """

    n: int
    value: float
    interval: Interval
    better: int
    worse: int


class Differences(ScoreRecord):
    greedy: Difference | None = None
    pass_at_1: Difference | None = _named("pass@1")


class Comparison(Differences):
    """`policy` minus `baseline`, failures left out; `as_wrong` counts them as wrong."""

    baseline: str
    policy: str
    as_wrong: Differences = Differences()


class FunnelStage(Record):
    """One sieve: how many trajectories came, how many stayed, and why the others were dropped."""

    stage: str
    entered: int = Field(ge=0)
    kept: int = Field(ge=0)
    dropped: dict[str, int] = {}

    @model_validator(mode="after")
    def _adds_up(self) -> FunnelStage:
        gone = self.entered - self.kept
        if gone != sum(self.dropped.values()):
            raise ValueError(f"{self.stage}: {gone} dropped, but the reasons name {self.dropped}")
        return self


class TrainingPoint(Record):
    """One logged step of training. Loss is nats a token."""

    step: int
    loss: float
    lr: float | None = None
    valid_loss: float | None = None


class LearningPoint(Record):
    """One step of reinforcement learning: the share of its attempts that were correct, at the
    temperature it samples at; their entropy in nats a token, estimated; and, where it was taken
    after the step, the greedy score on validation tasks. Step 0 has that alone."""

    step: int
    solved: Share | None = None
    entropy: float | None = None
    held_out: Share | None = None


class Report(ScoreRecord):
    """What a run found and what it takes to find it again.

    `comparisons` has each policy against every one before it.

    Everything but `seconds` is the same for the same inputs. Raises BadInput where the manifest
    does not say what a score stands on (`MANIFEST_KEYS`), or where there is no score.
    """

    version: Literal[2] = REPORT_VERSION
    policies: dict[str, Score]
    comparisons: tuple[Comparison, ...] = ()
    funnel: tuple[FunnelStage, ...] = ()
    training: tuple[TrainingPoint, ...] = ()
    learning: tuple[LearningPoint, ...] = ()
    seconds: dict[str, float] = {}
    manifest: dict[str, JsonValue]

    @model_validator(mode="after")
    def _whole(self) -> Report:
        if not self.policies:
            raise BadInput("the report has no policy: score at least one before reporting")
        check_manifest(self.manifest)
        return self


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raises BadInput naming what is missing or empty; zero is a value, None and "" are not."""
    missing = [key for key in MANIFEST_KEYS if manifest.get(key) in (None, "", [], {})]
    task_set = manifest.get("task_set")
    if isinstance(task_set, Mapping):
        missing += [f"task_set.{key}" for key in ("sha256", "split") if not task_set.get(key)]
    elif "task_set" not in missing:
        missing += ["task_set.sha256", "task_set.split"]
    if missing:
        raise BadInput(
            f"the manifest lacks {', '.join(missing)}: a score cannot be repeated without; "
            "say what was used"
        )
