"""What the pages of a site say in Chinese, around what the graph says.

Between a word in Latin letters and Chinese stands a space, as between an English label and the
sentence around it; a number stands against its unit. Names are never changed within.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from webfarer.graph.graph import Language
from webfarer.graph.hanzi import HAN, simplified
from webfarer.graph.text import number_text
from webfarer.graph.worlds.nouns_zh import measure_word
from webfarer.web.phrases import PREPOSITION, Phrases

_MEETING = re.compile(rf"(?:[^\W\d_{HAN}]|[.)!?'])[{HAN}]|[{HAN}][^\W\d_{HAN}]")
# What a type is called in "X是一位……", where its own name would sound odd.
_KINDS = {"人类": "知名人物", "人物": "知名人物", "图书": "书"}
# Relations that Wikidata's labels say with a verb: what stands before and after the object.
_VERBS = {"接壤": ("与", "接壤"), "得名于": ("得名于", ""), "影响自": ("受", "影响")}


class ChinesePhrases(Phrases):
    """Chinese."""

    gap, comma, last_comma, colon = "", "、", "和", "："
    repeats = False
    home, categories, all_categories = "首页", "分类", "全部分类"
    popular, see_also, about = "热门条目", "参见", "简介"
    search, accept = "搜索", "接受"
    results, nothing = "搜索结果", "没有找到相关页面。"
    not_found, refused = "页面不存在", "拒绝访问"
    previous, next = "上一页", "下一页"
    notice = "我们使用Cookie记住您的偏好。继续浏览即表示您同意我们的条款。"
    untyped, other = "条目", "其他条目"
    headings = {"entity": "背景", "name": "背景", "date": "历史", "number": "数据"}

    # Of the site

    def site(self, name: str) -> str:
        return self._beside(name, "百科")

    def footer(self, site: str) -> str:
        return f"{site}。文字可自由分享。关于我们。隐私政策。联系我们。移动版。"

    def welcome(self, site: str, entries: int, types: int) -> str:
        return f"{site}共有{_number(entries)}个条目，分为{_number(types)}个类别。"

    def no_page(self, url: str) -> str:
        return f"404：没有这个页面：{url}"

    def only_here(self, base: str) -> str:
        return self._beside("不能访问这个地址：这里只有", base, "的页面。")

    # Of lists

    def count(self, number: int) -> str:
        return f"（{_number(number)}）"

    def categories_lead(self, number: int) -> str:
        return f"共有{_number(number)}个类别。"

    def category(self, kind: str) -> str:
        return f"分类：{kind}"

    def category_lead(self, kind: str, number: int) -> str:
        return f"“{kind}”类共有{_number(number)}个条目。"

    def list_title(self, heading: str, name: str) -> str:
        return f"{heading}：{name}"

    def subjects_lead(self, number: int, name: str, relation: str) -> str:
        return f"{self._having(name, relation)}共有{_number(number)}个："

    def objects_lead(self, number: int, name: str, relation: str) -> str:
        return f"{self._beside(name, '的', relation)}共有{_number(number)}项："

    def by_letter(self, number: int, start: str) -> str:
        if start:
            return f"以“{start}”开头的条目，共{_number(number)}个："
        return f"共{_number(number)}个条目，按首字排列："

    def numbered(self, title: str, page: int) -> str:
        return f"{title}（第{page}页）"

    def page_of(self, page: int, pages: int) -> str:
        return f"第{page}页，共{pages}页。"

    def more(self, number: int) -> str:
        return f"另外{_number(number)}项"

    def all_values(self, number: int) -> str:
        return f"全部{_number(number)}项"

    def all_entries(self, number: int) -> str:
        return f"全部{_number(number)}个条目"

    # Of things

    def definition(self, name: str, kind: str, text: str) -> str:
        text = text.strip().rstrip("。.")
        kind = _KINDS.get(simplified(kind), kind)
        if not kind or kind == name:
            return f"{name}：{text}。" if text else self._beside(name, "是一个独立的条目。")
        if kind in text:
            return self._beside(name, "是", f"{text}。")
        measure = measure_word(kind)
        measure = "个" if measure in kind and measure else measure  # no 一项奖项
        noun = self._beside(name, "是", f"一{measure}{kind}" if measure else kind)
        return f"{noun}：{text}。" if text else f"{noun}。"

    def also_known(self, name: str, aliases: Sequence[str]) -> str:
        """Short forms of the name ("岭大" of "岭安大学") apart from its other names."""
        short = [alias for alias in aliases if _is_short(alias, name)]
        others = [alias for alias in aliases if alias not in short]
        parts = [self._beside("简称", self._listed(short))] if short else []
        parts += [self._beside("又称", self._listed(others))] if others else []
        return f"{self._beside(name, '，'.join(parts))}。"

    def sentence(self, relation: str, many: bool) -> str:
        if verb := _VERBS.get(simplified(relation)):
            return f"{{s}}{verb[0]}{{o}}{verb[1]}。"
        if PREPOSITION.search(relation):  # an English label, for want of a Chinese one
            return "{s}：" + relation + " {o}。"
        return self._beside("{s}的", relation, "有" if many else "是") + "{o}。"

    def subjects_of(self, relation: str) -> str:
        return self._having("此", relation)

    def _having(self, object: str, relation: str) -> str:
        """What has the object by the relation."""
        before, after = _VERBS.get(simplified(relation), ("以", self._beside("为", relation)))
        return self._beside(before, object, after, "的条目")

    def apart(self, before: str, after: str) -> bool:
        return bool(_MEETING.fullmatch(before[-1:] + after[:1]))

    def _listed(self, texts: Sequence[str]) -> str:
        """ "A", "A和B", "A、B和C"."""
        first, last = self.comma.join(texts[:-1]), texts[-1]
        return self._beside(first, self.last_comma, last) if first else last

    def _beside(self, *texts: str) -> str:
        """The texts in a row, with a space where Latin letters and Chinese meet."""
        row = ""
        for text in texts:
            row += f" {text}" if self.apart(row, text) else text
        return row


def _is_short(alias: str, name: str) -> bool:
    """Whether the alias is what is left of the name without some of its characters."""
    rest = iter(name)
    return len(alias) < len(name) and all(char in rest for char in alias)


def _number(number: int) -> str:
    return number_text(float(number), "zh")


_ENGLISH = Phrases()
_OTHERS: dict[Language, Phrases] = {"zh": ChinesePhrases()}


def phrases_in(language: Language) -> Phrases:
    """What pages say in the language; in English where it is none that pages are written in."""
    return _OTHERS.get(language, _ENGLISH)
