"""Which links a crawl follows: those that stay where it was sent, and out of endless sites."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from webfarer.types.base import Record

Reach = Literal["host", "site"]
_NOT_PAGES = re.compile(
    r"7z|aac|avif?|bin|bmp|bz2|class|css|deb|dmg|docx?|eot|epub|exe|flac|flv|gif|gz|ico|iso|jar|jpe?g"
    r"|m?js|m4[av]|mkv|mov|mp[34]|mpe?g|msi|od[pst]|og[gv]|otf|pdf|pkg|png|pptx?|ps|rar|rpm|so|svg"
    r"|swf|tar|tgz|tiff?|ttf|wasm|wav|web[mp]|whl|wmv|woff2?|xlsx?|xz|zip|zst"
)  # endings of what is no page: not worth a request


class Bounds(Record):
    """Where a crawl may go. They are the archive's: another run over it has to have the same.

    `allow` is a list of hosts ("docs.example", with its subdomains as ".docs.example") and of URL
    prefixes; where it is empty, links stay on the roots' hosts, or on their sites: the host without
    "www.", and all below it.
    """

    roots: tuple[str, ...]
    reach: Reach = "host"
    allow: tuple[str, ...] = ()
    sitemaps: bool = False
    robots: bool = True
    longest: int = Field(2000, ge=20)  # characters of a URL
    segments: int = Field(25, ge=1)  # of a path
    repeats: int = Field(3, ge=1)  # of one segment in a path
    variants: int = Field(200, ge=1)  # queries of one path


class Scope:
    """Decides link by link. It counts the queries of each path that it has let through."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._roots: list[str] = []
        self._queries: Counter[str] = Counter()
        self._within = lru_cache(1 << 16)(self._is_within)
        for root in bounds.roots:
            self.widen(root)

    def widen(self, url: str) -> None:
        """Another root: what a root redirects to."""
        self._roots.append(url)
        self._within.cache_clear()

    def links(self, urls: Iterable[str]) -> tuple[str, ...]:
        """Those of the URLs that are followed."""
        return tuple(url for url in urls if self.admits(url))

    def admits(self, url: str) -> bool:
        """Whether a link is followed. A query of a path that has had its share is not."""
        return self._within(url) and ("?" not in url or self._fewer(url.partition("?")[0]))

    def _is_within(self, url: str) -> bool:
        bounds = self.bounds
        if len(url) > bounds.longest or not self._inside(url):
            return False
        names = urlsplit(url).path.split("/")[1:]
        if len(names) > bounds.segments or _NOT_PAGES.fullmatch(_extension(names[-1])):
            return False
        return all(names.count(name) <= bounds.repeats for name in set(names) if name)

    def _fewer(self, path: str) -> bool:
        return self._queries[path] < self.bounds.variants

    def count(self, url: str) -> None:
        """A URL is newly known: its query is one of its path's."""
        path, mark, _ = url.partition("?")
        self._queries[path] += bool(mark)

    def _inside(self, url: str) -> bool:
        if self.bounds.allow:
            return any(_allowed(url, entry) for entry in self.bounds.allow)
        same = _same_host if self.bounds.reach == "host" else _same_site
        return any(same(url, root) for root in self._roots)


def _allowed(url: str, entry: str) -> bool:
    if "://" in entry:
        return url.startswith(entry)
    parts = urlsplit(url)
    host, entry = parts.hostname or "", entry.lower()
    return entry in (host, parts.netloc) or (entry.startswith(".") and f".{host}".endswith(entry))


def _same_host(url: str, root: str) -> bool:
    return urlsplit(url).netloc == urlsplit(root).netloc


def _same_site(url: str, root: str) -> bool:
    site = (urlsplit(root).hostname or "").removeprefix("www.")
    host = urlsplit(url).hostname or ""
    return host == site or host.endswith(f".{site}")


def _extension(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
