"""LoRA: only adapters move, engines take the sums, and what is left behind is peft's own format."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
peft = pytest.importorskip("peft", reason="adapters need peft")

from safetensors.torch import load_file  # noqa: E402

from test_memory import a_family, a_row, qwen3  # noqa: E402
from test_rl import SETTINGS, TASKS, Bandit, Killed, metrics  # noqa: E402
from webfarer.policy.model import load_model  # noqa: E402
from webfarer.store import read_jsonl  # noqa: E402
from webfarer.train import scored  # noqa: E402
from webfarer.train.adapters import Merged, Reference, add_adapters, weights_of  # noqa: E402
from webfarer.train.attention import choose_way  # noqa: E402
from webfarer.train.folder import copy_tokenizer, save_weights, tokenizer_hash  # noqa: E402
from webfarer.train.rl import reinforce  # noqa: E402
from webfarer.train.scorer import Scorer  # noqa: E402
from webfarer.train.sft import Metric, fine_tune  # noqa: E402
from webfarer.types import BadInput, RlSettings, Segment, SftSettings  # noqa: E402

LORA = SETTINGS.model_copy(update={"lora_rank": 4, "lora_alpha": 8.0})
ROW = a_row(11, 7)


@pytest.fixture(scope="module")
def source(tiny_model, tmp_path_factory):
    """A model whose output layer, apart from its embeddings, has something to say: with frozen
    ones as small and as tied as the tiny model's, adapters could change next to nothing."""
    folder = tmp_path_factory.mktemp("source")
    model = qwen3(1, 64, 32)
    with torch.no_grad():
        model.lm_head.weight.mul_(15.0)
    save_weights(model, folder)
    copy_tokenizer(tiny_model, folder)
    return folder


def moved(model, settings=LORA, seed=0):
    """Adapters that have learnt something: both of their matrices random."""
    adapters = add_adapters(model, settings, seed)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert ".lora_" in name
                parameter.normal_(std=0.1)
    return adapters


def scores(model, row=ROW):
    with torch.no_grad():
        return Scorer(model.eval(), choose_way(model)).logprobs(row)


def test_no_rank_is_no_adapters():
    model = qwen3()
    assert add_adapters(model, RlSettings(), 0) is None
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert weights_of(model).keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ["qwen3", "gpt2", "qwen3_moe", "gemma3_text"])
def test_merged_weights_are_those_that_peft_merges(name):
    """Of GPT-2's transposed layers too, and of experts whose weights are one tensor."""
    model, settings = a_family(name), LORA.model_copy(update={"lora_rank": 3})
    base = {key: value.clone() for key, value in model.state_dict().items()}
    adapters = moved(model, settings)
    row = a_row(11, 7, vocabulary=512)
    before, merged = scores(model, row), weights_of(model)
    assert {key: value.shape for key, value in merged.items()} == {
        key: value.shape for key, value in base.items()
    }
    assert torch.equal(scores(model, row), before)  # nothing was merged into the model itself
    with adapters.off():
        assert all(torch.equal(base[key], value) for key, value in plain(model).items())
    other = a_family(name)
    other.load_state_dict(merged)
    assert torch.allclose(scores(other, row), before, atol=1e-4)
    theirs = adapters._wrapped.merge_and_unload().state_dict()
    assert all(torch.allclose(theirs[key], merged[key], atol=1e-6) for key in base)
    assert any(not torch.equal(base[key], merged[key]) for key in base)


def plain(model):
    """The base weights under the adapters."""
    named = ((name.replace(".base_layer", ""), value) for name, value in model.named_parameters())
    return {name: value for name, value in named if ".lora_" not in name}


