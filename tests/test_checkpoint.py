"""Killed anywhere and run again, training ends with the same bytes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

from webfarer.store import read_jsonl
from webfarer.train.base import Shape, new_model
from webfarer.train.checkpoint import load_checkpoint, save_checkpoint
from webfarer.train.folder import save_weights, tokenizer_hash
from webfarer.train.sft import Metric, fine_tune
from webfarer.train.tokenizer import save_tokenizer, train_tokenizer
from webfarer.types import BadInput, Segment, SftSettings, random_for

SETTINGS = SftSettings(steps=24, length=64, rows=2, checkpoint_every=5)
RUN = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_checkpoint import SETTINGS, segments
from webfarer.train.sft import fine_tune
torch.set_num_threads(1)
source, out = Path(sys.argv[1]), Path(sys.argv[2])
fine_tune(SETTINGS, source, segments(source), out, lambda *seen: print(seen[0], flush=True))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source")
    tokenizer = train_tokenizer(["some text of no matter"], 300)
    shape = Shape(hidden=32, layers=2, heads=2, kv_heads=1, head_dim=16, intermediate=48)
    save_tokenizer(tokenizer, path, 64)
    save_weights(new_model(shape, tokenizer, 0), path)
    return path


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def segments(source: Path) -> list[Segment]:
    random, digest = random_for("test", "checkpoint"), tokenizer_hash(source)
    made = []
    for _ in range(20):
        size = random.randrange(10, 40)
        ids = [random.randrange(270) for _ in range(size)]
        made.append(Segment(digest, ids, [0, *[1] * (size - 1)], [0.0] * size))
    return made


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def test_killed_twice_and_run_again_gives_the_same_bytes(source, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fine_tune(SETTINGS, source, segments(source), whole)
    here = str(Path(__file__).parent)
    # The steps at which it is killed are drawn, but keyed: a failure can be seen again.
    for after in sorted(random_for("kill").sample(range(1, 20), 2)):
        command = [sys.executable, "-c", RUN, str(source), str(killed), here]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= after:
                    process.send_signal(signal.SIGKILL)
                    break
        assert not (killed / "model").exists()
    fine_tune(SETTINGS, source, segments(source), killed)
    assert weights(killed) == weights(whole)
    timeless = [
        [metric.model_copy(update={"seconds": 0.0}) for metric in read]
        for read in (read_jsonl(out / "metrics.jsonl", Metric) for out in (whole, killed))
    ]
    assert timeless[0] == timeless[1]
    assert [metric.step for metric in timeless[1]] == list(range(1, 25))


def test_stopped_at_every_step_in_turn_gives_the_same_bytes(source, tmp_path):
    """A stop inside the process, at each of the first steps: more points than kills can try."""
    settings = SETTINGS.model_copy(update={"steps": 8, "checkpoint_every": 3, "valid_checks": 2})
    data, valid = segments(source)[5:], segments(source)[:5]

    def metrics(out: Path) -> list[Metric]:
        read = read_jsonl(out / "metrics.jsonl", Metric)
        return [metric.model_copy(update={"seconds": 0.0}) for metric in read]

    fine_tune(settings, source, data, tmp_path / "whole", valid=valid)
    whole = metrics(tmp_path / "whole")
    assert [m.step for m in whole if m.valid_loss is not None] == [1, 3, 6, 8]
    for stop in range(1, 9):
        out = tmp_path / str(stop)

        def interrupt(step: int, *_: float, stop: int = stop) -> None:
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fine_tune(settings, source, data, out, interrupt, valid=valid)
        fine_tune(settings, source, data, out, valid=valid)
        assert weights(out) == weights(tmp_path / "whole")
        assert metrics(out) == whole


def interrupted(source: Path, out: Path) -> Path:
    """A run stopped after its first checkpoint, at step 5; returns the checkpoint's path."""

    def interrupt(step: int, *_: float) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(SETTINGS, source, segments(source), out, interrupt)
    return out / "checkpoint.safetensors"


def test_a_corrupt_checkpoint_is_told_in_one_line_and_left_alone(source, tmp_path):
    path = interrupted(source, tmp_path)
    whole = path.read_bytes()
    for data in (b"", whole[:1000], whole[:-10], b"x" * 500):
        path.write_bytes(data)
        with pytest.raises(BadInput, match="remove it to begin again") as caught:
            fine_tune(SETTINGS, source, segments(source), tmp_path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == data


def test_a_foreign_checkpoint_is_refused(source, tmp_path):
    path = interrupted(source, tmp_path)
    for settings, data, valid in (
        (SETTINGS.model_copy(update={"learning_rate": 1e-4}), segments(source), []),
        (SETTINGS, segments(source)[1:], []),
        (SETTINGS, segments(source), segments(source)[:1]),
    ):
        with pytest.raises(BadInput, match="another run"):
            fine_tune(settings, source, data, tmp_path, valid=valid)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(BadInput, match="no checkpoint"):
        fine_tune(SETTINGS, source, segments(source), tmp_path)


def test_what_tells_no_run_from_another_may_change_where_it_goes_on(source, tmp_path):
    interrupted(source, tmp_path / "killed")
    other = SETTINGS.model_copy(update={"checkpointing": True, "checkpoint_every": 7})
    made = fine_tune(other, source, segments(source), tmp_path / "killed")
    whole = fine_tune(SETTINGS, source, segments(source), tmp_path / "whole")
    got, want = (load_file(folder / "model.safetensors") for folder in (made, whole))
    assert all(torch.allclose(got[name], want[name], atol=1e-5) for name in want)
    kept = [one.step for one in read_jsonl(tmp_path / "killed" / "metrics.jsonl", Metric)]
    assert kept == list(range(1, 25))


def test_metrics_torn_by_a_kill_are_mended_on_resume(source, tmp_path):
    interrupted(source, tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 7, "lo')
    fine_tune(SETTINGS, source, segments(source), tmp_path)
    steps = [metric.step for metric in read_jsonl(tmp_path / "metrics.jsonl", Metric)]
    assert steps == list(range(1, 25))


def test_weights_and_optimiser_state_come_back_exactly(tmp_path):
    def trained(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
        for _ in range(steps):
            model(torch.ones(1, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return model, optimizer

    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, *trained(3), step=3, key="k")
    model, optimizer = trained(0)
    assert load_checkpoint(path, model, optimizer, "k") == 3
    expected_model, expected = trained(3)
    for mine, theirs in zip(model.parameters(), expected_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert optimizer.state[mine].keys() == expected.state[theirs].keys()
        for part, value in expected.state[theirs].items():
            assert torch.equal(optimizer.state[mine][part], value)
    assert load_checkpoint(tmp_path / "none", model, optimizer, "k") == 0


def test_a_full_disk_keeps_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from webfarer.train import checkpoint
    from webfarer.types import WebfarerError

    path = tmp_path / "checkpoint.safetensors"
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    save_checkpoint(path, model, optimizer, 1, "k")

    def full(_tensors, temporary, _header):
        Path(temporary).write_bytes(b"half")
        # What the library raises on a full disk, word for word.
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(WebfarerError, match="no space left on the disk"):
        save_checkpoint(path, model, optimizer, 2, "k")
    assert load_checkpoint(path, model, optimizer, "k") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]
