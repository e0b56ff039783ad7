"""How a question names things, in any language: by a label, or with a type that tells it apart."""

from __future__ import annotations

from abc import ABC, abstractmethod

from webfarer.graph.graph import KnowledgeGraph

_ASSUMED = "en"  # the language whose labels stand in for those of another


class Mentions(ABC):
    """Names the entities of one graph; says the type where a label alone is shared."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self._by_name: dict[str, list[str]] = {}
        for entity in graph.entities:
            names = {name.casefold() for name in (graph.label(entity), *graph.aliases(entity))}
            for name in sorted(names):
                self._by_name.setdefault(name, []).append(entity)

    @abstractmethod
    def _typed(self, kind: str, label: str) -> str:
        """The label after the name of a type."""

    @abstractmethod
    def _long_enough(self, label: str) -> bool:
        """Whether a label is long enough to name something within a sentence."""

    def mention(self, entity: str) -> str:
        """The entity's label, after a type that nothing else of that name has, where another
        entity has it as its label or as another name."""
        label, kind = self._written(entity), self._telling_type(entity)
        return self._typed(self.graph.type_label(kind), label) if kind else label

    def ambiguous(self, entity: str) -> bool:
        """Whether no wording names the entity alone: its label is too short or an id, or whatever
        else is called so has all of its types."""
        label = self.graph.label(entity)
        if not self._long_enough(label) or label == entity:
            return True
        return bool(self._namesakes(entity)) and not self._telling_type(entity)

    def sayable(self, entity: str) -> bool:
        """Whether the entity has a name in the graph's language. English stands in for every other
        language, so there any name will do."""
        language = self.graph.language
        return language == _ASSUMED or bool(self.graph.entities[entity].labels.get(language))

    def kind_of(self, entity: str) -> str | None:
        """The entity's first type that has a name: an id such as Q5 says nothing to a reader."""
        return next((kind for kind in self.graph.entities[entity].types if self._named(kind)), None)

    def _written(self, entity: str) -> str:
        return self.graph.label(entity)

    def _named(self, kind: str) -> bool:
        if kind in self.graph.entities and not self.sayable(kind):
            return False
        return self.graph.type_label(kind) != kind or not any(c.isdigit() for c in kind)

    def _telling_type(self, entity: str) -> str | None:
        others = self._namesakes(entity)
        if not others:
            return None
        taken = {kind for other in others for kind in self.graph.entities[other].types}
        kinds = self.graph.entities[entity].types
        return next((kind for kind in kinds if kind not in taken and self._named(kind)), None)

    def _namesakes(self, entity: str) -> list[str]:
        name = self.graph.label(entity).casefold()
        return [other for other in self._by_name[name] if other != entity]
