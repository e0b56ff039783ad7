"""Fine-tuning: the loss is the token mean, the model learns, and what comes out is whole."""

import json
import math

import pytest
import torch
import transformers
from safetensors.torch import load_file

from webfarer.cli.workers import alongside
from webfarer.store import read_jsonl
from webfarer.train.base import BaseSettings, Shape, make_base, text_segments
from webfarer.train.folder import left_out, load_tokenizer, tokenizer_hash
from webfarer.train.pack import trained_tokens
from webfarer.train.sft import Metric, check_steps, fine_tune, plan_steps
from webfarer.train.tokenizer import train_tokenizer
from webfarer.types import BadInput, Segment, SftSettings, WebfarerError, random_for

SHAPE = Shape(hidden=32, layers=2, heads=2, kv_heads=1, head_dim=16, intermediate=48, context=256)
NAMES = ["Taren", "Vollis", "Orla", "Venn", "Brask", "Ilmar"]
URL = "https://{0}.example/wiki/{0}"


def pages(count: int = 40) -> list[str]:
    random = random_for("test", "pages")
    rows = []
    for _ in range(count):
        first, last, place = (random.choice(NAMES) for _ in range(3))
        url = f"https://lore.example/wiki/{first}_{last}"
        rows.append(
            f"# {first} {last}\n\n{first} {last} was born in {place}, {random.randint(1, 1999)}. "
            f"See [{first} {last}]({url})."
        )
    return rows


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    settings = BaseSettings(
        vocab_size=512, shape=SHAPE, training=SftSettings(steps=2, length=128, rows=2)
    )
    return make_base(settings, pages(), tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def segments(base):
    """Half of every page is given, the rest is the policy's."""
    made = []
    for page in text_segments(base, pages(12), 128):
        mask = [int(place > len(page) // 2) for place in range(len(page))]
        made.append(Segment(page.tokenizer, page.ids, mask, page.logprobs))
    return made


def test_the_loss_of_a_step_is_the_mean_over_its_trained_tokens(base, segments, tmp_path):
    """Against one plain forward a segment of the same weights, by transformers alone."""
    fine_tune(SftSettings(epochs=1, length=128, rows=100), base, segments, tmp_path)
    (metric,) = read_jsonl(tmp_path / "metrics.jsonl", Metric)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    total, count = 0.0, 0
    with torch.no_grad():
        for segment in segments:
            labels = [i if m else -100 for i, m in zip(segment.ids, segment.mask, strict=True)]
            mean = model(torch.tensor([segment.ids]), labels=torch.tensor([labels])).loss
            total += float(mean) * trained_tokens(segment)
            count += trained_tokens(segment)
    assert metric.trained == count
    assert metric.tokens == sum(map(len, segments))
    assert metric.loss == pytest.approx(total / count, rel=1e-5)


def test_one_step_is_that_of_the_plain_optimiser(base, segments, tmp_path):
    """Against torch's unfused AdamW on the plain loss: clipped, its decay on matrices alone."""
    settings = SftSettings(
        epochs=1, length=128, rows=100, learning_rate=1e-2, weight_decay=0.3, clip=0.5, warmup=0
    )
    made = transformers.AutoModelForCausalLM.from_pretrained(
        fine_tune(settings, base, segments, tmp_path)
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    total = torch.zeros(())
    for segment in segments:
        labels = [i if m else -100 for i, m in zip(segment.ids, segment.mask, strict=True)]
        mean = model(torch.tensor([segment.ids]), labels=torch.tensor([labels])).loss
        total = total + mean * trained_tokens(segment)
    (total / sum(map(trained_tokens, segments))).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": 0.3},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), fused=False).step()
    for (name, mine), theirs in zip(made.named_parameters(), model.parameters(), strict=True):
        # Adam's first step is near a sign: where a gradient is nearly 0 rounding decides it.
        close = torch.isclose(mine, theirs, atol=2e-4)
        assert close.float().mean() > 0.999, name


def plain_loss(folder, segments) -> float:
    """Nats a trained token, by one plain forward a segment, by transformers alone."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    total, count = 0.0, 0
    with torch.no_grad():
        for segment in segments:
            labels = [i if m else -100 for i, m in zip(segment.ids, segment.mask, strict=True)]
            mean = model(torch.tensor([segment.ids]), labels=torch.tensor([labels])).loss
            total += float(mean) * trained_tokens(segment)
            count += trained_tokens(segment)
    return total / count


def test_the_validation_loss_is_that_of_the_first_and_of_the_last_weights(base, segments, tmp_path):
    settings = SftSettings(steps=12, length=128, rows=2, learning_rate=1e-2, valid_checks=2)
    data, valid = segments[4:], segments[:4]
    out = fine_tune(settings, base, data, tmp_path / "a", valid=valid)
    losses = [one.valid_loss for one in read_jsonl(tmp_path / "a" / "metrics.jsonl", Metric)]
    # Before steps 1, 5 and 9, which begin after 0, 4 and 8 of 12; and after the last.
    assert [at for at, loss in enumerate(losses, 1) if loss is not None] == [1, 5, 9, 12]
    assert losses[0] == pytest.approx(plain_loss(base, valid), rel=1e-5)
    assert losses[11] == pytest.approx(plain_loss(out, valid), rel=1e-5)
    # It is only looked at: the weights are those of a run without it.
    alone = fine_tune(settings, base, data, tmp_path / "b")
    assert (out / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()


def test_no_validation_data_or_none_that_fits_has_no_validation_loss(base, segments, tmp_path):
    settings = SftSettings(steps=2, length=2 * len(segments[0]))
    first = segments[0]
    long = Segment(first.tokenizer, first.ids * 3, first.mask * 3, first.logprobs * 3)
    without = settings.model_copy(update={"valid_checks": 0})
    runs = [(settings, []), (settings, [long]), (without, segments)]
    for number, (given, valid) in enumerate(runs):
        fine_tune(given, base, segments, tmp_path / str(number), valid=valid)
        path = tmp_path / str(number) / "metrics.jsonl"
        assert [one.valid_loss for one in read_jsonl(path, Metric)] == [None, None]
    foreign = Segment("cd" * 32, [1, 2], [0, 1], [0.0, 0.0])
    with pytest.raises(BadInput, match="tokenizer"):
        fine_tune(settings, base, segments, tmp_path / "x", valid=[foreign])


@pytest.mark.parametrize(
    ("checks", "steps", "want"),
    [
        (0, 100, set()),
        (4, 100, {0, 20, 40, 60, 80}),
        (1, 3, {0, 1}),
        (9, 2, {0, 1}),
        (4, 1, {0}),
    ],
)
def test_checks_are_evenly_spaced(checks, steps, want):
    assert check_steps(checks, steps) == want


def test_it_learns_and_tells_of_every_step(base, segments, tmp_path):
    seen: list[tuple[int, int, float, float]] = []
    settings = SftSettings(steps=30, length=128, rows=4, learning_rate=1e-2)
    out = fine_tune(settings, base, segments, tmp_path, lambda *args: seen.append(args))
    metrics = list(read_jsonl(tmp_path / "metrics.jsonl", Metric))
    assert [metric.step for metric in metrics] == list(range(1, 31))
    assert [(step, total) for step, total, _, _ in seen] == [(s, 30) for s in range(1, 31)]
    assert [loss for _, _, loss, _ in seen] == [metric.loss for metric in metrics]
    assert metrics[-1].loss < 0.5 * metrics[0].loss
    assert max(metric.lr for metric in metrics) == pytest.approx(1e-2)
    assert metrics[-1].lr < 0.12 * 1e-2
    assert out == tmp_path / "model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "model"]


def test_bf16_trains_to_about_the_same_loss(base, segments, tmp_path):
    losses = {}
    for precision in ("float32", "bf16"):
        settings = SftSettings(
            steps=15, length=128, rows=4, learning_rate=1e-2, precision=precision
        )
        fine_tune(settings, base, segments, tmp_path / precision)
        losses[precision] = [
            metric.loss for metric in read_jsonl(tmp_path / precision / "metrics.jsonl", Metric)
        ]
    # Two decimal digits of mantissa: the first losses agree to them, the last to a tenth.
    assert losses["bf16"][0] == pytest.approx(losses["float32"][0], rel=1e-2)
    assert losses["bf16"][-1] == pytest.approx(losses["float32"][-1], rel=0.1)


SHARED = SftSettings(
    steps=5, length=128, rows=3, learning_rate=3e-3, clip=0.5, checkpoint_every=2, valid_checks=1
)


def take_part(source, segments, out, ranks):
    fine_tune(SHARED, source, segments, out, valid=segments[:4], ranks=ranks)


class Killed(Exception):
    """What stops the first of the processes, and with it the other."""


def kill_at_three(done, *_):
    if done == 3:
        raise Killed


def test_two_processes_give_the_losses_and_the_weights_of_one(base, segments, tmp_path):
    """Also killed on the way. Three rows do not divide by two, nor a row's trained tokens: a mean
    of means would be another loss, and a mean of gradients half the norm."""
    fine_tune(SHARED, base, segments, tmp_path / "one", valid=segments[:4])
    given = (base, segments, tmp_path / "two")
    with pytest.raises(Killed), alongside(2, take_part, given) as ranks:
        fine_tune(
            SHARED, *given, valid=segments[:4], ranks=ranks, progress=kill_at_three
        )  # fmt: skip
    with alongside(2, take_part, given) as ranks:
        fine_tune(SHARED, *given, valid=segments[:4], ranks=ranks)
    one, two = (list(read_jsonl(tmp_path / n / "metrics.jsonl", Metric)) for n in ("one", "two"))
    assert [line.step for line in two] == [1, 2, 3, 4, 5]
    for mine, other in zip(one, two, strict=True):
        for part in ("loss", "grad_norm"):
            assert getattr(other, part) == pytest.approx(getattr(mine, part), rel=1e-4)
        assert other.valid_loss == (mine.valid_loss and pytest.approx(mine.valid_loss, rel=1e-4))
        assert (other.tokens, other.trained) == (mine.tokens, mine.trained)
    mine, other = (load_file(tmp_path / n / "model" / "model.safetensors") for n in ("one", "two"))
    assert all(torch.allclose(mine[name], other[name], atol=2e-5) for name in mine)


def test_the_model_is_a_complete_hugging_face_folder(base, segments, tmp_path):
    out = fine_tune(SftSettings(steps=1, length=128), base, segments, tmp_path)
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        path.name for path in out.iterdir()
    }
    assert not list(out.glob("*.bin"))
    assert (out / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert tokenizer_hash(out) == segments[0].tokenizer
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model.config._attn_implementation != "webfarer_documents"
    ids = tokenizer("Taren Vollis was", return_tensors="pt")
    assert model.generate(**ids, max_new_tokens=3, do_sample=False).shape[1] > 3
    assert tokenizer(pages()[0])["input_ids"] == load_tokenizer(out).encode(pages()[0]).ids


def test_a_finished_run_is_not_run_again_and_another_is_not_overwritten(base, segments, tmp_path):
    settings = SftSettings(steps=1, length=128)
    fine_tune(settings, base, segments, tmp_path)
    before = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    called: list[int] = []
    fine_tune(settings, base, segments, tmp_path, lambda *_: called.append(1))
    assert not called
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="another run's model"):
        fine_tune(SftSettings(steps=2, length=128), base, segments, tmp_path)


def test_segments_too_long_for_a_row_are_dropped_and_counted(base, segments, tmp_path):
    first = segments[0]
    long = Segment(first.tokenizer, first.ids * 3, first.mask * 3, first.logprobs * 3)
    data = [long, *segments, long]
    out = fine_tune(SftSettings(steps=1, length=2 * len(first)), base, data, tmp_path)
    assert json.loads((out / "training.json").read_text())["too_long"] == 2
    assert left_out(out) == (2, len(data))
    with pytest.raises(BadInput, match="raise length"):
        fine_tune(SftSettings(steps=1, length=8), base, segments, tmp_path / "other")


def test_what_cannot_be_trained_on_is_told_before_anything_is_written(base, segments, tmp_path):
    foreign = Segment("cd" * 32, [1, 2], [0, 1], [0.0, 0.0])
    for bad, says in (([], "empty"), ([*segments, foreign], "tokenizer")):
        with pytest.raises(BadInput, match=says):
            fine_tune(SftSettings(steps=1), base, bad, tmp_path / "x")
    with pytest.raises(BadInput):
        fine_tune(SftSettings(steps=1), tmp_path / "no model here", segments, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    base, segments, tmp_path, monkeypatch
):
    from webfarer.train import sft

    settings = SftSettings(steps=6, length=128, checkpoint_every=2)
    real, calls = sft.Scorer.logprobs, []

    def failing(*args):
        calls.append(1)
        return real(*args) * (math.nan if len(calls) > 4 else 1.0)

    monkeypatch.setattr(sft, "plan_steps", lambda s, lengths: [[(0,)]] * 6)
    monkeypatch.setattr(sft.Scorer, "logprobs", failing)
    with pytest.raises(WebfarerError, match=r"step 5: loss nan.*last checkpoint is kept"):
        fine_tune(settings, base, segments, tmp_path)
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(sft.Scorer, "logprobs", real)
    fine_tune(settings, base, segments, tmp_path)
    steps = [metric.step for metric in read_jsonl(tmp_path / "metrics.jsonl", Metric)]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_plan_covers_every_segment_once_an_epoch():
    lengths = [random_for("plan", i).randrange(10, 100) for i in range(333)]
    plan = plan_steps(SftSettings(epochs=3, length=128, rows=5), lengths)
    used = [index for step in plan for row in step for index in row]
    assert sorted(used) == sorted(list(range(333)) * 3)
    assert all(len(step) == 5 for step in plan[:-1])
    assert len(plan_steps(SftSettings(steps=200, length=128, rows=5), lengths)) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n \n",
        "a  b   C",
        "Taren Vollis's e\u0301tude: 1912\u20131914, 12.5 km²",
        "北京 中国。Привет МИР ǅ \u2028 \x00",
        '{"name": "search", "arguments": {"query": ["Taren Vollis"]}}',
        "\U0001f30d flags \U0001f1e9\U0001f1ea, \r\n\ttabs",
    ],
)
def test_every_text_round_trips(base, text):
    tokenizer = load_tokenizer(base)
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", ["Taren", "Zyxwvut", "Örnsköld"])
def test_a_name_has_the_same_tokens_wherever_it_stands(base, name):
    tokenizer = load_tokenizer(base)
    alone = tokenizer.encode(name).ids
    for context in (
        "by {} and", '"{}"', '["{}"]', "/wiki/{}_Other", "Other_{}", "[{}](x)", "# {}\n",
        "Other {}", "in 1912 {}", "({})", "born in {}.", ", {},",
        "https://{}", "a/{}", "a.{}", "{}",
    ):  # fmt: skip
        ids = tokenizer.encode(context.format(name)).ids
        found = [ids[i : i + len(alone)] for i in range(len(ids))]
        assert alone in found, context


def test_digits_stand_alone_and_control_tokens_are_single(base):
    tokenizer = load_tokenizer(base)
    assert len(tokenizer.encode("1912").ids) == 4
    ids = tokenizer.encode("1<tool_call>2</tool_call><|im_end|>").ids
    assert len(ids) == 5
    (page,) = text_segments(base, ["a<tool_call>b<|endoftext|>"], 128)
    control = {tokenizer.token_to_id(token) for token in ("<tool_call>", "<|endoftext|>")}
    assert not control & set(page.ids[:-1])  # page text makes no control token
    assert page.ids[-1] == tokenizer.token_to_id("<|endoftext|>")


def test_the_same_texts_give_the_same_tokenizer_and_first_weights(tmp_path, base):
    assert train_tokenizer(pages(), 400).to_str() == train_tokenizer(iter(pages()), 400).to_str()
    settings = BaseSettings(
        vocab_size=512, shape=SHAPE, training=SftSettings(steps=2, length=128, rows=2)
    )
    again = make_base(settings, pages(), tmp_path)
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (base / name).read_bytes()


def test_the_chat_template_frames_as_the_renderer_does(base):
    from webfarer.policy.chat import load_renderer
    from webfarer.types import Observation

    turn = '<think>x</think><tool_call>{"name": "search", "arguments": {}}</tool_call>'
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    messages = [
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": turn},
        {"role": "tool", "content": "Orla Venn"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    renderer = load_renderer(base)
    ids = renderer.start("Be exact.", "Who?") + renderer.turn(turn)
    ids += renderer.observe(Observation.of("Orla Venn"), closed=True)
    assert text == load_tokenizer(base).decode(ids, skip_special_tokens=False)


def test_no_text_makes_no_base(tmp_path):
    with pytest.raises(BadInput, match="no page text"):
        make_base(BaseSettings(), ["", "  "], tmp_path)


def test_a_page_longer_than_a_row_is_read_in_pieces(base):
    text = " ".join(pages())
    whole = load_tokenizer(base).encode(text).ids
    pieces = text_segments(base, [text], 100)
    assert [i for piece in pieces for i in piece.ids][:-1] == whole
    assert all(len(piece) <= 100 for piece in pieces)
    assert pieces[-1] == pieces[len(pieces) - 1] == pieces[-1:][0]
    with pytest.raises(IndexError):
        pieces[len(pieces)]
