"""Activation checkpointing, log-probabilities without all logits, and running out of memory.

Memory is counted in bytes of live tensors, of whatever makes them, and never in seconds.
"""

from __future__ import annotations

import weakref

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM  # noqa: E402

from test_rl import SETTINGS, TASKS, Bandit, metrics  # noqa: E402
from webfarer.policy.model import load_model  # noqa: E402
from webfarer.train.attention import choose_way, logprobs, scores  # noqa: E402
from webfarer.train.memory import Room, enable_checkpointing  # noqa: E402
from webfarer.train.pack import collate  # noqa: E402
from webfarer.train.rl import reinforce  # noqa: E402
from webfarer.train.rl_batch import micro_batches  # noqa: E402
from webfarer.train.scorer import Scorer  # noqa: E402
from webfarer.types import BadInput, Segment, WebfarerError  # noqa: E402


class Live(TorchDispatchMode):
    """Bytes of the tensors that are alive, of those made within: now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.largest = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage) -> None:
        size, key = storage.nbytes(), storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.most, self.largest = max(self.most, self.now), max(self.largest, size)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key, size) -> None:
        self._known.discard(key)
        self.now -= size


def qwen3(layers=2, vocabulary=64, hidden=32):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, head_dim=16,
        num_attention_heads=2, num_key_value_heads=1, intermediate_size=2 * hidden,
        max_position_embeddings=8192, attention_dropout=0.0, pad_token_id=0,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def a_row(*lengths, vocabulary=64):
    def ids(size):
        return [(place * 7919 + size) % vocabulary for place in range(size)]

    return collate([Segment("", ids(n), [0] + [1] * (n - 1), [0.0] * n) for n in lengths])


def test_live_counts_what_a_hand_would():
    with Live() as live:
        kept = torch.zeros(100)  # 400 bytes
        torch.zeros(1000)  # 4000, gone at once
        kept.add_(1)
        view = kept[:10]
        more = kept + 1
    assert (live.now, live.most, live.largest) == (800, 4400, 4000)
    del kept, view, more
    assert live.now == 0


# Activation checkpointing


def gradients(model, row, checkpointing):
    if checkpointing:
        enable_checkpointing(model)
    scorer = Scorer(model, choose_way(model))
    with Live() as live:
        scorer.logprobs(row).sum().backward()
    return [parameter.grad for parameter in model.parameters()], live.most


def test_checkpointing_gives_the_same_gradients_and_holds_less():
    row = a_row(300, 200)
    plain, most = gradients(qwen3(8), row, False)
    again, less = gradients(qwen3(8), row, True)
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert less < most / 3  # eight layers' activations against one layer's and eight inputs


def test_checkpointing_is_for_models_whose_layers_are_marked():
    with pytest.raises(BadInput, match="checkpointing"):
        enable_checkpointing(torch.nn.Linear(2, 2))


def test_checkpointing_leaves_an_update_as_it_was(tiny_model, tmp_path):
    weights = []
    for on in (False, True):
        settings = SETTINGS.model_copy(
            update={"steps": 2, "eval_every": 0, "checkpointing": on, "mini_batches": 2}
        )
        out = reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path / str(on))
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


# Log-probabilities


@pytest.mark.parametrize(("precision", "size"), [("float32", 2800), ("bf16", 1400)])
def test_impossible_a_tensor_of_all_logits(precision, size):
    """2,800 tokens of a vocabulary of 50,000: all logits are 560 MB in float32, and three times
    that in a backward pass. In chunks of 2^25 logits, 134 MB, the three of one chunk are 403 MB
    whatever the length: for 32,768 tokens of 151,936 too, where all logits are 19.9 GB and the
    three of them 59.7 GB."""
    vocabulary, chunk = 50_000, 4 << 25
    model, row = qwen3(1, vocabulary, 16), a_row(size + 1, vocabulary=vocabulary)
    scorer = Scorer(model, choose_way(model))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"), Live() as live:
        found_N = scorer.logprobs(row)
        found_N.sum().backward()
    assert found_N.dtype == torch.float32
    assert live.largest <= chunk < 2 * chunk < size * vocabulary * 4
    assert live.most < 3.2 * chunk  # and what the layers and the weights' gradients take


def test_the_model_itself_would_hold_them():
    """That the measure above sees what it is to see."""
    size, vocabulary = 600, 5000
    model, row = qwen3(1, vocabulary, 16), a_row(size + 1, vocabulary=vocabulary)
    with Live() as live:
        logprobs(model, row, choose_way(model)).sum().backward()
    assert live.largest == size * vocabulary * 4
    assert live.most > 3 * live.largest


# Families


BASE = {
    "vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 48, "head_dim": 16, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64,
}  # fmt: skip
FAMILIES = {
    "qwen3": {},
    "llama": {},
    "gemma": {},
    "gemma3_text": {
        "query_pre_attn_scalar": 16, "sliding_window": 64, "final_logit_softcapping": 1.0,
    },
    "granite": {"logits_scaling": 4.0},
    "phi3": {},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
}  # fmt: skip


def a_family(name):
    from transformers import AutoConfig

    base = BASE if name != "gpt2" else {key: BASE[key] for key in ("vocab_size", "eos_token_id")}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **base, **FAMILIES[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)  # logits apart enough for a cap or a scale to be seen
    return model.eval()


@pytest.fixture(params=sorted(FAMILIES))
def family(request, tiny_model, tmp_path):
    from webfarer.train.folder import copy_tokenizer, save_weights

    folder = tmp_path / request.param
    save_weights(a_family(request.param), folder)
    copy_tokenizer(tiny_model, folder)
    return folder


@pytest.mark.parametrize("rank", [0, 4])
def test_an_update_of_any_family(rank, family, tmp_path):
    """The engine's log-probabilities are the trainer's, before and after its weights moved; logits
    come in chunks in all of them; adapters, where there are, leave the base weights alone."""
    settings = SETTINGS.model_copy(
        update={"steps": 2, "eval_every": 0, "lora_rank": rank, "checkpointing": rank > 0}
    )
    bandit = Bandit(family)
    reinforce(settings, family, bandit, TASKS, tmp_path)
    found = metrics(tmp_path)
    assert all(abs(metric.loss) < 10 and 0 < metric.grad_norm < 1e4 for metric in found)
    assert max(metric.gap_most for metric in found) < 1e-4


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_logits_of_any_family_come_in_chunks(name):
    model, row = a_family(name), a_row(11, 7, vocabulary=512)
    way = choose_way(model)
    scorer = Scorer(model, way)
    scorer._rows = 3
    assert scorer._split
    assert torch.allclose(scorer.logprobs(row), logprobs(model, row, way), atol=1e-5)
    whole = scores(model, row, way, entropy=True)
    chunked = scorer.scores(row, entropy=True)
    assert torch.allclose(chunked.logprobs_N, whole.logprobs_N, atol=1e-5)
    assert torch.allclose(chunked.entropy_N, whole.entropy_N, atol=1e-5)
    found = [torch.autograd.grad(each.entropy_N.sum(), model.get_output_embeddings().weight)[0]
             for each in (whole, chunked)]  # fmt: skip
    assert torch.allclose(*found, atol=1e-4)


# Out of memory


LENGTHS = [5, 4, 3, 2, 2]


def attempt(room, limit, error=torch.OutOfMemoryError):
    """Works through LENGTHS where passes of more than `limit` tokens fail: what was done since
    the last time it began again, and the note."""
    done, begun = [], []

    def work(lot):
        if sum(LENGTHS[place] for place in lot) > limit:
            raise error
        done.extend(lot)

    def again():
        begun.append(list(done))
        done.clear()

    def split(tokens):
        return micro_batches(LENGTHS, range(5), tokens)

    return sorted(done), begun, room.fill(split, LENGTHS, work, again), done


def test_where_memory_runs_out_passes_get_smaller():
    """16 tokens in one pass; 8: [5, 3] and [4, 2, 2]; of which neither fits into 7; 4: 5 alone is
    longer, but fits."""
    room = Room(100)
    _, begun, note, done = attempt(room, 7)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert begun == [[], []]
    assert room.tokens == 4
    assert note == "out of memory with 100 micro_tokens: from here on 4"
    assert attempt(room, 7)[1:3] == ([], "")  # it is remembered


def test_one_sequence_that_does_not_fit_is_said():
    room = Room(6)
    with pytest.raises(WebfarerError, match=r"5 tokens .*: set checkpointing and run again"):
        attempt(room, 4)


def test_several_processes_that_pass_together_cannot_begin_again():
    with pytest.raises(WebfarerError, match="16 tokens"):
        attempt(Room(100, shrinks=False), 7)


def test_what_is_no_lack_of_memory_is_raised():
    with pytest.raises(RuntimeError, match="another"):
        attempt(Room(100), 7, RuntimeError("another"))


class Short:
    """Makes passes of more than `limit` tokens fail as an allocator does, half-way: after some
    layers, or in the backward pass."""

    def __init__(self, limit, backward) -> None:
        self.limit, self.backward = limit, backward

    def __call__(self, module, arguments, output):
        if output.shape[1] <= self.limit:
            return None
        if not self.backward:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")
        if output.requires_grad:
            output.register_hook(self._fail)
        return None

    def _fail(self, gradient):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("rank", [0, 4])
def test_an_update_short_of_memory_is_that_of_small_passes(
    backward, rank, tiny_model, tmp_path, monkeypatch
):
    """The loss, gradient and every other number of a run that had been told to take small ones."""
    from webfarer.train import scored

    def short(*arguments):
        model = load_model(*arguments)
        model.model.layers[0].register_forward_hook(Short(80, backward))
        return model

    common = {"steps": 2, "eval_every": 0, "mini_batches": 2, "lora_rank": rank,
              "checkpointing": rank > 0, "learning_rate": 1e-3}  # fmt: skip
    small = SETTINGS.model_copy(update={**common, "micro_tokens": 80})
    reinforce(small, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "small")
    monkeypatch.setattr(scored, "load_model", short)
    large = SETTINGS.model_copy(update={**common, "micro_tokens": 4096})
    reinforce(large, tiny_model, Bandit(tiny_model), TASKS, tmp_path / "large")
    want, got = metrics(tmp_path / "small"), metrics(tmp_path / "large")
    assert "out of memory with 4096 micro_tokens" in got[0].note
    assert got[1].note == ""
    for one, other in zip(want, got, strict=True):
        assert other.trained == one.trained
        assert other.loss == pytest.approx(one.loss, abs=1e-6)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
        assert other.entropy == pytest.approx(one.entropy, rel=1e-5)


def test_an_update_that_cannot_fit_ends_the_run_and_keeps_what_there_is(
    tiny_model, tmp_path, monkeypatch
):
    from webfarer.train import scored

    settings = SETTINGS.model_copy(update={"steps": 4, "eval_every": 0, "checkpoint_every": 1})

    class Shrinking(Bandit):
        def make(self, jobs, step):
            if step == 2:
                self.model.model.layers[0].register_forward_hook(Short(3, False))
            return super().make(jobs, step)

    bandit = Shrinking(tiny_model)

    def shrinking(*arguments):
        bandit.model = load_model(*arguments)
        return bandit.model

    monkeypatch.setattr(scored, "load_model", shrinking)
    with pytest.raises(WebfarerError, match="set checkpointing and run again"):
        reinforce(settings, tiny_model, bandit, TASKS, tmp_path)
    assert (tmp_path / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    reinforce(settings, tiny_model, Bandit(tiny_model), TASKS, tmp_path)
    assert len(metrics(tmp_path)) == 4
