"""`Reader`: what of a page answers a goal, within a token budget.

The published agents (WebDancer, section 3; WebSailor) let a summariser model read a page for them.
`ExtractiveReader` stands in its place: it splits the page into passages, ranks them against the
goal with BM25 (Robertson and Zaragoza 2009) over light stems, and quotes the best. A summariser
goes behind the same `Reader` protocol.

A goal in Chinese is matched by pairs of characters, for Chinese puts no space between words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Protocol

from webfarer.graph.hanzi import HAN, has_han, simplified
from webfarer.types import Page

TokenCount = Callable[[str], int]

_LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)[^()]*\)")
_CJK_SET = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_CJK = re.compile(f"[{_CJK_SET}]")
_PIECE = re.compile(rf"[{_CJK_SET}]|[^\W_{_CJK_SET}]+|[^\w\s]|_")


class Reader(Protocol):
    """Gives what a page says about a goal in at most `limit` tokens, as `count` counts them.

    Raises `FailureError` where our side broke (a summariser that does not answer).
    """

    async def read(self, page: Page, goal: str, limit: int, count: TokenCount) -> str: ...


def count_words(text: str) -> int:
    """An approximate token count that needs no tokenizer: words (long ones count for more), each
    character of Chinese, Japanese or Korean, and punctuation marks."""
    return sum(1 + (len(piece) - 1) // 6 for piece in _PIECE.findall(text))


def plain(text: str) -> str:
    """Markdown without link targets: the link's text is kept."""
    return _LINK.sub(r"\1", text) if "](" in text else text


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def longest(size: int, fits: Callable[[int], bool]) -> int:
    """The greatest n <= size that a binary search finds to fit; 0 is never asked.

    Whatever it returns above 0 was itself seen to fit, so that a count which does not grow with
    its text (some tokenizers merge across words) can cost room but never break the budget.
    """
    if size and fits(size):
        return size
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The text if it fits, else its longest start, cut between words and marked with an ellipsis.

    Words are never cut, so neither is a bare URL; link targets go first. Empty where nothing fits.
    """
    if fits(text):
        return text
    bare = plain(text)
    if bare != text and fits(bare):
        return bare
    ends = [end for end in _word_ends(bare) if end < len(bare)]
    kept = longest(len(ends), lambda n: fits(bare[: ends[n - 1]] + " …"))
    return bare[: ends[kept - 1]] + " …" if kept else ""


def fit(text: str, limit: int, count: TokenCount) -> str:
    """The text if it is within the limit, else as many of its lines, else as many of its words."""
    if count(text) <= limit:
        return text
    lines = text.split("\n")
    kept = longest(len(lines), lambda n: count("\n".join(lines[:n])) <= limit)
    return "\n".join(lines[:kept]) or shorten(lines[0], lambda part: count(part) <= limit)


def _word_ends(text: str) -> Iterator[int]:
    """Where the text may be cut: after each word, and after each character of Chinese, Japanese
    or Korean, which put no space between words."""
    for match in re.finditer(r"\S+", text):
        if "://" not in match[0] and _CJK.search(match[0]):
            yield from range(match.start() + 1, match.end())
        yield match.end()


# --- passages ------------------------------------------------------------------------------------

_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_ITEM = re.compile(r"(?:[-*+•]|\d{1,3}[.)])\s+(.*)")
_RULE = re.compile(r"[\s|:=*_-]+$")
_LABEL = re.compile(r"\**([^:：.。|\[\]]{2,40}?)\**(?::\**\s+|：\**\s*)\S")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])|(?<=[。！？；])[”’」』）\"']*\s*"
)
_NOT_AN_END = re.compile(r"(?:^|[\s(\[])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Mt|Prof|Jr|Sr|No|vs|c|ca)\.$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence, list item or table row; its label ("Born" of "Born: 1912") and its heading."""

    text: str
    heading: str = ""
    label: str = ""


def passages(page: Page) -> list[Passage]:
    """The page's markdown as passages, in order, without its own title."""
    found: list[Passage] = []
    heading = ""
    paragraph: list[str] = []
    for line in [*page.text.splitlines(), ""]:
        line = line.strip()
        title, item = _HEADING.match(line), _ITEM.match(line)
        if line and not (title or item or line[0] == "|" or _RULE.match(line)):
            paragraph.append(line)
            continue
        found.extend(_sentences(" ".join(paragraph), heading))
        paragraph = []
        if title:
            heading = "" if _same(title[1], page.title) else title[1]
        elif item:
            found.append(_labelled(item[1], heading))
        elif line.startswith("|") and not _RULE.match(line):
            found.append(_row(line, heading))
    return found


