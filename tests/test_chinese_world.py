"""A world told in Chinese: its names and sentences, and literals as Chinese writes them.

That it holds together as English ones do is in `test_world`, whose graphs include Chinese ones.
"""

import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Webfarer
from webfarer.graph.files import load, save
from webfarer.graph.text import date_text, name_in_text, number_text, value_text
from webfarer.graph.worlds.names_zh import ChineseNamer
from webfarer.graph.worlds.nouns_zh import measure_word
from webfarer.graph.worlds.schema import RELATIONS
from webfarer.graph.worlds.schema_zh import RELATIONS_ZH
from webfarer.graph.worlds.world import build_world
from webfarer.types import BadInput, Value, random_for

HAN = "[\u4e00-\u9fff]"
WORLDS = [build_world(seed, 300, "zh") for seed in range(6)]


@pytest.fixture
def webfarer(monkeypatch, capfd) -> Webfarer:
    return Webfarer(monkeypatch, capfd)


def namer_of(seed):
    return ChineseNamer(random_for("test", seed))


def labels(graph, kind):
    return [graph.label(id) for id in graph.entities if id.startswith(f"{kind}-")]


# Literals


def test_dates_as_a_chinese_reader_writes_them():
    assert date_text("1912-03-04", "zh") == "1912年3月4日"
    assert date_text("1912-03", "zh") == "1912年3月"
    assert date_text("1912", "zh") == "1912年"
    assert date_text("-0043-03-15", "zh") == "公元前44年3月15日"  # ISO 8601: year 0 is 1 BC
    assert date_text("0000", "zh") == "公元前1年"
    assert [date_text(text, "zh") for text in ("", "soon", "1912-13")] == ["", "soon", "1912-13"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (1204, "1204"), (9999, "9999"), (10_000, "1万"), (12_345, "12,345"),
        (350_000, "35万"), (1_234_567, "1,234,567"), (12_000_000, "1200万"),
        (100_000_000, "1亿"), (120_000_000, "1.2亿"), (1_030_500_000, "10.305亿"),
        (-350_000, "-35万"), (-123_450_000, "-1.2345亿"), (10**12, "1,000,000,000,000"),
        (0.5, "0.5"), (-0.25, "-0.25"), (12_345.5, "12,345.5"), (1e22, "1e+22"),
    ],
)  # fmt: skip
def test_numbers_in_ten_thousands_only_where_they_are_whole(number, text):
    assert number_text(float(number), "zh") == text


SCALES = {"万": 4, "亿": 8}


def read_back(text: str) -> float:
    """The number by another way: 万 and 亿 as exponents of ten, which floats read exactly."""
    scale = SCALES.get(text[-1])
    digits = text.replace(",", "")
    return float(digits if scale is None else f"{digits[:-1]}e{scale}")


@given(st.floats(allow_nan=False) | st.integers(-(10**9), 10**9).map(lambda n: n * 1e4))
def test_a_number_reads_back_as_it_was(number):
    assert read_back(number_text(number, "zh")) == number


def test_units_stand_against_their_number():
    def written(number, unit):
        return value_text(Value(kind="number", value=float(number), unit=unit), "zh")

    assert written(1204, "km") == "1204公里"
    assert written(90, "min") == "90分钟"
    assert written(350_000, "crowns") == "35万克朗"
    assert written(320, "") == "320"
    assert [written(5, unit) for unit in ("kWh", "%", "海里")] == ["5 kWh", "5%", "5海里"]
    for relation in RELATIONS:
        if relation.unit:
            assert re.fullmatch(f"7{HAN}+", written(7, relation.unit))


def test_other_languages_are_written_as_english():
    assert value_text(Value(kind="date", value="1912-03-04"), "fr") == "4 March 1912"
    assert value_text(Value(kind="number", value=1204.0, unit="km"), "de") == "1,204 km"


# Relations


def test_every_relation_is_said_in_chinese():
    assert [r.id for r in RELATIONS_ZH] == [r.id for r in RELATIONS]
    for english, chinese in zip(RELATIONS, RELATIONS_ZH, strict=True):
        assert (english.value, english.unit) == (chinese.value, chinese.unit)
        assert ("en" in english.inverse) == ("zh" in chinese.inverse)
        assert set(chinese.labels) == set(chinese.sentences) == {"zh"}
        for sentence in chinese.sentences["zh"]:
            assert sentence.count("{s}") == sentence.count("{o}") == 1
            assert sentence.endswith("。")
            assert not re.search(r"[A-Za-z]", re.sub(r"\{[so]\}", "", sentence))
    assert len({r.labels["zh"] for r in RELATIONS_ZH}) == len(RELATIONS_ZH)


def test_counts_take_measure_words():
    said = {relation.id: " ".join(relation.sentences["zh"]) for relation in RELATIONS_ZH}
    for relation, words in {"pages": "{o}页", "members": "{o}名", "visitors": "{o}人次",
                            "population": "{o}名居民", "students": "{o}名"}.items():  # fmt: skip
        assert words in said[relation]


def test_nouns_take_their_measure_words():
    nouns = {"城市": "座", "河流": "条", "大学": "所", "公司": "家", "电影": "部", "乐队": "支",
             "主权国家": "个", "樂隊": "支", "電影演員": "位", "共和制": ""}  # fmt: skip
    assert {noun: measure_word(noun) for noun in nouns} == nouns


# Names


