"""`SearchIndex`: BM25 over documents, on tantivy.

A query is words, never syntax: whatever characters it has, it is tokenised as the pages were. Three
kinds of evidence add up: words in the body, words in the title, and the page's whole title (or
another name of its subject) standing in the query, which is how people search for things by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import tantivy

from webfarer.types import FailureError, Hit
from webfarer.web.document import Document

_TITLE, _BODY = 2.0, 1.0
_WHOLE_QUERY, _NAMED, _ALIAS_SHARE = 40.0, 4.0, 0.5
_MAX_TERMS, _LONGEST_NAME = 64, 8
_SNIPPET = 160
_HEAP = 64_000_000
_LINE_END = re.compile(r"(?<=[^.:!?])\n")


def _analyzer(stem: bool) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(64)).filter(tantivy.Filter.lowercase())
    builder = builder.filter(tantivy.Filter.ascii_fold())
    return (builder.filter(tantivy.Filter.stemmer("english")) if stem else builder).build()


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("title", stored=True, tokenizer_name="words_en")
    builder.add_text_field("body", stored=True, tokenizer_name="words_en")
    builder.add_text_field("url", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("name", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("alias", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("order", stored=True)
    return builder.build()


class SearchIndex:
    """An index of documents, built once and searched from any number of threads.

    Pages that score the same come in the order in which the documents did.
    """

    def __init__(self, index: tantivy.Index) -> None:
        self._words = _analyzer(stem=True)
        self._plain = _analyzer(stem=False)
        self._index = index
        self._schema = index.schema
        index.register_tokenizer("words_en", self._words)
        index.reload()
        self._searcher = index.searcher()

    def __len__(self) -> int:
        return self._searcher.num_docs

    @classmethod
    def build(
        cls, documents: Iterable[Document], base: str = "", folder: Path | None = None
    ) -> SearchIndex:
        """Indexes the documents, in memory or in an empty folder. `base` precedes their URLs."""
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            index = tantivy.Index(_schema(), str(folder) if folder else None, reuse=False)
            index.register_tokenizer("words_en", _analyzer(stem=True))
            plain = _analyzer(stem=False)
            # One thread and one commit: one order of documents, whatever the machine.
            writer = index.writer(_HEAP, num_threads=1)
            for order, document in enumerate(documents):
                writer.add_document(_entry(document, base, order, plain))
            writer.commit()
            writer.wait_merging_threads()
        except (ValueError, OSError) as error:
            raise FailureError("search", f"the index could not be built: {error}") from error
        return cls(index)

    @classmethod
    def open(cls, folder: Path) -> SearchIndex:
        """An index that `build` left in a folder. Raises FailureError where there is none."""
        try:
            return cls(tantivy.Index.open(str(folder)))
        except (ValueError, OSError) as error:
            raise FailureError("search", f"no index can be read in {folder}: {error}") from error

    def search(self, query: str, k: int) -> list[Hit]:
        """At most k hits, best first; none for a query without words or where nothing matches."""
        terms = list(dict.fromkeys(self._words.analyze(_clean(query))))[:_MAX_TERMS]
        if not terms or k <= 0:
            return []
        try:
            found = self._searcher.search(self._query(query, terms), limit=k + 8, count=False)
            documents = [(score, self._searcher.doc(at)) for score, at in found.hits]
        except ValueError as error:
            raise FailureError("search", f"the index could not be read: {error}") from error
        ranked = sorted(documents, key=lambda pair: (-pair[0], pair[1]["order"][0]))[:k]
        weights = {term: self._rarity(term) for term in terms}
        return [self._hit(document, score, weights) for score, document in ranked]

    def _hit(self, document: tantivy.Document, score: float, weights: dict[str, float]) -> Hit:
        """A result; words of its title count little in its snippet, where every line has them."""
        title = document["title"][0]
        in_title = set(self._words.analyze(title))
        told = {term: w * (0.1 if term in in_title else 1.0) for term, w in weights.items()}
        return Hit(document["url"][0], title, snippet(document["body"][0], told), score)

    def _query(self, query: str, terms: Sequence[str]) -> tantivy.Query:
        parts = [self._term("body", term, _BODY) for term in terms]
        parts += [self._term("title", term, _TITLE) for term in terms]
        words = self._plain.analyze(_clean(query))[:_MAX_TERMS]
        for name, boost in _names_in(words):
            parts.append(self._named("name", name, boost))
            parts.append(self._named("alias", name, boost * _ALIAS_SHARE))
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])

    def _term(self, field: str, text: str, boost: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, text, "freq")
        return tantivy.Query.boost_query(query, boost)

    def _named(self, field: str, name: str, score: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, name, "basic")
        return tantivy.Query.const_score_query(query, score)

    def _rarity(self, term: str) -> float:
        """Inverse document frequency, of a term in bodies."""
        return math.log(1 + len(self) / (1 + self._searcher.doc_freq("body", term)))


def _entry(
    document: Document, base: str, order: int, plain: tantivy.TextAnalyzer
) -> tantivy.Document:
    names = [_name(alias, plain) for alias in document.aliases]
    return tantivy.Document(
        title=[document.title],
        body=["\n".join(document.passages())],
        url=[base + document.url],
        name=[_name(document.title, plain)],
        alias=[name for name in names if name],
        order=[order],
    )


def _clean(text: str) -> str:
    """Text that has a UTF-8 form: lone surrogates are replaced."""
    return text.encode("utf-8", "replace").decode()


def _name(text: str, plain: tantivy.TextAnalyzer) -> str:
    """A name as it is compared: its words without case, accents and punctuation."""
    return " ".join(plain.analyze(_clean(text)))


def _names_in(words: Sequence[str]) -> Iterable[tuple[str, float]]:
    """The runs of words that may be a name, with what a page of that name is worth.

    The whole query is worth most; within it, a longer name is worth more, and one word alone
    nothing, because "city" in a query seldom means the page of that title.
    """
    whole = " ".join(words)
    seen = {whole}
    yield whole, _WHOLE_QUERY
    for length in range(2, min(_LONGEST_NAME, len(words) - 1) + 1):
        for start in range(len(words) - length + 1):
            name = " ".join(words[start : start + length])
            if name not in seen:
                seen.add(name)
                yield name, _NAMED * length


def snippet(body: str, weights: dict[str, float], limit: int = _SNIPPET) -> str:
    """The part of the body that says most about the weighted stems: at most `limit` characters.

    Starts at the line or sentence that has the greatest weight of different stems (the earliest of
    equals) and goes on for as long as whole words fit; "..." marks a cut.
    """
    stems = sorted(weights, key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(_loose(stem) for stem in stems)})\w*", re.IGNORECASE)
    best, best_weight = (0, 0), -1.0
    for start, end in _sentences(body):
        found = {match[1].lower() for match in pattern.finditer(body, start, end)}
        weight = sum(weights.get(stem, 0.1) for stem in found)
        if weight > best_weight + 1e-9:
            best, best_weight = (start, end), weight
    start, end = best
    match = pattern.search(body, start, end)
    if match and match.end() - start > limit - 20:  # the sentence is long and the match far in
        start = _word_start(body, max(start, match.start() - limit // 3))
    return _cut(body, start, limit)


def _loose(stem: str) -> str:
    """The stem as it begins words: "happi" of "happy" and "happiness" ends in i for y."""
    return re.escape(stem[:-1] if len(stem) > 3 and stem[-1] in "ie" else stem)


def _sentences(body: str) -> Iterable[tuple[int, int]]:
    start = 0
    for match in re.finditer(r"\n|(?<=[.!?]) +(?=[^\W\d_a-z])", body):
        if match.start() > start:
            yield start, match.start()
        start = match.end()
    if start < len(body):
        yield start, len(body)


def _word_start(body: str, at: int) -> int:
    """The beginning of the next word; `at` itself within a run of letters without end."""
    space = body.find(" ", at, at + 40)
    return at if space < 0 else space + 1


def _cut(body: str, start: int, limit: int) -> str:
    """From `start`, whole words up to the limit; lines are joined by a semicolon."""
    text = _LINE_END.sub("; ", body[start : start + 2 * limit]).replace("\n", " ").strip()
    inside = start > 0 and body[start - 1] != "\n" and body[start - 2] not in ".!?"
    before = "... " if inside else ""
    if len(before) + len(text) <= limit:
        return before + text
    room = limit - len(before) - len(" ...")
    space = text.rfind(" ", 0, room + 1)
    return before + text[: space if space > 0 else room].rstrip(" ,;:") + " ..."
