"""`NetworkSite`: a graph's pages spread over many hosts and several levels, for walking.

The plain `Site` is one host where every page is a step or two from home, made for searching. Here a
portal leads to one host for each entity type, where a page lies under its first letters, as on the
sites that WebWalkerQA (Wu et al. 2025) is asked about: from the portal, links alone lead anywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from urllib.parse import urlsplit

import idna

from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.worlds.chinese import TYPES
from webfarer.web.article import article
from webfarer.web.build import Site
from webfarer.web.document import Bullets, Document, Run, Runs, Section
from webfarer.web.http.canonical import canonical
from webfarer.web.phrases import capitalised
from webfarer.web.urls import Address, plain_slugs, read_address

_ENGLISH = {chinese: english for english, chinese in TYPES.items()}  # of procedural worlds
_UNTYPED = ""  # stands for the type of whatever has none
_LONGEST = 40  # characters of a host's own label; DNS takes 63
Shelves = Mapping[str, Mapping[str, Sequence[str]]]  # entities by first letter, then by first two


class NetworkSite(Site):
    """The addresses of a graph's pages on many hosts, and the document at each.

    On the portal (`host`) `/` and `/categories` lead to the hosts, one for each type, such as
    city.old-atlas.example. There `/` lists first letters, `/k` the first two, `/k/ke` entities,
    `/k/ke/Kelford` is one of them, on the host of its first type, and below it
    `/k/ke/Kelford/list/relation` and `.../facts/relation` are what is too long for its page. Long
    lists have 50 entries a page. Links are absolute, since they lead from host to host.
    """

    def __init__(self, graph: KnowledgeGraph, host: str = "https://{name}.example") -> None:
        super().__init__(graph, host)
        self.prefix = ""
        origins = (origin for kind, origin in self._origins.items() if kind in self._shelves)
        self.hosts = (self.host, *(origin.partition("://")[2] for origin in origins))

    @cached_property
    def _origins(self) -> dict[str, str]:
        """The origin of each type's host. Host names are English, as they are in most languages;
        of a type without an English name, its own name in the form that DNS takes."""
        english = self.graph.in_language("en")
        labels = {kind: _ENGLISH.get(kind) or english.type_label(kind) for kind in self._types}
        plain = [(kind, _ascii(label) or _ascii(kind)) for kind, label in labels.items()]
        slugs = plain_slugs([*plain, (_UNTYPED, "entry")])
        foreign = {_idna(labels[kind]): kind for kind, label in reversed(plain) if not label}
        slugs |= {kind: slug for slug, kind in foreign.items() if slug}
        scheme, _, host = self.base.partition("://")
        return {kind: f"{scheme}://{slug}.{host}" for kind, slug in slugs.items()}

    @cached_property
    def _kind_at(self) -> dict[str, str]:
        return {origin: kind for kind, origin in self._origins.items()}

    @cached_property
    def _shelves(self) -> Mapping[str, Shelves]:
        """What is listed on each type's host: all entities of it, wherever their own pages are."""
        hosts: dict[str, dict[str, dict[str, list[str]]]] = {}
        for id, entity in self.graph.entities.items():
            first, pair = _shelf(self.graph.label(id))
            for kind in dict.fromkeys(entity.types or (_UNTYPED,)):
                hosts.setdefault(kind, {}).setdefault(first, {}).setdefault(pair, []).append(id)
        return hosts

    # Addresses

    def _address(self, url: str) -> Address | None:
        host = urlsplit(canonical(url) or "").netloc
        origin = f"{self.base.partition('://')[0]}://{host}"
        if origin != self.base and origin not in self._kind_at:
            return None
        address = read_address(url, host)
        return address and address._replace(origin=origin)

    def _at(self, *segments: str) -> Address:
        return Address(segments, origin=self.base)

    def _page_address(self, entity: str) -> Address:
        kind = next(iter(self.graph.entities[entity].types), _UNTYPED)
        segments = (*_shelf(self.graph.label(entity)), self._names[entity].slug)
        return Address(segments, origin=self._origins[kind])

    def entity_at(self, url: str) -> str | None:
        """The id of the entity whose page is at the URL, if any; the inverse of `url_of`."""
        address = self._address(url)
        entity = self._entity_at.get(address.segments[-1]) if address and address.segments else None
        return entity if entity is not None and address == self._page_address(entity) else None

    def category_path(self, kind: str) -> str:
        return Address((), origin=self._origins[kind]).path

    def list_address(self, relation: str, entity: str, inverse: bool) -> Address:
        page, side = self._page_address(entity), "list" if inverse else "facts"
        return page._replace(segments=(*page.segments, side, self._relations[relation]))

    def _kind_urls(self) -> Iterator[str]:
        for kind, letters in self._shelves.items():
            host = Address((), origin=self._origins[kind])
            yield from self._numbered(host, len(letters))
            for letter, pairs in letters.items():
                yield from self._numbered(host._replace(segments=(letter,)), len(pairs))
                for pair, ids in pairs.items():
                    yield from self._numbered(host._replace(segments=(letter, pair)), len(ids))

    # Documents

    def document(self, url: str) -> Document | None:
        """The document at a URL; None where there is no such page or it is on another host."""
        address = self._address(url)
        if address is None:
            return None
        if address.origin == self.base:
            return super().document(url) if address.segments in ((), ("categories",)) else None
        kind = self._kind_at[address.origin]
        deep = len(address.segments) > 2
        page = self._below(address) if deep else self._contents(address, kind)
        return page and replace(page, trail=self._trail(address, kind))

    def _below(self, address: Address) -> Document | None:
        """An entity's page, or a list below it."""
        segments, rest = address.segments[:3], address.segments[3:]
        entity = self._entity_at.get(segments[2])
        at = address._replace(segments=segments, page=1)
        if entity is None or at != self._page_address(entity):
            return None
        match rest:
            case () if address.page == 1:
                return article(self, entity)
            case ("list" | "facts" as side, relation):
                found = self._relation_at.get(relation)
                return self._list(address, found, entity, inverse=side == "list")
        return None

    def _contents(self, address: Address, kind: str) -> Document | None:
        """A host's first letters, the first two after one of them, or the entities after those."""
        letters, name = self._shelves.get(kind, {}), self._kind_name(kind)
        match address.segments:
            case () if letters:
                shelves = {letter: _flat(pairs) for letter, pairs in letters.items()}
            case (letter,) if letter in letters:
                shelves = letters[letter]
            case (letter, pair) if pair in letters.get(letter, {}):
                ids, start = letters[letter][pair], capitalised(pair)
                lead = self.phrases.by_letter(len(ids), start)
                return self._paged(address, f"{capitalised(name)}: {start}", lead, ids, self._item)
            case _:
                return None
        start = "".join(map(capitalised, address.segments))
        count = sum(map(len, shelves.values()))
        lead = self.phrases.by_letter(count, start)
        title = f"{capitalised(name)}: {start}" if start else capitalised(name)

        def item(shelf: str) -> Runs:
            below = address._replace(segments=(*address.segments, shelf), page=1)
            return Run(capitalised(shelf), below.path), Run(self.phrases.count(len(shelves[shelf])))

        return self._paged(address, title, lead, sorted(shelves), item)

    def _home(self) -> Document:
        home = super()._home()
        if _UNTYPED not in self._shelves:
            return home
        way = Run(capitalised(self._kind_name(_UNTYPED)), self.category_path(_UNTYPED))
        return replace(home, sections=(*home.sections, Section("", (Bullets(((way,),)),))))

    def _trail(self, address: Address, kind: str) -> Runs:
        """The ways back to every level above."""
        names = (capitalised(self._kind_name(kind)), *map(capitalised, address.segments[:2]))
        if len(address.segments) > 3:
            names = (*names, self.title_of(self._entity_at[address.segments[2]]))
        above = min(len(address.segments), len(names))
        levels = [Address(address.segments[:n], origin=address.origin) for n in range(above)]
        steps = (Run(name, level.path) for name, level in zip(names, levels, strict=False))
        return (Run(self.title, self._at().path), *steps)

    def _kind_name(self, kind: str) -> str:
        return self.graph.type_label(kind) if kind != _UNTYPED else self.phrases.other


def _shelf(label: str) -> tuple[str, str]:
    """A label's first letter and first two, without case and accents; "-" where it has none."""
    plain = unicodedata.normalize("NFKD", label).casefold()
    letters = "".join(char for char in plain if char.isalnum())
    return letters[:1] or "-", letters[:2] or "-"


def _flat(pairs: Mapping[str, Sequence[str]]) -> list[str]:
    return [id for ids in pairs.values() for id in ids]


def _idna(label: str) -> str:
    """The label as DNS takes it ("xn--..."); empty where it cannot be one."""
    try:
        return idna.encode("-".join(label.split()), uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _ascii(label: str) -> str:
    """What of a label can stand in a host's name."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return plain[:_LONGEST].strip()
