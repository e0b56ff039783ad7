"""An archive: what is written is there, once, wherever the writer was killed."""

import errno
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio_command

import warcs
from webfarer.types import BadInput, FailureError, WebfarerError
from webfarer.web.archive.archive import Added, Archive
from webfarer.web.archive.rows import Row
from webfarer.web.http.exchange import Exchange

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
URLS = [f"http://a.test/{n}" for n in range(4)]


def page(url, text="hello", **changes):
    values = {"status": 200, "headers": (("Content-Type", "text/html"),), "reason": "OK", "at": AT}
    body = f"<p>{text} of {url}</p>".encode()
    return Exchange(url, **{**values, "body": body, **changes})


def filled(folder, urls=URLS, **options):
    with Archive.create(folder, **options) as archive:
        for number, url in enumerate(urls):
            archive.append(page(url), depth=number)
    return folder


def valid(folder):
    """The URLs in our own files by warcio, whose digests must agree."""
    urls = []
    for path in sorted((folder / "warc").iterdir()):
        records = ArchiveIterator(io.BytesIO(path.read_bytes()), check_digests="raise")
        for number, record in enumerate(records):
            record.content_stream().read()
            assert (record.rec_type == "warcinfo") == (number == 0)
            urls += [record.rec_headers["WARC-Target-URI"]] * (number > 0)
    return urls


def silent(message):
    raise AssertionError(message)


# Writing and reading


def test_what_was_appended_is_read_back(tmp_path):
    folder = tmp_path / "archive"
    with Archive.create(folder) as archive:
        row = archive.append(page(URLS[0]), depth=3, near_duplicate_of=URLS[1])
        assert archive.row(URLS[0]) == row
        assert archive.read(row) == page(URLS[0], headers=(("Content-Type", "text/html"),
                                                           ("Content-Length", "31")))  # fmt: skip
    with Archive.open(folder, silent) as archive:
        assert list(archive.rows()) == [row]
        assert archive.row("HTTP://A.test:80/0#top") == row
        assert archive.row("http://a.test/absent") is None
        assert archive.row("mailto:a@a.test") is None
        assert (row.status, row.content_type) == (200, "text/html")
        assert row.at == "2026-11-21T08:30:00.000000Z"
        assert row.near_duplicate_of == URLS[1]
        assert row.notes["depth"] == 3
        assert len(archive) == 1
        with pytest.raises(ValueError, match="opened to be read"):
            archive.append(page(URLS[1]))
    assert json.loads((folder / "archive.json").read_text()) == {
        "format": "webfarer archive", "version": 1}  # fmt: skip


def test_the_latest_record_of_a_url_counts_by_its_time(tmp_path):
    with Archive.create(tmp_path / "a") as archive:
        old = page(URLS[0], "old", at=datetime(2025, 1, 1, tzinfo=UTC))
        archive.append(page(URLS[0], "new"))
        archive.append(old)
        assert archive.read(archive.row(URLS[0])).body.startswith(b"<p>new")
        assert len(list(archive.rows())) == 2
        assert [row.url for row in archive.latest()] == [URLS[0]]


def test_a_redirect_is_recorded_as_one(tmp_path):
    with Archive.create(tmp_path / "a") as archive:
        row = archive.append(page(URLS[0], status=301, headers=(("Location", "/1"),)))
    assert row.location == "/1"


def test_warcios_own_commands_find_our_files_valid(tmp_path, capsys):
    folder = filled(tmp_path / "a")
    path = str(folder / "warc" / "00001.warc.gz")
    with pytest.raises(SystemExit) as ended:
        warcio_command(["check", path])
    assert ended.value.code == 0
    assert not capsys.readouterr().out
    warcio_command(["index", "-f", "warc-type,warc-target-uri,http:status,offset,length", path])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("warc-target-uri") for line in lines] == [None, *URLS]
    with Archive.open(folder, silent) as archive:
        places = [(str(row.offset), str(row.length)) for row in archive.rows()]
    assert [(line["offset"], line["length"]) for line in lines[1:]] == places


def test_a_new_file_is_begun_when_one_is_full(tmp_path):
    folder = filled(tmp_path / "a", file_bytes=600)
    names = sorted(path.name for path in (folder / "warc").iterdir())
    assert names == ["00001.warc.gz", "00002.warc.gz", "00003.warc.gz", "00004.warc.gz"]
    assert valid(folder) == URLS
    with Archive.create(folder, silent, file_bytes=1 << 20) as archive:  # and gone on with
        archive.append(page("http://a.test/more"))
        assert [archive.read(row).url for row in archive.rows()] == valid(folder)
    assert len(list((folder / "warc").iterdir())) == 4


