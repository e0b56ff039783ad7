"""A training set on disk: what is kept, in which tokens, and what is left for later."""

from __future__ import annotations

import errno
import json
import os

import pytest

from scripted import ANSWER, SEARCH, Sampler, a_task, an_arena
from test_funnel import ORLA, attempt, search, task, visit
from webfarer.curate.tokens import segment_of
from webfarer.curate.training_set import make_training_set, read_training_set
from webfarer.policy.llm import LlmPolicy
from webfarer.rollout.collect import Job, collect
from webfarer.store.jsonl import read_jsonl
from webfarer.store.parts import Parts
from webfarer.store.shards import read_segment
from webfarer.types import BadInput, FunnelSettings, Task, Trajectory, WebfarerError

TASKS = {name: task(name) for name in ("a", "b", "c")}


def made(renderer, out, trajectories=None, rollouts=None, tasks=TASKS):
    if trajectories is None:
        trajectories = [attempt(search(), visit(ORLA), name=name) for name in ("a", "c")]
        trajectories.append(attempt(search(), name="b", verdict="wrong"))
    return make_training_set(
        trajectories, tasks, renderer, FunnelSettings(), out, rollouts or out / "none"
    )


def test_what_is_written(renderer, tmp_path):
    found = made(renderer, tmp_path)
    kept = list(read_jsonl(tmp_path / "kept.jsonl", Trajectory))
    assert [one.task_id for one in kept] == ["a", "c"]
    assert [one.id for one in read_jsonl(tmp_path / "reinforce.jsonl", Task)] == ["b"]
    assert json.loads((tmp_path / "funnel.json").read_text()) == found.counts()
    expected = [segment_of(one, renderer, compact=True) for one in found.kept]
    assert read_training_set(tmp_path) == expected
    assert [read_segment(tmp_path, one.segments[0]) for one in kept] == expected


def test_the_same_trajectories_give_the_same_bytes(renderer, tmp_path):
    for name in ("one", "two"):
        made(renderer, tmp_path / name)
    for file in ("kept.jsonl", "tokens.safetensors", "reinforce.jsonl", "funnel.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_impossible_1_a_policys_own_attempts_are_learnt_from_as_they_were_sampled(
    renderer, tmp_path
):
    """Written loosely, so that encoding the parsed turn again would give other ids."""
    loose = SEARCH.replace('{"name": "search", "arguments"', '{ "name" :"search",  "arguments"')
    texts = (loose, ANSWER)
    policy = LlmPolicy("llm", Sampler(renderer, lambda turn: texts[turn]), renderer)
    jobs = [Job(a_task("a")), Job(a_task("b"))]
    parts = collect(policy, an_arena(), jobs, tmp_path / "rolled", keep_tokens=True)
    rolled = list(parts.read(Trajectory))
    tasks = {name: a_task(name) for name in ("a", "b")}
    found = made(renderer, tmp_path / "set", rolled, tmp_path / "rolled", tasks)
    assert len(found.kept) == 2
    sampled = [read_segment(tmp_path / "rolled", one.segments[0]) for one in rolled]
    assert read_training_set(tmp_path / "set") == sampled
    assert sampled[0].ids != segment_of(rolled[0], renderer, compact=True).ids
    assert any(logprob != 0.0 for logprob in sampled[0].logprobs)


def test_a_policy_of_another_tokenizer_teaches_by_its_text(renderer, tmp_path):
    one = attempt(search(), visit(ORLA), name="a")
    from webfarer.types import SegmentRef

    other = SegmentRef(shard="part-00000.safetensors", row=0, length=9, tokenizer="another")
    made(renderer, tmp_path, [one.model_copy(update={"segments": (other,)})])
    assert read_training_set(tmp_path) == [segment_of(one, renderer, compact=True)]


def test_recorded_tokens_that_are_gone_are_bad_input_never_encoded_again(renderer, tmp_path):
    from webfarer.types import SegmentRef

    digest = renderer.tokenizer_sha256
    gone = SegmentRef(shard="part-00000.safetensors", row=0, length=9, tokenizer=digest)
    one = attempt(search(), visit(ORLA), name="a").model_copy(update={"segments": (gone,)})
    with pytest.raises(BadInput, match="no shard"):
        made(renderer, tmp_path / "set", [one], tmp_path)
    assert not (tmp_path / "set").exists()


def test_where_nothing_survives_nothing_is_written(renderer, tmp_path):
    with pytest.raises(BadInput, match=r"no trajectory survived.*'answer wrong': 1"):
        made(renderer, tmp_path / "set", [attempt(search(), name="a", verdict="wrong")])
    with pytest.raises(BadInput, match="holds no trajectories"):
        made(renderer, tmp_path / "set", Parts(tmp_path / "none").read(Trajectory))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_training_set_is_bad_input(renderer, tmp_path):
    with pytest.raises(BadInput, match="holds no training set: make one with webfarer curate"):
        read_training_set(tmp_path)
    made(renderer, tmp_path)
    (tmp_path / "tokens.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="not a readable shard"):
        read_training_set(tmp_path)
    (tmp_path / "tokens.safetensors").unlink()
    with pytest.raises(BadInput, match="no shard"):
        read_training_set(tmp_path)


def test_a_full_disk_leaves_the_training_set_that_was_there(renderer, tmp_path, monkeypatch):
    made(renderer, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WebfarerError, match="no space left on the disk"):
        made(renderer, tmp_path, [attempt(search(), visit(ORLA), name="b")])
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
