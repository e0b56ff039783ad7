"""Words as the search index sees them, in English and Chinese.

Tantivy takes a run of letters for a word, which in Chinese is a whole clause. Such runs are
therefore given to it as overlapping pairs of characters ("北京市" as "北京 京市"), as Lucene's CJK
analyzer does: no dictionary is needed, which would not know invented names anyway. Pairs are kept
apart from words, so that text in other scripts is found and weighed as if there were none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import add

import tantivy

# Letters that are written without spaces: Han, with its marks of repetition and zero, and kana.
CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{CJK}]+")
_CHARACTER = re.compile(f"[{CJK}]")
_SHARE = 10  # a text in which one of so many characters is Chinese is Chinese
_WHOLE_QUERY, _NAMED = 40.0, 4.0
_LONGEST_NAME = 8  # words; a Chinese character counts as half of one


def analyzer(stem: bool) -> tantivy.TextAnalyzer:
    """Words in lower case without accents; with English endings cut off where `stem`."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(64)).filter(tantivy.Filter.lowercase())
    builder = builder.filter(tantivy.Filter.ascii_fold())
    return (builder.filter(tantivy.Filter.stemmer("english")) if stem else builder).build()


def clean(text: str) -> str:
    """Text that has a UTF-8 form: lone surrogates are replaced."""
    return text.encode("utf-8", "replace").decode()


def is_cjk(word: str) -> bool:
    """Whether a term is characters of Chinese or Japanese."""
    return _CHARACTER.match(word) is not None


def parted(text: str) -> tuple[str, str]:
    """The text as words are taken from it, and the pairs of its Chinese with spaces between.

    Words stand apart from the Chinese around them only in a text that has some: in English, a
    name in brackets is left as it stands. A lone character is its own pair.
    """
    runs = [] if text.isascii() else _RUN.findall(text)
    if not runs:
        return text, ""
    rest = without(text) if _SHARE * sum(map(len, runs)) > len(text) else text
    return rest, " ".join(" ".join(_pairs(run)) for run in runs)


def without(text: str) -> str:
    """The text without its Chinese."""
    return text if text.isascii() else _RUN.sub(" ", text)


def pairs(text: str) -> Iterator[str]:
    """The pairs of the Chinese in a text, in order."""
    return (pair for run in _RUN.findall(text) for pair in _pairs(run))


def _pairs(run: str) -> Iterable[str]:
    return map(add, run, run[1:]) if len(run) > 1 else run


def characters(text: str) -> str:
    """The text with every Chinese character a word of its own, as names are compared."""
    return text if text.isascii() else _CHARACTER.sub(r" \g<0> ", text)


def beginning(name: str) -> str:
    """The first two words of a name in its plain form; empty for a name of one word."""
    return " ".join(name.split(" ", 2)[:2]) if " " in name else ""


def names_in(
    words: Sequence[str], begins: Callable[[str], bool] = bool
) -> Iterator[tuple[str, float]]:
    """The runs of words that may be a name, with what a page of that name is worth; `begins` says
    of two words whether any name begins with them.

    The whole query is worth most; within it, a longer name is worth more, and one word alone
    nothing, because "city" in a query seldom means the page of that title. Two Chinese characters
    count as a word; a name of two, as most cities have, is worth what its one word is.
    """
    whole = " ".join(words)
    seen = {whole}
    yield whole, _WHOLE_QUERY
    halves = [1 if is_cjk(word) else 2 for word in words]
    starts = [at for at in range(len(words) - 1) if begins(f"{words[at]} {words[at + 1]}")]
    for length in range(2, min(2 * _LONGEST_NAME, len(words) - 1) + 1):
        for start in starts:
            if start + length > len(words):
                break
            size = sum(halves[start : start + length])
            name = " ".join(words[start : start + length])
            if size <= 2 * _LONGEST_NAME and name not in seen:
                seen.add(name)
                yield name, _NAMED * size / 2


def distinct(words: Iterable[str], most: int) -> list[str]:
    """The first `most` different words, in order."""
    return list(dict.fromkeys(words))[:most]
