"""Files: whole or not at all, and every stage can be killed and run again."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.store import (
    Manifest,
    Parts,
    append_jsonl,
    file_hashes,
    folder,
    key_of,
    new_manifest,
    read_jsonl,
    read_manifest,
    stage,
    write_json,
    write_jsonl,
    write_manifest,
    write_text,
)
from webfarer.types import BadInput, Record, WebfarerError


class Line(Record):
    text: str
    number: int = 0


def lines(path: Path) -> list[Line]:
    return list(read_jsonl(path, Line))


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


# Any text but lone surrogates, which no UTF-8 file can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(texts))
def test_records_round_trip_whatever_their_text(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    records = [Line(text=word) for word in words]
    write_jsonl(path, records[:1])
    append_jsonl(path, records[1:])
    assert lines(path) == records
    assert path.read_bytes().count(b"\n") == len(records)  # U+2028 and the like end no line


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"text": "a", "numbr": 1}', "numbr"),
        (b'{"number": 1}', "text"),
        (b'{"text": "a"', "EOF"),
        (b"[]", "Line"),
        (b'{"text": "\xff"}', "Line"),
    ],
)
def test_a_malformed_line_is_told_by_file_line_and_fault(tmp_path, line, says):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b'{"text": "ok"}\n\n' + line + b'\n{"text": "after"}\n')
    with pytest.raises(BadInput) as caught:
        lines(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: ")
    assert says in message
    assert "\n" not in message


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="cannot read"):
        lines(tmp_path / "none.jsonl")


def test_a_torn_last_line_is_dropped_and_said(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "b')
    with pytest.warns(RuntimeWarning, match=r"x\.jsonl:2: .*torn"):
        assert lines(path) == [Line(text="a")]
    said: list[str] = []
    assert list(read_jsonl(path, Line, said.append)) == [Line(text="a")]
    assert len(said) == 1


def test_a_last_line_that_only_lacks_its_end_is_a_record(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a"}')
    assert lines(path) == [Line(text="a")]
    append_jsonl(path, [Line(text="b")])
    assert lines(path) == [Line(text="a"), Line(text="b")]


@given(cut=st.integers(0, 200))
def test_appending_after_a_kill_at_any_byte_loses_only_the_torn_line(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "x.jsonl"
    records = [Line(text="é" * n, number=n) for n in range(5)]
    write_jsonl(path, records)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    if whole[cut : cut + 1] == b"\n":
        kept += 1  # the line is whole, its end alone is missing
    torn = cut < len(whole) and kept == whole[:cut].count(b"\n") and whole[:cut][-1:] != b"\n"
    if torn and cut:
        with pytest.warns(RuntimeWarning, match="torn"):
            append_jsonl(path, [Line(text="new")])
    else:
        append_jsonl(path, [Line(text="new")])
    assert lines(path) == [*records[:kept], Line(text="new")]


def test_appending_mends_a_torn_line_longer_than_a_block(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "' + b"x" * 200_000)
    with pytest.warns(RuntimeWarning, match="torn"):
        append_jsonl(path, [Line(text="b")])
    assert [line.text for line in lines(path)] == ["a", "b"]


def test_full_disk_loses_nothing_already_written(tmp_path, monkeypatch):
    path, other = tmp_path / "x.jsonl", tmp_path / "y.json"
    write_jsonl(path, [Line(text="a")])
    write_text(other, "before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        for write in (
            lambda: append_jsonl(path, [Line(text="b")]),
            lambda: write_jsonl(path, [Line(text="b")]),
            lambda: write_json(other, {}),
        ):
            with pytest.raises(WebfarerError, match="no space left on the disk") as caught:
                write()
            assert "\n" not in str(caught.value)
    assert lines(path) == [Line(text="a")]
    assert other.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.jsonl", "y.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_disk_that_is_really_full_is_told_in_one_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(WebfarerError, match=r"x\.jsonl"):
        append_jsonl(path, [Line(text="a")])


def test_a_place_that_may_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WebfarerError, match="cannot write"):
        write_text(tmp_path / "file" / "x", "text")


def test_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(RuntimeError), folder(path) as building:
        raise RuntimeError((building / "a").write_text("1"))
    assert list(tmp_path.iterdir()) == []
    with folder(path) as building:
        (building / "sub").mkdir()
        (building / "sub" / "a").write_text("1")
        assert not path.exists()
    with pytest.raises(RuntimeError), folder(path) as building:
        raise RuntimeError
    assert (path / "sub" / "a").read_text() == "1"
    with folder(path) as building:
        (building / "b").write_text("2")
    assert [p.name for p in path.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_folder_killed_between_its_two_renames_puts_the_old_one_back(tmp_path):
    old = tmp_path / ".model.old"
    old.mkdir()
    (old / "a").write_text("1")
    with pytest.raises(RuntimeError), folder(tmp_path / "model"):
        raise RuntimeError
    assert (tmp_path / "model" / "a").read_text() == "1"


def test_parts_are_read_by_number_and_resume_at_the_missing_one(tmp_path):
    parts = Parts(tmp_path / "rollouts")
    assert parts.done() == set()
    for number in (10, 2, 0):
        parts.write(number, [Line(text=str(number), number=n) for n in range(2)])
    (parts.folder / ".part-00003.jsonl.aside").write_text("torn")
    (parts.folder / "notes.txt").write_text("")
    assert parts.done() == {0, 2, 10}
    assert parts.missing(4) == [1, 3]
    assert [line.text for line in parts.read(Line)] == ["0", "0", "2", "2", "10", "10"]
    assert parts.path(3).name == "part-00003.jsonl"
    assert parts.shard(3).name == "part-00003.safetensors"


WRITER = """
import sys, time
from pathlib import Path
from webfarer.store import Parts
from webfarer.types import Task, Origin, Answer
parts = Parts(Path(sys.argv[1]))
origin = Origin(recipe="r", seed=0, graph="g")
for number in parts.missing(400):
    parts.write(number, [
        Task(id=f"{number}-{i}", question="q" * 200, answers=(Answer(text="a"),), origin=origin)
        for i in range(20)
    ])
    print(number, flush=True)
