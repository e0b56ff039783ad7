"""One process that reads pages for a crawl: exchanges in, readings out, both pickled.

    python -m webfarer.web.crawl.reader

It ends when its standard input does. It imports little, so that it is there at once.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import BinaryIO

from webfarer.web.crawl.links import read_page

SIZE = struct.Struct("<Q")


def framed(value: object) -> bytes:
    """A value as bytes that say how long they are."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return SIZE.pack(len(data)) + data


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers exchanges with readings until the source ends."""
    while len(head := source.read(SIZE.size)) == SIZE.size:
        reading = read_page(pickle.loads(source.read(*SIZE.unpack(head))))
        sink.write(framed(reading))
        sink.flush()


if __name__ == "__main__":
    os.setpgid(0, 0)  # Ctrl-C is for the crawl, which ends its readers itself
    serve(sys.stdin.buffer, sys.stdout.buffer)
