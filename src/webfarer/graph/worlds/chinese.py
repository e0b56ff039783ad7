"""What a procedural world says in Chinese: names of its things, and the words its facts are in."""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

import random

from webfarer.graph.graph import Relation
from webfarer.graph.worlds.names_zh import ChineseNamer
from webfarer.graph.worlds.schema_zh import RELATIONS_ZH

TYPES = {
    "country": "国家", "river": "河流", "mountain": "山峰", "city": "城市", "university": "大学",
    "company": "公司", "book": "图书", "film": "电影", "museum": "博物馆", "band": "乐队",
    "prize": "奖项", "person": "人物",
}  # fmt: skip
# What a kind's names end in; the more often it stands here, the more of them do.
_ENDINGS = {
    "country": ("国", "国", "共和国", "王国", "联邦", "公国"),
    "city": ("市", "市", "市", "市", ""),
    "river": ("河", "江"),
    "mountain": ("山", "峰"),
    "university": ("大学", "大学", "学院"),
    "company": ("公司", "书局", "实业", "商行", "工厂"),
    "museum": ("博物馆", "美术馆", "陈列馆"),
    "band": ("乐队", "乐团", "合唱团"),
    "prize": ("奖", "奖章", "大奖"),
}
_FIELDS = "文学 物理学 建筑学 制图学 医学 音乐".split()
_WORDS = {
    ("person", "occupation"): (
        "小说家 画家 建筑师 作曲家 物理学家 植物学家 演员 探险家 工程师 历史学家 记者 雕塑家 "
        "天文学家 地质学家 歌唱家 化学家"
    ).split(),
    ("company", "industry"): "造船业 出版业 纺织业 采矿业 酿酒业 铁路业 光学仪器业 印刷业".split(),
    ("book", "genre"): "历史小说 侦探小说 游记 讽刺小说 哥特小说".split(),
    ("film", "genre"): "喜剧片 剧情片 惊悚片 歌舞片 纪录片 冒险片".split(),
    ("band", "genre"): "民谣摇滚 爵士乐 电子音乐 室内流行乐 蓝调 斯卡".split(),
    ("museum", "field"): _FIELDS,
    ("prize", "field"): _FIELDS,
    ("university", "motto"): (
        "先光后声 量而后思 川流日新 以恒为舟 再问一遍 真理在途 以盐为星 以工为憩"
    ).split(),
}  # fmt: skip


class Chinese:
    """The Chinese voice of one world; draws from the world's own random numbers."""

    language = "zh"
    relations: tuple[Relation, ...] = RELATIONS_ZH

    def __init__(self, rng: random.Random, people: int) -> None:
        self._rng = rng
        self._namer = ChineseNamer(rng, people)
        self.world = self._namer.host()

    def type(self, kind: str) -> str:
        """The id of a kind's type, which is also its name."""
        return TYPES[kind]

    def label(self, kind: str) -> str:
        """A new name for a thing of the kind; a work's is without book marks."""
        namer, ending = self._namer, self._rng.choice(_ENDINGS.get(kind, ("",)))
        match kind:
            case "person":
                return namer.person()
            case "country" | "city":
                return namer.place() + ending
            case "river" | "mountain" | "prize":
                return namer.stem("nature") + ending
            case "university" | "museum":
                return namer.stem("place") + ending
            case "company":
                return namer.named(lambda: namer.shop() + ending)
            case "band":
                return namer.named(lambda: namer.troupe() + ending)
            case _:
                return namer.title()

    def aliases(self, kind: str, label: str) -> tuple[str, ...]:
        """What else the thing of that name is called: a short form, a courtesy or pen name."""
        namer, draw = self._namer, self._rng.random()
        match kind:
            case "person" if draw < 0.4:
                return namer.by_courtesy(label)
            case "person" if draw < 0.6:
                return namer.pen_name()
            case "country":
                return (_stem(kind, label),)
            case "city" if label.endswith("市"):
                return (label.removesuffix("市"),)
            case "river":
                return namer.spare(lambda: f"{label[:-1]}水")
            case "university" if label.endswith("大学"):
                return namer.spare(lambda: f"{label[0]}大")
        return ()

    def word(self, kind: str, relation: str) -> str:
        """What a thing of the kind has by a relation whose values are names."""
        namer = self._namer
        match relation:
            case "language":  # not from the country's name, which would tell it
                return f"{namer.stem('place')}语"
            case "currency":
                return namer.stem("nature")[0] + self._rng.choice(("元", "币", "盾", "铢"))
            case "mouth":
                return f"{namer.region()}海"
            case "range":
                return f"{namer.region()}山脉"
            case _:
                return self._rng.choice(_WORDS[kind, relation])


def _stem(kind: str, label: str) -> str:
    """A name without what names of its kind end in."""
    ending = max((e for e in _ENDINGS[kind] if label.endswith(e)), key=len)
    return label.removesuffix(ending)
