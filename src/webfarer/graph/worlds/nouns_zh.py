"""What a Chinese noun takes beside it: its measure word, and book marks where it names works.

A noun is known by its end ("主权国家" by "国家"), in simplified or traditional characters.
"""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from webfarer.graph.hanzi import simplified

_MEASURES = {
    "座": "城市 城 市 首都 首府 山 山峰 火山 岛 岛屿 博物馆 美术馆 图书馆 剧院 教堂 宫殿 塔 桥 "
    "墓地 坟场 机场 京师",
    "个": "国家 国 王国 帝国 国度 省 州 州份 邦 县 郡 区 镇 村 地区 市镇 大洲 组织 机构 政党 党 "
    "民族 族群 团体 家族 聚居地 社区 联盟 教派 实体 时代 村庄",
    "条": "河流 河 江 街 街道 铁路 公路 航线",
    "所": "大学 学院 学校 高中 高级中学 教育机构 医院 研究所",
    "家": "公司 企业 厂牌 出版社 银行 报社 制片厂 工厂",
    "本": "图书 书 书籍 词典",
    "部": "电影 影片 小说 电视剧 剧集 歌剧 音乐剧 戏剧 动画 漫画 动画片 动画长片 纪录片 电视系列 "
    "电视节目系列 文学作品 虚构作品",
    "支": "乐队 乐团 合唱团 球队 足球队 军队",
    "项": "奖项 奖 运动 比赛 赛事 条约",
    "位": "人物 人 家 员 师 手 者 总统 君主 国王 教授 诗人 军人 导演 模特儿 王后",
    "种": "语言 自然语言 现代语言 语 职业 专业 疾病 病 类型 音乐类型 艺术类型 运动类型 流派 音乐 "
    "摇滚乐 乐器 宗教 主义 文类 片种 药物 方言 形式 体裁 死因",
    "门": "学科 科学 学术专业",
    "首": "歌曲 歌 单曲 诗",
    "张": "专辑 唱片",
    "场": "战争 战役",
}
_MEASURE_OF = {noun: measure for measure, nouns in _MEASURES.items() for noun in nouns.split()}
_LONGEST = max(map(len, _MEASURE_OF))
_WORKS = tuple(
    "图书 书籍 电影 影片 动画长片 专辑 歌曲 单曲 电视剧 剧集 电视动画 电视系列 电视节目系列".split()
)


@lru_cache(maxsize=4096)
def measure_word(noun: str) -> str:
    """ "座" for "城市", as in "一座城市"; empty where the noun's is not known."""
    noun = simplified(noun)
    ends = (noun[-length:] for length in range(min(_LONGEST, len(noun)), 0, -1))
    return next((_MEASURE_OF[end] for end in ends if end in _MEASURE_OF), "")


def has_title(kinds: Iterable[str]) -> bool:
    """Whether what is of these kinds is a work; a genre of films ("类型", "片种") is none."""
    kinds = tuple(kinds)
    return any(map(is_work, kinds)) and "种" not in map(measure_word, kinds)


@lru_cache(maxsize=4096)
def is_work(noun: str) -> bool:
    """Whether the noun is one of works that have titles: "电影", "图书"."""
    return simplified(noun).endswith(_WORKS)