def test_adapters_begin_as_nothing_and_their_seed_decides_the_rest():
    def made(seed):
        model = qwen3()
        add_adapters(model, LORA, seed)
        return model

    first, same, other = made(1), made(1), made(2)
    base = qwen3().state_dict()
    assert all(torch.equal(base[key], value) for key, value in weights_of(first).items())
    states = [model.state_dict() for model in (first, same, other)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_the_reference_is_the_base_model_and_adapters_are_on_again_after_it():
    model = qwen3()
    base_N = scores(model)
    adapters = moved(model)
    scorer = Scorer(model, choose_way(model))
    with torch.no_grad():
        own_N = scorer.logprobs(ROW)
        assert torch.equal(Reference(scorer, adapters).logprobs(ROW), base_N)
        assert torch.equal(scorer.logprobs(ROW), own_N)
    assert not torch.allclose(own_N, base_N, atol=1e-2)
    assert sum(parameter.requires_grad for parameter in model.parameters()) == 2 * 2 * 7


@pytest.mark.parametrize("targets", ["no_such_layer", "embed_tokens", "q_proj,lm_head"])
def test_targets_that_cannot_be_merged_are_refused(targets):
    """The third shares its weights with the embeddings."""
    model = a_family("gemma")
    with pytest.raises(BadInput, match=targets):
        add_adapters(model, LORA.model_copy(update={"lora_targets": targets}), 0)


def test_targets_by_name():
    model = qwen3()
    add_adapters(model, LORA.model_copy(update={"lora_targets": "q_proj, v_proj"}), 0)
    assert {name.split(".")[4] for name, one in model.named_parameters() if one.requires_grad} == {
        "q_proj", "v_proj",
    }  # fmt: skip


def captured(monkeypatch):
    """Lets a test see the models that a run loads."""
    loaded = []

    def load(*arguments):
        loaded.append(load_model(*arguments))
        return loaded[-1]

    monkeypatch.setattr(scored, "load_model", load)
    return loaded


@pytest.mark.parametrize("name", ["grpo", "dupo", "ppo"])
def test_adapters_learn_and_the_base_does_not_move(name, source, tmp_path, monkeypatch):
    """With a KL term, for which no second model is loaded. The engine has the merged weights: its
    log-probabilities are the trainer's."""
    loaded = captured(monkeypatch)
    settings = LORA.model_copy(update={"algorithm": name, "steps": 16, "kl": 1e-3, "eval_every": 0})
    out = reinforce(settings, source, Bandit(source), TASKS, tmp_path, seed=3)
    found = metrics(tmp_path)
    assert found[0].solved < 0.7 < 0.9 < sum(metric.solved for metric in found[-4:]) / 4
    assert max(metric.gap_most for metric in found) < 1e-4
    assert found[0].kl == 0.0 < max(metric.kl for metric in found)
    (model,) = loaded
    base, folder = load_model(source, device="cpu").state_dict(), load_file(next(out.glob("*.s*")))
    assert all(torch.equal(base[key], value) for key, value in plain(model).items())
    assert {key: value.shape for key, value in folder.items()} == {
        key: value.shape for key, value in load_file(source / "model.safetensors").items()
    }
    assert sum(not torch.equal(base[key], value) for key, value in folder.items()) == 7


def test_the_model_and_its_adapter_are_left_and_say_the_same(source, tmp_path):
    settings = LORA.model_copy(update={"steps": 8})  # the best of three is kept, not the last
    bandit = Bandit(source)
    made = reinforce(settings, source, bandit, TASKS, tmp_path, seed=3, evaluate=bandit.score)
    whole = load_model(made, device="cpu")
    assert type(whole).__name__ == "Qwen3ForCausalLM"
    base = load_model(source, device="cpu")
    before = scores(base)
    beside = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").base_model.model
    assert torch.allclose(scores(whole), scores(beside), atol=1e-5)
    assert not torch.allclose(scores(whole), before, atol=1e-2)
    assert sorted(file.name for file in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip


def test_a_killed_run_ends_with_the_same_adapters(source, tmp_path):
    settings = LORA.model_copy(update={"algorithm": "ppo", "steps": 5, "eval_every": 0})

    whole = reinforce(settings, source, Bandit(source), TASKS, tmp_path / "whole")
    with pytest.raises(Killed):
        reinforce(settings, source, Bandit(source, dies=4), TASKS, tmp_path / "again")
    kept = load_file(tmp_path / "again" / "checkpoint.safetensors")
    weights = [name for name in kept if name.startswith("model.")]
    assert weights
    assert all(".lora_" in name or "value." in name for name in weights)
    again = reinforce(settings, source, Bandit(source), TASKS, tmp_path / "again")
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (again.parent / name).read_bytes() == (whole.parent / name).read_bytes()


def test_micro_batches_change_nothing_with_adapters_and_checkpointing(source, tmp_path):
    """Gradient accumulation: one pass of all sequences, or one of each."""
    found = []
    for tokens in (5, 23, 4096):
        settings = LORA.model_copy(
            update={"steps": 1, "micro_tokens": tokens, "eval_every": 0, "checkpointing": True}
        )
        reinforce(settings, source, Bandit(source), TASKS, tmp_path / str(tokens))
        found.append(metrics(tmp_path / str(tokens))[0])
    for metric in found[1:]:
        assert metric.trained == found[0].trained
        assert metric.grad_norm == pytest.approx(found[0].grad_norm, rel=1e-4)
        assert metric.loss == pytest.approx(found[0].loss, abs=1e-6)


@pytest.mark.parametrize("rank", [0, 4])
def test_bf16_learns_and_its_log_probabilities_are_float32(rank, source, tmp_path):
    """The engine is in float32, so that the gap is what the trainer's bfloat16 rounds off: under
    0.03 nats a token on average, far from the alarm at 0.1."""
    settings = LORA.model_copy(
        update={"precision": "bf16", "steps": 16, "lora_rank": rank, "kl": 1e-3, "eval_every": 0}
    )
    reinforce(settings, source, Bandit(source), TASKS, tmp_path, seed=3)
    found = metrics(tmp_path)
    assert sum(metric.solved for metric in found[-4:]) / 4 > 0.9
    assert 1e-4 < max(metric.gap for metric in found) < 0.03
    assert found[0].kl == 0.0  # the reference rounds alike


def test_fine_tuning_with_adapters_leaves_both_too(source, tmp_path):
    """And lowers the loss, with checkpointing as without it."""
    segments = [Segment(tokenizer_hash(source), [5, 6, 7 + n, 8], [0, 0, 1, 1], [0.0] * 4)
                for n in range(8)]  # fmt: skip
    losses = []
    for on in (False, True):
        settings = SftSettings(steps=12, length=32, lora_rank=4, checkpointing=on)
        made = fine_tune(settings, source, segments, tmp_path / str(on))
        losses.append([m.loss for m in read_jsonl(tmp_path / str(on) / "metrics.jsonl", Metric)])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0] - 0.1
    base = load_model(source, device="cpu")
    beside = peft.PeftModel.from_pretrained(base, made.parent / "adapter").base_model.model
    assert torch.allclose(scores(load_model(made, device="cpu")), scores(beside), atol=1e-5)


def test_an_engine_takes_what_merged_gives(source):
    bandit, model = Bandit(source), load_model(source, device="cpu")
    moved(model)
    bandit.take(Merged(model), 7)
    assert bandit.engine.version == 7
    assert torch.allclose(scores(bandit.engine._model), scores(model), atol=1e-4)
