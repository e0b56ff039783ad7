"""`RuleGrader`: a verdict by rules that anyone can check by hand.

Strict on purpose. Its verdicts become rewards, so an answer that hedges or lists candidates is
wrong even where one of them is right, and what the rules cannot read is `unjudged`, never wrong.
What each kind of answer accepts is written in `names`, `chinese_names`, `numbers` and `dates`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from webfarer.grade.chinese import extra_words, hedge
from webfarer.grade.chinese_names import chinese_names_of
from webfarer.grade.dates import PartialDate, find_dates, parse_date
from webfarer.grade.names import MOST_WORDS, names_of
from webfarer.grade.normalise import clean, fold, normalise, words
from webfarer.grade.numbers import Quantity, find_quantities, parse_quantity, same_quantity
from webfarer.grade.sources import Judged
from webfarer.graph.hanzi import HAN, has_han
from webfarer.types import Answer, AnswerKind, BadInput, Task, Trajectory, Verdict

NAME = "rules-1"
_LONGEST = 4000  # characters of an answer that are read
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|\\boxed\{([^{}\n]{1,200})\}")
_LINK = re.compile(r"\[([^\[\]\n]{1,200})\]\([^()\s]{1,500}\)")
_BETWEEN = re.compile(rf";|\n|, (?![0-9])| and | & |、|(?<=[{HAN}]),(?=[{HAN}])")
_HEDGES = re.compile(
    r"\b(?:or|either|neither|nor|not|never|cannot|isn't|wasn't|aren't|weren't|unknown|unsure)\b",
    re.IGNORECASE,
)

_Said = TypeVar("_Said", PartialDate, Quantity)


class _Outcome(NamedTuple):
    correct: bool
    reason: str


class RuleGrader:
    """Grades by rule; pure, and the same on every machine."""

    name = NAME

    def grade(self, task: Task, answer: str | None) -> Verdict:
        """Whether an answer says all that the task wants and nothing else, and why, in one line.

        None and blank are wrong. `unjudged` where the task's own answer cannot be read as what it
        says it is (a "date" that is none). Never raises.
        """
        said = clean((answer or "")[:_LONGEST]).strip()
        if not said:
            return _verdict("wrong", "no answer was given")
        if _equal(said, [task.answers[0]]) and len(task.answers) == 1:
            return _verdict("correct", f"{_brief(said)} is the accepted answer")
        for gold in task.answers:
            if _unreadable(gold):
                what = f"the task's answer {_brief(gold.text)} cannot be read as a {gold.kind}"
                return _verdict("unjudged", what)
        outcome = _judge(_unlinked(said), task.answers, task.question)
        return _verdict("correct" if outcome.correct else "wrong", outcome.reason)

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        """`grade`, for where sources that take their time are awaited; see `Grader`."""
        return Judged(self.grade(task, trajectory.answer))


def equivalent(a: str, b: str, kind: AnswerKind = "entity") -> bool:
    """Whether two answers say the same: what cons@k counts as one answer. Symmetric.

    Lists are the same in any order; blank answers are the same as nothing, each other included.
    """
    a, b = clean(a[:_LONGEST]).strip(), clean(b[:_LONGEST]).strip()
    if not a or not b:
        return False
    if _items(a) == _items(b):
        return True
    return _stands_for(a, b, kind) or _stands_for(b, a, kind)


def check_gold(task: Task) -> None:
    """Raises BadInput unless the task's own answers, and each of their aliases, grade correct."""
    golds = [answer.text for answer in task.answers]
    tries = [golds]
    for place, answer in enumerate(task.answers):
        tries += [[*golds[:place], alias, *golds[place + 1 :]] for alias in answer.aliases]
    for texts in tries:
        verdict = RuleGrader().grade(task, "; ".join(texts))
        if verdict.status != "correct":
            raise BadInput(
                f"task {task.id}: its own answer {_brief('; '.join(texts))} is graded "
                f"{verdict.status} ({verdict.reason}); change the answer or drop the task"
            )


def _stands_for(answer: str, gold: str, kind: AnswerKind) -> bool:
    wanted = Answer(text=_core(gold), kind=kind)
    if _unreadable(wanted):
        wanted = Answer(text=_core(gold), kind="name")
    return _judge(_unlinked(answer), [wanted], "").correct


def _items(text: str) -> list[str]:
    """The items of a list, or the one answer, for comparison without order."""
    parts = _BETWEEN.split(_core(text))
    return sorted(fold(normalise(part)) for part in parts if part.strip())


def _core(text: str) -> str:
    """What a text puts in bold or in a box, if that is one thing; else the text."""
    found = {normalise(one or two): one or two for one, two in _BOLD.findall(text)}
    core = next(iter(found.values())) if len(found) == 1 else text
    return core.strip() or text


def _verdict(status: str, reason: str) -> Verdict:
    return Verdict.model_validate({"status": status, "reason": reason, "grader": NAME})


def _brief(text: str) -> str:
    text = " ".join(clean(text).split())
    return f'"{text if len(text) <= 80 else text[:79] + "…"}"'


def _unlinked(text: str) -> str:
    return _LINK.sub(r"\1", text)


