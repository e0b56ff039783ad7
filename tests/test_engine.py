"""The local engine. Expected log-probabilities come from the model's own plain forward pass, and
greedy ids from `transformers`' own `generate`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from webfarer.policy import support
from webfarer.policy.engine import Completion, Sampling
from webfarer.policy.local import LocalEngine
from webfarer.policy.model import load_model
from webfarer.policy.sample import draw, uniforms
from webfarer.policy.slots import Slots
from webfarer.types import BadInput, FailureError

VOCABULARY = 300
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,  # peaked enough that a wrong cache shows
}


def make(family: str = "qwen3", seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
    if family == "qwen2":
        shape = {key: value for key, value in SHAPE.items() if key != "head_dim"}
        return Qwen2ForCausalLM(Qwen2Config(**shape)).eval()
    return Qwen3ForCausalLM(Qwen3Config(**SHAPE)).eval()


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return make()


def ids_of(seed: int, length: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).tolist()


@torch.no_grad()
def full_forward(model: PreTrainedModel, prompt: list[int], ids: tuple[int, ...]) -> torch.Tensor:
    """The log-probabilities (T) of the ids by one plain forward over the whole sequence."""
    logits_TV = model(torch.tensor([[*prompt, *ids]])).logits[0].float()
    rows = logits_TV[len(prompt) - 1 : -1].log_softmax(-1)
    return rows.gather(1, torch.tensor(ids)[:, None])[:, 0]


def off(model: PreTrainedModel, prompt: list[int], done: Completion) -> float:
    return float((full_forward(model, prompt, done.ids) - torch.tensor(done.logprobs)).abs().max())


async def turns(
    engine: LocalEngine, i: int, n: int = 3, delay: int = 0, system: int = 40
) -> list[tuple[list[int], Completion]]:
    """An attempt of n turns: ragged prompt, ragged turn lengths, ragged observations."""
    prompt = [*ids_of(0, system), *ids_of(i + 1, 3 + (i * 7) % 31)]
    out = []
    for turn in range(n):
        for _ in range(delay * (i % 4)):
            await asyncio.sleep(0)
        done = await engine.generate(
            prompt, Sampling(max_tokens=4 + (i * 5) % 17, seed=9 * i + turn)
        )
        out.append((prompt, done))
        prompt = [*prompt, *done.ids, *ids_of(100 * i + turn, 1 + (i * 3 + turn) % 23)]
    return out


def check_exact(model: PreTrainedModel, runs: list[list[tuple[list[int], Completion]]]) -> None:
    for run in runs:
        for prompt, done in run:
            assert off(model, prompt, done) < 1e-4


@pytest.mark.parametrize("family", ["qwen3", "qwen2", "llama"])
async def test_logprobs_equal_a_full_forward_ragged_multi_turn(family: str) -> None:
    model = make(family)
    engine = LocalEngine(model, slots=16, context=512)
    check_exact(model, await asyncio.gather(*[turns(engine, i) for i in range(12)]))


FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=None)),
    "qwen2": lambda: make("qwen2"),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, tie_word_embeddings=True)),
}


def shaken(model: PreTrainedModel) -> PreTrainedModel:
    """Norms that are not 1 and biases that are not 0: one that is left out shows."""
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


def not_lean(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: PreTrainedModel) -> None:
        raise ValueError("not here")

    monkeypatch.setattr(support, "Lean", refuse)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
async def test_the_lean_pass_gives_what_the_models_own_modules_give(
    monkeypatch: pytest.MonkeyPatch, family: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(3)
    model = shaken(FAMILIES[family]()).to(dtype)
    lean = LocalEngine(model, slots=16, context=512)
    not_lean(monkeypatch)
    own = LocalEngine(model, slots=16, context=512)
    assert (lean._forward.lean is None, own._forward.lean is None) == (False, True)
    assert own._cache.packed
    for engine in (lean, own):
        runs = await asyncio.gather(*[turns(engine, i) for i in range(12)])
        gaps = [
            (full_forward(model, prompt, done.ids) - torch.tensor(done.logprobs)).abs()
            for run in runs
            for prompt, done in run
        ]
        if dtype == torch.float32:
            assert float(torch.cat(gaps).max()) < 1e-4
        else:
            assert float(torch.cat(gaps).mean()) < 0.02


async def test_the_lean_pass_reads_weights_that_changed_in_place() -> None:
    model = make()
    engine = LocalEngine(model, slots=4, context=128)
    await turns(engine, 0, n=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    engine.refresh(1)
    check_exact(model, await asyncio.gather(*[turns(engine, i, n=1) for i in range(3)]))


@pytest.mark.parametrize("changed", ["another family", "a layer of its own", "a hook"])
async def test_a_model_the_lean_pass_would_be_wrong_for_runs_its_own_modules(changed: str) -> None:
    class Louder(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2.0 * super().forward(x)

    model: Any = make()
    if changed == "another family":
        model = Olmo2ForCausalLM(Olmo2Config(**SHAPE, pad_token_id=0)).eval()
    elif changed == "a layer of its own":
        model.model.layers[1].mlp.up_proj = Louder(32, 48, bias=False)
    else:
        model.model.layers[0].register_forward_hook(lambda _, __, out: 1.5 * out)
    engine = LocalEngine(model, slots=8, context=512)
    assert engine._forward.lean is None
    assert engine._cache.packed
    check_exact(model, await asyncio.gather(*[turns(engine, i) for i in range(4)]))


async def test_a_model_that_attends_in_a_way_of_its_own_is_padded(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    """Where spans do not reach the model's layers, the probe finds it out."""
    not_lean(monkeypatch)
    monkeypatch.setattr(support, "attending", lambda _: contextlib.nullcontext())
    engine = LocalEngine(model, slots=5, context=512, chunk=7)
    assert not engine._cache.packed
    check_exact(model, await asyncio.gather(*[turns(engine, i, delay=2) for i in range(9)]))


