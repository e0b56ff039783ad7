"""WARC records and files: ours as warcio reads them, others' as the standard writes them."""

import gzip
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

import warcs
from webfarer.types import BadInput
from webfarer.web.archive.scan import read_at, scan
from webfarer.web.archive.warc import LIMIT, BadRecord, Record, info_record, response_record
from webfarer.web.http.exchange import Exchange

AT = datetime(2026, 11, 21, 8, 30, 0, 250000, UTC)
HTML = (("Content-Type", "text/html; charset=utf-8"),)


def exchange(**changes):
    values = {"url": "https://site.test/a?b=1", "status": 200, "headers": HTML, "body": b"<p>hi",
              "reason": "OK", "address": "93.184.216.34", "at": AT}  # fmt: skip
    return Exchange(**{**values, **changes})


def read(data):
    return Record(gzip.decompress(data))


# What we write


def test_warcio_reads_what_we_write_and_its_digests_agree():
    data = info_record("00001.warc.gz") + response_record(exchange(), {"depth": 2})
    info, response = [
        (r.rec_type, dict(r.rec_headers.headers), r.http_headers, r.content_stream().read(), r)
        for r in ArchiveIterator(io.BytesIO(data), check_digests="raise", verify_http=True)
    ]
    assert info[0] == "warcinfo"
    assert info[1]["WARC-Filename"] == "00001.warc.gz"
    assert b"WARC File Format 1.1" in info[3]
    kind, headers, http, body, record = response
    assert (kind, body, http.get_statuscode()) == ("response", b"<p>hi", "200")
    assert record.rec_headers.protocol == "WARC/1.1"
    assert headers["WARC-Target-URI"] == "https://site.test/a?b=1"
    assert headers["WARC-Date"] == "2026-11-21T08:30:00.250000Z"
    assert headers["WARC-IP-Address"] == "93.184.216.34"
    # base32 of SHA-1, from coreutils: printf '<p>hi' | sha1sum | xxd -r -p | base32
    assert headers["WARC-Payload-Digest"] == "sha1:Q4JC6POHK2CXJLM2SEXSFZRG4XBGAQB7"
    assert "WARC-Block-Digest" in headers
    assert headers["WARC-JSON-Metadata"] == '{"depth": 2}'


def test_one_record_is_one_gzip_member():
    data = response_record(exchange(), {}) + response_record(exchange(status=404), {})
    records = ArchiveIterator(io.BytesIO(data))
    assert [r.http_headers.get_statuscode() for r in records] == ["200", "404"]


def test_headers_untrue_of_the_kept_body_are_renamed_as_common_crawl_does():
    sent = (*HTML, ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"),
            ("content-length", "999"))  # fmt: skip
    got = read(response_record(exchange(headers=sent), {})).exchange()
    assert got.headers == (
        *HTML,
        ("X-Crawl-Content-Encoding", "gzip"),
        ("X-Crawl-Transfer-Encoding", "chunked"),
        ("X-Crawl-content-length", "999"),
        ("Content-Length", "5"),
    )
    assert got.body == b"<p>hi"


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.binary(max_size=300),
    st.integers(100, 599),
    st.text(max_size=20),
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=4),
    st.text(max_size=30),
)
def test_whatever_a_server_sends_makes_one_record_that_warcio_finds_valid(
    body, status, reason, headers, note
):
    """No value ends a header line and begins another; no body is taken for anything else."""
    made = exchange(body=body, status=status, reason=reason, headers=tuple(headers))
    data = response_record(made, {"note": note})
    found = list(ArchiveIterator(io.BytesIO(data), check_digests="raise"))
    assert len(found) == 1
    got = read(data)
    assert got.exchange().body == body
    assert got.exchange().status == status
    assert got.notes == {"note": note}
    assert got.headers.get_header("WARC-Target-URI") == made.url


def test_an_exchange_comes_back_as_it_was():
    sent = (*HTML, ("Content-Length", "5"), ("Set-Cookie", "a=b"), ("set-cookie", "c=d"),
            ("X-Name", "Zoë 维基"))  # fmt: skip
    made = exchange(headers=sent)
    assert read(response_record(made, {})).exchange() == made


