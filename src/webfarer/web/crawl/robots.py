"""What a host's robots.txt says to our agent, as RFC 9309 asks to read it.

Read with Protego: the group of our product token (else of `*`), the longest match, `*` and `$`.
RFC 9309 section 2.3.1: a file that cannot be had (4xx) forbids nothing, one that cannot be reached
(5xx, a fault of the network) forbids everything; 2.5: at least 500 KiB are read, and here no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from webfarer.web.crawl.settings import LONGEST_WAIT
from webfarer.web.http.exchange import Exchange

MOST_BYTES = 512 * 1024
MOST_HOPS = 5  # redirects that are followed to a robots.txt (RFC 9309, 2.3.1.2)


@dataclass(frozen=True, slots=True)
class Rules:
    """One host's rules for one agent. `delay` is its crawl-delay in seconds, 0 where none is asked
    and `LONGEST_WAIT` at most, since a host may ask for years; `sitemaps` the URLs of its sitemaps.
    `unreachable` says why no file could be had; everything is forbidden then."""

    agent: str
    parser: Protego | None = None
    delay: float = 0.0
    sitemaps: tuple[str, ...] = ()
    unreachable: str = ""

    def allows(self, url: str) -> bool:
        """Whether the agent may ask for the URL; robots.txt itself it always may."""
        if self.parser is None:
            return not self.unreachable
        return self.parser.can_fetch(url, self.agent) or urlsplit(url).path == "/robots.txt"


def robots_url(url: str) -> str:
    """Where the rules for a URL lie: one file for each scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/robots.txt"


def product(user_agent: str) -> str:
    """The product token, which groups of robots.txt name: "webfarer" of "Webfarer/0.1 (+...)"."""
    return user_agent.split("/")[0].split()[0].lower() if user_agent.strip() else "*"


def read_rules(answer: Exchange | None, user_agent: str, fault: str = "") -> Rules:
    """The rules that an answer to a request for robots.txt makes; `fault` is why there is none."""
    agent = product(user_agent)
    if answer is None or answer.status >= 500 or answer.status == 429:
        why = fault or (f"status {answer.status}" if answer else "redirects")
        return Rules(agent, unreachable=why)
    if not 200 <= answer.status < 300:
        return Rules(agent)
    text = answer.body[:MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
    parser = Protego.parse(text)
    delay = parser.crawl_delay(agent) or 0.0
    delay = min(LONGEST_WAIT, max(0.0, delay))
    return Rules(agent, parser, delay, tuple(parser.sitemaps))
