"""Questions as Chinese sentences: expectations are written by hand."""

import random
import re
from pathlib import Path

import pytest

from webfarer.graph.files import load
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.hanzi import has_han, stands_alone
from webfarer.synth.bound import Bound
from webfarer.synth.wording import wording_of
from webfarer.synth.wording_zh import ChineseWording
from webfarer.types import BadInput, Value

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"


def graph(language="zh"):
    def thing(id, label, *types, aliases=()):
        return Entity(id, types, {"zh": label}, {"zh": tuple(aliases)})

    entities = [
        thing("film1", "静默港湾", "电影"), thing("film2", "岚川", "电影"),
        thing("book1", "盐路", "图书"), thing("p1", "沈若川", "人物", aliases=("沈子明",)),
        thing("p2", "李明", "人物"), thing("city1", "青浦市", "城市"),
        thing("city2", "岚川", "城市"), thing("u1", "青浦大学", "大学"),
        thing("land", "澄国", "国家"), thing("land2", "霁国", "国家"),
        thing("short", "山", "山峰"), thing("it", "It", "电影"), thing("prize", "岚月奖", "奖项"),
        Entity("foreign", ("人物",), {"en": "Orla Venn"}), thing("Q9", "人類"),
        thing("p3", "王强", "Q9"), thing("p4", "王强", "Q8"),
    ]  # fmt: skip
    labels = {"dir": "导演", "born": "出生地", "mater": "母校", "nation": "國籍", "in": "所属国家",
              "won": "所获奖项", "border": "接壤", "named": "得名于", "by": "影响自",
              "born_on": "出生日期", "made": "成立年份", "pages": "页数", "time": "片长",
              "high": "海拔", "job": "职业"}  # fmt: skip
    values = {"born_on": "date", "made": "date", "pages": "number", "time": "number",
              "high": "number", "job": "name"}  # fmt: skip
    relations = [Relation(id, {"zh": text}, values.get(id, "entity"))  # pyright: ignore
                 for id, text in labels.items()]  # fmt: skip
    facts = [
        Fact("film1", "dir", "p1"), Fact("p1", "born", "city1"), Fact("p1", "mater", "u1"),
        Fact("p1", "nation", "land"), Fact("city1", "in", "land"), Fact("p2", "won", "prize"),
        Fact("land", "border", "land2"), Fact("city1", "named", "p2"), Fact("p2", "by", "p1"),
        Fact("p1", "born_on", Value(kind="date", value="1912-03-04")),
        Fact("u1", "made", Value(kind="date", value="1901")),
        Fact("book1", "pages", Value(kind="number", value=320.0)),
        Fact("film1", "time", Value(kind="number", value=90.0, unit="min")),
        Fact("p1", "job", Value(kind="name", value="画家")),
        Fact("film2", "dir", "p1"), Fact("film2", "dir", "p2"),
    ]  # fmt: skip
    return KnowledgeGraph("g", entities, relations, facts, language)


GRAPH = graph()
WORDING = ChineseWording(GRAPH)
FACT = {fact.relation: fact for fact in reversed(GRAPH.facts)}


def asked(*facts):
    """Every phrasing of a chain."""
    return {WORDING.chain(facts, random.Random(seed)) for seed in range(60)}


CHAINS = [
    (["dir"], {"《静默港湾》的导演是谁？", "谁是《静默港湾》的导演？",
               "请问《静默港湾》的导演是谁？", "请说出《静默港湾》的导演的名字。"}),
    (["born"], {"沈若川的出生地是哪里？", "沈若川的出生地是哪座城市？", "请找出沈若川的出生地。",
                "请问沈若川的出生地是哪里？", "请问沈若川的出生地是哪座城市？"}),
    (["born_on"], {"沈若川的出生日期是哪一天？", "沈若川的出生日期是什么时候？",
                   "请问沈若川的出生日期是哪一天？", "请问沈若川的出生日期是什么时候？",
                   "请找出沈若川的出生日期。"}),
    (["made"], {"青浦大学的成立年份是哪一年？", "请问青浦大学的成立年份是哪一年？",
                "请找出青浦大学的成立年份。"}),
    (["pages"], {"《盐路》的页数是多少？", "请问《盐路》的页数是多少？", "请找出《盐路》的页数。"}),
    (["time"], {"《静默港湾》的片长是多少分钟？", "请问《静默港湾》的片长是多少分钟？",
                "请找出《静默港湾》的片长。"}),
    (["job"], {"沈若川的职业是什么？", "请问沈若川的职业是什么？", "请找出沈若川的职业。"}),
    (["nation"], {"沈若川的国籍是哪个国家？", "请问沈若川的国籍是哪个国家？",
                  "请找出沈若川的国籍。"}),
    (["in"], {"青浦市所属国家是哪个？", "请问青浦市所属国家是哪个？", "请找出青浦市所属国家。"}),
    (["won"], {"李明所获奖项是哪个？", "请问李明所获奖项是哪个？", "请找出李明所获奖项。"}),
    (["border"], {"与澄国接壤的是哪个国家？"}),
    (["named"], {"青浦市得名于谁？"}),
    (["by"], {"李明受到了谁的影响？"}),
    (["dir", "mater"], {"《静默港湾》的导演的母校是哪所大学？", "请找出《静默港湾》的导演的母校。",
                        "请问《静默港湾》的导演的母校是哪所大学？"}),
    (["nation", "border"], {"与沈若川的国籍国接壤的是哪个国家？"}),
]  # fmt: skip