def _same(heading: str, title: str) -> bool:
    return one_line(plain(heading)).casefold() == one_line(title).casefold()


def _labelled(text: str, heading: str) -> Passage:
    match = _LABEL.match(text)
    return Passage(text, heading, match[1].strip() if match else "")


def _row(line: str, heading: str) -> Passage:
    """A table's row; of two cells, the first is the label of the second, as in an info box."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if len(cells) == 2 and all(cells):
        label = plain(cells[0]).strip("*: ")
        return Passage(f"{label}{'：' if has_han(label) else ': '}{cells[1]}", heading, label)
    return Passage(" | ".join(cell for cell in cells if cell), heading)


def _sentences(paragraph: str, heading: str) -> Iterator[Passage]:
    """Splits at sentence ends, but not after an initial or inside a link."""
    start = 0
    ends = [match.end() for match in _SENTENCE_END.finditer(paragraph)] if paragraph else []
    for end in [*ends, len(paragraph)]:
        text = paragraph[start:end].strip()
        inside = _NOT_AN_END.search(text) or text.count("[") > text.count("]")
        if text and (end == len(paragraph) or not inside):
            yield _labelled(text, heading)
            start = end


# --- terms ---------------------------------------------------------------------------------------

_TERM = re.compile(r"\d+(?:,\d{3})+|[^\W_]+")
_STOP = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "can", "did", "do", "does", "find",
    "for", "from", "get", "give", "had", "has", "have", "he", "her", "his", "how", "i", "in",
    "information", "into", "is", "it", "its", "know", "learn", "me", "my", "of", "on", "or",
    "page", "please", "she", "that", "the", "their", "them", "there", "they", "this", "to",
    "us", "was", "we", "were", "what", "which", "who", "whom", "whose", "will", "with", "you",
})  # fmt: skip
_IRREGULAR = {
    "born": "birth", "birthplace": "birth", "died": "death", "dies": "death", "die": "death",
    "dead": "death", "wrote": "writ", "written": "writ", "built": "build", "led": "lead",
    "won": "win", "sang": "sing", "sung": "sing", "taught": "teach", "spoken": "speak",
    "spoke": "speak", "held": "hold", "made": "make", "wife": "spous", "husband": "spous",
    "married": "spous", "marriage": "spous",
}  # fmt: skip
_WANTS_NUMBER = re.compile(
    r"\b(?:when|date|year|number|how (?:many|much|long|high|tall|old))\b"
    "|日期|时间|年份|哪一?[年天]|何时|多少|人数|人口|数量|面积|长度|高度|海拔"
)
_DIGIT = re.compile(r"\d")


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A light English stem: "director", "directed" and "directs" all give "direct".

    It takes off a plural, a verb's ending, then an agent's or action's, and a final e. It is made
    to match a goal with a label, not to be a linguist's root.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    word = _without(word, ("ing", "ed"), 3)
    word = _without(word, ("ation", "ition", "ator", "ate", "ion", "at", "or", "er", "e"), 3)
    return word[:-1] + "y" if word.endswith("i") and len(word) > 3 else word


def _without(word: str, endings: tuple[str, ...], shortest: int) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= shortest:
            word = word[: -len(ending)]
            double = len(word) > shortest and word[-1] == word[-2] and word[-1] not in "aeioulsz"
            return word[:-1] if double else word
    return word


def terms(text: str) -> list[str]:
    """The stems of a text's words, without the words that say nothing; "1,204" is "1204"."""
    words = (word.replace(",", "") for word in _TERM.findall(plain(text).casefold()))
    return [stem(word) for word in words if word not in _STOP]


_HAN_RUN = re.compile(rf"([{HAN}]+)")
_SAYS_LITTLE = re.compile("[的是在了和与及其之于有为]|什么|多少|哪[里个位座家部本条所项]|查看|页面")
_SAME = (  # what prose says in other words than a label does
    (re.compile("(?<!出)生于|诞生|来到人世"), "出生"),
    (re.compile("去世|病逝|离世|辞世|卒于"), "逝世"),
    (re.compile("妻子|丈夫|成婚|结婚|结为夫妻"), "配偶"),
)


