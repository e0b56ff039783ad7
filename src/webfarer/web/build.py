"""`Site`: the pages of a web made from a graph, each built when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.text import name_in_text, node_text
from webfarer.web.article import (
    BOX_CAP,
    LIST_CAP,
    article,
    grouped,
    inverse_heading,
)
from webfarer.web.document import Bullets, Chrome, Document, Paragraph, Run, Section
from webfarer.web.phrases import capitalised
from webfarer.web.phrases_zh import phrases_in
from webfarer.web.urls import Address, plain_slugs, read_address, wiki_names

T = TypeVar("T")
PER_PAGE = 50
_HOME_CATEGORIES, _POPULAR = 24, 8


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
        self.prefix = self.base  # what paths lack to be URLs
        self.hosts: tuple[str, ...] = (self.host,)
        self.phrases = phrases_in(graph.language)
        self.title = self.phrases.site(graph.name.replace("-", " ").title())
        self._names = wiki_names((id, graph.label(id), self._type_of(id)) for id in graph.entities)
        self._entity_at = {name.slug: id for id, name in self._names.items()}
        self._types = plain_slugs((id, graph.type_label(id)) for id in graph.types)
        self._type_at = {slug: id for id, slug in self._types.items()}
        self._relations = plain_slugs((id, graph.relation_label(id)) for id in graph.relations)
        self._relation_at = {slug: id for id, slug in self._relations.items()}
        self._paths = {id: self._page_address(id).path for id in graph.entities}
        self.chrome = self._chrome()

    def _type_of(self, entity: str) -> str:
        types = self.graph.entities[entity].types
        return self.graph.type_label(types[0]) if types else self.phrases.untyped

    def _chrome(self) -> Chrome:
        degree = {id: len(self.graph.facts_to(id)) for id in self.graph.entities}
        popular = sorted(degree, key=lambda id: -degree[id])[:_POPULAR]
        return Chrome(
            site=self.title,
            navigation=(
                Run(self.phrases.home, self._at().path),
                Run(self.phrases.categories, self._at("categories").path),
            ),
            popular=tuple(self._run(id) for id in popular),
            notice=self.phrases.notice,
            footer=self.phrases.footer(self.title),
        )

    # Addresses

    def url_of(self, entity: str) -> str:
        """The URL of an entity's page. Raises KeyError for an id that the graph does not have."""
        return self.prefix + self._paths[entity]

    def entity_at(self, url: str) -> str | None:
        """The id of the entity whose page is at the URL, if any; the inverse of `url_of`."""
        match self._address(url):
            case Address(("wiki", slug), 1):
                return self._entity_at.get(slug)
        return None

    def canonical(self, url: str) -> str | None:
        """The one spelling of a URL on this host, whether or not there is a page; else None."""
        address = self._address(url)
        return None if address is None else self.prefix + address.path

    def _at(self, *segments: str) -> Address:
        """An address on the site's own host."""
        return Address(segments)

    def _page_address(self, entity: str) -> Address:
        return self._at("wiki", self._names[entity].slug)

    def path_of(self, entity: str) -> str:
        return self._paths[entity]

    def title_of(self, entity: str) -> str:
        return self._names[entity].title

    def category_path(self, kind: str) -> str:
        return self._at("category", self._types[kind]).path

    def list_address(self, relation: str, entity: str, inverse: bool) -> Address:
        kind = "list" if inverse else "facts"
        return self._at(kind, self._relations[relation], self._names[entity].slug)

    def urls(self) -> Iterator[str]:
        """The URLs of all pages: home, entities, categories, then the lists that are linked."""
        yield self.prefix + self._at().path
        yield from (self.prefix + path for path in self._paths.values())
        yield from self._numbered(self._at("categories"), len(self._types))
        yield from self._kind_urls()
        for entity in self.graph.entities:
            yield from self._list_urls(entity)

    def _kind_urls(self) -> Iterator[str]:
        for kind, slug in self._types.items():
            yield from self._numbered(self._at("category", slug), len(self.graph.of_type(kind)))

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
            yield self.prefix + address._replace(page=page).path

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
        welcome = self.phrases.welcome(self.title, entries, types)
        items = tuple(self._category_item(kind) for kind in kinds[:_HOME_CATEGORIES])
        every = Paragraph((Run(self.phrases.all_categories, self._at("categories").path),))
        return Document(
            url=self._at().path,
            title=self.title,
            description=welcome,
            lead=(Paragraph((Run(welcome),)),),
            sections=(
                Section(self.phrases.categories, (Bullets(items), every)),
                Section(self.phrases.popular, (Bullets(tuple((r,) for r in self.chrome.popular)),)),
            ),
            chrome=self.chrome,
            language=self.graph.language,
        )

    def _category_item(self, kind: str) -> tuple[Run, ...]:
        label = capitalised(self.graph.type_label(kind))
        count = self.phrases.count(len(self.graph.of_type(kind)))
        return Run(label, self.category_path(kind)), Run(count)

    def _categories(self, address: Address) -> Document | None:
        title, lead = self.phrases.categories, self.phrases.categories_lead(len(self._types))
        return self._paged(address, title, lead, list(self._types), self._category_item)

    def _category(self, address: Address, kind: str) -> Document | None:
        label = self.graph.type_label(kind)
        members = self.graph.of_type(kind)
        lead = self.phrases.category_lead(label, len(members))
        return self._paged(address, self.phrases.category(label), lead, members, self._item)

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
        name, label = name_in_text(self.graph, entity), self.graph.relation_label(relation)
        if inverse:
            heading = inverse_heading(self.graph, relation)
            lead = self.phrases.subjects_lead(len(ends), name, label)
        else:
            heading = capitalised(label)
            lead = self.phrases.objects_lead(len(ends), name, label)
        title = self.phrases.list_title(heading, name)
        return self._paged(address, title, lead, ends, self._item, entity)

    def _paged(
        self,
        address: Address,
        title: str,
        lead: str,
        members: Sequence[T],
        item: Callable[[T], tuple[Run, ...]],
        about: str | None = None,
    ) -> Document | None:
        """A page of a long list, whose members `item` writes; None past its end."""
        pages = _pages(len(members))
        if address.page > pages:
            return None
        start = (address.page - 1) * PER_PAGE
        blocks = [Bullets(tuple(map(item, members[start : start + PER_PAGE])))]
        numbered = self.phrases.numbered(title, address.page) if address.page > 1 else title
        return Document(
            url=address.path,
            title=numbered,
            lead=(Paragraph((Run(lead),)),),
            sections=(Section("", (*blocks, *self._turning(address, pages))),),
            see_also=() if about is None else (self._run(about),),
            chrome=self.chrome,
            language=self.graph.language,
        )

    def _item(self, node: Node) -> tuple[Run, ...]:
        return (self._run(node),)

    def _turning(self, address: Address, pages: int) -> list[Paragraph]:
        """Where one is in a long list, with the ways back and on."""
        if pages == 1:
            return []
        ways = [Run(self.phrases.page_of(address.page, pages))]
        turns = ((self.phrases.previous, address.page - 1), (self.phrases.next, address.page + 1))
        for text, page in turns:
            if 1 <= page <= pages:
                ways += [Run(" "), Run(text, address._replace(page=page).path)]
        return [Paragraph(tuple(ways))]

    def _run(self, node: Node) -> Run:
        if isinstance(node, str):
            return Run(name_in_text(self.graph, node), self._paths[node])
        return Run(node_text(self.graph, node))


def _pages(entries: int) -> int:
    return max(1, -(-entries // PER_PAGE))
