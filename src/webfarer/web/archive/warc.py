"""WARC 1.1: one exchange as a record, and a record as an exchange again.

Source: "The WARC Format 1.1" (IIPC, ISO 28500:2017). Records are built and their headers read with
warcio, so that what is written here is what other tools read. Bodies are kept without their content
encoding, and the headers that would then be untrue are renamed as Common Crawl renames them
(`X-Crawl-Content-Encoding` and so on). What a crawler wants to keep of a page goes into the record
itself, as `WARC-JSON-Metadata` (a field that other archives use too), so that an index can be made
again from the WARC files alone.

We compress at zlib's level 4, not warcio's fixed 9: three times the pages a second for 8% more
bytes.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from warcio.bufferedreaders import ChunkedDataReader
from warcio.statusandheaders import (
    StatusAndHeaders,
    StatusAndHeadersParser,
    StatusAndHeadersParserException,
)
from warcio.warcwriter import WARCWriter

from webfarer import __version__
from webfarer.web.http.exchange import Exchange, Headers
from webfarer.web.http.inflate import Broken, Inflate, TooLarge

LEVEL = 4
LIMIT = 64 << 20  # bytes of one record, and of one body without its encoding
_UNTRUE = ("content-encoding", "transfer-encoding", "content-length")
_BREAKS = re.compile(r"[\r\n\0]+")
_WARC = StatusAndHeadersParser(["WARC/1.0", "WARC/1.1", "WARC/0.17", "WARC/0.18"])
_HTTP = StatusAndHeadersParser(["HTTP/"])
_NOTES = "WARC-JSON-Metadata"
Notes = Mapping[str, str | int]


class BadRecord(Exception):
    """A record that cannot be used; the text says why in a few words."""


class Utf8Headers(StatusAndHeaders):
    """HTTP headers written as UTF-8, as they are read; warcio itself would percent-encode them."""

    def compute_headers_buffer(self, header_filter: Any = None) -> None:
        self.headers_buff = self.to_bytes(header_filter)


class Record:
    """One WARC record as it was read: its own headers and the block below them."""

    def __init__(self, data: bytes) -> None:
        """Raises BadRecord where the bytes are no whole record."""
        stream = BytesIO(data)
        try:
            self.headers: StatusAndHeaders = _WARC.parse(stream)
            length = int(self.header("Content-Length"))
        except (StatusAndHeadersParserException, EOFError, ValueError) as error:
            raise BadRecord("not a WARC record") from error
        self.block = stream.read(max(0, length))
        if length < 0 or len(self.block) < length:
            raise BadRecord("shorter than its Content-Length")
        if stream.read().strip(b"\r\n"):
            raise BadRecord(
                "several records in one gzip member (warcio recompress gives each its own)"
            )

    def header(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return (self.headers.get_header(name) or "").strip()

    @property
    def kind(self) -> str:
        """What it records: response, revisit, resource, request, warcinfo, metadata, ..."""
        return self.header("WARC-Type").lower()

    @property
    def url(self) -> str:
        """The address recorded; some writers put it in angle brackets."""
        return self.header("WARC-Target-URI").removeprefix("<").removesuffix(">")

    @property
    def at(self) -> str:
        """When, in UTC, as WARC writes it; a spelling that sorts."""
        return stamp(_time(self.header("WARC-Date")))

    @property
    def notes(self) -> dict[str, str | int]:
        """What the writer noted of the page; nothing where that is no JSON object."""
        try:
            found = json.loads(self.header(_NOTES) or "{}")
        except ValueError:
            return {}
        pairs = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in pairs if isinstance(value, str | int)}

    def exchange(self) -> Exchange:
        """What the server sent. Raises BadRecord where that is no HTTP or cannot be decoded."""
        if self.kind == "resource":
            headers: Headers = (("Content-Type", self.header("Content-Type")),)
            return self._made(200, "OK", headers, self.block)
        stream = BytesIO(self.block)
        try:
            http = _HTTP.parse(stream)
            _, code, *reason = str(http.statusline).split(None, 2)  # "1.1 200 OK"
            status = int(code)
        except (StatusAndHeadersParserException, EOFError, ValueError) as error:
            raise BadRecord("not an HTTP response") from error
        if not 100 <= status <= 999:
            raise BadRecord("not an HTTP response")
        headers = tuple((str(name), str(value)) for name, value in http.headers)
        return self._made(status, "".join(reason), headers, stream.read())

    def _made(self, status: int, reason: str, headers: Headers, raw: bytes) -> Exchange:
        return Exchange(
            url=self.url,
            status=status,
            headers=headers,
            body=_plain_body(headers, raw, cut=bool(self.header("WARC-Truncated"))),
            reason=reason,
            address=self.header("WARC-IP-Address"),
            at=_time(self.header("WARC-Date")),
        )


# Writing


def response_record(exchange: Exchange, notes: Notes, level: int = LEVEL) -> bytes:
    """The exchange as a response record: one gzip member."""
    body = exchange.body
    line = _one_line(f"{exchange.status} {exchange.reason}".strip())
    fields = {
        "WARC-Target-URI": _one_line(exchange.url),
        "WARC-Date": stamp(exchange.at),
        "WARC-IP-Address": exchange.address,
        _NOTES: json.dumps(notes) if notes else "",
    }
    writer = WARCWriter(BytesIO(), gzip=False, warc_version="1.1")
    record = writer.create_warc_record(
        fields["WARC-Target-URI"],
        "response",
        payload=BytesIO(body),
        length=len(body),
        warc_headers_dict={name: value for name, value in fields.items() if value},
        http_headers=Utf8Headers(line, _kept(exchange.headers, len(body)), protocol="HTTP/1.1"),
    )
    writer.write_record(record)
    return _gzip(writer.out.getbuffer(), level)


def info_record(filename: str) -> bytes:
    """The warcinfo record that a file begins with: one gzip member."""
    writer = WARCWriter(BytesIO(), gzip=False, warc_version="1.1")
    about = {
        "software": f"webfarer/{__version__}",
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
    }
    writer.write_record(writer.create_warcinfo_record(filename, about))
    return _gzip(writer.out.getbuffer(), LEVEL)


def _kept(headers: Headers, size: int) -> list[tuple[str, str]]:
    """The headers, those renamed that are untrue of the body as it is kept, and its true length."""
    lines = [
        (f"X-Crawl-{name}" if name.lower() in _UNTRUE and value != str(size) else name, value)
        for name, value in ((_one_line(name), _one_line(value)) for name, value in headers)
        if name and ":" not in name
    ]
    told = any(name.lower() == "content-length" for name, _ in lines)
    return lines if told else [*lines, ("Content-Length", str(size))]


def _one_line(text: str) -> str:
    """Text that cannot end a header line and begin another."""
    return _BREAKS.sub(" ", text).encode("utf-8", "replace").decode().strip()


def _gzip(data: Any, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    return packer.compress(data) + packer.flush()


# Times and bodies


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def stamp(moment: datetime | None) -> str:
    """A time as WARC writes it: "2026-11-21T08:30:00.250000Z"; now, where no time is known."""
    moment = moment or datetime.now(UTC)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain_body(headers: Headers, raw: bytes, cut: bool) -> bytes:
    """The body without chunks and compression, whether or not the headers tell the truth."""
    named = {name.lower(): value.strip().lower() for name, value in headers}
    if named.get("transfer-encoding") == "chunked":
        raw = ChunkedDataReader(BytesIO(raw)).read()
    for encoding in reversed(named.get("content-encoding", "").replace(",", " ").split()):
        raw = _decoded(encoding, raw, cut)
    return raw


def _decoded(encoding: str, raw: bytes, cut: bool) -> bytes:
    """One encoding taken off. A body that is not encoded after all is given back as it is."""
    if encoding in ("identity", "none", "utf-8") or not raw:
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadRecord(f"content encoding {_one_line(encoding)[:20]} is not known")
    if encoding != "deflate" and raw[:2] != b"\x1f\x8b":
        return raw
    inflate = Inflate([encoding], LIMIT)
    try:
        data = inflate.feed(raw)
    except TooLarge:
        raise BadRecord(f"body of more than {LIMIT >> 20} MB once decompressed") from None
    except Broken:
        raise BadRecord("broken content encoding") from None
    try:
        inflate.finish()
    except Broken:
        if not cut:
            raise BadRecord("content encoding is cut short") from None
    return data
