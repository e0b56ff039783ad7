"""`Recipe`: one frozen, validated config that says everything about a run.

Every default is the setting of the quickstart, but for those of `rl` that change the algorithm:
there the defaults change nothing, and the quickstart's recipe does. A recipe is a TOML file with
these sections; a misspelt name is an error.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from webfarer.types.base import Record

Positive = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[int, Field(ge=1, le=3)]


class WorldSettings(Record):
    """Procedural worlds: how many of each split, the entities in each, and their language.

    Splits never share a world: seeds are keyed by (seed, split, number).
    """

    size: Positive = 150
    train: Positive = 70
    valid: Whole = 1
    test: Positive = 4
    language: Literal["en", "zh"] = "en"


class GraphSettings(Record):
    """An imported graph in place of procedural worlds: its folder, the language to read it in
    (empty: that of most of its labels), whether things without a name in it are asked about by
    their English ones, and the shares of its entities that are drawn for validation and test."""

    folder: str | None = None
    language: str = ""
    english_names: bool = False
    valid: Share = 0.1
    test: Share = 0.2


class TaskSettings(Record):
    """Tasks of each level, in each world (of an imported graph: in each split)."""

    train: dict[Level, Whole] = {1: 30, 2: 42, 3: 3}
    valid: dict[Level, Whole] = {1: 30, 2: 30}
    test: dict[Level, Whole] = {1: 75, 2: 75, 3: 10}


class ToolSettings(Record):
    """`hits` a search gives for each query; `observation_tokens` an observation has at most."""

    hits: Positive = 3
    observation_tokens: Positive = 200


class RolloutSettings(Record):
    """Limits of an attempt, in turns and in tokens the policy may write in one turn; `slots` is
    how many sequences a local engine decodes side by side, `context` the longest of them. Attempts
    are made in chunks, each written whole.

    Where memory is short: `max_cache_tokens` bounds the engine's cache (sequences x positions; by
    default slots x context), `prefill_chunk` the new tokens of one sequence in a forward pass and
    `batch_tokens` those of all of them.
    """

    prompt: Literal["brief", "full"] = "brief"
    max_turns: Positive = 10
    turn_tokens: Positive = 120
    chunk: Positive = 640
    slots: Positive = 128
    context: Positive = 2048
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_cache_tokens: Positive | None = None
    prefill_chunk: Positive = 512
    batch_tokens: Positive = 4096

    @model_validator(mode="after")
    def _one_sequence_fits(self) -> RolloutSettings:
        if self.max_cache_tokens is not None and self.max_cache_tokens < self.context:
            raise ValueError(
                f"max_cache_tokens {self.max_cache_tokens} holds no context of {self.context}"
            )
        return self


class ExpertSettings(Record):
    """`attempts` at each training task; `fault_rate` is the share of them that get a fault."""

    attempts: Positive = 1
    fault_rate: Share = 0.15


class FunnelSettings(Record):
    """`per_task`: survivors kept of one task, shortest first. `detours`: visits allowed to pages
    that are not evidence, where the task names its evidence."""

    per_task: Positive = 1
    detours: Whole = 0


class TrainingSettings(Record):
    """What is asked of the settings of a training. `HOW` names those that say how a run is kept,
    shown, watched, spread over processes and fitted into memory."""

    HOW: ClassVar[frozenset[str]] = frozenset({"checkpoint_every", "checkpointing"})

    def telling(self) -> dict[str, Any]:
        """What tells one run from another: all but `HOW`, which may change when it goes on."""
        return self.model_dump(mode="json", exclude=set(self.HOW))


class SftSettings(TrainingSettings):
    """Everything about a fine-tuning run. The defaults suit a model of about 1 M parameters.

    `steps`, where given, overrides `epochs`. A step trains `rows` rows of at most `length` tokens.
    `warmup` and `floor` are shares: of the steps, and of `learning_rate`. The validation loss is
    taken at the start, at the end and at `valid_checks` steps between; 0: not at all.
    `checkpointing` and the settings of LoRA are those of `RlSettings`.
    """

    epochs: int = Field(default=1, ge=1)
    steps: int | None = Field(default=None, ge=1)
    length: int = Field(default=2048, ge=2)
    rows: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    floor: float = Field(default=0.1, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    precision: Literal["float32", "bf16"] = "float32"
    checkpointing: bool = False
    lora_rank: Whole = 0
    lora_alpha: float = Field(default=32.0, gt=0)
    lora_targets: str = Field(default="all-linear", min_length=1)
    seed: int = 0
    checkpoint_every: int = Field(default=100, ge=1)
    valid_checks: int = Field(default=4, ge=0)


class RowSettings(Record):
    """What is to be otherwise than in the algorithm's row (`webfarer.algo.table`); None: as there.

    `advantage`: normalised within the group or the batch; `gamma` and `lam` are those of a critic's
    advantage. `clip_low` and `clip_high` bound the ratio. `select`: every group, those with a
    spread, or those with copies in the place of the others, drawn at random or by spread; `refill`
    is dynamic sampling.
    """

    advantage: Literal["group", "batch"] | None = None
    gamma: Share | None = None
    lam: Share | None = None
    clip_low: Share | None = None
    clip_high: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    aggregate: Literal["sequence", "group", "token"] | None = None
    select: Literal["all", "spread", "copies", "copies_by_spread"] | None = None
    refill: bool | None = None
    overlong: Literal["none", "soft", "filter"] | None = None


class RlSettings(TrainingSettings):
    """Everything about a reinforcement-learning run. The defaults suit a model of about 1 M
    parameters; `webfarer.recipes` has the quickstart's and those of the papers. Of 0 `steps`,
    `webfarer run` has no such stage.

    `algorithm` is a row of the table, `row` what is otherwise than there. A step makes `group`
    attempts at each of `tasks` tasks, sampled at `temperature` (never with top-p or top-k), and
    `mini_batches` updates. After `warmup` steps the learning rate falls to the share `floor` of
    itself by the last, along a cosine. `importance_cap` bounds the weight old / engine (None: no
    such weight); `kl` weighs the distance to the first weights (0: none is kept), `entropy` that of
    each token's distribution: above 0 as a bonus, below as a penalty. `rounds` bounds dynamic
    sampling: after so many lots of tasks the step goes on with what there is; a lot is `oversample`
    x the tasks that are still wanted, all of them made side by side. `margin` is that of the soft
    overlong punishment, in tokens. `as_weights`: DUPO's copies are weights instead. `prefilter`
    attempts are made at each task before training, where the algorithm has a pre-filter: tasks that
    all of them solve are left out, and with `drop_unsolved` those that none does. `partly_solved`
    is the share of a step's tasks drawn again from those that some attempts solved and others not.
    `levels_by_step` is a curriculum: from that step on, tasks of up to that level, or of the lowest
    there is. `micro_tokens` is the longest packed row of a forward pass: the gradients of a
    mini-batch are added up over as many rows as it takes, to the same loss whatever their length.
    `checkpointing` keeps no layer's activations for the backward pass but computes them again.
    `lora_rank` above 0 trains adapters of that rank beside frozen weights, scaled by `lora_alpha` /
    rank, on `lora_targets`: "all-linear", or names of layers separated by commas. `precision` is
    that of the layers' sums: weights are in float32 either way, for a step of AdamW at 1e-6 is lost
    in bfloat16's rounding. `shard`: where several processes train, each holds a share of weights,
    gradients and optimiser state, for a model whose training does not fit one device. The mean gap
    between the engine's and the trainer's log-probabilities is said aloud above `gap_alarm` (nats),
    and entropy below `entropy_alarm` times that of the first step. A step is kept every
    `checkpoint_every`, scored every `eval_every` (0: never) and written out for people to read
    every `show_every` (0: never). The weights that come out are those of the best score, or the
    last ones (`keep`): few held-out tasks cannot tell steps apart.
    """

    HOW: ClassVar = TrainingSettings.HOW | frozenset({
        "show_every", "gap_alarm", "entropy_alarm", "shard", "micro_tokens",
    })  # fmt: skip

    algorithm: str = "dupo"
    row: RowSettings = RowSettings()
    steps: Whole = 60
    tasks: Positive = 16
    group: int = Field(default=8, ge=2)
    mini_batches: Positive = 1
    learning_rate: float = Field(default=3e-4, gt=0)
    warmup: Whole = 2
    floor: Share = 1.0
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    importance_cap: float | None = Field(default=2.0, ge=1)
    kl: float = Field(default=0.0, ge=0)
    entropy: float = Field(default=0.0, allow_inf_nan=False)
    rounds: Positive = 10
    oversample: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    margin: Positive = 256
    as_weights: bool = True
    prefilter: Whole = 0
    drop_unsolved: bool = False
    partly_solved: Share = 0.0
    levels_by_step: tuple[tuple[Whole, Level], ...] = ()
    micro_tokens: int = Field(default=2048, ge=2)
    precision: Literal["float32", "bf16"] = "float32"
    checkpointing: bool = False
    shard: bool = False
    lora_rank: Whole = 0
    lora_alpha: float = Field(default=32.0, gt=0)
    lora_targets: str = Field(default="all-linear", min_length=1)
    gap_alarm: float = Field(default=0.1, gt=0)
    entropy_alarm: Share = 0.1
    checkpoint_every: Positive = 10
    eval_every: Whole = 10
    keep: Literal["best", "last"] = "best"
    show_every: Whole = 20


class GradeSettings(Record):
    """Who says what is correct: rules; a model asked to judge (`webfarer.grade.judge`); or a
    trained reward model, a sequence-classification head whose score is the reward for the answer,
    correct from `threshold` on.

    `model` is the judge's name at `endpoint` (an OpenAI-compatible server; its key is read from
    WEBFARER_JUDGE_KEY), or a folder or hub id that runs here. `rule_first`: what the rules accept
    is correct, and the model is asked about the rest. `format_weight` is the share of the reward
    that is for form, the rest is for the answer.

    Of a judge: `options` go into each request as they are, which may take `timeout` seconds and is
    made `attempts` times, `concurrency` at once; replies are kept in the folder `cache`. Of a
    reward model: `label` is the output that means correct, `reads` what it is shown, `batch` how
    many texts it scores together.
    """

    by: Literal["rule", "judge", "model"] = "rule"
    model: str = ""
    endpoint: str = ""
    rule_first: bool = False
    format_weight: Share = 0.1
    options: dict[str, JsonValue] = {"temperature": 0, "max_tokens": 1024}
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    attempts: Positive = 5
    concurrency: Positive = 16
    cache: str | None = None
    threshold: float = Field(default=0.5, gt=0, le=1)
    label: str = ""
    reads: Literal["answer", "trajectory"] = "answer"
    batch: Positive = 16
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")

    @model_validator(mode="after")
    def _has_a_model(self) -> GradeSettings:
        if self.by != "rule" and not self.model:
            raise ValueError(f'by = "{self.by}" needs a model: set grade.model')
        if self.by != "judge" and self.endpoint:
            raise ValueError('an endpoint is for by = "judge" alone: leave out grade.endpoint')
        if {"model", "messages", "stream"} & self.options.keys():
            raise ValueError("options may name neither model, messages nor stream")
        return self


class EvalSettings(Record):
    """Which levels of the test tasks are scored, with how many samples beside the greedy attempt;
    `k` is that of pass@k and cons@k."""

    levels: tuple[Level, ...] = Field(default=(1, 2), min_length=1)
    samples: Whole = 3
    k: Positive = 3
    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)


class Recipe(Record):
    """Everything about a run. `model` is a folder or a hub id; empty: the base model that comes
    with Webfarer. `family` names the model's chat family where its files do not show it. `further`:
    the report also has what as many seconds of further fine-tuning give as reinforcement learning
    took. `workers` processes make attempts, and train in reinforcement learning, side by side (0:
    one a core up to four, and one on an accelerator)."""

    name: str = Field(default="quickstart", pattern=r"^[\w.-]*\w[\w.-]*$")
    seed: int = 1
    model: str = ""
    family: str | None = None
    workers: Whole = 0
    worlds: WorldSettings = WorldSettings()
    graph: GraphSettings = GraphSettings()
    tasks: TaskSettings = TaskSettings()
    tools: ToolSettings = ToolSettings()
    rollout: RolloutSettings = RolloutSettings()
    expert: ExpertSettings = ExpertSettings()
    funnel: FunnelSettings = FunnelSettings()
    sft: SftSettings = SftSettings()
    rl: RlSettings = RlSettings()
    further: bool = False
    grade: GradeSettings = GradeSettings()
    eval: EvalSettings = EvalSettings()
