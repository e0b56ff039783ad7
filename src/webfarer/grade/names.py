"""Whether a text names what is wanted, and nothing else that could be an answer.

A grader that looks for the gold anywhere in a text pays for answers that list every candidate, and
in reinforcement learning will be made to. So everything else in a text must be harmless:

1. Nothing is denied or left open beside the name ("not", "or", "either").
2. No other name: a word with a capital or a digit is one, unless it is a title ("Dr"), is in the
   question, or begins a sentence and is followed by a small word ("Directed by").
3. Nothing grows the name: "Orla Venn Bridge" is not "Orla Venn", whatever the question says; nor
   does a comma or an "and" tie another name of the question to it.
4. Other small words are fine beside one wanted name that is written with a capital (a novelist,
   who wrote ...). Beside names that have none ("ricin"), and in lists, only the question's words
   and those that frame an answer ("the answer is") are.
5. At most 30 words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from webfarer.grade.normalise import Word, fold, without_a, words

MOST_WORDS = 30

Form = tuple[str, ...]

_OPEN = frozenset({
    "or", "either", "neither", "nor", "not", "never", "no", "none", "cannot", "cant", "isnt",
    "wasnt", "arent", "werent", "doesnt", "didnt", "dont", "except", "unlike", "instead", "rather",
    "alternatively", "versus", "vs", "but", "incorrect", "wrong", "false", "unknown", "unsure",
})  # fmt: skip
FRAME = frozenset({
    "a", "answer", "answers", "correct", "result", "is", "was", "are", "were", "be", "been",
    "it", "its", "that", "this", "these", "those", "he", "she", "they", "him", "her", "his",
    "their", "them", "who", "whom", "whose", "which", "what", "where", "when", "there", "called",
    "named", "name", "names", "titled", "title", "known", "as", "by", "of", "in", "on", "at", "to",
    "for", "from", "with", "and", "also", "so", "therefore", "thus", "hence", "both", "all", "one",
    "i", "believe", "think", "found", "would", "must", "should", "question", "following",
    "based", "according", "we", "you", "namely", "being", "has", "had", "have", "final",
})  # fmt: skip
_TITLES = frozenset({
    "mr", "mrs", "ms", "miss", "dr", "prof", "professor", "sir", "dame", "lady", "lord", "saint",
})  # fmt: skip


class Fit(NamedTuple):
    """Which answers a text names (by place), what speaks against it (None: nothing)."""

    named: tuple[int, ...]
    problem: str | None


def names_of(text: str, answers: Sequence[Sequence[str]], question: str = "") -> Fit:
    """How a text names answers, each given by its accepted forms; accents are a second try."""
    fit = _names_of(text, answers, question, folded=False)
    if fit.problem is None and set(fit.named) == set(range(len(answers))):
        return fit
    folded = _names_of(text, answers, question, folded=True)
    return folded if folded.named else fit


def forms_of(texts: Sequence[str], *, folded: bool = False) -> list[Form]:
    return [tuple(_norm(word, folded) for word in without_a(words(text))) for text in texts]


def _norm(word: Word, folded: bool) -> str:
    return fold(word.norm) if folded else word.norm


def _names_of(text: str, answers: Sequence[Sequence[str]], question: str, *, folded: bool) -> Fit:
    said = words(text)
    norms = [_norm(word, folded) for word in said]
    table: dict[Form, list[int]] = {}
    for place, texts in enumerate(answers):
        for form in forms_of(texts, folded=folded):
            table.setdefault(form, []).append(place)
    spans = _spans(norms, table)
    mentions = [tuple(table[tuple(norms[start:end])]) for start, end in spans]
    named = assigned(mentions, len(answers))
    if not spans or spans == [(0, len(said))]:
        return Fit(named, None)
    asked = {_norm(word, folded) for word in words(question)}
    small_ok = (
        len(answers) == 1
        and all(
            any(char.isupper() for word in said[start:end] for char in word.raw)
            for start, end in spans
        )
        and any(char.isupper() for texts in answers for char in texts[0])
    )
    return Fit(named, _problem(said, norms, spans, asked, small_ok))


def _spans(norms: Sequence[str], table: dict[Form, list[int]]) -> list[tuple[int, int]]:
    """Where the text has accepted forms: the longest at each place, none over another."""
    sizes = sorted({len(form) for form in table if form}, reverse=True)
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(norms):
        sized = (n for n in sizes if tuple(norms[start : start + n]) in table)
        size = next(sized, 0)
        if size:
            spans.append((start, start + size))
        start += size or 1
    return spans


def assigned(mentions: Sequence[Sequence[int]], answers: int) -> tuple[int, ...]:
    """Which answers are named if each mention stands for one: a maximum matching, so that one
    mention of an alias that two answers share does not count for both."""
    taken_by: dict[int, int] = {}

    def place(mention: int, seen: set[int]) -> bool:
        for answer in mentions[mention]:
            if answer in seen:
                continue
            seen.add(answer)
            if answer not in taken_by or place(taken_by[answer], seen):
                taken_by[answer] = mention
                return True
        return False

    for mention in range(len(mentions)):
        if len(taken_by) == answers:
            break
        place(mention, set())
    return tuple(sorted(taken_by))


def _problem(
    said: Sequence[Word],
    norms: Sequence[str],
    spans: Sequence[tuple[int, int]],
    asked: set[str],
    small_ok: bool,
) -> str | None:
    """What in the rest of the text speaks against it; see the module's rules."""
    if len(said) > MOST_WORDS:
        return f"buries it in {len(said)} words"
    inside = {place for start, end in spans for place in range(start, end)}
    for place, word in enumerate(said):
        if place in inside:
            continue
        if norms[place] in _OPEN:
            return f'says "{word.raw}" beside it'
        if _grows(said, norms, inside, place):
            return f'names "{word.raw}" with it'
        known = norms[place] in FRAME or norms[place] in asked or norms[place] in _TITLES
        harmless = small_ok and (not word.namelike or _opens_sentence(said, place))
        if not known and not harmless:
            return f'adds "{word.raw}"'
    return None


def _grows(said: Sequence[Word], norms: Sequence[str], inside: set[int], place: int) -> bool:
    """Whether a name stands right beside a wanted one, or tied to it by a comma or an "and"."""
    word = said[place]
    if word.raw == "A":  # an article, but after a name a letter of it: "Vitamin A"
        return place - 1 in inside and word.gap == " "
    if not word.namelike or norms[place] in FRAME or norms[place] in _TITLES:
        return False
    for step in (-1, 1):
        near = place + step
        gaps = said[max(place, near)].gap if 0 <= near < len(said) else "."
        while 0 <= near < len(said) and norms[near] == "and":
            near += step
        if near in inside and not set(gaps) & set(".:;!?()\n"):
            return True
    return False


def _opens_sentence(said: Sequence[Word], place: int) -> bool:
    """Whether a word may owe its capital to its place: it begins a sentence, a small word next."""
    word = said[place]
    begins = place == 0 or bool(set(word.gap) & set(".!?:\n"))
    following = said[place + 1] if place + 1 < len(said) else None
    return (
        begins
        and following is not None
        and following.gap == " "
        and not following.namelike
        and word.raw[1:].islower()
    )