# What others write


def test_bodies_as_they_were_received():
    text = b"<p>" + b"some words " * 50
    for encoding, body in [("gzip", gzip.compress(text)), ("deflate", warcs.deflated(text)),
                           ("deflate", warcs.deflated(text, raw=True)), ("identity", text),
                           ("gzip", text), ("x-gzip", gzip.compress(text[:9]) + gzip.compress(
                               text[9:]))]:  # fmt: skip
        for chunk in (False, True):
            sent = {"Content_Encoding": encoding}
            if chunk:
                body, sent["Transfer_Encoding"] = warcs.chunked(body), "chunked"
            block = warcs.http(body, **sent)
            record = Record(warcs.record("response", block, "http://a.test/"))
            assert record.exchange().body == text, (encoding, chunk)


def test_a_body_that_was_cut_by_its_crawler_is_read_as_far_as_it_goes():
    text = bytes(range(256)) * 40
    block = warcs.http(gzip.compress(text)[:-40], Content_Encoding="gzip")
    cut = Record(warcs.record("response", block, "http://a.test/", WARC_Truncated="length"))
    assert text.startswith(cut.exchange().body)
    with pytest.raises(BadRecord, match="cut short"):
        Record(warcs.record("response", block, "http://a.test/")).exchange()


def test_a_body_that_grows_without_end_is_refused():
    bomb = gzip.compress(bytes(LIMIT + 1))
    block = warcs.http(bomb, Content_Encoding="gzip")
    with pytest.raises(BadRecord, match="64 MB"):
        Record(warcs.record("response", block, "http://a.test/")).exchange()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (b"", "not an HTTP response"),
        (b"\r\n\r\n", "not an HTTP response"),
        (b"<html>no headers</html>", "not an HTTP response"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 -200 OK\r\n\r\n", "not an HTTP response"),
        (warcs.http(b"x", Content_Encoding="zstd"), "zstd is not known"),
        (warcs.http(b"\x1f\x8bxx", Content_Encoding="gzip"), "broken content encoding"),
    ],
)
def test_what_is_no_response_says_so(block, said):
    with pytest.raises(BadRecord, match=said):
        Record(warcs.record("response", block, "http://a.test/")).exchange()


def test_headers_without_a_colon_or_folded_do_no_harm():
    block = (
        b"HTTP/1.0 200\r\nNonsense\r\nX-Long: one\r\n two\r\nContent-Type: text/html\r\n\r\nbody"
    )
    got = Record(warcs.record("response", block, "<http://a.test/>")).exchange()
    assert (got.url, got.status, got.reason) == ("http://a.test/", 200, "")
    assert (got.content_type, got.body) == ("text/html", b"body")


def test_a_resource_record_is_a_page_without_http():
    record = Record(warcs.record("resource", b"hello", "http://a.test/", Content_Type="text/plain"))
    assert (record.exchange().content_type, record.exchange().body) == ("text/plain", b"hello")