"""


def test_killed_at_any_moment_a_stage_of_parts_has_only_whole_parts(tmp_path):
    from webfarer.types import Task

    for lines_seen in (1, 7, 30):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(lines_seen):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    parts = Parts(tmp_path)
    done = parts.done()
    assert done == set(range(len(done)))
    assert len(list(parts.read(Task))) == 20 * len(done)


def test_a_stage_is_run_once_for_a_key_and_goes_on_where_it_was(tmp_path):
    write_manifest(tmp_path, new_manifest({"seed": 1}))
    calls: list[int] = []

    def work(path: Path) -> None:
        calls.append(1)
        parts = Parts(path)
        for number in parts.missing(2):
            parts.write(number, [Line(text="x")])
            if len(calls) == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path, "tasks", "k1", work)
    record = stage(tmp_path, "tasks", "k1", work)
    assert stage(tmp_path, "tasks", "k1", work) == record
    assert len(calls) == 2
    manifest = read_manifest(tmp_path)
    assert isinstance(manifest, Manifest)
    assert manifest.recipe == {"seed": 1}
    assert list(manifest.outputs()) == ["tasks/part-00000.jsonl", "tasks/part-00001.jsonl"]
    assert manifest.stages["tasks"].outputs == file_hashes(tmp_path / "tasks")


def test_a_stage_of_other_settings_is_kept_unless_told_to_redo(tmp_path):
    write_manifest(tmp_path, new_manifest({}))
    stage(tmp_path, "eval", "old", lambda path: write_text(path / "a", "old"))
    with pytest.raises(BadInput, match="other settings"):
        stage(tmp_path, "eval", "new", lambda path: write_text(path / "b", "new"))
    assert (tmp_path / "eval" / "a").read_text() == "old"
    stage(tmp_path, "eval", "new", lambda path: write_text(path / "b", "new"), redo=True)
    assert file_hashes(tmp_path / "eval").keys() == {"b"}


@pytest.fixture
def parted(tmp_path):
    """Runs a stage of three parts, each with a shard, and a folder that is written where it is not
    there; gives what the stage says. As stages do, it judges what is left by what is there."""
    write_manifest(tmp_path, new_manifest({}))

    def work(path: Path) -> None:
        parts = Parts(path)
        for number in parts.missing(3):
            write_text(parts.shard(number), f"shard {number}")
            parts.write(number, [Line(text="right", number=number)])
        if not (path / "model").exists():
            with folder(path / "model") as building:
                for name in ("weights", "training.json"):
                    (building / name).write_text("right")

    def run() -> list[str]:
        said: list[str] = []
        stage(tmp_path, "s", "k", work, warn=said.append)
        return said

    assert run() == run() == []
    return run


@pytest.mark.parametrize(
    ("spoilt", "again"),
    [
        ("part-00001.jsonl", {"part-00001.jsonl", "part-00001.safetensors"}),
        ("part-00001.safetensors", {"part-00001.jsonl", "part-00001.safetensors"}),
        ("model/weights", {"model/weights", "model/training.json"}),
        ("model/training.json", {"model/weights", "model/training.json"}),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_changed_or_removed_is_told_and_made_again_and_nothing_else(
    tmp_path, parted, spoilt, again, gone
):
    out = tmp_path / "s"
    hashes = file_hashes(out)
    for name in hashes:
        os.utime(out / name, (1, 1))
    (out / spoilt).unlink()
    if not gone:
        write_text(out / spoilt, '{"text": "spoilt"}')
    (said,) = parted()
    assert said.startswith(f"{out / spoilt} was changed or removed")
    assert file_hashes(out) == hashes
    assert {name for name in hashes if (out / name).stat().st_mtime > 1} == again
    assert parted() == []


def test_a_file_put_into_a_finished_stage_is_refused_and_left_alone(tmp_path, parted):
    strange = tmp_path / "s" / "part-00003.jsonl"
    strange.write_text('{"text": "mine"}\n')
    with pytest.raises(BadInput, match=r"part-00003\.jsonl was put into a finished stage"):
        parted()
    assert strange.exists()
    strange.unlink()
    assert parted() == []


def test_an_output_that_was_changed_warns_where_nobody_listens(tmp_path):
    write_manifest(tmp_path, new_manifest({}))
    stage(tmp_path, "world", "k", lambda path: write_text(path / "a", "right"))
    (tmp_path / "world" / "a").write_text("spoilt")
    with pytest.warns(RuntimeWarning, match="was changed"):
        stage(tmp_path, "world", "k", lambda path: write_text(path / "a", "right"))
    assert (tmp_path / "world" / "a").read_text() == "right"


def test_a_folder_without_manifest_or_with_a_broken_one_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="not a run's folder"):
        stage(tmp_path, "x", "k", lambda _: None)
    (tmp_path / "manifest.json").write_text('{"recipe": 3}')
    with pytest.raises(BadInput, match="not a manifest"):
        read_manifest(tmp_path)


def test_the_manifest_says_versions_and_machine_but_no_names_of_people():
    manifest = new_manifest({})
    assert {"python", "webfarer", "numpy", "pydantic"} <= manifest.versions.keys()
    assert set(manifest.machine) == {"platform", "processor", "cores"}
    assert os.uname().nodename not in json.dumps(manifest.machine)


def test_keys_depend_on_values_and_not_on_the_order_of_names():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of(Line(text="x"), Path("a")) == key_of({"text": "x", "number": 0}, "a")
    assert key_of(1, "2") != key_of("1", 2)
    with pytest.raises(TypeError):
        key_of(object())
