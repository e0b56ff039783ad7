"""Packed rows give what their segments give apart, whatever the model."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from webfarer.train.attention import choose_way, documents_attention, logprobs
from webfarer.train.pack import check_segments, collate, pack, too_long, trained_tokens
from webfarer.types import BadInput, Segment, random_for

SMALL = {
    "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128,
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
MODELS = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=8, tie_word_embeddings=True)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
    "sliding window": lambda: MistralForCausalLM(MistralConfig(**SMALL, sliding_window=8)),
    "soft-capped": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SMALL, head_dim=8, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)
    ),
    "learned positions": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=128, resid_pdrop=0,
                   embd_pdrop=0, attn_pdrop=0)
    ),
}  # fmt: skip


def make(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS[name]()


def segments(count: int = 4) -> list[Segment]:
    random = random_for("test", "segments")
    made = []
    for number in range(count):
        segment = Segment("t")
        segment.given([random.randrange(97) for _ in range(3 + number)])
        for _ in range(3):
            segment.chosen([random.randrange(97) for _ in range(4)], [0.0] * 4)
            segment.given([random.randrange(97) for _ in range(5)])
        made.append(segment)
    return made


def reference_loss(model: torch.nn.Module, parts: list[Segment]) -> torch.Tensor:
    """The same sum without any of the code under test: one plain forward a segment."""
    total = torch.zeros((), dtype=next(model.parameters()).dtype)
    for part in parts:
        tokens = torch.tensor([part.ids])
        logprobs_TV = model(tokens, use_cache=False).logits[0].log_softmax(-1)
        for place in range(1, len(part)):
            if part.mask[place]:
                total = total - logprobs_TV[place - 1, part.ids[place]]
    return total


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", MODELS)
def test_packed_gradients_equal_unpacked(name):
    model = make(name).double()
    parts = segments()
    plain = copy.deepcopy(model)
    loss = reference_loss(plain, parts)
    expected = gradients(plain, loss)
    way = choose_way(model)
    # Log-probabilities are taken in float32, so the bound is that of float32.
    packed_loss = -logprobs(model, collate(parts), way).sum()
    assert packed_loss.item() == pytest.approx(loss.item(), rel=1e-6)
    packed = gradients(model, packed_loss)
    assert packed.keys() == expected.keys()
    largest = max(gradient.abs().max() for gradient in expected.values())
    for key, gradient in expected.items():
        assert (packed[key] - gradient).abs().max() <= 1e-6 * largest, key


def test_the_fast_way_is_taken_where_it_is_right_and_only_there():
    assert choose_way(make("qwen3")) == "documents"
    assert choose_way(make("llama")) == "documents"
    assert choose_way(make("soft-capped")) in ("positions", "apart")
    assert choose_way(make("sliding window")) in ("positions", "apart")


@pytest.mark.parametrize("name", ["qwen3", "learned positions"])
def test_a_way_that_leaks_or_numbers_positions_on_is_not_taken(name, monkeypatch):
    model = make(name)

    def leaking(module, query, key, value, mask, *, cu_seq_lens_q=None, **kwargs):
        bounds = (0, query.shape[2])
        return documents_attention(
            module, query, key, value, mask, cu_seq_lens_q=bounds, scaling=kwargs.get("scaling")
        )

    monkeypatch.setattr("webfarer.train.attention.documents_attention", leaking)
    assert choose_way(model) == "positions"


def test_a_model_that_cannot_be_packed_is_trained_apart():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.MambaConfig(vocab_size=97, hidden_size=16, num_hidden_layers=1)
    model = transformers.MambaForCausalLM(config)
    way = choose_way(model)
    assert way == "apart"
    parts = segments()
    packed = -logprobs(model, collate(parts), way).sum()
    assert packed.item() == pytest.approx(reference_loss(model, parts).item(), rel=1e-5)


def test_attention_without_bounds_is_refused_and_never_crosses_documents():
    query = torch.zeros(1, 2, 4, 8)
    with pytest.raises(ValueError, match="bounds"):
        documents_attention(torch.nn.Identity(), query, query, query, None)
    with pytest.raises(ValueError, match="softcap"):
        documents_attention(
            torch.nn.Identity(), query, query, query, None, cu_seq_lens_q=(0, 4), softcap=5.0
        )


def test_logits_are_computed_only_where_a_token_is_trained():
    model = make("qwen3")
    way = choose_way(model)
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape[1]))
    row = collate(segments())
    logprobs(model, row, way)
    assert seen == [sum(sum(part.mask) for part in segments())]


def test_a_row_by_hand():
    one = Segment("t", [10, 11, 12], [0, 1, 1], [0.0] * 3)
    two = Segment("t", [20, 21, 22, 23], [1, 0, 0, 1], [0.0] * 4)
    row = collate([one, two])
    assert row.tokens_T.tolist() == [10, 11, 12, 20, 21, 22, 23]
    assert row.positions_T.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert row.bounds == (0, 3, 7)
    assert row.predict_N.tolist() == [0, 1, 5]  # 20 follows 12 in the row, and is not predicted
    assert row.targets_N.tolist() == [11, 12, 23]
    assert (trained_tokens(one), trained_tokens(two)) == (2, 1)


@given(
    st.lists(st.integers(1, 60), max_size=300),
    st.integers(20, 60),
    st.integers(0, 3),
)
def test_every_document_that_fits_is_packed_once_and_no_row_overflows(lengths, length, epoch):
    rows = pack(lengths, length, 0, epoch)
    used = sorted(index for row in rows for index in row)
    assert used == [index for index, size in enumerate(lengths) if size <= length]
    assert too_long(lengths, length) == len(lengths) - len(used)
    assert all(0 < sum(lengths[index] for index in row) <= length for row in rows)
    # First fit leaves at most one row of a window half empty.
    windows = -(-len(used) // 128)
    half = sum(sum(lengths[index] for index in row) * 2 <= length for row in rows)
    assert half <= windows


def test_packing_is_keyed_by_seed_and_epoch():
    lengths = [random_for("lengths", i).randrange(400, 1300) for i in range(300)]
    first = pack(lengths, 2048, seed=1, epoch=0)
    assert first == pack(lengths, 2048, seed=1, epoch=0)
    assert first != pack(lengths, 2048, seed=1, epoch=1)
    assert first != pack(lengths, 2048, seed=2, epoch=0)
    assert sum(lengths) / (2048 * len(first)) > 0.85


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "empty"),
        ([Segment("t", [1, 2, 3], [0, 0, 0], [0.0] * 3)], "mask of zeros"),
        ([Segment("t", [1, 2, 3], [1, 0, 0], [0.0] * 3)], "mask of zeros"),
        ([Segment("other", [1, 2], [0, 1], [0.0] * 2)], "tokenizer"),
        ([Segment("t", [1, 2], [0, 1, 1], [0.0] * 2)], "2 ids and 3 mask"),
    ],
)
def test_impossible_2_an_all_zero_mask_or_foreign_ids_are_never_trained(bad, says):
    with pytest.raises(BadInput, match=says):
        check_segments(bad, "t")
