"""How a question is worded in Chinese, from a chain of facts or a web of constraints.

A relation's label follows "X的"; the few imported ones that do not have a wording of their own.
What is asked for gets the word that fits it: 谁, 哪里, 哪一天, 多少分钟, 哪所大学. Labels and types
are said in simplified characters, names as the graph has them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from webfarer.graph.graph import Fact, Node
from webfarer.graph.hanzi import has_han, simplified
from webfarer.graph.text import name_in_text, value_text
from webfarer.graph.worlds.nouns_zh import measure_word
from webfarer.synth.bound import Bound
from webfarer.synth.mention import Mentions
from webfarer.types import Value

_PEOPLE = {"人物", "人", "人类"}
_LEAST_CHARACTERS, _LEAST_LETTERS = 2, 3  # of a label, where it is Chinese and where it is not
_ASK = ("{it}{what}？", "{it}{what}？", "请问{it}{what}？", "请找出{it}。")
_ASK_WHO = ("{it}是谁？", "{it}是谁？", "谁是{it}？", "请问{it}是谁？", "请说出{it}的名字。")
# Imported labels that are clumsy after "X的", and how a person would put them.
_SAID = {
    "作品或名称语言": "语言", "口头、书面或签名语言": "所用语言",
    "所在行政领土实体": "所在行政区", "时间周期": "所处时期", "专业人士": "从业者",
    "体育运动": "所从事的运动", "艺术流派": "流派", "用药": "治疗药物", "占用者": "使用者",
    "行政中心": "首府", "邦交国": "邦交国家", "所属实体": "所属整体", "情侣": "恋人",
    "信仰": "宗教信仰", "国家": "所属国家", "文化运动": "所属文化运动", "死亡地": "逝世地",
    "医疗状况": "所患疾病", "乐器": "所奏乐器",
}  # fmt: skip
_TYPES = {"图书": "书", "人": "人物", "人类": "人物"}  # where the bare type is clumsy
_PLACES = ("地", "地点", "位置", "所在城市")
_HEIGHTS, _AREAS = ("海拔", "高度", "高"), ("面积", "流量")


class _Verb(NamedTuple):
    """A label that is a verb: what the subject `{s}` has by it (a `{thing}`), what has the object
    `{o}`, and the question for it (`{what}`)."""

    of: str
    having: str
    question: str


_VERBS = {
    "接壤": _Verb("与{s}接壤的{thing}", "与{o}接壤", "与{s}接壤的是{what}？"),
    "得名于": _Verb("{s}名称所纪念的{thing}", "得名于{o}", "{s}得名于{what}？"),
    "影响自": _Verb("影响了{s}的{thing}", "受到{o}的影响", "{s}受到了{what}的影响？"),
    "使用": _Verb("{s}所使用的{thing}", "使用{o}", "{s}使用的是{what}？"),
}


class ChineseWording(Mentions):
    """Words questions over one graph in Chinese; see `wording.Wording`.

    A constraint that speaks of something the thing has begins with 的: "的导演是沈若川".
    """

    def _typed(self, kind: str, label: str) -> str:
        return self._plainly(kind) + label

    def _long_enough(self, label: str) -> bool:
        least = _LEAST_CHARACTERS if has_han(label) else _LEAST_LETTERS
        return sum(char.isalnum() for char in label) >= least

    def _written(self, entity: str) -> str:
        return name_in_text(self.graph, entity)

    def readable(self, chain: Sequence[Fact]) -> bool:
        """Whether at most one of the chain's relations is a verb."""
        return sum(not self.plain(fact.relation) for fact in chain) <= 1

    def plain(self, relation: str) -> bool:
        """Whether the relation's label is a noun, which can follow "X的"."""
        return self._label(relation) not in _VERBS

    def chain(self, chain: Sequence[Fact], rng: random.Random) -> str:
        """ "《静默港湾》的导演的出生地是哪里？" """
        words = self.mention(chain[0].subject)
        for fact in chain[:-1]:
            words = self._of(words, fact, further=True)
        last = chain[-1]
        if verb := _VERBS.get(self._label(last.relation)):
            return verb.question.format(s=words, what=self._which(last, rng))
        return self._asked(self._of(words, last), last, rng)

    def having(self, fact: Fact) -> str:
        """A constraint: "的导演是沈若川", "与法国接壤"."""
        assert isinstance(fact.object, str)
        return self._having(fact, self.mention(fact.object))

    def having_one(self, fact: Fact, further: Fact) -> str:
        """A constraint by a neighbour's neighbour: "的导演的出生地是青浦市"."""
        assert isinstance(fact.object, str)
        assert isinstance(further.object, str)
        has = self._having(further, self.mention(further.object))
        if verb := _VERBS.get(self._label(fact.relation)):
            return verb.having.format(o=f"{has.removeprefix('的')}的{self._thing(fact.object)}")
        noun = self._noun(fact.relation, further=True)
        if self._many(fact):
            return f"有一{self._measure(self._type(fact.object))}{noun}{has}"
        return f"{_joined(noun)}{has}"

    def bound(self, relation: str, bound: Bound) -> str:
        """A constraint: "的片长不少于90分钟", "的上映日期早于1960年"."""
        noun = self._noun(relation)
        if isinstance(bound.least, float):
            less = "低" if noun.endswith(_HEIGHTS) else "小" if noun.endswith(_AREAS) else "少"
            return f"的{noun}不{less}于{_quantity(bound.least, bound.unit)}"
        if isinstance(bound.most, float):
            return f"的{noun}不超过{_quantity(bound.most, bound.unit)}"
        return f"的{noun}" + (
            f"在{bound.first_year}年或之后" if bound.least else f"早于{bound.end_year}年"
        )

    def beginning(self, kind: str, text: str) -> str:
        """A constraint on the name of a thing of the type."""
        name = "姓名" if self._is_person_type(kind) else "名称"
        return f"的{name}以“{text}”开头"

    def web(
        self, kind: str, constraints: Sequence[str], asked: Fact | None, rng: random.Random
    ) -> str:
        """ "哪部电影的导演是……，而且片长……？", or "有一部电影，……。它的上映日期是哪一天？" """
        noun = self._plainly(self.graph.type_label(kind))
        measure = self._measure(noun)
        first, *others = (words.removeprefix("的") for words in constraints)
        told = "，".join([first, *others[:-1]])
        told += f"，{rng.choice(('而且', '并且'))}{others[-1]}" if others else ""
        if asked is not None:
            it = self._of(f"这{measure}{noun}", asked)
            return f"有一{measure}{noun}，{told}。{self._asked(it, asked, rng)}"
        of = "的" if constraints[0].startswith("的") else ""
        it = "这个人是谁？" if noun == "人物" else f"这是哪{measure}{noun}？"
        asks = (
            f"哪{measure}{noun}{of}{told}？",
            f"请找出这样一{measure}{noun}：{told}。",
            f"有一{measure}{noun}，{told}。{it}",
        )
        return rng.choice(asks)

    # Relations

    def _label(self, relation: str) -> str:
        return simplified(self.graph.relation_label(relation)).strip()

    def _noun(self, relation: str, further: bool = False) -> str:
        """What the relation leads to; `further`: so that something can be said of that."""
        label = self._label(relation)
        return _SAID.get(label, "国籍国" if further and label == "国籍" else label)

    def _of(self, subject: str, fact: Fact, further: bool = False) -> str:
        """What the subject has by the fact: "X的导演", "X所属国家"."""
        if verb := _VERBS.get(self._label(fact.relation)):
            return verb.of.format(s=subject, thing=self._thing(fact.object))
        return subject + _joined(self._noun(fact.relation, further))

    def _having(self, fact: Fact, object: str) -> str:
        if verb := _VERBS.get(self._label(fact.relation)):
            return verb.having.format(o=object)
        return f"{_joined(self._noun(fact.relation))}{'包括' if self._many(fact) else '是'}{object}"

    def _many(self, fact: Fact) -> bool:
        return len(self.graph.objects(fact.subject, fact.relation)) > 1

    # What is asked for

    def _asked(self, it: str, fact: Fact, rng: random.Random) -> str:
        if self._is_person(fact.object):
            return rng.choice(_ASK_WHO).format(it=it)
        return rng.choice(_ASK).format(it=it, what=f"是{self._which(fact, rng)}")

    def _which(self, fact: Fact, rng: random.Random) -> str:
        """The question word for the fact's object: 哪里, 哪座城市, 哪一天, 多少分钟, 什么."""
        if isinstance(fact.object, Value):
            return _which_value(fact.object, rng)
        if self._is_person(fact.object):
            return "谁"
        label, kind = self._label(fact.relation), self._type(fact.object)
        measure = self._measure(kind)
        if not kind or measure == "种" or not measure_word(kind):
            return "哪里" if label.endswith(_PLACES) else "什么"
        which = f"哪{measure}" if kind in label else f"哪{measure}{self._plainly(kind)}"
        return rng.choice(("哪里", which)) if label.endswith(_PLACES) else which

    def _plainly(self, kind: str) -> str:
        """A type's name as one says it."""
        kind = simplified(kind)
        return _TYPES.get(kind, kind)

    def _type(self, entity: str) -> str:
        kind = self.kind_of(entity)
        return simplified(self.graph.type_label(kind)) if kind else ""

    def _thing(self, node: Node) -> str:
        kind = self._type(node) if isinstance(node, str) else ""
        return self._plainly(kind) or "事物"

    def _measure(self, kind: str) -> str:
        """The measure word; 个 where there is none, or where the noun has it in itself (奖项)."""
        word = measure_word(kind)
        return word if word and word not in kind else "个"

    def _is_person(self, node: Node) -> bool:
        return isinstance(node, str) and any(
            self._is_person_type(kind) for kind in self.graph.entities[node].types
        )

    def _is_person_type(self, kind: str) -> bool:
        return simplified(self.graph.type_label(kind)) in _PEOPLE


def _joined(noun: str) -> str:
    """A noun as it follows its owner: "的导演", and "所属国家", which needs no 的."""
    return noun if noun.startswith("所") else f"的{noun}"


def _which_value(value: Value, rng: random.Random) -> str:
    if value.kind == "date":
        parts = str(value.value).lstrip("-").count("-")
        return ("哪一年", "哪年哪月", rng.choice(("哪一天", "什么时候")))[parts]
    if value.kind == "number":
        return f"多少{_quantity(0.0, value.unit).removeprefix('0')}"
    return "什么"


def _quantity(number: float, unit: str) -> str:
    return value_text(Value(kind="number", value=number, unit=unit), "zh")
