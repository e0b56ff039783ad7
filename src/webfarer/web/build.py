"""`Site`: the pages of a web made from a graph, each built when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.text import node_text
from webfarer.web.article import (
    BOX_CAP,
    LIST_CAP,
    article,
    capitalised,
    grouped,
    inverse_heading,
)
from webfarer.web.document import Bullets, Chrome, Document, Paragraph, Run, Section
from webfarer.web.urls import Address, plain_slugs, read_address, wiki_names

PER_PAGE = 50
_HOME_CATEGORIES, _POPULAR = 24, 8
_NOTICE = "We use cookies to remember your preferences. By reading on you accept our terms."
_FOOTER = "Text is free to share. About us. Privacy. Contact. Mobile view."


class Site:
    """The addresses of a graph's pages, and the document at each.

    `/` is the home page, `/wiki/Label` an entity's, `/category/type` lists the entities of a
    type, `/list/relation/Label` the subjects that a relation leads to an entity from,
    `/facts/relation/Label` the values of a relation that are too many for the entity's page; the
    last three have 50 entries a page. `host` may hold "{name}" for the graph's name.
    """

    def __init__(self, graph: KnowledgeGraph, host: str = "https://{name}.example") -> None:
        self.graph = graph
        slug = plain_slugs([("", graph.name)])[""].encode("ascii", "ignore").decode()
        self.base = host.format(name=slug or "world").rstrip("/").lower()
        self.host = self.base.partition("://")[2]
        self.title = f"{graph.name.replace('-', ' ').title()} Encyclopedia"
        self._names = wiki_names((id, graph.label(id), self._type_of(id)) for id in graph.entities)
        self._entity_at = {name.slug: id for id, name in self._names.items()}
        self._types = plain_slugs((id, graph.type_label(id)) for id in graph.types)
        self._type_at = {slug: id for id, slug in self._types.items()}
        self._relations = plain_slugs((id, graph.relation_label(id)) for id in graph.relations)
        self._relation_at = {slug: id for id, slug in self._relations.items()}
        self._paths = {id: Address(("wiki", name.slug)).path for id, name in self._names.items()}
        self.chrome = self._chrome()

    def _type_of(self, entity: str) -> str:
        types = self.graph.entities[entity].types
        return self.graph.type_label(types[0]) if types else "entry"

    def _chrome(self) -> Chrome:
        degree = {id: len(self.graph.facts_to(id)) for id in self.graph.entities}
        popular = sorted(degree, key=lambda id: -degree[id])[:_POPULAR]
        return Chrome(
            site=self.title,
            navigation=(Run("Home", "/"), Run("Categories", "/categories")),
            popular=tuple(Run(self._label(id), self.path_of(id)) for id in popular),
            notice=_NOTICE,
            footer=f"{self.title}. {_FOOTER}",
        )

    # Addresses

    def url_of(self, entity: str) -> str:
        """The URL of an entity's page. Raises KeyError for an id that the graph does not have."""
        return self.base + self._paths[entity]

    def entity_at(self, url: str) -> str | None:
        """The id of the entity whose page is at the URL, if any; the inverse of `url_of`."""
        match self._address(url):
            case Address(("wiki", slug), 1):
                return self._entity_at.get(slug)
        return None

    def canonical(self, url: str) -> str | None:
        """The one spelling of a URL on this host, whether or not there is a page; else None."""
        address = self._address(url)
        return None if address is None else self.base + address.path

    def path_of(self, entity: str) -> str:
        return self._paths[entity]

    def title_of(self, entity: str) -> str:
        return self._names[entity].title

    def category_path(self, kind: str) -> str:
        return Address(("category", self._types[kind])).path

    def list_address(self, relation: str, entity: str, inverse: bool) -> Address:
        kind = "list" if inverse else "facts"
        return Address((kind, self._relations[relation], self._names[entity].slug))

    def urls(self) -> Iterator[str]:
        """The URLs of all pages: home, entities, categories, then the lists that are linked."""
        yield self.base + "/"
        yield from (self.base + path for path in self._paths.values())
        yield from self._numbered(Address(("categories",)), len(self._types))
        for kind, slug in self._types.items():
            yield from self._numbered(Address(("category", slug)), len(self.graph.of_type(kind)))
        for entity in self.graph.entities:
            yield from self._list_urls(entity)

    def _list_urls(self, entity: str) -> Iterator[str]:
        into, out = self.graph.facts_to(entity), self.graph.facts_of(entity)
        for facts, cap, inverse in ((into, LIST_CAP, True), (out, BOX_CAP, False)):
            if len(facts) > cap:
                groups = grouped((fact.relation, fact) for fact in facts)
                for relation, members in groups.items():
                    if len(members) > cap:
                        address = self.list_address(relation, entity, inverse)
                        yield from self._numbered(address, len(members))

    def _numbered(self, address: Address, entries: int) -> Iterator[str]:
        for page in range(1, _pages(entries) + 1):
            yield self.base + address._replace(page=page).path

    def _address(self, url: str) -> Address | None:
        return read_address(url, self.host)

    # Documents

    def documents(self) -> Iterator[Document]:
        """The document at each of `urls()`, in order, one at a time."""
        for url in self.urls():
            document = self.document(url)
            assert document is not None, f"{url} is listed but has no page"
            yield document

    def document(self, url: str) -> Document | None:
        """The document at a URL; None where there is no such page or it is on another host."""
        address = self._address(url)
        if address is None:
            return None
        match address.segments:
            case () if address.page == 1:
                return self._home()
            case ("wiki", slug) if address.page == 1 and slug in self._entity_at:
                return article(self, self._entity_at[slug])
            case ("categories",):
                return self._categories(address)
            case ("category", slug) if slug in self._type_at:
                return self._category(address, self._type_at[slug])
            case ("list" | "facts" as kind, relation, slug):
                ends = self._relation_at.get(relation), self._entity_at.get(slug)
                return self._list(address, *ends, inverse=kind == "list")
        return None

    def _home(self) -> Document:
        kinds = sorted(self.graph.types, key=lambda kind: -len(self.graph.of_type(kind)))
        entries, types = len(self.graph.entities), len(kinds)
        welcome = f"{self.title} has {entries:,} entries in {types:,} categories."
        items = tuple(self._category_item(kind) for kind in kinds[:_HOME_CATEGORIES])
        every = Paragraph((Run("All categories", "/categories"),))
        return Document(
            url="/",
            title=self.title,
            description=welcome,
            lead=(Paragraph((Run(welcome),)),),
            sections=(
                Section("Categories", (Bullets(items), every)),
                Section("Popular pages", (Bullets(tuple((r,) for r in self.chrome.popular)),)),
            ),
            chrome=self.chrome,
        )

    def _category_item(self, kind: str) -> tuple[Run, ...]:
        label = capitalised(self.graph.type_label(kind))
        return Run(label, self.category_path(kind)), Run(f" ({len(self.graph.of_type(kind)):,})")

    def _categories(self, address: Address) -> Document | None:
        items = [self._category_item(kind) for kind in self._types]
        return self._paged(address, "Categories", f"There are {len(items):,} categories.", items)

    def _category(self, address: Address, kind: str) -> Document | None:
        label = self.graph.type_label(kind)
        items = [(self._run(id),) for id in self.graph.of_type(kind)]
        lead = f"The category {label} has {_entries(len(items))}."
        return self._paged(address, f"Category: {capitalised(label)}", lead, items)

    def _list(
        self, address: Address, relation: str | None, entity: str | None, *, inverse: bool
    ) -> Document | None:
        if relation is None or entity is None:
            return None
        ends: Sequence[Node] = (
            self.graph.subjects(relation, entity)
            if inverse
            else self.graph.objects(relation=relation, subject=entity)
        )
        if not ends:
            return None
        name, label = self._label(entity), self.graph.relation_label(relation)
        items = [(self._run(end),) for end in ends]
        if inverse:
            heading = inverse_heading(self.graph, relation)
            lead = f"{_entries(len(items))} with {name} as {label}:"
        else:
            heading = capitalised(label)
            lead = f"{_entries(len(items))} for {name} under {label}:"
        return self._paged(address, f"{heading}: {name}", lead, items, entity)

    def _paged(
        self,
        address: Address,
        title: str,
        lead: str,
        items: Sequence[tuple[Run, ...]],
        about: str | None = None,
    ) -> Document | None:
        """A page of a long list; None past its end."""
        pages = _pages(len(items))
        if address.page > pages:
            return None
        start = (address.page - 1) * PER_PAGE
        blocks = [Bullets(tuple(items[start : start + PER_PAGE]))]
        numbered = f"{title} (page {address.page})" if address.page > 1 else title
        return Document(
            url=address.path,
            title=numbered,
            lead=(Paragraph((Run(lead),)),),
            sections=(Section("", (*blocks, *_turning(address, pages))),),
            see_also=() if about is None else (self._run(about),),
            chrome=self.chrome,
        )

    def _run(self, node: Node) -> Run:
        return Run(
            node_text(self.graph, node),
            self._paths[node] if isinstance(node, str) else None,
        )

    def _label(self, entity: str) -> str:
        return self.graph.label(entity)


def _pages(entries: int) -> int:
    return max(1, -(-entries // PER_PAGE))


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _turning(address: Address, pages: int) -> list[Paragraph]:
    """Where one is in a long list, with the ways back and on."""
    if pages == 1:
        return []
    ways = [Run(f"Page {address.page} of {pages}.")]
    for text, page in (("Previous page", address.page - 1), ("Next page", address.page + 1)):
        if 1 <= page <= pages:
            ways += [Run(" "), Run(text, address._replace(page=page).path)]
    return [Paragraph(tuple(chain(ways)))]