def _forms(answer: Answer) -> list[str]:
    return [answer.text, *answer.aliases]


def _equal(said: str, golds: Sequence[Answer]) -> bool:
    """Whether the text is one accepted form, but for case, punctuation, articles and accents."""
    norm = normalise(said)
    forms = {normalise(form) for gold in golds for form in _forms(gold)}
    return norm in forms or fold(norm) in {fold(form) for form in forms}


def _unreadable(gold: Answer) -> bool:
    if gold.kind == "number":
        return parse_quantity(gold.text) is None
    return gold.kind == "date" and parse_date(gold.text) is None


def _judge(said: str, golds: Sequence[Answer], question: str) -> _Outcome:
    """Judges the text; then, if it puts one thing in bold and does not hedge there, that."""
    judge = _by_kind(golds)
    outcome = judge(said, golds, question)
    core = _core(said)
    if outcome.correct or core == said or _hedged(said, core):
        return outcome
    return judge(core, golds, question)


def _by_kind(
    golds: Sequence[Answer],
) -> Callable[[str, Sequence[Answer], str], _Outcome]:
    kinds = {gold.kind for gold in golds}
    if kinds == {"date"}:
        return _judge_dates
    return _judge_numbers if kinds == {"number"} else _judge_names


def _hedged(said: str, core: str) -> bool:
    """Whether the sentence around what is in bold denies it or offers something else."""
    start = said.find(core)
    before = re.split(r"[.!?\n]\s|[。!?]", said[:start])[-1]
    after = re.split(r"[.!?\n](?:\s|$)|[。!?]", said[start + len(core) :])[0]
    return bool(_hedge(f"{before} {after}"))


def _hedge(text: str) -> str | None:
    """What in a text denies or leaves open what it says."""
    found = _HEDGES.search(text)
    return found[0] if found else hedge(text)


def _judge_names(said: str, golds: Sequence[Answer], question: str) -> _Outcome:
    if len(golds) == 1 and _equal(said, golds):
        return _Outcome(True, f"{_brief(said)} is the accepted answer")
    fit = chinese_names_of if has_han(said) else names_of
    named, problem = fit(said, [_forms(gold) for gold in golds], question)
    wanted = [gold.text for place, gold in enumerate(golds) if place not in named]
    if wanted:
        return _Outcome(False, f"{_brief(said)} does not name {_brief('; '.join(wanted))}")
    if problem:
        return _Outcome(False, f"{_brief(said)} {problem}")
    return _Outcome(True, f"{_brief(said)} names {_brief('; '.join(g.text for g in golds))}")


def _loose(said: str) -> str | None:
    """Why a text is no clear answer to be searched for numbers or dates."""
    if open_word := _hedge(said):
        return f'says "{open_word}"'
    size = len(words(said)) + extra_words(said)
    return f"buries it in {size} words" if size > MOST_WORDS else None


def _judge_dates(said: str, golds: Sequence[Answer], question: str) -> _Outcome:
    if problem := _loose(said):
        return _Outcome(False, f"{_brief(said)} {problem}")
    whole = parse_date(said)
    found = find_dates(said)
    dates = (whole,) if whole else found.dates
    if found.unreadable:
        return _Outcome(False, f"{_brief(found.unreadable[0])} could be several dates or none")
    wanted = [date for gold in golds if (date := parse_date(gold.text))]
    if not dates:
        return _Outcome(False, f"{_brief(said)} names no date")
    for gold, date in zip(golds, wanted, strict=True):
        vague = [d for d in dates if d.could_be(date) and not d.says(date)]
        if vague and not any(d.says(date) for d in dates):
            what = f"names only the {vague[0].precision} of {_brief(gold.text)}"
            return _Outcome(False, f"{_brief(said)} {what}")
    return _judge_found(said, golds, dates, wanted, PartialDate.says, PartialDate.could_be)


def _judge_numbers(said: str, golds: Sequence[Answer], question: str) -> _Outcome:
    if problem := _loose(said):
        return _Outcome(False, f"{_brief(said)} {problem}")
    found = find_quantities(said)
    wanted = [number for gold in golds if (number := parse_quantity(gold.text))]
    if not found:
        return _Outcome(False, f"{_brief(said)} names no number")
    return _judge_found(said, golds, found, wanted, same_quantity, same_quantity)


def _judge_found(
    said: str,
    golds: Sequence[Answer],
    found: Sequence[_Said],
    wanted: Sequence[_Said],
    says: Callable[[_Said, _Said], bool],
    agrees: Callable[[_Said, _Said], bool],
) -> _Outcome:
    """Every wanted one must be said, and everything said must agree with a wanted one."""
    text = "; ".join(gold.text for gold in golds)
    if not all(any(says(one, gold) for one in found) for gold in wanted):
        return _Outcome(False, f"{_brief(said)} is not {_brief(text)}")
    if not all(any(agrees(one, gold) for gold in wanted) for one in found):
        return _Outcome(False, f"{_brief(said)} names others beside {_brief(text)}")
    return _Outcome(True, f"{_brief(said)} is {_brief(text)}")