def test_any_number_of_threads_may_append(tmp_path):
    urls = [f"http://a.test/{n}" for n in range(200)]
    with Archive.create(tmp_path / "a") as archive, ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda url: archive.append(page(url)), urls))
        assert all(archive.read(row).url == url for row, url in zip(rows, urls, strict=True))
    assert sorted(valid(tmp_path / "a")) == sorted(urls)
    with Archive.open(tmp_path / "a", silent) as archive:
        assert len(archive) == 200


def test_one_writer_at_a_time_and_readers_beside_it(tmp_path):
    folder = tmp_path / "a"
    with Archive.create(folder) as archive:
        archive.append(page(URLS[0]))
        with pytest.raises(BadInput, match="another process"):
            Archive.create(folder)
        with Archive.open(folder, silent) as reader:
            archive.append(page(URLS[1]))
            assert [row.url for row in reader.rows()] == URLS[:1]
    with Archive.create(folder, silent) as archive:
        assert len(archive) == 2


def test_folders_that_hold_no_archive(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    for make in (Archive.open, Archive.create):
        with pytest.raises(BadInput, match=r"^\S*file "):
            make(tmp_path / "file")
        with pytest.raises(BadInput, match="no archive"):
            make(tmp_path / "other")
    with pytest.raises(BadInput, match="no archive"):
        Archive.open(tmp_path / "absent")
    folder = filled(tmp_path / "a")
    (folder / "archive.json").write_text('{"format": "webfarer archive", "version": 9}')
    with pytest.raises(BadInput, match="version 9"):
        Archive.open(folder)
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["thesis.txt"]


def test_a_line_that_is_no_row_is_said(tmp_path):
    folder = filled(tmp_path / "a")
    index = folder / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join([lines[0], b'{"file": 3}\n', *lines[1:]]))
    with pytest.raises(BadInput, match=r"index.jsonl:2: not a row"):
        Archive.open(folder)
    index.unlink()  # as the message says
    with Archive.open(folder, lambda _: None) as archive:
        assert [(row.url, row.notes["depth"]) for row in archive.rows()] == [
            (url, n) for n, url in enumerate(URLS)]  # fmt: skip


def test_a_file_that_was_moved_is_a_failure_not_a_missing_page(tmp_path):
    other = tmp_path / "x.warc.gz"
    other.write_bytes(b"".join(warcs.members(warcs.page(URLS[0], "text"))))
    with Archive.create(tmp_path / "a") as archive:
        archive.add(other)
        other.unlink()
        with pytest.raises(FailureError, match="cannot be read"):
            archive.read(archive.row(URLS[0]))


# Killed


def state(folder):
    with Archive.create(folder, lambda _: None) as archive:
        return [(row.url, row.notes["depth"], archive.read(row).body) for row in archive.rows()]


def test_impossible_to_lose_a_record_or_have_it_twice_wherever_the_warc_was_torn(tmp_path):
    """The file cut at every few bytes, with the index ahead of it, beside it and behind it."""
    source = filled(tmp_path / "source")
    whole = (source / "warc" / "00001.warc.gz").read_bytes()
    lines = (source / "index.jsonl").read_bytes().splitlines(keepends=True)
    rows = [Row.model_validate_json(line) for line in lines]
    full = state(source)
    cuts = sorted({*range(0, len(whole) + 1, 97), *(r.end for r in rows),
                   *(r.end - 1 for r in rows), *(r.end + 1 for r in rows[:-1])})  # fmt: skip
    for cut in cuts:
        complete = sum(row.end <= cut for row in rows)
        for known in {0, max(0, complete - 1), complete, len(rows)}:
            folder = tmp_path / "torn"
            shutil.copytree(source, folder)
            (folder / "warc" / "00001.warc.gz").write_bytes(whole[:cut])
            (folder / "index.jsonl").write_bytes(b"".join(lines[:known]))
            assert state(folder) == full[:complete], (cut, known)
            with Archive.create(folder, silent) as archive:  # mended once and for all
                archive.append(page("http://a.test/next"))
            assert valid(folder) == [*URLS[:complete], "http://a.test/next"], (cut, known)
            shutil.rmtree(folder)


def test_an_index_torn_anywhere_is_made_whole(tmp_path):
    source = filled(tmp_path / "source")
    full, index = state(source), (source / "index.jsonl").read_bytes()
    for cut in range(0, len(index), 31):
        (source / "index.jsonl").write_bytes(index[:cut])
        assert state(source) == full
        assert (source / "index.jsonl").read_bytes() == index


