"""`Recipe`: one frozen, validated config that says everything about a run.

Every default is the setting of the quickstart. A recipe is a TOML file with these sections; a
misspelt name is an error.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

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
    test: dict[Level, Whole] = {1: 80, 2: 80, 3: 10}


class ToolSettings(Record):
    """`hits` a search gives for each query; `observation_tokens` an observation has at most."""

    hits: Positive = 3
    observation_tokens: Positive = 200


class RolloutSettings(Record):
    """Limits of an attempt, in turns and in tokens the policy may write in one turn; `slots` is
    how many sequences a local engine decodes side by side, `context` the longest of them.

    Where memory is short: `max_cache_tokens` bounds the engine's cache (sequences x positions; by
    default slots x context), `prefill_chunk` the new tokens of one sequence in a forward pass and
    `batch_tokens` those of all of them.
    """

    prompt: Literal["brief", "full"] = "brief"
    max_turns: Positive = 10
    turn_tokens: Positive = 120
    chunk: Positive = 512
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


class SftSettings(Record):
    """Everything about a fine-tuning run. The defaults suit a model of about 1 M parameters.

    `steps`, where given, overrides `epochs`. A step trains `rows` rows of at most `length` tokens.
    `warmup` and `floor` are shares: of the steps, and of `learning_rate`. The validation loss is
    taken at the start, at the end and at `valid_checks` steps between; 0: not at all.
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
    seed: int = 0
    checkpoint_every: int = Field(default=100, ge=1)
    valid_checks: int = Field(default=4, ge=0)


class RlSettings(Record):
    """Everything about a reinforcement-learning run. The defaults suit a model of about 1 M
    parameters; `webfarer.recipes` has those of the papers.

    A step makes `group` attempts at each of `tasks` tasks, at temperature 1, and `mini_batches`
    updates. `importance_cap` bounds the weight old / engine (None: no such weight); `kl` weighs the
    distance to the first weights (0: none is kept). `rounds` bounds dynamic sampling: after so many
    lots of tasks the step goes on with what there is. `margin` is that of the soft overlong
    punishment, in tokens. `as_weights`: DUPO's copies are weights instead. `prefilter` attempts are
    made at each task before training, where the algorithm has a pre-filter: tasks that all of them
    solve are left out, and with `drop_unsolved` those that none does. `partly_solved` is the
    share of a step's tasks drawn again from those that some attempts solved and others did not.
    `levels_by_step` is a curriculum: from that step on, tasks of up to that level. `micro_tokens`
    is the longest packed row of a forward pass. The mean gap between the engine's and the trainer's
    log-probabilities is said aloud above `gap_alarm` (nats). A step is kept every
    `checkpoint_every`, scored every `eval_every` (0: never) and written out for people to read
    every `show_every` (0: never).
    """

    algorithm: Literal["ppo", "grpo", "dapo", "dupo"] = "dupo"
    steps: Positive = 60
    tasks: Positive = 16
    group: int = Field(default=8, ge=2)
    mini_batches: Positive = 1
    learning_rate: float = Field(default=3e-4, gt=0)
    warmup: Whole = 2
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = Field(default=1.0, gt=0)
    importance_cap: float | None = Field(default=2.0, ge=1)
    kl: float = Field(default=0.0, ge=0)
    rounds: Positive = 4
    margin: Positive = 256
    as_weights: bool = True
    prefilter: Whole = 0
    drop_unsolved: bool = False
    partly_solved: Share = 0.0
    levels_by_step: tuple[tuple[Whole, Level], ...] = ()
    micro_tokens: int = Field(default=8192, ge=2)
    precision: Literal["float32", "bf16"] = "float32"
    gap_alarm: float = Field(default=0.1, gt=0)
    checkpoint_every: Positive = 10
    eval_every: Whole = 10
    show_every: Whole = 20


class EvalSettings(Record):
    """Which levels of the test tasks are scored, with how many samples beside the greedy attempt;
    `k` is that of pass@k and cons@k."""

    levels: tuple[Level, ...] = Field(default=(1, 2), min_length=1)
    samples: Whole = 3
    k: Positive = 3
    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)


class Recipe(Record):
    """Everything about a run. `model` is a folder or a hub id; empty: the base model that comes
    with Webfarer. `family` names the model's chat family where its files do not show it. `rl` is
    for `webfarer train rl`: `webfarer run` does not train with it."""

    name: str = Field(default="quickstart", pattern=r"^[\w.-]*\w[\w.-]*$")
    seed: int = 1
    model: str = ""
    family: str | None = None
    worlds: WorldSettings = WorldSettings()
    graph: GraphSettings = GraphSettings()
    tasks: TaskSettings = TaskSettings()
    tools: ToolSettings = ToolSettings()
    rollout: RolloutSettings = RolloutSettings()
    expert: ExpertSettings = ExpertSettings()
    funnel: FunnelSettings = FunnelSettings()
    sft: SftSettings = SftSettings()
    rl: RlSettings = RlSettings()
    eval: EvalSettings = EvalSettings()