def test_everything_is_chinese():
    for graph in WORLDS:
        assert graph.language == "zh"
        assert len(graph.types) == 12
        for text in (*graph.types, *map(graph.label, graph.entities)):
            assert re.fullmatch(f"(?:{HAN}|：)+", text), text
        for fact in graph.facts:
            if isinstance(fact.object, Value) and fact.object.kind == "name":
                assert re.fullmatch(f"{HAN}+", fact.object.value), fact


def test_names_look_like_what_they_name():
    forms = {
        "country": "国|联邦", "river": "[江河]", "mountain": "[山峰]", "university": "大学|学院",
        "company": "公司|书局|实业|商行|工厂", "museum": "馆", "band": "乐队|乐团|合唱团",
        "prize": "奖|奖章",
    }  # fmt: skip
    for graph in WORLDS:
        for kind, form in forms.items():
            assert all(re.search(f"(?:{form})$", name) for name in labels(graph, kind))
        assert {2, 3} <= {len(name) for name in labels(graph, "person")} <= {2, 3, 4}
        cities = labels(graph, "city")
        assert 0.6 < sum(name.endswith("市") for name in cities) / len(cities) < 1


def test_surnames_are_shared_as_real_ones_are():
    """The five commonest are those of 30.8% of China's people (Ministry of Public Security, 2020);
    here H(8) - H(3) over H(63) - H(3), that is 0.8845 / 2.895 = 30.6% of 6,000 people."""
    people = [namer.person() for namer in map(namer_of, range(20)) for _ in range(300)]
    families = [
        Counter(person[0] for person in people[at : at + 300]) for at in range(0, 6000, 300)
    ]
    commonest = sum(n for times in families for _, n in times.most_common(5)) / len(people)
    assert 0.28 < commonest < 0.36  # the five commonest of a sample are a little above
    assert min(map(len, families)) > 35


def test_near_duplicates_make_searching_hard():
    graph = build_world(4, 400, "zh")
    places = labels(graph, "city")
    stems = {name.removesuffix("市") for name in places}
    assert any(stem[1:] in stems for stem in stems if stem[0] in "新上下东西南北大小")
    given = Counter(name[1] for name in labels(graph, "person"))
    assert given.most_common(1)[0][1] >= 3


def test_names_are_new_even_where_the_pool_is_used_up():
    namer = ChineseNamer(random_for("test", 1), 5000)
    people = [namer.person() for _ in range(5000)]
    stems = [namer.stem("place") for _ in range(3000)]
    named = [namer.named(lambda: "恒丰书局") for _ in range(3) if namer.place()]
    titles = [namer.title() for _ in range(3000)]
    every = people + stems + named + titles
    assert len(set(every)) == len(every)


def test_two_worlds_share_hardly_a_name():
    """Measured over these worlds: at most 2% of the labels of one are labels of another."""
    names = [{graph.label(id) for id in graph.entities} for graph in WORLDS]
    for one in range(len(names)):
        for two in range(one):
            assert len(names[one] & names[two]) <= 0.02 * 300, names[one] & names[two]


def test_works_have_book_marks_in_running_text_alone():
    graph = WORLDS[0]
    assert name_in_text(graph, "film-1") == f"《{graph.label('film-1')}》"
    assert "《" not in graph.label("film-1")
    assert name_in_text(graph, "city-1") == graph.label("city-1")
    english = build_world(1, 60)
    assert name_in_text(english, "film-1") == english.label("film-1")


# The world


GOLDEN = "082d88767ee2b565ac22d86ff7f7c3da0a0015b48cc5198f38ef5497f9aecb9b"


def test_the_same_seed_gives_the_same_bytes():
    """The hash of a small world as it was when this was written; see `test_world`."""
    assert build_world(1, 60, "zh").sha256 == GOLDEN
    assert build_world(2, 60, "zh").sha256 != GOLDEN
    names = {build_world(seed, 60, language).name for seed in range(9) for language in ("en", "zh")}
    assert len(names) == 18


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_same_bytes_whatever_the_order_of_hashes(hash_seed):
    code = (
        "from webfarer.graph.worlds.world import build_world\n"
        "print(build_world(1, 60, 'zh').sha256)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    assert run.stdout.strip() == GOLDEN


def test_a_chinese_world_is_read_back_in_chinese(tmp_path):
    graph = WORLDS[0]
    save(graph, tmp_path / graph.name)
    again = load(tmp_path / graph.name)
    assert (again.language, again.sha256) == ("zh", graph.sha256)


def test_a_language_that_no_world_is_told_in_is_refused():
    with pytest.raises(BadInput, match="in the language 'fr': give en or zh"):
        build_world(1, 60, "fr")


def test_the_command_builds_and_shows_it(webfarer, tmp_path):
    built = webfarer("world", "build", tmp_path / "w", "--size", 60, "--language", "zh", "--json")
    shown = webfarer("world", "show", tmp_path / "w", "--language", "zh", "--json")
    assert built.json["language"] == shown.json["language"] == "zh"
    assert built.json["sha256"] == shown.json["sha256"] == GOLDEN
    assert shown.json["types"]["城市"] == 8


def test_a_language_that_is_none_is_refused_in_one_line(webfarer, tmp_path):
    save(WORLDS[0], tmp_path / "w")
    build = webfarer("world", "build", tmp_path / "x", "--language", "fr")
    assert build.complaint.endswith("'fr': give en or zh")
    show = webfarer("world", "show", tmp_path / "w", "--language", "en")
    assert show.complaint.endswith("no label in 'en': give zh")
