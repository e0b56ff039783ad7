"""One process that reads pages for a crawl: exchanges in, readings out.

    python -m webfarer.web.crawl.reader

What comes in is ours, and pickled. What goes out was made from a stranger's page and is JSON, so
that a page that got the better of its parser gets no further than this process. It ends when its
standard input does, and imports little, so that it is there at once.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
from typing import BinaryIO

from webfarer.web.crawl.links import Reading, read_page
from webfarer.web.crawl.nearby import Print
from webfarer.web.http.exchange import Exchange

SIZE = struct.Struct("<Q")


def asked(exchange: Exchange) -> bytes:
    """An exchange as bytes that say how long they are."""
    return _framed(pickle.dumps(exchange, pickle.HIGHEST_PROTOCOL))


def told(reading: Reading) -> bytes:
    """A reading as bytes that say how long they are."""
    return _framed(json.dumps(reading).encode())


def heard(data: bytes) -> Reading:
    """The reading that `told` wrote, without its length. Raises ValueError for anything else."""
    try:
        links, (title, whole, near), indexed = json.loads(data)
        return Reading(tuple(map(str, links)), Print(int(title), int(whole), near), bool(indexed))
    except TypeError as error:
        raise ValueError("no reading") from error


def _framed(data: bytes) -> bytes:
    return SIZE.pack(len(data)) + data


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers exchanges with readings until the source ends."""
    while len(head := source.read(SIZE.size)) == SIZE.size:
        reading = read_page(pickle.loads(source.read(*SIZE.unpack(head))))
        sink.write(told(reading))
        sink.flush()


if __name__ == "__main__":
    os.setpgid(0, 0)  # Ctrl-C is for the crawl, which ends its readers itself
    serve(sys.stdin.buffer, sys.stdout.buffer)