@pytest.mark.parametrize(("relations", "questions"), CHAINS)
def test_chains(relations, questions):
    assert asked(*(FACT[relation] for relation in relations)) == questions


def test_verbs_on_the_way():
    assert WORDING.readable((FACT["border"], FACT["in"]))
    assert not WORDING.readable((FACT["by"], FACT["named"]))
    assert not WORDING.plain("border")
    assert WORDING.chain((FACT["by"], FACT["job"]), random.Random(2)).startswith(
        "影响了李明的人物的职业"
    )


def test_mentions():
    assert WORDING.mention("film2") == "电影《岚川》"
    assert WORDING.mention("city2") == "城市岚川"
    assert WORDING.mention("p1") == "沈若川"
    assert WORDING.mention("p3") == "人物王强"  # 人類 is what imported graphs call it
    assert [e for e in GRAPH.entities if WORDING.ambiguous(e)] == ["short", "it", "p4"]


def test_only_what_has_a_name_in_the_language_is_sayable():
    assert not WORDING.sayable("foreign")
    assert WORDING.sayable("p1")
    assert wording_of(GRAPH.in_language("en")).sayable("p1")


def test_constraints():
    assert WORDING.having(Fact("film1", "dir", "p1")) == "的导演是沈若川"
    assert WORDING.having(Fact("film2", "dir", "p1")) == "的导演包括沈若川"
    assert WORDING.having(FACT["border"]) == "与霁国接壤"
    assert WORDING.having_one(Fact("film1", "dir", "p1"), FACT["born"]) == "的导演的出生地是青浦市"
    assert WORDING.having_one(Fact("film2", "dir", "p1"), FACT["born"]) == (
        "有一位导演的出生地是青浦市"
    )
    assert WORDING.having(FACT["in"]) == "所属国家是澄国"
    assert WORDING.having_one(FACT["born"], FACT["in"]) == "的出生地所属国家是澄国"
    assert WORDING.having_one(FACT["nation"], FACT["border"]) == "的国籍国与霁国接壤"
    assert WORDING.having_one(FACT["by"], FACT["born"]) == "受到出生地是青浦市的人物的影响"
    assert WORDING.beginning("人物", "沈") == "的姓名以“沈”开头"
    assert WORDING.beginning("电影", "静") == "的名称以“静”开头"


@pytest.mark.parametrize(
    ("relation", "bound", "words"),
    [
        ("time", Bound(least=90.0, unit="min"), "的片长不少于90分钟"),
        ("time", Bound(most=120.0, unit="min"), "的片长不超过120分钟"),
        ("high", Bound(least=3000.0, unit="m"), "的海拔不低于3000米"),
        ("born_on", Bound(least="1910-01-01"), "的出生日期在1910年或之后"),
        ("born_on", Bound(most="1919-12-31"), "的出生日期早于1920年"),
        ("pages", Bound(most=200000.0), "的页数不超过20万"),
    ],
)
def test_bounds(relation, bound, words):
    assert WORDING.bound(relation, bound) == words


def test_webs():
    parts = ["的导演是沈若川", "的片长不少于90分钟", "的名称以“静”开头"]
    such = "导演是沈若川，片长不少于90分钟，{and_}名称以“静”开头"
    found = {WORDING.web("电影", parts, None, random.Random(seed)) for seed in range(60)}
    assert found == {
        form.format(such=such.format(and_=and_))
        for form in ("哪部电影的{such}？", "请找出这样一部电影：{such}。",
                     "有一部电影，{such}。这是哪部电影？")
        for and_ in ("而且", "并且")
    }  # fmt: skip
    questions = {WORDING.web("国家", ["与霁国接壤"], None, random.Random(s)) for s in range(40)}
    assert "哪个国家与霁国接壤？" in questions
    asks = {WORDING.web("人物", parts[2:], FACT["born_on"], random.Random(s)) for s in range(60)}
    assert "有一位人物，名称以“静”开头。这位人物的出生日期是哪一天？" in asks


def test_a_language_that_has_no_wording_is_bad_input():
    with pytest.raises(BadInput, match="'fr' of g: give --language en or zh"):
        wording_of(graph("fr"))


def test_where_a_text_stands_alone():
    page = "共有112页，长12公里，人口12万；李明、IBM和12.5米。"
    for text in ("112页", "12公里", "12万", "李明", "IBM", "12.5米"):
        assert re.search(stands_alone(text), page), text
    for text in ("12页", "2公里", "BM", "5米"):
        assert not re.search(stands_alone(text), page), text
    assert not re.search(stands_alone("12"), "112页和12万和12.5")


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason=f"{WIKIDATA} is not on this machine")
def test_all_imported_labels_make_sentences_in_simplified_characters():
    wording = ChineseWording(load(WIKIDATA).in_language("zh"))
    rng = random.Random(1)
    used = {fact.relation: fact for fact in wording.graph.facts}
    assert len(used) > 50
    for fact in used.values():
        question = wording.chain((fact,), rng)
        assert has_han(question)
        assert question[-1] in "？。"
        assert not re.search(
            "的的|的所|國|學|領", question.replace(wording.mention(fact.subject), "X")
        )
