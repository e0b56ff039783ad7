"""Our crawler against Scrapy with selectolax and warcio: one site, one nginx, in turns.

Both fetch the whole of Debian's python3.11-doc from loopback, take the links out of every page, and
write every answer into WARC at the same level of compression; both ask for robots.txt, have 16
requests in flight and no delay. Ours also makes the fingerprints that find near duplicates, and the
journal that it goes on from. Prints pages a second (from the first request to the last page
written) and, of one more run each, the peak of memory of all processes together.

    apt-get install nginx-light python3.11-doc
    python -m venv peers && peers/bin/pip install scrapy selectolax warcio
    python benchmarks/crawl.py --peer-python peers/bin/python
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

DOCS = Path("/usr/share/doc/python3.11/html")
AT_ONCE = 16
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 256; }}
http {{
  types {{ text/html html; text/plain txt py; text/css css; application/javascript js; }}
  access_log off; sendfile on; keepalive_requests 100000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""

# The peer: selectolax in place of Scrapy's own link extractor, no log, no cookies. As usual, it
# leaves it to Scrapy to drop the links that are known; "tuned", it drops them itself before they
# become requests, which Scrapy spends much of its time on.
SCRAPY = r"""
import json, sys, time, zlib
from io import BytesIO
from urllib.parse import urljoin, urlsplit
import scrapy
from scrapy.crawler import CrawlerProcess
from selectolax.lexbor import LexborHTMLParser
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

ROOT, OUT, AT_ONCE, LEVEL = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
TUNED = sys.argv[5] == "tuned"
HOST = urlsplit(ROOT).netloc
NOT_PAGES = (".gz", ".zip", ".png", ".css", ".js", ".bz2", ".pdf", ".epub")

class Warc:
    def open_spider(self, spider):
        self.file = open(OUT, "wb")
    def process_item(self, item, spider):
        response = item["response"]
        writer = WARCWriter(BytesIO(), gzip=False, warc_version="1.1")
        headers = [(k.decode("latin-1"), v.decode("latin-1"))
                   for k, values in response.headers.items() for v in values]
        record = writer.create_warc_record(
            response.url, "response", payload=BytesIO(response.body), length=len(response.body),
            http_headers=StatusAndHeaders(f"{response.status} OK", headers, protocol="HTTP/1.1"))
        writer.write_record(record)
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS + 16)
        self.file.write(packer.compress(writer.out.getbuffer()) + packer.flush())
        return item
    def close_spider(self, spider):
        self.file.close()

class Docs(scrapy.Spider):
    name = "docs"
    start_urls = [ROOT]
    seen, pages = {ROOT}, []
    custom_settings = dict(
        ROBOTSTXT_OBEY=True, CONCURRENT_REQUESTS=AT_ONCE, CONCURRENT_REQUESTS_PER_DOMAIN=AT_ONCE,
        DOWNLOAD_DELAY=0, RANDOMIZE_DOWNLOAD_DELAY=False, AUTOTHROTTLE_ENABLED=False,
        COOKIES_ENABLED=False, TELNETCONSOLE_ENABLED=False, LOG_ENABLED=False,
        HTTPERROR_ALLOW_ALL=True, DEPTH_PRIORITY=1, ITEM_PIPELINES={Warc: 1},
        SCHEDULER_DISK_QUEUE="scrapy.squeues.PickleFifoDiskQueue",
        SCHEDULER_MEMORY_QUEUE="scrapy.squeues.FifoMemoryQueue",
    )
    def parse(self, response):
        yield {"response": response}
        if response.status != 200:
            return
        self.pages.append(response.url)
        if not response.headers.get("Content-Type", b"").startswith(b"text/html"):
            return
        hrefs = dict.fromkeys(
            (node.attributes.get("href") or "").partition("#")[0]
            for node in LexborHTMLParser(response.body).css("a[href]")
            if "nofollow" not in (node.attributes.get("rel") or ""))
        for href in hrefs:
            url = urljoin(response.url, href) if href else ""
            if url and urlsplit(url).netloc == HOST and not url.endswith(NOT_PAGES):
                if TUNED and url in self.seen:
                    continue
                self.seen.add(url)
                yield scrapy.Request(url)

process = CrawlerProcess()
crawler = process.create_crawler(Docs)
process.crawl(crawler)
process.start()
print(json.dumps({"seconds": crawler.stats.get_value("elapsed_time_seconds"),
                  "pages": sorted(Docs.pages), "version": scrapy.__version__}))