async def test_others_find_the_model_attending_as_before(model: PreTrainedModel) -> None:
    before = model.config._attn_implementation
    engine = LocalEngine(model, slots=2, context=512)
    assert engine._cache.packed
    await turns(engine, 1, n=1)
    assert model.config._attn_implementation == before == "sdpa"


async def test_many_rows_of_many_lengths(model: PreTrainedModel) -> None:
    """More than one share of rows, which are put in order as they come and go."""
    engine = LocalEngine(model, slots=40, context=512)
    runs = [turns(engine, i, n=2, delay=1, system=5 + (i * 53) % 300) for i in range(40)]
    check_exact(model, await asyncio.gather(*runs))


async def test_memory_that_is_kept_is_as_new(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=3, context=512)
    await asyncio.gather(*[turns(engine, i) for i in range(3)])
    held = engine._cache.keys[0]._memory
    await engine.forget()
    assert held is not None
    assert not held.any()
    await turns(engine, 1)
    assert engine._cache.keys[0]._memory is held


async def test_admission_in_mid_batch(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=16, context=512)
    check_exact(model, await asyncio.gather(*[turns(engine, i, delay=5) for i in range(16)]))


async def test_turns_continue_in_the_cache(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=4, context=512)
    runs = await asyncio.gather(*[turns(engine, i) for i in range(4)])
    for run in runs:
        for (before, done), (_, after) in itertools.pairwise(run):
            # all but the last sampled id, which was never fed
            assert after.cached_tokens == len(before) + len(done.ids) - 1
    check_exact(model, runs)


async def test_a_common_prefix_is_computed_once(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=8, context=512)
    runs = await asyncio.gather(*[turns(engine, i, n=1, system=100) for i in range(8)])
    assert sorted(run[0][1].cached_tokens >= 100 for run in runs) == [False] + [True] * 7
    check_exact(model, runs)


async def test_the_same_prompt_twice_feeds_its_last_id_again(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=2, context=128)
    prompt, sampling = ids_of(1, 50), Sampling(max_tokens=5, seed=1)
    first = await engine.generate(prompt, sampling)
    again = await engine.generate(prompt, sampling)
    assert (first.cached_tokens, again.cached_tokens) == (0, 49)
    assert first.ids == again.ids
    assert off(model, prompt, again) < 1e-4


