"""Our extraction against trafilatura: the same pages to markdown, links and tables kept, one core.

Prints pages a second, alternating by repeats, and how much of the text of 200 pages each finds of
what the other found: words as a multiset, and runs of five words, markup and addresses left out.

    apt-get install python3.11-doc
    python -m venv peers && peers/bin/pip install "trafilatura[all]" lxml_html_clean
    python benchmarks/extraction.py --peer-python peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from webfarer.web.extract import extract

DOCS = Path("/usr/share/doc/python3.11/html")
PEER = r"""
import json, os, sys, time, trafilatura
os.sched_setaffinity(0, {int(sys.argv[3])})
pages = [open(path, encoding="utf-8").read() for path in json.load(open(sys.argv[1]))]
found, fast = [], sys.argv[4] == "fast"
started = time.process_time()
for page in pages:
    text = trafilatura.extract(page, output_format="markdown", include_links=True,
                               include_tables=True, include_comments=False, fast=fast)
    found.append(text or "")
seconds = time.process_time() - started
json.dump({"seconds": seconds, "texts": found, "version": trafilatura.__version__},
          open(sys.argv[2], "w"))
"""
Run = tuple[float, list[str]]


def with_ours(files: list[Path]) -> Run:
    """Processor seconds, and the markdown of each page."""
    pages = [file.read_text("utf-8") for file in files]
    urls = [f"https://docs.example/{file.relative_to(DOCS)}" for file in files]
    started = time.process_time()
    texts = [extract(page, url, links=True).text for page, url in zip(pages, urls, strict=True)]
    return time.process_time() - started, texts


def with_peer(files: list[Path], python: str, core: int, mode: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked", Path(folder) / "answered"
        asked.write_text(json.dumps([str(file) for file in files]))
        subprocess.run([python, "-c", PEER, asked, answered, str(core), mode], check=True)
        found = json.loads(answered.read_text())
    return found["seconds"], found["texts"]


def words(markdown: str) -> list[str]:
    """The words that a reader sees: no markup, no escapes, no addresses of links."""
    shown = re.sub(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)", "] ", markdown)
    return re.findall(r"\w+", re.sub(r"\\(?=[^\w\s])|\\(?=_)", "", shown).lower())


def runs(text: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(text[start:] for start in range(5)), strict=False))


def shares(ours: str, theirs: str) -> tuple[float, float, float, float]:
    """Of our words those that are theirs too, of theirs those that are ours; the same of runs."""
    found = []
    for count in (Counter, runs):
        mine, other = count(words(ours)), count(words(theirs))
        both = (mine & other).total()
        found += [both / max(1, mine.total()), both / max(1, other.total())]
    return found[0], found[1], found[2], found[3]


def f1(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=sys.executable, help="has trafilatura")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worst", type=int, default=8, help="how many of the pages to name")
    args = parser.parse_args()
    every = sorted(DOCS.rglob("*.html"))
    files = every[:: max(1, len(every) // args.pages)][: args.pages]
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    timed: dict[str, list[Run]] = {"Webfarer": [], "trafilatura": [], "trafilatura, fast": []}
    for _ in range(args.repeats):
        timed["Webfarer"].append(with_ours(files))
        timed["trafilatura"].append(with_peer(files, args.peer_python, core, "full"))
        timed["trafilatura, fast"].append(with_peer(files, args.peer_python, core, "fast"))
    show_speed(timed, len(files))
    show_overlap(timed["Webfarer"][0][1], timed["trafilatura"][0][1], files, args.worst)


def show_speed(timed: dict[str, list[Run]], pages: int) -> None:
    table = Table("extraction", "pages/s, one core", "times as fast is ours", "words a page",
                  title=f"{pages} pages of python3.11-doc; {machine()}")  # fmt: skip
    for name, found in timed.items():
        ratios = [
            theirs[0] / mine[0] for mine, theirs in zip(timed["Webfarer"], found, strict=True)
        ]
        length = statistics.mean(len(words(text)) for text in found[0][1])
        rate = statistics.median(pages / seconds for seconds, _ in found)
        table.add_row(name, f"{rate:.1f}", f"{statistics.median(ratios):.2f}", f"{length:,.0f}")
    Console().print(table)


def show_overlap(ours: list[str], theirs: list[str], files: list[Path], worst: int) -> None:
    rows = [
        (*shares(mine, other), file) for mine, other, file in zip(ours, theirs, files, strict=True)
    ]
    table = Table("", "of our words, theirs too", "of their words, ours too", "F1",
                  "of our runs of 5", "of their runs of 5")  # fmt: skip
    means = [statistics.mean(row[column] for row in rows) for column in range(4)]
    middle = [statistics.median(row[column] for row in rows) for column in range(4)]
    for name, row in (("mean", means), ("median", middle)):
        table.add_row(name, *percent(row))
    for row in sorted(rows, key=lambda row: row[1])[:worst]:
        table.add_row(str(row[4].relative_to(DOCS)), *percent(row[:4]))
    table.add_section()
    for row in sorted(rows, key=lambda row: row[0])[:worst]:
        table.add_row(str(row[4].relative_to(DOCS)), *percent(row[:4]))
    Console().print(table)


def percent(row: tuple[float, ...] | list[float]) -> list[str]:
    values = (row[0], row[1], f1(row[0], row[1]), row[2], row[3])
    return [f"{100 * value:.1f}%" for value in values]


def machine() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = found[1] if found else platform.processor()
    return f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}"


if __name__ == "__main__":
    main()