def test_what_was_mended_is_said_once(tmp_path):
    folder = filled(tmp_path / "a")
    path = folder / "warc" / "00001.warc.gz"
    path.write_bytes(path.read_bytes() + gzip.compress(warcs.page(URLS[0], "x"))[:100])
    (folder / "index.jsonl").write_bytes(b"")
    said = []
    Archive.open(folder, said.append).close()
    assert said == [
        f"{path}: 100 bytes of an unfinished record were cut off",
        f"{folder}: 4 records of warc/00001.warc.gz were indexed again",
    ]
    Archive.open(folder, silent).close()


WRITER = """
import sys
from pathlib import Path
from random import Random
from webfarer.web.archive.archive import Archive
from webfarer.web.http.exchange import Exchange
archive = Archive.create(Path(sys.argv[1]), lambda text: None, file_bytes=400_000)
for number in range(len(archive), 100_000):
    body = Random(number).randbytes(9000)
    archive.append(Exchange(f"http://a.test/{number}", 200, (), body), depth=number)
    print(number, flush=True)
"""


def test_impossible_to_lose_what_a_killed_writer_had_said_was_written(tmp_path):
    """A real writer, killed outright again and again: SIGKILL leaves it no last word."""
    folder, draw = tmp_path / "a", random.Random(5)
    told = -1
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(draw.randrange(20, 80)):
                told = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            told = max([told, *map(int, process.stdout.read().split(b"\n")[:-1])])
        with Archive.open(folder, lambda _: None) as archive:
            numbers = [int(row.notes["depth"]) for row in archive.rows()]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) > told
    assert valid(folder) == [f"http://a.test/{n}" for n in numbers]
    assert len(list((folder / "warc").iterdir())) > 1


# A full disk


