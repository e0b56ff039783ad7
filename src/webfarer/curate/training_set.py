"""From trajectories to a training set on disk: survivors, token ids, drops, tasks left for RL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from webfarer.curate.funnel import Funnel, funnel
from webfarer.curate.tokens import segments_of
from webfarer.policy.chat import ChatRenderer
from webfarer.store.atomic import write_json
from webfarer.store.jsonl import read_jsonl, write_jsonl
from webfarer.store.shards import Shards, write_shard
from webfarer.types import BadInput, FunnelSettings, Segment, Task, Trajectory


def make_training_set(
    trajectories: Iterable[Trajectory],
    tasks: Mapping[str, Task],
    renderer: ChatRenderer,
    settings: FunnelSettings,
    out: Path,
    rollouts: Path,
) -> Funnel:
    """Writes kept.jsonl with tokens.safetensors, reinforce.jsonl (tasks with no survivor) and
    funnel.json under `out`. `rollouts` is where shards lie that the trajectories point into.

    Raises BadInput where nothing survives, and as `funnel` and `segments_of`; then nothing is
    written.
    """
    found = funnel(trajectories, tasks, settings)
    if not found.entered:
        raise BadInput(f"{rollouts} holds no trajectories: make some with webfarer rollout")
    if not found.kept:
        raise BadInput(f"no trajectory survived the funnel; the reasons: {found.reasons()}")
    compact = renderer.family.compact
    shards = Shards(rollouts)
    learnt = [segments_of(kept, renderer, shards, compact=compact) for kept in found.kept]
    refs = iter(write_shard(out / "tokens.safetensors", [one for many in learnt for one in many]))
    kept = [
        trajectory.model_copy(update={"segments": tuple(next(refs) for _ in segments)})
        for trajectory, segments in zip(found.kept, learnt, strict=True)
    ]
    write_jsonl(out / "reinforce.jsonl", found.unsolved)
    write_json(out / "funnel.json", found.counts())
    write_jsonl(out / "kept.jsonl", kept)
    return found


def read_training_set(folder: Path) -> list[Segment]:
    """The token ids of a training set. Raises BadInput where the folder does not hold one."""
    listed = folder / "kept.jsonl"
    if not listed.is_file():
        raise BadInput(f"{folder} holds no training set: make one with webfarer curate")
    shards = Shards(folder)
    return [shards.read(ref) for kept in read_jsonl(listed, Trajectory) for ref in kept.segments]
