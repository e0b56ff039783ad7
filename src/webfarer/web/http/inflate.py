"""A body's content encoding undone piece by piece, never larger than allowed.

A megabyte of gzip can hold a gigabyte, and gzip within gzip far more, so what comes out is counted
while it comes out, and no call makes more than the limit. gzip and deflate are read (RFC 9110,
section 8.4.1), deflate with or without its zlib header, as browsers do.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_MAX_LAYERS = 2
_SLICE = 1 << 16
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's wbits


class TooLarge(ValueError):
    """More comes out than is allowed."""


class Broken(ValueError):
    """The encoding is unknown, damaged or cut short."""


class Inflate:
    """The decoder for the values of a response's Content-Encoding headers.

    `feed` gives what a piece decodes to, `finish` checks that nothing is missing. `feed` raises
    `TooLarge` once more than `max_bytes` have come out; both raise `Broken`.
    """

    def __init__(self, encodings: Iterable[str], max_bytes: int) -> None:
        names = [name.strip().lower() for value in encodings for name in value.split(",")]
        self._names = [name for name in names if name not in ("", "identity")]
        self._max_bytes = max_bytes
        self._layers: list[_Layer] = []

    def feed(self, data: bytes) -> bytes:
        if data and not self._layers:  # only now: what has no body may say anything of its coding
            self._layers = self._start()
        for layer in self._layers:
            data = layer.feed(data)
        return data

    def finish(self) -> None:
        for layer in self._layers:
            layer.finish()

    def _start(self) -> list[_Layer]:
        if len(self._names) > _MAX_LAYERS:
            raise Broken(f"it is encoded {len(self._names)} times over")
        return [_Layer(name, self._max_bytes) for name in reversed(self._names)]


def decompress(body: bytes, encodings: Iterable[str], max_bytes: int) -> bytes:
    """A whole body without its content encoding. Raises `TooLarge` and `Broken`."""
    inflate = Inflate(encodings, max_bytes)
    starts = range(0, len(body), _SLICE)
    out = b"".join(inflate.feed(body[start : start + _SLICE]) for start in starts)
    inflate.finish()
    return out


class _Layer:
    """One encoding undone."""

    def __init__(self, name: str, max_bytes: int) -> None:
        if name not in ("gzip", "x-gzip", "deflate"):
            raise Broken(f"it is encoded as {name[:40]!r}, which was not asked for")
        self._name, self._left = name, max_bytes
        self._bits = _ZLIB if name == "deflate" else _GZIP
        self._decoder = zlib.decompressobj(self._bits)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        out = []
        while data:
            if self._decoder.eof:
                if self._bits != _GZIP or not data.startswith(b"\x1f\x8b"):
                    break  # what trails a body is not part of it
                self._decoder = zlib.decompressobj(self._bits)  # gzip has members
            out.append(self._piece(data))
            data = self._decoder.unused_data
        return b"".join(out)

    def _piece(self, data: bytes) -> bytes:
        try:
            out = self._inflate(data)
        except zlib.error as error:
            raise Broken(f"its {self._name} is broken ({error})") from None
        self._begun = True
        self._left -= len(out)
        if self._left < 0:
            raise TooLarge("it decompresses to more than is allowed")
        return out

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._decoder.decompress(data, self._left + 1)
        except zlib.error:
            if self._begun or self._bits != _ZLIB:
                raise
            self._bits, self._decoder = _RAW, zlib.decompressobj(_RAW)
            return self._decoder.decompress(data, self._left + 1)

    def finish(self) -> None:
        if self._begun and not self._decoder.eof:
            raise Broken(f"its {self._name} is cut short")
