"""How a question is worded in English, from a chain of facts or a web of constraints."""

from __future__ import annotations

import random
from collections.abc import Sequence

from webfarer.graph.graph import Fact
from webfarer.synth.bound import Bound
from webfarer.synth.grammar import Phrase, phrase
from webfarer.synth.mention import Mentions
from webfarer.web.phrases import with_article

_ASK = (
    "What is {it}?",
    "What is {it}?",
    "Name {it}.",
    "Find {it}.",
    "Which is {it}?",
)
_ASK_WHO = ("Who is {it}?", "Who is {it}?", "Name {it}.", "Find {it}.")
_ASK_PLURAL = ("Name {it}.", "Find {it}.")
_PEOPLE = {"person", "human"}
_LEAST_LETTERS = 3  # of a label: fewer, as in a film called "It", name nothing in a sentence


class EnglishWording(Mentions):
    """Words questions over one graph in English; see `wording.Wording`."""

    def _typed(self, kind: str, label: str) -> str:
        return f"the {kind} {label}"

    def _long_enough(self, label: str) -> bool:
        return sum(char.isalnum() for char in label) >= _LEAST_LETTERS

    def readable(self, chain: Sequence[Fact]) -> bool:
        """Whether a chain makes a sentence one can follow: at most one "that X is part of"."""
        return sum(bool(self._phrase(fact).predicate) for fact in chain) <= 1

    def chain(self, chain: Sequence[Fact], rng: random.Random) -> str:
        """ "What is the birthplace of the director of X?" """
        words = self.mention(chain[0].subject)
        for fact in chain[:-1]:
            words = self._phrase(fact).of(words, who=self._is_person(fact.object))
        last, who = chain[-1], self._is_person(chain[-1].object)
        if question := self._phrase(last).question(words, who):
            return question
        words = self._phrase(last).of(words, who)
        if isinstance(last.object, str) and self._phrase(last).plural:
            asks = _ASK_PLURAL
        else:
            asks = _ASK_WHO if who else _ASK
        return rng.choice(asks).format(it=words)

    def having(self, fact: Fact) -> str:
        """A constraint: "whose director is Y", "with the occupation Y", "that is part of Y"."""
        assert isinstance(fact.object, str)
        return self._phrase(fact).having(self.mention(fact.object), self._many(fact))

    def having_one(self, fact: Fact, further: Fact) -> str:
        """A constraint by a neighbour's neighbour: "whose director has the birthplace Y"."""
        assert isinstance(further.object, str)
        first, second = self._phrase(fact), self._phrase(further)
        object = self.mention(further.object)
        has = f"has the {second.noun} {object}"
        if second.predicate:
            has = second.having(object).removeprefix("that ")
        if first.predicate:
            thing = with_article(first.noun) if first.noun else "one"
            return f"that {first.predicate} {thing} that {has}"
        if first.plural or self._many(fact):
            return f"with {with_article(first.noun)} that {has}"
        return f"whose {first.noun} {has}"

    def web(
        self, kind: str, constraints: Sequence[str], asked: Fact | None, rng: random.Random
    ) -> str:
        """ "Which film has ...?", or "What is the director of the film that ...?" where an
        attribute of the thing is asked for."""
        type_label = self.graph.type_label(kind)
        type_label = "person" if type_label in _PEOPLE else type_label
        such = ", and ".join(constraints)
        if asked is None:
            return rng.choice(("Which {t} is the one {s}?", "Find the {t} {s}.")).format(
                t=type_label, s=such
            )
        return (
            f"What is the {self.graph.relation_label(asked.relation)} of the {type_label} {such}?"
        )

    def bound(self, relation: str, bound: Bound) -> str:
        """A constraint: "whose running time is at least 90 min"."""
        return f"whose {self.graph.relation_label(relation)} is {_bound(bound)}"

    def beginning(self, kind: str, text: str) -> str:
        """A constraint on the name of a thing of the type."""
        return f"whose name begins with \u201c{text}\u201d"

    def plain(self, relation: str) -> bool:
        """Whether the relation's label is a noun phrase that takes "the ... of"."""
        words = phrase(self.graph.relation_label(relation))
        many = words.plural and self.graph.relations[relation].value == "entity"
        return not words.predicate and words.joint == "of" and not many

    def _phrase(self, fact: Fact) -> Phrase:
        return phrase(self.graph.relation_label(fact.relation))

    def _many(self, fact: Fact) -> bool:
        return len(self.graph.objects(fact.subject, fact.relation)) > 1

    def _is_person(self, node: object) -> bool:
        if not isinstance(node, str):
            return False
        labels = {self.graph.type_label(kind) for kind in self.graph.entities[node].types}
        return bool(labels & _PEOPLE)


def _bound(bound: Bound) -> str:
    if isinstance(bound.least, float):
        return f"at least {bound.least:,.0f} {bound.unit}".strip()
    if isinstance(bound.most, float):
        return f"at most {bound.most:,.0f} {bound.unit}".strip()
    return f"in {bound.first_year} or later" if bound.least else f"before {bound.end_year}"