def by_warcio(urls):
    """A file by another writer than ours."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True, warc_version="1.1")
    writer.write_record(writer.create_warcinfo_record("x.warc.gz", {"software": "other"}))
    for url in urls:
        http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        body = io.BytesIO(f"<p>{url}</p>".encode())
        writer.write_record(writer.create_warc_record(url, "response", body, http_headers=http))
    return out.getvalue()


def test_scanning_finds_the_records_where_warcio_does(tmp_path):
    path = tmp_path / "x.warc.gz"
    path.write_bytes(by_warcio(["http://a.test/1", "http://a.test/2"]))
    with path.open("rb") as file:
        places = ArchiveIterator(file)
        known = [(places.get_record_offset(), places.get_record_length()) for _ in places]
    found = list(scan(path))
    assert [(s.offset, s.length) for s in found] == known
    assert read_at(path, *known[1]).exchange().body == b"<p>http://a.test/1</p>"
    assert [s.record.url for s in scan(path, known[2][0])] == ["http://a.test/2"]


URLS = [f"http://a.test/{n}" for n in range(5)]


def sample():
    return warcs.common_crawl(*((url, warcs.page(url, f"page {url}")) for url in URLS))


def found_urls(path):
    kinds = [s for s in scan(path) if s.record and s.record.kind == "response"]
    return [s.record.url for s in kinds]


def test_common_crawls_layout(tmp_path):
    path = tmp_path / "cc.warc.gz"
    path.write_bytes(b"".join(sample()))
    assert [s.record.kind for s in scan(path)] == [
        "warcinfo", *["request", "response", "metadata"] * 5]  # fmt: skip
    assert found_urls(path) == URLS


def test_stretches_leave_no_gap_whatever_is_broken(tmp_path):
    """Damage anywhere: stretches still follow one another from first byte to last, and no record
    but those damaged is lost."""
    parts = sample()
    starts = [sum(map(len, parts[:n])) for n in range(len(parts) + 1)]
    data = b"".join(parts)
    path = tmp_path / "cc.warc.gz"
    for place in range(11, len(data) - 20, 37):
        broken = bytearray(data)
        broken[place : place + 20] = bytes(20)
        path.write_bytes(broken)
        found = list(scan(path))
        assert [s.offset for s in found] == [0, *(s.offset + s.length for s in found)][:-1]
        assert found[-1].offset + found[-1].length == len(data)
        whole = [n for n in range(len(parts)) if not starts[n] - 20 < place < starts[n + 1]]
        offsets = {s.offset for s in found if s.record}
        assert {starts[n] for n in whole} <= offsets
        assert len(offsets) >= len(parts) - 2


def test_a_file_cut_anywhere_gives_every_record_before_the_cut(tmp_path):
    parts = sample()
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    data = b"".join(parts)
    path = tmp_path / "cc.warc.gz"
    for cut in [*range(1, len(data), 41), *ends, *(end - 1 for end in ends)]:
        path.write_bytes(data[:cut])
        found = list(scan(path))
        assert [s.offset + s.length for s in found if s.record] == [e for e in ends if e <= cut]
        if cut not in ends:
            assert found[-1].cut
            assert "ends within" in found[-1].problem


def test_a_plain_file_and_its_damage(tmp_path):
    pages = [warcs.page(url, "text") for url in URLS]
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(pages))
    assert found_urls(path) == URLS
    found = list(scan(path))
    assert read_at(path, found[2].offset, found[2].length).url == URLS[2]
    assert [s.record.url for s in scan(path, found[3].offset)] == URLS[3:]
    pages[1] = pages[1].replace(b"Content-Length", b"Content-Lnegth")
    pages[3] = pages[3].replace(b"Content-Length: ", b"Content-Length: 9")
    path.write_bytes(b"".join(pages)[:-9])
    found = list(scan(path))
    assert [s.record.url if s.record else s.problem for s in found] == [
        URLS[0], "not a WARC record", URLS[2], "the file ends within a record",
        "the file ends within a record"]  # fmt: skip
    assert [s.cut for s in found] == [False, False, False, False, True]


def test_one_gzip_for_a_whole_file_is_said(tmp_path):
    path = tmp_path / "x.warc.gz"
    path.write_bytes(gzip.compress(b"".join(warcs.page(url, "text") for url in URLS)))
    (found,) = scan(path)
    assert "warcio recompress" in found.problem


def test_a_record_of_any_size_is_passed_over_in_little_memory(tmp_path):
    path = tmp_path / "x.warc.gz"
    big = warcs.record("response", bytes(LIMIT + 1), "http://a.test/big")
    path.write_bytes(b"".join(warcs.members(big, warcs.page(URLS[0], "text"))))
    big, small = scan(path)
    assert big.problem == "a record of more than 64 MB"
    assert small.record.url == URLS[0]


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04", b"\x1f\x8c"])
def test_what_is_no_warc_file(tmp_path, content):
    path = tmp_path / "x.warc.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is not a WARC file"):
        list(scan(path))
    with pytest.raises(BadInput, match="cannot read"):
        list(scan(tmp_path / "absent.warc.gz"))