@pytest.mark.parametrize(
    "short", [{"slots": 3}, {"slots": 1}, {"max_cache_tokens": 512}, {"slots": 5, "chunk": 7}]
)
async def test_eviction_and_prefill_again_change_nothing(
    model: PreTrainedModel, short: dict[str, int]
) -> None:
    roomy = LocalEngine(model, slots=16, context=512)
    tight = LocalEngine(model, context=512, **short)
    want = await asyncio.gather(*[turns(roomy, i) for i in range(10)])
    got = await asyncio.gather(*[turns(tight, i, delay=3) for i in range(10)])
    check_exact(model, got)
    for one, other in zip(want, got, strict=True):
        assert [done.ids for _, done in one] == [done.ids for _, done in other]


async def test_the_cache_grows_in_steps_and_never_beyond_its_bound(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=6, context=1000, max_cache_tokens=1300)
    runs = await asyncio.gather(*[turns(engine, i) for i in range(6)])
    assert engine._cache.capacity == 256
    long = ids_of(5, 900)
    done = await engine.generate(long, Sampling(max_tokens=100))
    assert (engine._cache.rows, engine._cache.capacity) == (1, 1000)
    check_exact(model, [*runs, [(long, done)]])
    check_exact(model, await asyncio.gather(*[turns(engine, i) for i in range(6)]))


async def test_greedy_equals_generate(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=4, context=256)
    prompts = [ids_of(i, 5 + 9 * i) for i in range(6)]
    greedy = Sampling(temperature=0.0, max_tokens=20)
    got = await asyncio.gather(*[engine.generate(prompt, greedy) for prompt in prompts])
    for prompt, done in zip(prompts, got, strict=True):
        want = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=20,
            min_new_tokens=20,
            pad_token_id=0,
        )
        assert list(done.ids) == want[0, len(prompt) :].tolist()
        assert off(model, prompt, done) < 1e-4  # the model's own, at temperature 1


async def test_bfloat16_keeps_its_stated_bound() -> None:
    model = make().to(torch.bfloat16)
    engine = LocalEngine(model, slots=16, context=512)
    runs = await asyncio.gather(*[turns(engine, i) for i in range(12)])
    gaps = [
        (full_forward(model, prompt, done.ids) - torch.tensor(done.logprobs)).abs()
        for run in runs
        for prompt, done in run
    ]
    assert float(torch.cat(gaps).mean()) < 0.01


async def test_same_requests_same_results_bit_for_bit(model: PreTrainedModel) -> None:
    async def once() -> list[list[tuple[tuple[int, ...], tuple[float, ...]]]]:
        engine = LocalEngine(model, slots=5, context=512)
        runs = await asyncio.gather(*[turns(engine, i) for i in range(9)])
        return [[(done.ids, done.logprobs) for _, done in run] for run in runs]

    assert await once() == await once()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("first", [range(3), range(9), range(2, 40, 3)])
async def test_what_comes_after_forget_is_what_a_new_engine_gives_bit_for_bit(
    model: PreTrainedModel, two_threads: None, first: range
) -> None:
    """Ids, log-probabilities and cached tokens: neither keys and values nor the order of rows is
    left over, nor how long the last request had waited."""

    async def second(engine: LocalEngine) -> list[tuple]:
        runs = await asyncio.gather(*[turns(engine, i, delay=2) for i in range(1, 12)])
        return [(one.ids, one.logprobs, one.cached_tokens) for run in runs for _, one in run]

    engine = LocalEngine(model, slots=5, context=512)
    await asyncio.gather(*[turns(engine, i, delay=1) for i in first])
    await engine.forget()
    assert await second(engine) == await second(LocalEngine(model, slots=5, context=512))


