"""The small base model that comes with the package: what it is, and what it cannot do."""

import asyncio
from dataclasses import replace

import pytest
from tokenizers import Tokenizer

from webfarer.cli.agents import arena, local_policy
from webfarer.graph.worlds.world import build_world
from webfarer.policy.chat import load_renderer
from webfarer.policy.families import CONTROL_TOKENS
from webfarer.policy.source import base_model
from webfarer.rollout.collect import Job
from webfarer.rollout.world import by_name
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import RolloutSettings, ToolSettings

FIVE_MB = 5_000_000


def test_it_is_at_most_five_megabytes_and_holds_no_pickle():
    files = [path for path in base_model().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= FIVE_MB
    assert {path.suffix for path in files} <= {".json", ".safetensors"}


def test_control_tags_are_single_tokens():
    tokenizer = Tokenizer.from_file(str(base_model() / "tokenizer.json"))
    for token in CONTROL_TOKENS:
        assert len(tokenizer.encode(token, add_special_tokens=False).ids) == 1


def test_it_is_a_hugging_face_model_of_the_qwen3_architecture():
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(base_model())
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_model())
    assert model.config.model_type == "qwen3"
    assert len(tokenizer) == model.config.vocab_size


def test_as_an_agent_it_answers_fewer_than_one_task_in_twenty():
    """It has read pages and seen no trajectory: what a fine-tuned agent can do it was taught."""
    worlds = by_name([build_world(5, 100)])
    (world,) = worlds.values()
    tasks = make_tasks(
        Source(world.graph, world.web.site.url_of),
        seed=1, split="test", per_level={1: 20, 2: 20}, recipe="test",
    )  # fmt: skip
    renderer = load_renderer(base_model())
    settings = RolloutSettings(max_turns=4, turn_tokens=60)
    place = arena(worlds, renderer.count, ToolSettings(), settings, seed=1)
    policy = local_policy("base", base_model(), renderer, settings, temperature=1.0)
    jobs = [replace(Job(task), greedy=True) for task in tasks]

    async def attempts():
        return await asyncio.gather(*(place.attempt(policy, job) for job in jobs))

    made = [one.trajectory for one in asyncio.run(attempts())]
    assert len(made) == 40
    correct = sum(t.verdict is not None and t.verdict.status == "correct" for t in made)
    assert correct < 0.05 * len(made)
