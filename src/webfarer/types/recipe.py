"""`Recipe`: one frozen, validated config that says everything about a run.

Every default is the setting of the quickstart. A recipe is a TOML file with these sections; a
misspelt name is an error.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from webfarer.types.base import Record


class WorldSettings(Record):
    """Procedural worlds: how many of each split, and the entities in each.

    Splits never share a world: seeds are keyed by (seed, split, number).
    """

    size: int = 300
    train: int = 24
    valid: int = 1
    test: int = 3


class GraphSettings(Record):
    """An imported graph in place of procedural worlds: its folder, and the shares of its entities
    that are drawn for validation and test."""

    folder: str | None = None
    valid: float = 0.1
    test: float = 0.2


class TaskSettings(Record):
    """Tasks of each level, in each world (of an imported graph: in each split)."""

    train: dict[int, int] = {1: 110, 2: 170, 3: 20}
    valid: dict[int, int] = {1: 50, 2: 50, 3: 20}
    test: dict[int, int] = {1: 100, 2: 100, 3: 20}


class ToolSettings(Record):
    """`hits` a search gives for each query; `observation_tokens` an observation has at most."""

    hits: int = 3
    observation_tokens: int = 200


class RolloutSettings(Record):
    """Limits of an attempt, in turns and in tokens the policy may write in one turn; `slots` is
    how many sequences a local engine decodes side by side, `context` the longest of them."""

    prompt: Literal["brief", "full"] = "brief"
    max_turns: int = 10
    turn_tokens: int = 120
    chunk: int = 200
    slots: int = 128
    context: int = 2048
    dtype: Literal["float32", "bfloat16"] = "float32"


class ExpertSettings(Record):
    """`attempts` at each training task; `fault_rate` is the share of them that get a fault."""

    attempts: int = 1
    fault_rate: float = 0.15


class FunnelSettings(Record):
    """`per_task`: survivors kept of one task, shortest first. `detours`: visits allowed to pages
    that are not evidence, where the task names its evidence."""

    per_task: int = 1
    detours: int = 0


class SftSettings(Record):
    """Everything about a fine-tuning run. The defaults suit a model of about 1 M parameters.

    `steps`, where given, overrides `epochs`. A step trains `rows` rows of at most `length` tokens.
    `warmup` and `floor` are shares: of the steps, and of `learning_rate`.
    """

    epochs: int = Field(default=2, ge=1)
    steps: int | None = Field(default=None, ge=1)
    length: int = Field(default=2048, ge=2)
    rows: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    floor: float = Field(default=0.1, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    precision: Literal["float32", "bf16"] = "float32"
    seed: int = 0
    checkpoint_every: int = Field(default=50, ge=1)


class EvalSettings(Record):
    """Which levels of the test tasks are scored, with how many samples beside the greedy attempt;
    `k` is that of pass@k and cons@k."""

    levels: tuple[int, ...] = (1, 2)
    samples: int = 3
    k: int = 3
    temperature: float = 1.0


class Recipe(Record):
    """Everything about a run. `model` is a folder or a hub id; empty: the base model that comes
    with Webfarer."""

    name: str = "quickstart"
    seed: int = 1
    model: str = ""
    worlds: WorldSettings = WorldSettings()
    graph: GraphSettings = GraphSettings()
    tasks: TaskSettings = TaskSettings()
    tools: ToolSettings = ToolSettings()
    rollout: RolloutSettings = RolloutSettings()
    expert: ExpertSettings = ExpertSettings()
    funnel: FunnelSettings = FunnelSettings()
    sft: SftSettings = SftSettings()
    eval: EvalSettings = EvalSettings()
