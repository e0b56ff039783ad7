"""`LlmPolicy` over a scripted engine (expected values by hand) and over the local one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from webfarer.policy.base import Attempt, OutOfContext, Policy
from webfarer.policy.engine import Completion, Engine, Sampling
from webfarer.policy.llm import LlmPolicy, thought_tokens
from webfarer.policy.local import LocalEngine
from webfarer.policy.renderer import Renderer
from webfarer.types import Answer, FailureError, Observation, Origin, Task, seed_for

END = 256  # the end-of-turn token; 0..255 are bytes


class ByteRenderer:
    """A family whose tokens are bytes: system NUL question NUL, turns ended by END."""

    tokenizer_sha256 = "bytes"
    stop = ("</tool_call>",)
    stop_ids = (END,)

    def start(self, system: str, question: str) -> list[int]:
        return [*system.encode(), 0, *question.encode(), 0]

    def turn(self, text: str) -> list[int]:
        return [*text.encode(), END]

    def observe(self, observation: Observation, *, closed: bool) -> list[int]:
        return [*([] if closed else [END]), 1, *observation.text.encode(), 2]

    def read(self, ids: Sequence[int]) -> str:
        return bytes(token for token in ids if token < 256).decode(errors="replace")

    def count(self, text: str) -> int:
        return len(text.encode())


class Script:
    """An engine that says what it was told to, and remembers what it was asked."""

    version = 3

    def __init__(self, texts: Sequence[str | Exception], context: int = 1000) -> None:
        self.context = context
        self.texts = list(texts)
        self.asked: list[tuple[list[int], Sampling]] = []
        self.forgot = 0

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        self.asked.append((list(prompt_ids), sampling))
        text = self.texts[len(self.asked) - 1]
        if isinstance(text, Exception):
            raise text
        ends = text.endswith("$")
        ids = (*text.rstrip("$").encode(), *([END] if ends else []))[: sampling.max_tokens]
        whole = len(ids) < sampling.max_tokens
        finish = "stop_id" if ends and whole else "stop_string" if whole else "length"
        logprobs = tuple(-0.1 * (i + 1) for i in range(len(ids)))
        return Completion(ids, logprobs, finish, 3, cached_tokens=5, queue_s=0.5, model_s=1.5)

    async def update_weights(self, source: Path, version: int) -> None:
        raise NotImplementedError

    async def forget(self) -> None:
        self.forgot += 1


def attempt(**changes: object) -> Attempt:
    origin = Origin(recipe="test", seed=0, graph="-")
    task = Task(id="t", question="who?", answers=(Answer(text="Orla"),), origin=origin)
    return Attempt(**({"task": task, "system": "be brief", "seed": 11} | changes))  # type: ignore


def seen(text: str) -> Observation:
    return Observation.of(text)


PROMPT = [*b"be brief", 0, *b"who?", 0]


def test_the_parts_fit_their_protocols() -> None:
    engine: Engine = Script([])
    renderer: Renderer = ByteRenderer()
    policy: Policy = LlmPolicy("base", engine, renderer)
    assert policy.trainable
    assert policy.start(attempt()).segments == ()


async def test_a_segment_is_what_was_rendered_and_what_was_sampled() -> None:
    engine = Script(["<think>hm</think>call</tool_call>", "answer$"])
    actor = LlmPolicy("base", engine, ByteRenderer()).start(attempt())
    first = await actor.act(None)
    await actor.act(seen("page"))
    one, other = list(b"<think>hm</think>call</tool_call>"), [*b"answer", END]
    between = [END, 1, *b"page", 2]
    (segment,) = actor.segments
    assert segment.ids == [*PROMPT, *one, *between, *other]
    assert segment.mask == [0] * 14 + [1] * 33 + [0] * 7 + [1] * 7
    assert segment.logprobs[14:47] == [-0.1 * (i + 1) for i in range(33)]
    assert segment.logprobs[47:54] == [0.0] * 7
    assert segment.tokenizer == "bytes"
    assert engine.asked[1][0] == segment.ids[:-7]
    assert (first.thought_tokens, first.action_tokens) == (17, 16)
    assert (first.prompt_tokens, first.cached_tokens, first.policy_version) == (14, 5, 3)
    assert (first.queue_s, first.model_s, first.segment, first.finish) == (0.5, 1.5, 0, "stop")


async def test_a_sampled_end_of_turn_is_not_appended_again_and_is_trained() -> None:
    engine = Script(["x$", "y$"])
    actor = LlmPolicy("base", engine, ByteRenderer()).start(attempt())
    reply = await actor.act(None)
    await actor.act(seen("o"))
    (segment,) = actor.segments
    assert reply.text == "x"
    assert segment.ids[14:] == [ord("x"), END, 1, ord("o"), 2, ord("y"), END]
    assert segment.mask[14:] == [1, 1, 0, 0, 0, 1, 1]


async def test_a_turn_is_closed_by_the_end_of_turn_token_and_by_no_other_stop() -> None:
    """Two ids stop a turn, as in families with an end of text: only the first of them ends it."""

    class TwoEnds(ByteRenderer):
        stop_ids = (END, ord("!"))

    for said, between in (("x!", [END, 1]), ("x$", [1]), ("x", [END, 1])):
        actor = LlmPolicy("base", Script([said, "y$"]), TwoEnds()).start(attempt())
        await actor.act(None)
        await actor.act(seen("o"))
        ids = actor.segments[0].ids[14:]
        assert ids == [*list(said.replace("$", "").encode()), *([END] if "$" in said else []),
                       *between, ord("o"), 2, ord("y"), END]  # fmt: skip


async def test_each_token_says_which_version_sampled_it() -> None:
    class Moving(Script):
        async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
            done = await super().generate(prompt_ids, sampling)
            return dataclasses.replace(done, policy_version=10 + len(self.asked))

    actor = LlmPolicy("base", Moving(["x$", "y$"]), ByteRenderer()).start(attempt())
    await actor.act(None)
    await actor.act(seen("o"))
    assert actor.segments[0].versions == [-1] * 14 + [11, 11] + [-1] * 3 + [12, 12]


async def test_the_question_is_asked_as_the_attempt_words_it() -> None:
    engine = Script(["x$", "x$"])
    policy = LlmPolicy("base", engine, ByteRenderer())
    await policy.start(attempt(question="who? start here")).act(None)
    await policy.start(attempt()).act(None)
    assert [prompt for prompt, _ in engine.asked] == [
        [*b"be brief", 0, *b"who? start here", 0], PROMPT,
    ]  # fmt: skip


async def test_fresh_drops_the_engines_cache() -> None:
    engine = Script([])
    await LlmPolicy("base", engine, ByteRenderer()).fresh()
    assert engine.forgot == 1


async def test_seeds_are_keyed_by_attempt_and_turn_and_greedy_is_greedy() -> None:
    engine = Script(["a$"] * 3)
    policy = LlmPolicy("base", engine, ByteRenderer(), temperature=0.7, top_p=0.9, top_k=5)
    actor = policy.start(attempt())
    await actor.act(None)
    await actor.act(seen("o"))
    await policy.start(attempt(greedy=True)).act(None)
    first, second, greedy = (sampling for _, sampling in engine.asked)
    assert (first.seed, second.seed) == (seed_for(11, 0), seed_for(11, 1))
    assert (first.temperature, first.top_p, first.top_k) == (0.7, 0.9, 5)
    assert (greedy.temperature, greedy.top_p, greedy.top_k) == (0.0, 1.0, 0)
    assert first.stop == ("</tool_call>",)
    assert first.stop_ids == (END,)


async def test_a_turn_gets_what_is_left_of_the_context_and_then_no_more() -> None:
    engine = Script(["z" * 500, "never"], context=14 + 40)
    actor = LlmPolicy("base", engine, ByteRenderer(), max_turn_tokens=100).start(attempt())
    reply = await actor.act(None)
    assert engine.asked[0][1].max_tokens == 40
    assert (reply.finish, reply.action_tokens) == ("length", 40)
    before = list(actor.segments[0].ids)
    with pytest.raises(OutOfContext):
        await actor.act(seen("page"))
    assert actor.segments[0].ids == before  # nothing that was not followed by a turn
    assert len(engine.asked) == 1


@pytest.mark.parametrize(("room", "fits"), [(15, False), (16, True)])
async def test_the_floor_of_a_turn(room: int, fits: bool) -> None:
    engine = Script(["a$"], context=14 + room)
    actor = LlmPolicy("base", engine, ByteRenderer()).start(attempt())
    if fits:
        assert (await actor.act(None)).text == "a"
    else:
        with pytest.raises(OutOfContext):
            await actor.act(None)


async def test_an_engine_failure_passes_through_and_leaves_the_segment() -> None:
    engine = Script(["a$", FailureError("engine", "down"), "b$"])
    actor = LlmPolicy("base", engine, ByteRenderer()).start(attempt())
    await actor.act(None)
    before = list(actor.segments[0].ids)
    with pytest.raises(FailureError):
        await actor.act(seen("o"))
    assert actor.segments[0].ids == before
    assert (await actor.act(seen("o"))).text == "b"
    assert engine.asked[1] == engine.asked[2]  # the same turn, drawn from the same seed


async def test_turns_and_observations_take_turns() -> None:
    actor = LlmPolicy("base", Script(["a$"]), ByteRenderer()).start(attempt())
    with pytest.raises(ValueError, match="observation"):
        await actor.act(seen("o"))
    await actor.act(None)
    with pytest.raises(ValueError, match="observation"):
        await actor.act(None)


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>a</think>b", 16),
        ("b", 0),
        ("<think>never closed", 19),
        ("a</think>b</think>", 9),  # a thought opened by the template; its first end counts
        ("</think>", 8),
        ("", 0),
        ("é</think>", 10),
    ],
)
def test_thought_tokens(text: str, thought: int) -> None:
    assert thought_tokens(ByteRenderer(), list(text.encode()), text) == thought


async def test_training_on_ids_other_than_sampled_is_impossible_over_the_local_engine() -> None:
    """Every masked log-probability equals that of one plain forward over the finished segment."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=257,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        initializer_range=0.2,
    )
    model = Qwen3ForCausalLM(config).eval()
    engine = LocalEngine(model, slots=2, context=400)
    renderer = ByteRenderer()
    renderer.stop = ()
    actor = LlmPolicy("base", engine, renderer, max_turn_tokens=30).start(attempt())
    reply = await actor.act(None)
    for turn in range(3):
        reply = await actor.act(seen("page é " * turn))
    assert reply.cached_tokens > reply.prompt_tokens - 40
    (segment,) = actor.segments
    with torch.no_grad():
        logits_TV = model(torch.tensor([segment.ids])).logits[0, :-1]
    want_T = logits_TV.log_softmax(-1).gather(1, torch.tensor(segment.ids[1:])[:, None])[:, 0]
    got_T, mask_T = torch.tensor(segment.logprobs[1:]), torch.tensor(segment.mask[1:]).bool()
    assert len(segment.ids) == len(segment.mask) == len(segment.logprobs)
    assert float((want_T - got_T)[mask_T].abs().max()) < 1e-4
    assert not segment.mask[0]
