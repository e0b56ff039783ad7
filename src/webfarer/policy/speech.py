"""What the scripted expert says, in the language of its graph: thoughts, goals and queries.

Each field is a template; what stands in braces is what the expert fills in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.hanzi import stands_alone
from webfarer.types import BadInput


@dataclass(frozen=True)
class Speech:
    """One language's phrases; `join` stands between two sentences, `listed` between relations.

    The English ones are part of what a model was trained on: not a byte of them may change.
    """

    join: str
    listed: str
    chained: str  # between the relations of a plan
    plan: str
    says: str
    now: str
    asked: str
    fits: str
    must_be: str
    to_do_with: str
    nothing_names: str
    gave_up: str
    not_found: str
    goal: str
    open_for: str
    read_more: str
    search: str
    open_page: str
    wrong_way: str
    look_up: str
    no_tool: str
    once_more: str
    absent: str
    may_help: str
    should_be: str
    overview: str
    no_page: str
    leads_on: str
    heading: str
    look_at: str
    reads_list: str
    reads_on: str
    may_be: str
    check: str
    check_goal: str
    one_left: str

    def fill(self, template: str, **parts: str) -> str:
        """One of the phrases with its braces filled in."""
        return template.format(**parts)

    def joined(self, intro: str, text: str) -> str:
        """Two sentences, the first of which may be empty."""
        return f"{intro}{self.join}{text}".strip()

    def stands(self, text: str, seen: str, names: Iterable[str]) -> bool:
        """Whether the text stands in what was seen by itself: "204" does not stand in "1,204".

        `names` are all names that could hold it.
        """
        pattern = rf"(?<!\w)(?<!\d[.,]){re.escape(text)}(?!\w|[.,]\d)"
        return re.search(pattern, seen) is not None


class ChineseSpeech(Speech):
    """Chinese puts no spaces between words, and no 的 before a relation that begins with 所."""

    def fill(self, template: str, **parts: str) -> str:
        for name in ("relation", "relations"):
            if parts.get(name, "").startswith("所"):
                template = template.replace(f"的{{{name}}}", f"{{{name}}}")
        return template.format(**parts)

    def stands(self, text: str, seen: str, names: Iterable[str]) -> bool:
        """As for English; nor does a name stand in a longer one ("李明" in "李明华")."""
        pattern = stands_alone(text)
        if re.search(pattern, seen) is None:
            return False
        for longer in (name for name in names if len(name) > len(text) and text in name):
            seen = seen.replace(longer, "\n")
        return re.search(pattern, seen) is not None


ENGLISH = Speech(
    join=" ",
    listed=", ",
    chained=", then the ",
    plan="I need the {relations} of {subject}.",
    says="The {relation} of {subject} is {object}.",
    now="Now the {relation} of {subject}.",
    asked="That is what was asked.",
    fits="{text} fits everything that is asked.",
    must_be="That must be it.",
    to_do_with="It has to do with {name}.",
    nothing_names="Nothing I read names it.",
    gave_up="I could not find it",
    not_found="I do not find the {relation}.",
    goal="{relation} of {name}",
    open_for="I open the page of {name} for the {relation}.",
    read_more="The {relation} is not there. I read more of the page of {name}.",
    search="I search for {query}.",
    open_page="I open {name}.",
    wrong_way="That was not what I need.",
    look_up="I look it up.",
    no_tool="There is no such tool.",
    once_more="Once more.",
    absent="It is not among the results.",
    may_help="This may help too.",
    should_be="There should be a page.",
    overview="overview",
    no_page="No page names it.",
    leads_on="The {heading} of {name} lead on.",
    heading="{relation} of",
    look_at="I look at what has the {heading} {name}.",
    reads_list="I read what the page of {name} lists: {heading}.",
    reads_on="I read on about {name}.",
    may_be="{name} may be the one.",
    check="I check {name}.",
    check_goal="I check the {goal}.",
    one_left="One thing is left to check.",
)

CHINESE = ChineseSpeech(
    join="",
    listed="、",
    chained="的",
    plan="我需要知道{subject}的{relations}。",
    says="{subject}的{relation}是{object}。",
    now="接下来查{subject}的{relation}。",
    asked="这正是要问的。",
    fits="{text}符合题目的所有条件。",
    must_be="应该就是它了。",
    to_do_with="这个问题和{name}有关。",
    nothing_names="读到的内容都没有提到它。",
    gave_up="我没有找到答案",
    not_found="没有找到{relation}。",
    goal="{name}的{relation}",
    open_for="打开{name}的页面，查看{relation}。",
    read_more="这里没有写{relation}，再读一读{name}的页面。",
    search="搜索“{query}”。",
    open_page="打开{name}的页面。",
    wrong_way="这不是我要找的。",
    look_up="直接查一下。",
    no_tool="没有这个工具。",
    once_more="再试一次。",
    absent="搜索结果里没有它。",
    may_help="这个页面也许有用。",
    should_be="应该有这样一个页面。",
    overview="概况",
    no_page="没有页面提到它。",
    leads_on="可以从{name}的“{heading}”入手。",
    heading="以此为{relation}的条目",
    look_at="看看{name}的页面上{heading}有哪些。",
    reads_list="查看{name}的页面上“{heading}”一栏。",
    reads_on="接着读关于{name}的内容。",
    may_be="{name}可能就是要找的。",
    check="核对{name}的情况。",
    check_goal="核对{goal}。",
    one_left="还有一点需要核对。",
)

_SPEECHES = {"en": ENGLISH, "zh": CHINESE}


def speech_of(graph: KnowledgeGraph) -> Speech:
    """The phrases of the graph's language. Raises BadInput where there are none."""
    if graph.language not in _SPEECHES:
        raise BadInput(
            f"the expert does not speak {graph.language!r}, the language of {graph.name}: give "
            f"--language {' or '.join(_SPEECHES)}"
        )
    return _SPEECHES[graph.language]
