"""Webs over real HTTP: `WebServer`, an ASGI application (`running` runs it).

A site is asked for by its own name, in the Host header, and sends exactly the bytes of its page. A
person's browser asks for the same sites by aliases that lead here by themselves, such as
http://old-atlas.example.localhost:8000; there, and only there, addresses of sites that are served
here are written as their aliases. Beside the pages of its web, every host has `/search`,
`/robots.txt` and `/sitemap.xml`, unless the web has a page of its own there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from webfarer.graph.graph import Language
from webfarer.types import BadInput, FailureError, Hit
from webfarer.web.base import Web
from webfarer.web.document import Bullets, Paragraph, Run, Section
from webfarer.web.http.answers import JSON, as_json, as_page, ok, said, site_map
from webfarer.web.http.exchange import Exchange
from webfarer.web.phrases import Phrases
from webfarer.web.phrases_zh import phrases_in

PER_SITEMAP = 50_000  # the limit of sitemaps.org
MOST_QUERIES, MOST_HITS = 50, 1000
# The request header that names the web meant: where two share a host, and for who wants to meet
# it as it is in its own process, with none of the pages that a server adds.
CHOICE = "webfarer-web"
MISS = "webfarer-status"  # the response header that says what the web says of a page it has not
_KEPT = ("content-type", "content-language", "location", "last-modified")
_URL = re.compile(rb"https?://([A-Za-z0-9._-]+(?::\d+)?)")
_TEXT = re.compile(r"text/|application/(?:xhtml\+)?xml")
_SITEMAP = re.compile(r"/sitemap(?:-(\d{1,6}))?\.xml")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Servable(Web, Protocol):
    """A web that can be served: `hosts` are the names of its sites, the main one first; `language`
    is that of what is said beside its pages; `respond` gives what a server sends for a URL, None
    where it has nothing; `urls` are those of its pages.
    """

    @property
    def hosts(self) -> Sequence[str]: ...

    @property
    def language(self) -> Language: ...

    def respond(self, url: str) -> Exchange | None: ...

    def urls(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class _Site:
    """One host of one web, and its alias."""

    web: Servable
    host: str
    alias: str


@dataclass(frozen=True)
class _Asked:
    """A request: path and query as they were sent; whether a program asks, which takes JSON."""

    host: str
    path: str
    query: str
    program: bool
    choice: str

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class WebServer:
    """Serves webs by host name, as an ASGI application; holds nothing of who asked.

    Raises BadInput where two webs have one name.
    """

    def __init__(self, webs: Iterable[Servable]) -> None:
        self.webs = tuple(webs)
        if len({web.name for web in self.webs}) < len(self.webs):
            raise BadInput("two of the webs to serve have one name: rename the folder of one")
        self._hosts = {web.name: tuple(web.hosts) for web in self.webs}
        self._by_host: dict[str, list[_Site]] = {}
        self._by_alias: dict[str, _Site] = {}
        for web in self.webs:
            for host in self._hosts[web.name]:
                self._add(web, host)
        self._listed: dict[tuple[str, str], list[str]] = {}

    def _add(self, web: Servable, host: str) -> None:
        """Known by its host, and by an alias of its own: where one is taken, it has a number."""
        name = re.sub(r"[^a-z0-9.-]+", "-", host.strip("[")).strip("-")
        alias, number = f"{name}.localhost", 1
        while alias in self._by_alias:
            alias, number = f"{name}-{number + 1}.localhost", number + 1
        site = self._by_alias[alias] = _Site(web, host, alias)
        self._by_host.setdefault(host, []).append(site)

    def alias_of(self, web: Servable) -> str:
        """The host name under which a browser on this machine finds the web's main site."""
        main = self._hosts[web.name][0]
        return next(site.alias for site in self._by_host[main] if site.web is web)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope["method"], _asked(scope))
        except FailureError as error:
            answer = said(500, "Server error", str(error))
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, asked: _Asked) -> Exchange:
        if method not in ("GET", "HEAD"):
            no = said(405, "Method not allowed", "Only GET and HEAD are answered here.")
            return replace(no, headers=(*no.headers, ("Allow", "GET, HEAD")))
        site, by_alias = self._site(asked)
        if site is None:
            return self._without_site(asked)
        found = await self._own(site, asked) or _found(site, asked.target)
        if found is None:
            page = await site.web.visit(f"https://{site.host}{asked.target}")
            found = said(404, page.title, page.text, site.web.name, site.web.language)
            found = replace(found, headers=(*found.headers, (MISS, page.status)))
        return self._aliased(found, asked.host) if by_alias else found

    def _site(self, asked: _Asked) -> tuple[_Site | None, bool]:
        """The site that a request is for, and whether it was asked for by its alias."""
        bare = re.sub(r":\d+$", "", asked.host)
        if alias := self._by_alias.get(bare):
            return alias, True
        sites = self._by_host.get(asked.host) or self._by_host.get(bare) or [None]
        chosen = (site for site in sites if site and site.web.name == asked.choice)
        return next(chosen, sites[0]), False

    def _without_site(self, asked: _Asked) -> Exchange:
        """A bare address has a list of what is served; any other name is somebody else's."""
        if not _is_bare(asked.host):
            names = ", ".join(hosts[0] for hosts in self._hosts.values())
            return said(421, "Misdirected request", f"Served here are: {names}.")
        if asked.path != "/":
            return said(404, "Not found", "There is no page at this address.")
        if asked.program:
            return as_json([{"name": name, "hosts": hosts} for name, hosts in self._hosts.items()])
        return as_page("Webs served here", [Section("", (Bullets(self._items(asked.host)),))])

    def _items(self, host: str) -> tuple[tuple[Run, ...], ...]:
        items = []
        for web in self.webs:
            main, *others = self._hosts[web.name]
            more = f" and {len(others):,} more hosts" if others else ""
            link = Run(web.name, f"http://{self.alias_of(web)}{_port(host)}/")
            items.append((link, Run(f" ({main}{more})")))
        return tuple(items)

    # What every host has beside its pages

    async def _own(self, site: _Site, asked: _Asked) -> Exchange | None:
        """Search, robots.txt or a site map; None for any other path, or a page of the web's own."""
        sitemap = _SITEMAP.fullmatch(asked.path)
        if asked.path not in ("/search", "/robots.txt") and not sitemap:
            return None
        if asked.choice and not asked.program:
            return None
        if _found(site, asked.path) is not None:
            return None
        if sitemap:
            return self._sitemap(site, int(sitemap[1] or 0))
        if asked.path == "/search":
            return await _search(site.web, asked)
        text = f"User-agent: *\nAllow: /\n\nSitemap: https://{site.host}/sitemap.xml\n"
        return ok("text/plain; charset=utf-8", text)

    def _sitemap(self, site: _Site, number: int) -> Exchange | None:
        """All URLs of the host; where they are too many for one site map, an index of several."""
        urls = self._urls(site)
        parts = -(-len(urls) // PER_SITEMAP)
        if number > parts or (number and parts == 1):
            return None
        if number == 0 and parts > 1:
            base = f"https://{site.host}/sitemap"
            return site_map(
                "sitemapindex", "sitemap", (f"{base}-{n + 1}.xml" for n in range(parts))
            )
        start = max(0, number - 1) * PER_SITEMAP
        return site_map("urlset", "url", urls[start : start + PER_SITEMAP])

    def _urls(self, site: _Site) -> list[str]:
        key = (site.web.name, site.host)
        if key not in self._listed:
            here = re.compile(rf"https?://{re.escape(site.host)}(?![^/?#])")
            self._listed[key] = [url for url in site.web.urls() if here.match(url)]
        return self._listed[key]

    def _aliased(self, answer: Exchange, host: str) -> Exchange:
        """The answer with addresses of sites that are served here written as their aliases."""
        port = _port(host).encode()

        def alias(match: re.Match[bytes]) -> bytes:
            sites = self._by_host.get(match[1].decode().lower())
            return b"http://" + sites[0].alias.encode() + port if sites else match[0]

        def aliased(data: bytes) -> bytes:
            return _URL.sub(alias, data)

        body = aliased(answer.body) if _TEXT.match(answer.content_type) else answer.body
        headers = ((name, aliased(value.encode()).decode()) for name, value in answer.headers)
        return replace(answer, body=body, headers=tuple(headers))


def _asked(scope: Scope) -> _Asked:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    return _Asked(
        host=headers.get("host", "").lower(),
        path=scope["raw_path"].decode("latin-1"),
        query=query,
        program=JSON in headers.get("accept", ""),
        choice=unquote(headers.get(CHOICE, "")),
    )


def _found(site: _Site, target: str) -> Exchange | None:
    """What the web has there, without the headers that were for whoever recorded it."""
    for scheme in ("https", "http"):
        found = site.web.respond(f"{scheme}://{site.host}{target}")
        if found is not None:
            kept = (pair for pair in found.headers if pair[0].lower() in _KEPT)
            return replace(found, headers=tuple(kept))
    return None


async def _search(web: Servable, asked: _Asked) -> Exchange:
    """`q` is a query, and may be repeated; `k` is how many hits each is to have."""
    asks = parse_qs(asked.query, keep_blank_values=True)
    queries, k = asks.get("q", []), asks.get("k", ["10"])[-1]
    if not (k.isascii() and k.isdigit() and len(k) < 5 and 1 <= int(k) <= MOST_HITS):
        return said(400, "Bad request", f"k is a number from 1 to {MOST_HITS}.")
    if len(queries) > MOST_QUERIES:
        return said(400, "Bad request", f"At most {MOST_QUERIES} queries at once.")
    found = await web.search(queries, int(k))
    pairs = list(zip(queries, found, strict=True))
    if asked.program:
        told = [{"query": query, "hits": [asdict(hit) for hit in hits]} for query, hits in pairs]
        return as_json({"name": web.name, "results": told})
    phrases = phrases_in(web.language)
    sections = [_results(phrases, *pair) for pair in pairs]
    return as_page(phrases.results, sections, web.name, web.language)


def _results(phrases: Phrases, query: str, hits: Sequence[Hit]) -> Section:
    if not hits:
        return Section(query, (Paragraph((Run(phrases.nothing),)),))
    items = ((Run(hit.title, hit.url), Run(f" {hit.snippet}")) for hit in hits)
    return Section(query, (Bullets(tuple(items)),))


def _is_bare(host: str) -> bool:
    """Whether a Host header names the machine and no site."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        ip_address(name)
    except ValueError:
        return name in ("", "localhost")
    return True


def _port(host: str) -> str:
    found = re.search(r":\d+$", host)
    return found[0] if found else ""