async def test_nothing_is_forgotten_under_a_running_request(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=2, context=128)
    task = asyncio.create_task(engine.generate(ids_of(1, 5), Sampling(max_tokens=20)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="running"):
        await engine.forget()
    await task


async def test_neither_batch_nor_order_changes_a_draw(model: PreTrainedModel) -> None:
    prompt, sampling = ids_of(3, 20), Sampling(max_tokens=12, seed=77)
    alone = await LocalEngine(model, slots=8, context=256).generate(prompt, sampling)
    engine = LocalEngine(model, slots=8, context=256)
    others = [engine.generate(ids_of(i, 30), Sampling(max_tokens=9, seed=i)) for i in range(7)]
    *_, last = await asyncio.gather(*others, engine.generate(prompt, sampling))
    assert last.ids == alone.ids


@pytest.mark.parametrize("reason", ["stop_id", "length"])
async def test_training_on_ids_other_than_sampled_is_impossible_ids_and_logprobs_agree(
    model: PreTrainedModel, reason: str
) -> None:
    """One log-probability for each id, the stopping one included, none for the prompt."""
    engine = LocalEngine(model, slots=2, context=128)
    prompt = ids_of(1, 10)
    free = await engine.generate(prompt, Sampling(max_tokens=15, seed=3))
    stop = (free.ids[6],) if reason == "stop_id" else ()
    done = await engine.generate(prompt, Sampling(max_tokens=15, seed=3, stop_ids=stop))
    size = free.ids.index(stop[0]) + 1 if stop else 15
    assert done.ids == free.ids[:size]
    assert len(done.logprobs) == len(done.ids)
    assert done.finish == reason
    assert off(model, prompt, done) < 1e-4


# Stop strings


def letters() -> Tokenizer:
    """A byte-level tokenizer over single bytes (ids 0..255) and a few longer tokens (256..)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    extra = ["</tool_call>", "l>x", "ab>", "</", "tool", "_call", ">\u010a"]
    words = [*alphabet, *extra]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "a"))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_script(
    monkeypatch: pytest.MonkeyPatch, engine: LocalEngine, script: list[int], start: int
) -> None:
    feed = engine._feed

    def scripted(slots_B: np.ndarray, end_B: np.ndarray, steps: int) -> torch.Tensor:
        logits_BV = feed(slots_B, end_B, steps)
        for row, at in enumerate(engine._slots.cached_S[slots_B].tolist()):
            if 0 <= at - start < len(script):
                logits_BV[row] = -30.0
                logits_BV[row, script[at - start]] = 30.0
        return logits_BV

    monkeypatch.setattr(engine, "_feed", scripted)


@pytest.mark.parametrize(
    ("stop", "pieces", "kept"),
    [
        ("</tool_call>", ["a", "</tool_call>", "b"], 2),
        ("</tool_call>", ["</", "tool", "_call", ">", "b"], 4),
        ("</tool_call>", ["</", "tool", "_call", ">\u010a", "b"], 4),  # overshoots, kept whole
        ("</tool_call>", ["</", "tool", "_", "c", "a", "l", "l>x", "b"], 7),  # overshoots
        ("call>", ["c", "a", "l", "l>x", "b"], 4),
        ("b>", ["a", "ab>", "b"], 2),
        ("\n", ["a", ">\u010a", "b"], 2),
        ("é", ["a", "Ã", "©", "b"], 3),  # one character over two tokens
        ("x", ["a", "b"], 9),
    ],
)
async def test_stop_strings(
    monkeypatch: pytest.MonkeyPatch,
    model: PreTrainedModel,
    stop: str,
    pieces: list[str],
    kept: int,
) -> None:
    tokenizer = letters()
    engine = LocalEngine(model, tokenizer, slots=2, context=64)
    vocabulary = tokenizer.get_vocab()
    script = [vocabulary[piece] for piece in pieces]
    script += [vocabulary["a"]] * (9 - len(script))
    write_script(monkeypatch, engine, script, start=5)
    sampling = Sampling(temperature=0, max_tokens=9, stop=(stop, "never"))
    done = await engine.generate(ids_of(0, 5), sampling)
    assert list(done.ids) == script[:kept]
    assert done.finish == ("length" if kept == 9 else "stop_string")
    if done.finish == "stop_string":
        assert stop in tokenizer.decode(done.ids)
        assert stop not in tokenizer.decode(done.ids[:-1])


async def test_a_stop_string_in_the_prompt_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    tokenizer = letters()
    vocabulary = tokenizer.get_vocab()
    engine = LocalEngine(model, tokenizer, slots=1, context=64)
    write_script(monkeypatch, engine, [vocabulary[">"], vocabulary["a"]], start=3)
    prompt = [vocabulary[piece] for piece in ("</", "tool", "_call")]
    done = await engine.generate(
        prompt, Sampling(temperature=0, max_tokens=2, stop=("</tool_call>",))
    )
    assert (len(done.ids), done.finish) == (2, "length")


# Sampling


def test_draws_follow_the_softmax() -> None:
    """Chi-square of 20,000 draws over 12 tokens against the softmax; 99.9% point for 11 degrees of
    freedom is 31.3 (tables)."""
    logits_V = torch.linspace(-2, 2, 12)
    n = 20_000
    uniform_B = torch.from_numpy(uniforms(np.full(n, 5), np.arange(n)))
    ones = torch.ones(n)
    for temperature in (1.0, 0.5):
        ids_B, logprob_B = draw(
            logits_V.expand(n, -1), ones * temperature, ones, torch.zeros(n).long(), uniform_B
        )
        want_V = (logits_V / temperature).softmax(-1)
        got_V = torch.bincount(ids_B, minlength=12)
        assert float(((got_V - n * want_V) ** 2 / (n * want_V)).sum()) < 31.3
        assert torch.allclose(logprob_B, want_V.log()[ids_B], atol=1e-5)


@pytest.mark.parametrize(
    ("top_p", "top_k", "kept"), [(1.0, 2, 2), (0.6, 0, 2), (0.5, 0, 1), (0.75, 3, 2), (1e-9, 0, 1)]
)
def test_truncation_keeps_and_renormalises(top_p: float, top_k: int, kept: int) -> None:
    """By hand, of 0.5, 0.3, 0.15, 0.05: 0.5 alone reaches 0.5; 0.5 + 0.3 reaches 0.6; within the
    top 3 (0.95) 0.75 x 0.95 = 0.7125 is reached by two."""
    probs_V = torch.tensor([0.05, 0.5, 0.15, 0.3])
    n = 500
    uniform_B = torch.from_numpy(uniforms(np.full(n, 1), np.arange(n)))
    ids_B, logprob_B = draw(
        probs_V.log().expand(n, -1),
        torch.ones(n),
        torch.full((n,), top_p),
        torch.full((n,), top_k),
        uniform_B,
    )
    allowed = [1, 3, 2, 0][:kept]
    assert set(ids_B.tolist()) == set(allowed)
    want_V = probs_V / probs_V[allowed].sum()
    assert torch.allclose(logprob_B, want_V.log()[ids_B], atol=1e-5)


def test_mixed_rows_do_not_touch_one_another() -> None:
    logits_BV = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    temperature_B = torch.tensor([0.0, 1.0, 2.0])
    top_p_B, top_k_B = torch.tensor([1.0, 1.0, 0.5]), torch.tensor([0, 0, 10])
    uniform_B = torch.tensor([0.3, 0.6, 0.9])
    together = draw(logits_BV, temperature_B, top_p_B, top_k_B, uniform_B)
    for row in range(3):
        one = slice(row, row + 1)
        alone = draw(logits_BV[one], temperature_B[one], top_p_B[one], top_k_B[one], uniform_B[one])
        assert alone[0][0] == together[0][row]
        assert alone[1][0] == together[1][row]
    assert together[0][0] == logits_BV[0].argmax()


@given(st.integers(0, 2**63 - 1), st.integers(0, 10_000))
def test_uniforms_depend_on_their_key_alone(seed: int, position: int) -> None:
    one = uniforms(np.array([seed], dtype=np.uint64), np.array([position]))
    many = uniforms(np.array([7, seed], dtype=np.uint64), np.array([1, position]))
    assert one[0] == many[1]
    assert 0 <= one[0] < 1


@settings(max_examples=50)
@given(st.floats(0, 1, exclude_max=True, width=32), st.lists(st.floats(-50, 50), min_size=1))
def test_no_impossible_token_is_drawn(uniform: float, logits: list[float]) -> None:
    logits_BV = torch.tensor([[*logits, -math.inf]])
    ids_B, logprob_B = draw(
        logits_BV, torch.ones(1), torch.ones(1), torch.zeros(1).long(), torch.tensor([uniform])
    )
    assert ids_B[0] < len(logits)
    assert torch.isfinite(logprob_B).all()


# Limits, errors, cancellation


@pytest.mark.parametrize(
    ("prompt", "sampling"),
    [
        ([], Sampling()),
        ([VOCABULARY], Sampling(max_tokens=1)),
        ([-1], Sampling(max_tokens=1)),
        ([1] * 60, Sampling(max_tokens=5)),
        ([1], Sampling(max_tokens=0)),
        ([1], Sampling(max_tokens=1, temperature=-1)),
        ([1], Sampling(max_tokens=1, top_p=0)),
        ([1], Sampling(max_tokens=1, stop=("x",))),  # no tokenizer
        ([1], Sampling(max_tokens=1, stop_ids=(VOCABULARY,))),
    ],
)
async def test_what_cannot_be_sampled_is_refused(
    model: PreTrainedModel, prompt: list[int], sampling: Sampling
) -> None:
    engine = LocalEngine(model, slots=1, context=64)
    with pytest.raises(ValueError, match=r"."):
        await engine.generate(prompt, sampling)


async def test_the_whole_context_can_be_used(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=1, context=64)
    prompt = ids_of(0, 60)
    done = await engine.generate(prompt, Sampling(max_tokens=4))
    assert len(done.ids) == 4
    assert off(model, prompt, done) < 1e-4


async def test_an_engine_error_is_a_failure_and_the_engine_goes_on(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    engine = LocalEngine(model, slots=2, context=512)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_decode", lambda: 1 / 0)
        asked = [engine.generate(ids_of(i, 5), Sampling(max_tokens=3)) for i in range(5)]
        got = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, FailureError) and error.kind == "engine" for error in got)
    check_exact(model, await asyncio.gather(*[turns(engine, i) for i in range(4)]))


def short_of(monkeypatch: pytest.MonkeyPatch, engine: LocalEngine, where: str, error: Exception,
             holds: int) -> None:  # fmt: skip
    """The engine's memory holds a cache of so many tokens: with more, a step of it raises."""
    real = getattr(engine if where == "_feed" else engine._cache, where)

    def short(*given: Any) -> Any:
        rows, capacity = engine._cache.rows, engine._cache.capacity
        if where == "reshape":
            rows, capacity = given[:2]
        if rows * capacity > holds:
            raise error
        return real(*given)

    monkeypatch.setattr(engine if where == "_feed" else engine._cache, where, short)


OUT = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", OUT, ids=["cuda", "python", "cpu"])
@pytest.mark.parametrize("where", ["_feed", "reshape"])
async def test_out_of_memory_halves_the_cache_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel, where: str, error: Exception
) -> None:
    """Eight rows of 256 are one half too many; four run, and all are served as ever."""
    engine = LocalEngine(model, slots=8, context=512)
    want = await asyncio.gather(*[turns(engine, i) for i in range(8)])
    await engine.forget()
    short_of(monkeypatch, engine, where, error, holds=4 * 256)
    got = await asyncio.wait_for(asyncio.gather(*[turns(engine, i) for i in range(8)]), 60)
    check_exact(model, got)
    for one, other in zip(want, got, strict=True):
        assert [done.ids for _, done in one] == [done.ids for _, done in other]
    assert engine._cache.rows * engine._cache.capacity <= 4 * 256