"""


def ours(root: str, out: str) -> None:
    """Crawls in this process, and prints what came of it as JSON."""
    from webfarer.web.crawl.crawl import JOURNAL, crawl
    from webfarer.web.crawl.journal import Journal
    from webfarer.web.crawl.scope import Bounds
    from webfarer.web.crawl.settings import CrawlSettings
    from webfarer.web.http.fetch import FetchSettings

    settings = CrawlSettings(
        bounds=Bounds(roots=(root,)), fetch=FetchSettings(allow_private=True),
        concurrency=AT_ONCE, per_host=AT_ONCE,
    )  # fmt: skip
    seconds = asyncio.run(crawl(settings, Path(out))).seconds
    with Journal(Path(out) / JOURNAL) as journal:
        pages = [line.url for _, line in journal.read() if line.outcome in ("page", "duplicate")]
    print(json.dumps({"seconds": seconds, "pages": sorted(pages)}))


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[str]:
    """nginx over a folder, on a free port of loopback; gives its origin."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("no nginx here: apt-get install nginx-light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port, root=root))
    server = subprocess.Popen([program, "-p", str(folder), "-e", str(folder / "errors"),
                               "-c", str(settings)])  # fmt: skip
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def memory(process: int) -> int:
    """Bytes of a process and all below it; what they share is counted once (PSS)."""
    total, todo = 0, [process]
    while todo:
        at = todo.pop()
        try:
            rollup = Path(f"/proc/{at}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1]) * 1024
            for task in Path(f"/proc/{at}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, TypeError):
            continue  # it has just ended
    return total


def run(command: list[str], watch: bool = False) -> dict:
    """Runs a crawler; what it printed and, where it is watched, the peak of its memory. Watching
    costs time, and the more processes the more, so that a watched run is not timed."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0
    while watch and child.poll() is None:
        peak = max(peak, memory(child.pid))
        time.sleep(0.05)
    printed, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"{command[0]} {command[1]} ended with {child.returncode}")
    return {**json.loads(printed.splitlines()[-1]), "peak": peak}


def machine() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=sys.executable, help="has scrapy and warcio")
    parser.add_argument("--site", type=Path, default=DOCS, help="a folder with an index.html")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        return ours(*args.ours)
    from webfarer.web.archive.warc import LEVEL

    console = Console()
    results: dict[str, list[dict]] = {"Scrapy, as usual": [], "Scrapy, tuned": [], "Webfarer": []}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "peer.py").write_text(SCRAPY)
        with nginx(folder, args.site) as origin:
            root = f"{origin}/index.html"
            for turn in range(args.repeats + 1):
                for crawler, runs in results.items():
                    out = str(folder / f"{crawler}-{turn}")
                    mode = crawler.split()[-1]
                    peer = [args.peer_python, str(folder / "peer.py"), root, out, str(AT_ONCE)]
                    mine = [sys.executable, __file__, "--ours", root, out]
                    command = mine if mode == "Webfarer" else [*peer, str(LEVEL), mode]
                    if turn == args.repeats:
                        peaks[crawler] = run(command, watch=True)["peak"]
                    else:
                        runs.append(run(command))
                if turn < args.repeats:
                    rates = (f"{name}: {rate(runs[-1]):.0f}/s" for name, runs in results.items())
                    console.print(turn + 1, *rates)
    show(console, results, peaks)


def rate(result: dict) -> float:
    return len(set(result["pages"])) / result["seconds"]


def show(console: Console, results: dict[str, list[dict]], peaks: dict[str, int]) -> None:
    table = Table(
        "crawler", "pages", "pages/s (median)", "worst to best", "peak MB", "ours, times as fast",
        title=f"{machine()}; Python {platform.python_version()}",
    )  # fmt: skip
    ours = results["Webfarer"]
    for name, runs in results.items():
        rates = sorted(map(rate, runs))
        ratios = [rate(mine) / rate(other) for mine, other in zip(ours, runs, strict=True)]
        table.add_row(
            f"{name} {runs[0].get('version', '')}".strip(), str(len(set(runs[0]["pages"]))),
            f"{statistics.median(rates):.0f}", f"{rates[0]:.0f} to {rates[-1]:.0f}",
            f"{peaks[name] / 1e6:.0f}",
            f"{statistics.median(ratios):.2f}",
        )  # fmt: skip
    console.print(table)
    sets = [
        {re.sub(r"^http://[^/]+", "", url) for url in runs[0]["pages"]} for runs in results.values()
    ]
    console.print("all found the same pages:", all(pages == sets[0] for pages in sets))


if __name__ == "__main__":
    main()