@pytest.mark.parametrize("full", ["00001.warc.gz", "index.jsonl"])
def test_a_full_disk_stops_it_with_the_archive_as_before(tmp_path, monkeypatch, full):
    """Half of a write fits, wherever the disk fills up; what was there before stays whole."""
    write = os.pwrite
    folder = filled(tmp_path / "a", URLS[:2])

    def filling(file, data, place):
        if Path(f"/proc/self/fd/{file}").resolve().name == full and place:
            if len(data) < 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(file, data[: len(data) // 2], place)
        return write(file, data, place)

    before = (folder / "index.jsonl").read_bytes()
    with Archive.create(folder, silent) as archive:
        monkeypatch.setattr(os, "pwrite", filling)
        with pytest.raises(WebfarerError, match="no space left on the disk while writing"):
            archive.append(page(URLS[2]))
        assert archive.row(URLS[2]) is None
        monkeypatch.undo()
        assert (folder / "index.jsonl").read_bytes() == before
        archive.append(page(URLS[3]))  # room was made
    assert valid(folder) == [URLS[0], URLS[1], URLS[3]]
    with Archive.create(folder, silent) as archive:
        assert [row.url for row in archive.rows()] == valid(folder)


def test_a_disk_that_is_full_from_the_beginning(tmp_path, monkeypatch):
    """Not even the record that a file begins with could be written whole."""

    def no_room(file, data, place):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Archive.create(tmp_path / "a", silent) as archive:
        monkeypatch.setattr(os, "pwrite", no_room)
        for _ in range(2):
            with pytest.raises(WebfarerError, match="no space left"):
                archive.append(page(URLS[0]))
        monkeypatch.undo()
        archive.append(page(URLS[0]))
    assert valid(tmp_path / "a") == URLS[:1]


LIMITED = """
import resource, signal, sys
from pathlib import Path
from random import Random
from webfarer.web.archive.archive import Archive
from webfarer.web.http.exchange import Exchange
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with Archive.create(Path(sys.argv[1]), print) as archive:
    for number in range(1000):
        body = Random(number).randbytes(9000)
        archive.append(Exchange(f"http://a.test/{number}", 200, (), body))
"""


def test_a_limit_of_the_systems_own_does_no_harm(tmp_path):
    """The kernel itself cuts a write short (RLIMIT_FSIZE), as a full disk does."""
    folder = tmp_path / "a"
    run = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True,
                         text=True, check=False)  # fmt: skip
    assert "WebfarerError: cannot write" in run.stderr
    with Archive.create(folder, silent) as archive:
        assert len(archive) == len(valid(folder)) > 5
        archive.append(page(URLS[0]))


# Files of others


def test_common_crawls_files_are_indexed_where_they_lie(tmp_path):
    first, second = tmp_path / "1.warc.gz", tmp_path / "2.warc"
    pages = [(url, warcs.page(url, f"page {url}")) for url in URLS]
    first.write_bytes(b"".join(warcs.common_crawl(*pages[:3])))
    second.write_bytes(pages[3][1])
    before = first.read_bytes(), second.read_bytes()
    folder = tmp_path / "a"
    with Archive.create(folder) as archive:
        assert archive.add(first, silent) == Added(3, 0)
        assert archive.add(second, silent) == Added(1, 0)
        assert archive.add(first, silent) == Added(0, 0)  # twice is once
    assert (first.read_bytes(), second.read_bytes()) == before
    assert not list((folder / "warc").iterdir())
    with Archive.open(folder, silent) as archive:
        row = archive.row(URLS[1])
        assert (row.file, row.at) == (str(first), "2024-02-20T19:05:12.000000Z")
        found = archive.read(row)
        assert (found.status, found.address) == (200, "93.184.216.34")
        assert b"<p>page http://a.test/1</p>" in found.body


def test_what_cannot_be_used_is_counted_said_and_skipped(tmp_path):
    path = tmp_path / "x.warc.gz"
    records = [
        warcs.page(URLS[0], "good"),
        warcs.record("response", b"<html>no headers", URLS[1]),
        warcs.record("response", warcs.http(b"x", Content_Encoding="zstd"), URLS[1]),
        warcs.record("response", b"93.184.216.34", "dns:a.test", Content_Type="text/dns"),
        warcs.record("response", warcs.http(b"x"), "http://[bad/"),
        warcs.page(URLS[2], "good"),
        warcs.page(URLS[3], "good"),
    ]
    parts = warcs.members(*records)
    parts[5] = parts[5][:60] + bytes(40) + parts[5][100:]
    data = b"".join(parts)
    path.write_bytes(data[:-30])
    said = []
    with Archive.create(tmp_path / "a") as archive:
        assert archive.add(path, said.append) == Added(1, 5)
        assert [text.partition(": ")[2] for text in said] == [
            f"at byte {len(parts[0])}: http://a.test/1: not an HTTP response",
            f"at byte {sum(map(len, parts[:2]))}: http://a.test/1: content encoding zstd is not "
            "known",
            f"at byte {sum(map(len, parts[:4]))}: http://[bad/: not an address",
            f"at byte {sum(map(len, parts[:5]))}: broken gzip member",
            f"at byte {sum(map(len, parts[:6]))}: the file ends within a record",
        ]
        assert len(list(archive.problems())) == 5
        again = []
        assert archive.add(path, again.append) == Added(0, 1)  # it still ends there
        assert again == said[-1:]
        assert len(list(archive.problems())) == 5
        path.write_bytes(data)  # fetched again, whole this time
        assert archive.add(path, silent) == Added(1, 0)
        assert len(list(archive.problems())) == 4
        assert [row.url for row in archive.rows()] == [URLS[0], URLS[3]]


def test_indexing_that_was_killed_goes_on_where_it_was(tmp_path):
    path = tmp_path / "x.warc.gz"
    pages = [(url, warcs.page(url, f"page {url}")) for url in URLS]
    path.write_bytes(b"".join(warcs.common_crawl(*pages)))
    with Archive.create(tmp_path / "whole") as archive:
        archive.add(path)
    index = (tmp_path / "whole" / "index.jsonl").read_bytes()
    for cut in range(0, len(index), 41):
        folder = tmp_path / "a"
        Archive.create(folder).close()
        (folder / "index.jsonl").write_bytes(index[:cut])
        with Archive.create(folder, silent) as archive:
            archive.add(path, silent)
        assert (folder / "index.jsonl").read_bytes() == index
        shutil.rmtree(folder)


def test_a_revisit_has_the_page_that_it_revisits(tmp_path):
    """By its digest, or by the address it refers to; one whose original is not here is said."""
    path = tmp_path / "x.warc.gz"
    digest = "sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    profile = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
    later = {"date": "2024-03-01T00:00:00Z", "WARC_Profile": profile}
    path.write_bytes(b"".join(warcs.members(
        warcs.page(URLS[0], "the page", WARC_Payload_Digest=digest),
        warcs.record("revisit", warcs.http(), URLS[0], WARC_Payload_Digest=digest, **later),
        warcs.record("revisit", b"", URLS[1], WARC_Refers_To_Target_URI=URLS[0], **later),
        warcs.record("revisit", b"", URLS[2], WARC_Payload_Digest="sha1:other", **later),
    )))  # fmt: skip
    said = []
    with Archive.create(tmp_path / "a") as archive:
        archive.add(path, said.append)
    assert said[0].endswith(f"{URLS[2]}: a revisit of a record that is not here: index its file "
                            "first")  # fmt: skip
    with Archive.open(tmp_path / "a") as archive:
        for url in URLS[:2]:
            row = archive.row(url)
            assert row.at.startswith("2024-03-01")
            assert b"the page" in archive.read(row).body
            assert archive.read(row).url == url
        assert archive.row(URLS[2]) is None
