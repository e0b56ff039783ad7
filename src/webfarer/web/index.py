"""`SearchIndex`: BM25 over pages, on tantivy, in English and Chinese.

A query is words, never syntax: whatever characters it has, it is tokenised as the pages were. Three
kinds of evidence add up: words in the body, words in the title, and the page's whole title (or
another name of its subject) standing in the query, which is how people search for things by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import tantivy

from webfarer.store.atomic import write_json
from webfarer.types import FailureError, Hit
from webfarer.web import words
from webfarer.web.document import Document
from webfarer.web.snippet import snippet

_FIELDS = {"body": "body_pairs", "title": "title_pairs"}  # words, and pairs of Chinese
# A Chinese title counts whole, as a name; its pairs stand in the titles of many lists as well.
_BOOST = {"body": 1.0, "body_pairs": 1.0, "title": 0.25, "title_pairs": 0.25}
_ALIAS_SHARE = 0.5
_MAX_TERMS = 64
_SPARE = 8  # results that are asked for beyond those wanted
_HEAP = 256_000_000  # bytes of postings before a segment is written
_MARK, _FORMAT = "webfarer-index.json", 2
_DATA = frozenset((".fast", ".fieldnorm", ".idx", ".store", ".term", ".json"))


def _schema() -> tantivy.Schema:
    """Words of title and body, whole names, and what is shown of a page as it was given."""
    builder = tantivy.SchemaBuilder()
    for text, tokens in _FIELDS.items():
        builder.add_text_field(text, tokenizer_name="words_en", index_option="freq")
        builder.add_text_field(tokens, tokenizer_name="whitespace", index_option="freq")
    for whole in ("name", "alias", "beginning"):
        builder.add_text_field(whole, tokenizer_name="raw", index_option="basic")
    for shown in ("url", "head", "text"):
        builder.add_bytes_field(shown, stored=True, indexed=False, fast=False)
    builder.add_integer_field("order", fast=True)
    return builder.build()


class Entry(NamedTuple):
    """What an index is told of a page; `aliases` are other names of its subject."""

    url: str
    title: str
    body: str
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document, base: str = "") -> Entry:
        """The entry of a document, whose URL `base` precedes."""
        body = "\n".join(document.passages())
        return cls(base + document.url, document.title, body, document.aliases)


class SearchIndex:
    """An index of documents, built once and searched from any number of threads.

    Pages that score the same come in the order in which the documents did.
    """

    def __init__(self, index: tantivy.Index) -> None:
        self._words = words.analyzer(stem=True)
        self._plain = words.analyzer(stem=False)
        self._index = index
        self._schema = index.schema
        index.register_tokenizer("words_en", self._words)
        index.reload()
        self._searcher = index.searcher()

    def __len__(self) -> int:
        return self._searcher.num_docs

    @classmethod
    def build(
        cls, pages: Iterable[Document | Entry], base: str = "", folder: Path | None = None
    ) -> SearchIndex:
        """Indexes documents, or entries of any other pages, in memory or in an empty folder.

        `base` precedes the URLs of documents. Raises FailureError where the folder cannot be
        written or has something in it.
        """
        try:
            if folder is not None:
                _empty(folder)
            index = tantivy.Index(_schema(), str(folder) if folder else None, reuse=False)
            index.register_tokenizer("words_en", words.analyzer(stem=True))
            plain = words.analyzer(stem=False)
            # One thread and one commit: one order of documents, whatever the machine.
            writer = index.writer(_HEAP, num_threads=1)
            for order, page in enumerate(pages):
                entry = Entry.of(page, base) if isinstance(page, Document) else page
                writer.add_document(_entry(entry, order, plain))
            writer.commit()
            writer.wait_merging_threads()
            if folder is not None:
                _mark(folder)
        except (ValueError, OSError) as error:
            raise FailureError("search", f"the index could not be built: {error}") from error
        return cls(index)

    @classmethod
    def open(cls, folder: Path) -> SearchIndex:
        """An index that `build` left in a folder.

        Raises FailureError where there is none, where it is torn, and where another version of
        its form wrote it.
        """
        _check(folder)
        try:
            return cls(tantivy.Index.open(str(folder)))
        except (ValueError, OSError) as error:
            raise FailureError("search", f"no index can be read in {folder}: {error}") from error

    def search(self, query: str, k: int) -> list[Hit]:
        """At most k hits, best first; none for a query without words or where nothing matches."""
        query = words.clean(query)
        terms = words.distinct(self._words.analyze(words.without(query)), _MAX_TERMS)
        pairs = words.distinct(words.pairs(query), _MAX_TERMS)
        if not (terms or pairs) or k <= 0:
            return []
        weights = {term: self._rarity("body", term) for term in terms}
        weights |= {pair: self._rarity("body_pairs", pair) for pair in pairs}
        try:
            return [self._hit(place, weights) for place in self._found(query, terms, pairs, k)]
        except ValueError as error:
            raise FailureError("search", f"the index could not be read: {error}") from error

    def _found(
        self, query: str, terms: Sequence[str], pairs: Sequence[str], k: int
    ) -> list[_Place]:
        """The k best pages.

        Pages with a name in the query are asked for apart from those that words alone find: few
        have one, and tantivy passes over most pages only where nothing but words counts.
        """
        said = [
            self._term(field, token, _BOOST[field])
            for text in _FIELDS
            for field, tokens in ((text, terms), (_FIELDS[text], pairs))
            for token in tokens
        ]
        optional = [(tantivy.Occur.Should, part) for part in said]
        places = self._ask(tantivy.Query.boolean_query(optional), k)
        if named := self._names(query):
            must = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in named])
            places |= self._ask(
                tantivy.Query.boolean_query([(tantivy.Occur.Must, must), *optional]), k
            )
        return sorted(places.values(), key=lambda place: (-place.score, place.order))[:k]

    def _ask(self, query: tantivy.Query, k: int) -> dict[tuple[int, int], _Place]:
        """The k best pages of a query and some more, by their address.

        Of pages that score the same, tantivy gives those of one segment in their order, but those
        of several in any: then it is asked again until it has given all that equal the k-th.
        """
        wanted = k + _SPARE
        while True:
            hits = self._searcher.search(query, limit=wanted, count=False).hits
            if self._searcher.num_segments == 1:
                hits = hits[:k]
                break
            if len(hits) < wanted or hits[-1][0] < hits[k - 1][0]:
                break
            wanted *= 4
        orders = self._searcher.fast_field_values("order", [address for _, address in hits])
        return {
            (address.segment_ord, address.doc): _Place(score, int(order or 0), address)
            for (score, address), order in zip(hits, orders, strict=True)
        }

    def _hit(self, place: _Place, weights: Mapping[str, float]) -> Hit:
        """A result; words of its title count little in its snippet, where every line has them."""
        page = self._searcher.doc(place.address)
        url, title, text = (bytes(page[shown][0]).decode() for shown in ("url", "head", "text"))
        in_title = {*self._words.analyze(words.without(title)), *words.pairs(title)}
        told = {term: w * (0.1 if term in in_title else 1.0) for term, w in weights.items()}
        return Hit(url, title, snippet(text, told), place.score)

    def _names(self, query: str) -> list[tantivy.Query]:
        """A query for each name in the query that some page has."""
        plain = self._plain.analyze(words.characters(query))[:_MAX_TERMS]
        return [
            self._named(field, name, worth * share)
            for name, worth in words.names_in(plain, self._begins)
            for field, share in (("name", 1.0), ("alias", _ALIAS_SHARE))
            if self._searcher.doc_freq(field, name)
        ]

    def _begins(self, two: str) -> bool:
        return self._searcher.doc_freq("beginning", two) > 0

    def _term(self, field: str, text: str, boost: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, text, "freq")
        return tantivy.Query.boost_query(query, boost)

    def _named(self, field: str, name: str, score: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, name, "basic")
        return tantivy.Query.const_score_query(query, score)

    def _rarity(self, field: str, term: str) -> float:
        """Inverse document frequency."""
        return math.log(1 + len(self) / (1 + self._searcher.doc_freq(field, term)))


class _Place(NamedTuple):
    """Where a page is in the index, with its score and its place in the order given."""

    score: float
    order: int
    address: tantivy.DocAddress


def _entry(entry: Entry, order: int, plain: tantivy.TextAnalyzer) -> tantivy.Document:
    url, title, body = map(words.clean, entry[:3])
    name, *others = (_name(text, plain) for text in (title, *entry.aliases))
    begins = {words.beginning(text): None for text in (name, *others)}
    (title_words, title_pairs), (body_words, body_pairs) = words.parted(title), words.parted(body)
    return tantivy.Document(
        title=[title_words],
        title_pairs=[title_pairs],
        body=[body_words],
        body_pairs=[body_pairs],
        name=[name],
        alias=[other for other in others if other],
        beginning=[two for two in begins if two],
        url=[url.encode()],
        head=[title.encode()],
        text=[body.encode()],
        order=[order],
    )


def _name(text: str, plain: tantivy.TextAnalyzer) -> str:
    """A name as it is compared: its words without case, accents and punctuation."""
    return " ".join(plain.analyze(words.characters(words.clean(text))))


def _empty(folder: Path) -> None:
    """Makes the folder. Raises FailureError where it is there and has something in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FailureError("search", f"the index could not be built: {folder} is not empty")


def _mark(folder: Path) -> None:
    """Says, last of all, that the index is whole: its form, and its files with their sizes."""
    sizes = {
        path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.suffix in _DATA
    }
    write_json(folder / _MARK, {"format": _FORMAT, "files": sizes})


def _check(folder: Path) -> None:
    """Raises FailureError where the folder has no index that was finished and is still whole."""
    refused = f"no index can be read in {folder}"
    try:
        mark = json.loads((folder / _MARK).read_bytes())
        form, files = mark["format"], dict(mark["files"])
    except FileNotFoundError:
        raise FailureError("search", f"{refused}: none was finished there") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FailureError("search", f"{refused}: {_MARK} is not readable ({error})") from error
    if form != _FORMAT:
        raise FailureError(
            "search", f"{refused}: it has form {form}, this version reads {_FORMAT}; build it again"
        )
    for name, size in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise FailureError("search", f"{refused}: {name} is torn; build it again")
