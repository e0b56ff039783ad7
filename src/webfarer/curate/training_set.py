"""From trajectories to a training set on disk: survivors, token ids, drops, tasks left for RL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from webfarer.curate.funnel import Funnel, funnel
from webfarer.curate.tokens import segment_of
from webfarer.policy.chat import ChatRenderer
from webfarer.store.atomic import write_json
from webfarer.store.jsonl import read_jsonl, write_jsonl
from webfarer.store.shards import read_segment, write_shard
from webfarer.types import BadInput, FunnelSettings, Segment, Task, Trajectory


def make_training_set(
    trajectories: Iterable[Trajectory],
    tasks: Mapping[str, Task],
    renderer: ChatRenderer,
    settings: FunnelSettings,
    out: Path,
) -> Funnel:
    """Writes kept.jsonl with tokens.safetensors, reinforce.jsonl (tasks with no survivor) and
    funnel.json under `out`. Raises BadInput where nothing survives."""
    found = funnel(trajectories, tasks, settings)
    if not found.kept:
        raise BadInput(f"no trajectory survived the funnel; the reasons: {found.reasons()}")
    compact = renderer.family.compact
    segments = [segment_of(kept, renderer, compact=compact) for kept in found.kept]
    refs = write_shard(out / "tokens.safetensors", segments)
    kept = [
        trajectory.model_copy(update={"segments": (ref,)})
        for trajectory, ref in zip(found.kept, refs, strict=True)
    ]
    write_jsonl(out / "kept.jsonl", kept)
    write_jsonl(out / "reinforce.jsonl", found.unsolved)
    write_json(out / "funnel.json", found.counts())
    return found


def read_training_set(folder: Path) -> list[Segment]:
    """The token ids of a training set. Raises BadInput where the folder does not hold one."""
    listed = folder / "kept.jsonl"
    if not listed.is_file():
        raise BadInput(f"{folder} holds no training set: make one with webfarer curate")
    return [
        read_segment(folder, ref)
        for kept in read_jsonl(listed, Trajectory)
        for ref in kept.segments
    ]