def chinese_terms(text: str) -> list[str]:
    """The pairs of neighbouring characters of a Chinese text, in simplified writing and without the
    characters that say nothing; what is not Chinese in it as `terms` has it."""
    text = simplified(plain(text))
    for said, label in _SAME:
        text = said.sub(label, text)
    found: list[str] = []
    for number, run in enumerate(_HAN_RUN.split(text)):
        if number % 2 == 0:
            found += terms(run)
            continue
        for part in _SAYS_LITTLE.split(run):
            found += [part[at : at + 2] for at in range(max(len(part) - 1, bool(part)))]
    return found


@dataclass(frozen=True, slots=True)
class ExtractiveReader:
    """Quotes the passages of a page that match the goal, best first, below the page's title.

    At most `most` passages, none that scores under `cutoff` of the best one, grouped under their
    headings. Where nothing matches, as much of the page's start as the budget takes. `links` keeps
    link targets, so that an agent can follow them. Words of the page's title count for little:
    every passage is about it.
    """

    most: int = 8
    cutoff: float = 0.4
    links: bool = True

    async def read(self, page: Page, goal: str, limit: int, count: TokenCount) -> str:
        """Returns the quotes in at most `limit` tokens; see `Reader`. Never raises."""
        return self.extract(page, goal, limit, count)

    def extract(self, page: Page, goal: str, limit: int, count: TokenCount) -> str:
        """As `read`, for callers that are not asynchronous."""
        title = f"# {one_line(page.title) or 'Untitled page'}"
        parts = self.best(passages(page), goal, page.title)
        if not self.links:
            parts = [Passage(plain(part.text), part.heading, part.label) for part in parts]
        kept = longest(len(parts), lambda n: count(_quoted(title, parts[:n])) <= limit)
        if kept or not parts:
            return fit(_quoted(title, parts[:kept]), limit, count)
        first = shorten(parts[0].text, lambda text: count(f"{title}\n{text}") <= limit)
        return f"{title}\n{first}" if first else fit(title, limit, count)

    def best(self, parts: Sequence[Passage], goal: str, title: str = "") -> list[Passage]:
        """The passages worth quoting, best first; all of them, in order, if none matches."""
        scores = scores_of(parts, goal, title)
        ranked = sorted(range(len(parts)), key=lambda index: -scores[index])
        if not ranked or scores[ranked[0]] <= 0:
            return list(parts)
        least = self.cutoff * scores[ranked[0]]
        return [parts[index] for index in ranked[: self.most] if scores[index] >= least]


def _quoted(title: str, parts: Sequence[Passage]) -> str:
    """The passages by heading, headings in the order of their best passage."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        groups.setdefault(part.heading, []).append(part.text)
    lines = [title]
    for heading, texts in groups.items():
        lines += [f"## {heading}"] if heading else []
        lines += [f"- {text}" for text in texts]
    return "\n".join(lines)


def scores_of(parts: Sequence[Passage], goal: str, title: str = "") -> list[float]:
    """How well each passage matches the goal: BM25 among the page's own passages (k1 = 1.2,
    b = 0.5), plus how much of its label and heading the goal names; 0 where no term matches."""
    read = chinese_terms if has_han(goal) else terms
    wanted, known = set(read(goal)), set(read(title))
    weight = {term: 0.2 if term in known else 1.0 for term in sorted(wanted)}
    bags = [Counter(read(part.text)) for part in parts]
    sizes = [bag.total() for bag in bags]
    mean = sum(sizes) / len(sizes) if sizes else 1.0
    for term in weight:
        holding = sum(term in bag for bag in bags)
        weight[term] *= log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
    numeric = bool(_WANTS_NUMBER.search(goal.casefold()))
    named: dict[str, float] = {}
    for name in {name for part in parts for name in (part.label, part.heading)}:
        named[name] = _share(set(read(name)) - known, wanted)
    if not any(named.values()) and not any((wanted - known) & bag.keys() for bag in bags):
        return [0.0] * len(parts)  # only the title's words match, and they match everywhere
    scores = []
    for part, bag, size in zip(parts, bags, sizes, strict=True):
        length = 1.2 * (0.5 + 0.5 * size / (mean or 1.0))
        score = sum(w * bag[t] * 2.2 / (bag[t] + length) for t, w in weight.items() if t in bag)
        score += 3.0 * named[part.label] + 2.0 * named[part.heading]
        scores.append(score * (1.2 if numeric and _DIGIT.search(part.text) else 1.0))
    return scores


def _share(name: set[str], wanted: set[str]) -> float:
    return len(name & wanted) / len(name) if name else 0.0
