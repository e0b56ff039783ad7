"""Addresses of a graph-backed web: slugs that are unique, and one spelling for each URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from webfarer.web.http.canonical import canonical

_SAFE = "_-.,()"
_PAGE = re.compile(r"(?:^|&)page=(\d{1,6})(?=&|$)")


class Address(NamedTuple):
    """A URL on the site's own host: its path as unquoted segments, and the page of a long list.

    `origin` is that of another host than the site's own ("https://city.old-atlas.example").
    """

    segments: tuple[str, ...]
    page: int = 1
    origin: str = ""

    @property
    def path(self) -> str:
        """The path in its one spelling: ASCII, percent-encoded, no trailing slash; the origin, if
        any, before it."""
        quoted = (quote(segment, safe=_SAFE, errors="replace") for segment in self.segments)
        path = f"{self.origin}/{'/'.join(quoted)}"
        return path if self.page == 1 else f"{path}?page={self.page}"


def read_address(url: str, host: str) -> Address | None:
    """The address that a URL spells on the host, however it spells it; None for any other host.

    http counts as https; a fragment, a trailing slash, the case of percent escapes and query
    parameters other than `page` make no difference, nor what `canonical` evens out. A URL with
    another scheme, a user name, a port of its own or bytes that no URL may hold is on no host of
    ours.
    """
    spelled = canonical(url)
    if spelled is None:
        return None
    parts = urlsplit(spelled)
    if parts.netloc != host:
        return None
    segments = tuple(unquote(part) for part in parts.path.split("/") if part)
    match = _PAGE.search(parts.query)
    return Address(segments, max(1, int(match[1])) if match else 1)


class Name(NamedTuple):
    """What a thing is called on a site: its title, and the slug that its URL ends in."""

    title: str
    slug: str


def wiki_names(labelled: Iterable[tuple[str, str, str]]) -> dict[str, Name]:
    """A name for each (id, label, type): `Label`, then `Label (type)`, then `Label (type) 2`.

    Slugs differ even without regard to case. Whoever comes first has the plain one.
    """
    names: dict[str, Name] = {}
    taken: set[str] = set()
    for id, label, kind in labelled:
        names[id] = _free(label.strip() or id, kind, taken)
    return names


def plain_slugs(labelled: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A lower-case slug for each (id, label): "place-of-birth", and "place-of-birth-2" after it."""
    slugs: dict[str, str] = {}
    taken: set[str] = set()
    for id, label in labelled:
        base = "-".join(re.findall(r"[^\W_]+", label.lower())) or "other"
        slug, number = base, 1
        while slug in taken:
            number += 1
            slug = f"{base}-{number}"
        taken.add(slug)
        slugs[id] = slug
    return slugs


def _free(label: str, kind: str, taken: set[str]) -> Name:
    title, number = label, 1
    while (slug := _slug(title)).casefold() in taken:
        title = f"{label} ({kind})" if number == 1 else f"{label} ({kind}) {number}"
        number += 1
    taken.add(slug.casefold())
    return Name(title, slug)


def _slug(title: str) -> str:
    """Spaces as underscores; a title of dots alone would be read as a step up the path."""
    slug = "_".join(title.split())
    return slug if slug.strip(".") else f"_{slug}"