async def test_a_request_that_runs_out_of_memory_twice_fails_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    engine = LocalEngine(model, slots=8, context=256)
    with monkeypatch.context() as patch:
        short_of(patch, engine, "_feed", OUT[0], holds=256)
        asked = [engine.generate(ids_of(i, 40), Sampling(max_tokens=3)) for i in range(9)]
        got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
    assert {type(one) for one in got} == {FailureError}
    check_exact(model, await asyncio.gather(*[turns(engine, i, n=1) for i in range(4)]))


async def test_nobody_is_lost_where_the_cache_cannot_grow(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    """One of two with a common prefix waits for the other's when the growing fails."""
    engine = LocalEngine(model, slots=4, context=512)
    short_of(monkeypatch, engine, "reshape", ValueError("broken"), holds=4 * 256)
    sizes = [(50, 3), (50, 3), (400, 3)]
    asked = [engine.generate(ids_of(1, n), Sampling(max_tokens=m)) for n, m in sizes]
    got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
    assert {type(one) for one in got} == {FailureError}


async def test_nan_logits_fail_their_own_request_only(
    monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    engine = LocalEngine(model, slots=4, context=512)
    feed = engine._feed

    def poisoned(slots_B: np.ndarray, end_B: np.ndarray, steps: int) -> torch.Tensor:
        logits_BV = feed(slots_B, end_B, steps)
        for row, slot in enumerate(slots_B):
            if engine._slots.owner[slot].sampling.seed == 666:
                logits_BV[row, 3] = math.nan
        return logits_BV

    monkeypatch.setattr(engine, "_feed", poisoned)
    bad = engine.generate(ids_of(1, 9), Sampling(max_tokens=5, seed=666))
    results = await asyncio.gather(bad, turns(engine, 2), return_exceptions=True)
    assert isinstance(results[0], FailureError)
    assert not isinstance(results[1], BaseException)
    check_exact(model, [results[1]])


async def test_a_cancelled_request_frees_its_place(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=1, context=512)
    running = asyncio.create_task(engine.generate(ids_of(1, 9), Sampling(max_tokens=400)))
    waiting = asyncio.create_task(engine.generate(ids_of(2, 9), Sampling(max_tokens=400)))
    for _ in range(5):
        await asyncio.sleep(0)
    waiting.cancel()
    running.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert engine._slots.live == 0
    check_exact(model, [await asyncio.wait_for(turns(engine, 3), 10)])


def test_an_engine_outlives_its_event_loop(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=2, context=512)

    async def leave_running() -> None:
        task = asyncio.create_task(engine.generate(ids_of(1, 9), Sampling(max_tokens=400)))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave_running())
    check_exact(model, [asyncio.run(turns(engine, 1))])


# Weights


async def test_update_weights_in_place(tmp_path: Path) -> None:
    model, other = make(), make(seed=1)
    other.save_pretrained(tmp_path / "other")
    engine = LocalEngine(model, slots=4, context=512)
    prompt, sampling = ids_of(1, 20), Sampling(max_tokens=60, seed=2)
    before = asyncio.create_task(engine.generate(prompt, sampling))
    for _ in range(5):
        await asyncio.sleep(0)
    update = asyncio.create_task(engine.update_weights(tmp_path / "other", 7))
    await asyncio.sleep(0)
    after = await engine.generate(prompt, sampling)
    await update
    old = await before
    assert (old.policy_version, after.policy_version, engine.version) == (0, 7, 7)
    assert after.cached_tokens == 0
    assert off(make(), prompt, old) < 1e-4
    assert off(other, prompt, after) < 1e-4


async def test_foreign_weights_are_refused_and_change_nothing(tmp_path: Path) -> None:
    model = make()
    make("llama").save_pretrained(tmp_path)
    engine = LocalEngine(model, slots=2, context=512)
    with pytest.raises(BadInput, match="another model"):
        await engine.update_weights(tmp_path, 1)
    with pytest.raises(BadInput, match=r"cannot be loaded|not a folder"):
        await engine.update_weights(tmp_path / "nowhere", 1)
    assert engine.version == 0
    check_exact(make(), [await turns(engine, 1)])


async def test_weights_do_not_change_under_a_running_request(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=2, context=128)
    task = asyncio.create_task(engine.generate(ids_of(1, 5), Sampling(max_tokens=20)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="running"):
        engine.load_state(model.state_dict(), 1)
    await task


async def test_at_rest_an_accelerators_memory_is_the_trainers(model: PreTrainedModel) -> None:
    engine = LocalEngine(model, slots=2, context=128)

    def held() -> int:
        return sum(each._memory is not None for each in engine._cache._each())

    await engine.generate(ids_of(1, 5), Sampling(max_tokens=4))
    before = held()
    assert before > 0
    engine.rest()
    assert held() == before  # the system's own is kept
    engine._device = torch.device("meta")
    engine.rest()
    assert held() == 0
    engine._device = model.device
    again = await engine.generate(ids_of(1, 5), Sampling(max_tokens=4, seed=3))
    fresh = LocalEngine(model, slots=2, context=128)
    assert again.ids == (await fresh.generate(ids_of(1, 5), Sampling(max_tokens=4, seed=3))).ids


async def test_a_model_in_training_keeps_its_mode() -> None:
    model = make().train()
    engine = LocalEngine(model, slots=2, context=512)
    run = await turns(engine, 1)
    assert model.training
    check_exact(model, [run])


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (MistralConfig(**SHAPE, sliding_window=8), MistralForCausalLM),
        (Gemma2Config(**SHAPE, sliding_window=8), Gemma2ForCausalLM),
        (
            Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=8, max_window_layers=0),
            Qwen2ForCausalLM,
        ),
    ],
)
def test_models_it_would_be_wrong_for_are_refused(config: object, kind: type) -> None:
    with pytest.raises(BadInput, match="sliding"):
        LocalEngine(kind(config).eval(), slots=1, context=64)


