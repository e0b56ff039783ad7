"""What a relation's label is in English, so that questions made with it are sentences.

Most labels are noun phrases: "the director of X". Imported ones are often not: X "is educated at"
something, "shares border with" something, "is located in" an administrative entity. Which one a
label is, is read off its own words, which stay in the question, because pages use them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_PREPOSITIONS = "of|at|by|with|after|in|for|from|to|on|under|into"
_ENDS_OPEN = re.compile(rf" (?:{_PREPOSITIONS})$")
_PARTICIPLE = re.compile(rf"^(\w+ed (?:{_PREPOSITIONS})) (?:the )?(?!and |or |next )(.+)$")
_BELONGS = re.compile(r"^((?:member|part) of) (?:the )?(.+)$")
_VERB = re.compile(r"^[a-z]+[^su]s (?!of )")
_DONE = re.compile(r"\w{2,}ed$")
_PLURAL = re.compile(r"(?:^[a-z]+|[a-z]+)(?<![suio])s$")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A label as "the {noun} of X", or as "the {noun} that X {predicate}" where it has a predicate;
    the noun is then empty if the label does not say what kind of thing it leads to."""

    noun: str
    predicate: str = ""
    joint: str = "of"
    plural: bool = False

    def of(self, subject: str, who: bool = False) -> str:
        """The thing that the subject has by the relation; `who` where it is a person."""
        if not self.predicate:
            return f"the {self.noun} {self.joint} {subject}"
        return f"the {self.noun or ('person' if who else 'one')} that {subject} {self.predicate}"

    def having(self, object: str, one_of_many: bool = False) -> str:
        """What a thing is like that has the object by the relation: "whose director is Y"."""
        if self.predicate:
            the = f"the {self.noun} " if self.noun else ""
            return f"that {self.predicate} {the}{object}"
        if self.plural:
            return f"whose {self.noun} include {object}"
        if one_of_many:
            return f"with the {self.noun} {object.removeprefix(f'the {self.noun} ')}"
        return f"whose {self.noun} is {object}"

    def question(self, subject: str, who: bool = False) -> str | None:
        """ "What is X educated at?", "Which party is X a member of?"; None where the label is a
        noun or a verb, and "What is {what `of` gives}?" will do."""
        if not self.predicate.startswith("is "):
            return None
        asks = f"Which {self.noun}" if self.noun else "Who" if who else "What"
        return f"{asks} is {subject} {self.predicate.removeprefix('is ')}?"


@lru_cache(maxsize=1 << 12)
def phrase(label: str) -> Phrase:
    """How a relation's label is used in a sentence."""
    label = " ".join(label.split())
    for pattern in (_PARTICIPLE, _BELONGS):
        if found := pattern.match(label):
            return Phrase(found[2], _is(found[1]))
    if _ENDS_OPEN.search(label):
        return Phrase("", label if _VERB.match(label) else _is(label))
    head = label.partition(" of ")[0].split(" ")
    first, last = head[0].rstrip(","), head[-1]
    plural = bool(_PLURAL.match(last) or (_PLURAL.match(first) and _DONE.match(last)))
    return Phrase(label, joint="by" if _DONE.match(last) else "of", plural=plural)


def _is(rest: str) -> str:
    return f"is a {rest}" if rest.startswith("member") else f"is {rest}"