async def test_a_window_beyond_the_context_is_full_attention() -> None:
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=512)).eval()
    check_exact(model, [await turns(LocalEngine(model, slots=1, context=512), 1)])


def test_a_context_beyond_the_model_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(BadInput, match="1024 positions"):
        LocalEngine(model, slots=1, context=2048)


# Loading


def test_load_model_round_trip(tmp_path: Path, model: PreTrainedModel) -> None:
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path, device="cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not again.training
    assert load_model(str(tmp_path), dtype="bfloat16", device="cpu").dtype == torch.bfloat16


def _spoil(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "noise":
        weights.write_bytes(b"\xff" * 4096)
    elif how == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how == "no weights":
        weights.unlink()
    elif how == "no config":
        config.unlink()
    elif how == "bad config":
        config.write_text("{")
    elif how == "list config":
        config.write_text("[]")
    elif how == "foreign config":
        config.write_text('{"model_type": "t5"}')
    elif how == "unknown type":
        config.write_text('{"model_type": "no-such-thing"}')
    elif how == "other size":
        config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 64'))
    elif how == "more layers":
        make_deeper(folder)


def make_deeper(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    Qwen3ForCausalLM(Qwen3Config(**(SHAPE | {"num_hidden_layers": 3}))).save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(weights)


@pytest.mark.parametrize(
    "how",
    [
        "truncated", "noise", "pickle", "no weights", "no config", "bad config", "list config",
        "foreign config", "unknown type", "other size", "more layers",
    ],
)  # fmt: skip
def test_an_unusable_folder_is_one_line(tmp_path: Path, model: PreTrainedModel, how: str) -> None:
    model.save_pretrained(tmp_path)
    _spoil(tmp_path, how)
    with pytest.raises(BadInput) as caught:
        load_model(tmp_path, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_slots_match_by_hand() -> None:
    slots = Slots(3, 16)
    slots.relayout(3)
    for slot, ids in enumerate(([1, 2, 3, 4], [1, 2, 9], [1, 2, 3])):
        slots.tokens_ST[slot, : len(ids)] = ids
        slots.cached_S[slot] = slots.known_S[slot] = len(ids)
    prompt = np.array([1, 2, 3, 4, 5], dtype=np.int32)
    assert (slots.match(prompt).slot, slots.match(prompt).shared) == (0, 4)
    assert slots.extended_by(prompt) == 0
    assert slots.extended_by(prompt[:4]) == 2
    assert slots.match(prompt[:3]).shared == 2  # the last id has yet to be fed
    assert slots.extended_by(np.array([7], dtype=np.int32)) == -1


def test_slots_arrange_by_hand() -> None:
    """Lengths 1, 9, 2, 8 in shares of two read 9 + 9 + 8 + 8 = 34; 9, 8 and 2, 1 would read 22, so
    the first and the last row change places. 9, 8, 9, 1 read 36 against 9 + 9 + 8 + 8: left."""
    slots = Slots(4, 16)
    slots.relayout(4)
    slots.live_S[:] = True
    slots.cached_S[:] = [1, 9, 2, 8]
    to, source, width = slots.arrange(2)
    assert (to.tolist(), source.tolist(), width.tolist()) == ([0, 3], [3, 0], [8, 1])
    assert slots.cached_S[slots.slot_of_row].tolist() == [8, 9, 2, 1]
    assert slots.row_S[slots.slot_of_row].tolist() == [0, 1, 2, 3]
    slots.cached_S[slots.slot_of_row] = [9, 8, 9, 1]
    assert not len(slots.arrange(2)[0])
