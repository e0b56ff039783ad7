"""The rule grader as a reader of Chinese expects it: verdicts worked out by hand, and round trips
of numbers and dates through a writer of Chinese numerals that is independent of the reader."""

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.grade import RuleGrader, check_gold, equivalent
from webfarer.grade.chinese import dates_in_figures, in_figures, numeral_value
from webfarer.grade.dates import PartialDate, parse_date
from webfarer.grade.numbers import find_quantities, parse_quantity
from webfarer.graph.hanzi import simplified
from webfarer.graph.text import value_text
from webfarer.types import Answer, Origin, Task, Value

ORIGIN = Origin(recipe="test", seed=0, graph="0")
FILM = "《静默港湾》的导演是谁？"
WHO_FIRST = "李明和王强谁更早出生？"


def status(answer, *golds, kind="entity", question=FILM, aliases=()):
    answers = tuple(Answer(text=gold, kind=kind, aliases=aliases) for gold in golds)
    task = Task(id="t", question=question, answers=answers, origin=ORIGIN)
    return RuleGrader().grade(task, answer).status


@pytest.mark.parametrize(
    "answer",
    [
        "沈若川", "《沈若川》", "“沈若川”", "沈若川。", "沈 若川", "**沈若川**", "\\boxed{沈若川}",
        "答案：沈若川", "答案是沈若川", "最终答案：**沈若川**", "我认为答案是沈若川。",
        "The answer is 沈若川.",
        "导演是沈若川。", "《静默港湾》的导演是沈若川。", "沈若川执导了《静默港湾》",
        "由沈若川执导",
        "沈若川是《静默港湾》的导演。", "沈若川为《静默港湾》的导演", "沈若川，《静默港湾》的导演",
        "导演沈若川", "《静默港湾》的导演沈若川", "沈若川（导演）", "沈若川（小说家）",
        "答：沈若川", "根据页面，导演是沈若川。", "答案：沈若川。她是小说家。", "可能是沈若川",
        "[沈若川](https://a.test/wiki/x)",
    ],
)  # fmt: skip
def test_accepted(answer):
    assert status(answer, "沈若川") == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "李明", "沈若", "若川", "沈若川或李明", "沈若川还是李明", "要么沈若川", "不是沈若川",
        "并非沈若川",
        "不是**沈若川**", "**沈若川**或李明", "是李明，不是沈若川", "沈若川和李明", "沈若川、李明",
        "沈若川，李明", "沈若川 李明", "沈若川/李明", "沈若川；李明", "沈若川\n李明", "沈若川李明",
        "李明（沈若川）", "沈若川（李明）", "沈若川大桥", "新沈若川", "沈若川华", "沈若川二世",
        "沈若川2",
        "沈若川和《静默港湾》", "沈若川静默港湾", "静默港湾沈若川", "导演是李明，沈若川的学生",
        "沈若川 Shen", "沈若川吗", "沈若川为", "未知，也许沈若川", "沈若川" + "的" * 80,
    ],
)  # fmt: skip
def test_turned_down(answer):
    assert status(answer, "沈若川") == "wrong"


NAMES = [  # answer, gold, whether a reader takes the one for the other
    ("青浦市", "青浦市", True), ("她出生于青浦市", "青浦市", True), ("青浦", "青浦市", False),
    ("青浦市", "青浦", False), ("青浦市，在江南省", "青浦市", False), ("上青浦市", "青浦市", False),
    ("东京都", "京都", False), ("李明华", "李明", False), ("李明", "李明华", False),
    ("列奥纳多·达·芬奇", "列奥纳多•达•芬奇", True), ("列奥纳多达芬奇", "列奥纳多・达・芬奇", True),
    ("达·芬奇", "列奥纳多·达·芬奇", False), ("让-雅克·卢梭", "让·雅克·卢梭", True),
    ("達文西", "达文西", True), ("國際商業機器公司", "国际商业机器公司", True),
    ("ＡＣ米兰", "AC米兰", True), ("AC米兰队", "AC米兰", False), ("答案是IBM", "IBM", True),
    ("答案是IBMX", "IBM", False), ("作家、诗人", "诗人", False), ("诗人", "诗人", True),
    ("不丹", "不丹", True), ("或然率", "或然率", True), ("静默港湾", "《静默港湾》", True),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold", "same"), NAMES)
def test_names(answer, gold, same):
    assert (status(answer, gold, question="是哪一个？") == "correct") is same


def test_a_name_may_be_told_in_the_questions_words():
    question = "但丁的代表作是什么？"
    assert status("但丁的代表作是神曲", "神曲", question=question) == "correct"
    question = "不丹的首都是哪里？"
    assert status("不丹的首都是廷布", "廷布", question=question) == "correct"


def test_a_title_of_the_question_is_one_word():
    question = "《月与不是海》的导演是谁？"
    for answer in ("《月与不是海》的导演是沈若川", "沈若川执导了《月与不是海》。"):
        assert status(answer, "沈若川", question=question) == "correct", answer
    for answer in ("沈若川与《月与不是海》", "月与不是海沈若川", "月与海的导演是沈若川"):
        assert status(answer, "沈若川", question=question) == "wrong", answer


@pytest.mark.parametrize("answer", ["李明", "李明更早出生", "李明比王强更早出生", "是李明。"])
def test_one_of_the_questions_candidates(answer):
    assert status(answer, "李明", question=WHO_FIRST) == "correct"


@pytest.mark.parametrize(
    "answer", ["李明和王强", "李明、王强", "李明，王强", "李明王强", "王强比李明更早出生", "王强"]
)
def test_the_questions_candidates_are_not_listed_back(answer):
    assert status(answer, "李明", question=WHO_FIRST) == "wrong"


def test_several_answers():
    for answer in ("李明、王强", "李明和王强", "王强；李明", "答案是李明与王强", "李明以及王强"):
        assert status(answer, "李明", "王强") == "correct", answer
    for answer in ("李明", "李明、王强、赵六", "李明或王强", "李明、李明"):
        assert status(answer, "李明", "王强") == "wrong", answer


NUMBERS = [
    ("320", "320页", True), ("共有320页。", "320", True), ("三百二十页", "320", True),
    ("３２０", "320", True), ("12页", "112页", False), ("112页", "12页", False),
    ("3名成员", "3", True), ("三名", "3", True), ("一部三百二十页的书", "320", True),
    ("123万4567", "1,234,567", True), ("1.2亿", "1.2亿", True), ("120000000", "1.2亿", True),
    ("一亿二千万", "1.2亿", True), ("1.21亿", "1.2亿", False), ("35.4万", "35万", False),
    ("两万五", "25,000", True), ("廿六", "26", True), ("壹佰贰拾", "120", True),
    ("1204千米", "1204公里", True), ("1,204 km", "1204公里", True), ("1204000米", "1204公里", True),
    ("1204公斤", "1204公里", False), ("约1204公里", "1204公里", True),
    ("大约1204公里左右", "1204公里", True), ("320或321", "320", False), ("不是320", "320", False),
    ("不到320", "320", False), ("320、321", "320", False), ("九十分钟", "90分钟", True),
    ("1小时30分", "90分钟", True), ("1.5小时", "90分钟", True), ("百分之五十", "50%", True),
    ("位于四川，长三百二十公里", "320公里", True), ("第12部有320页", "320", True),
    ("十几页", "10", False), ("52立方米/秒", "52立方米每秒", True), ("零下五摄氏度", "-5", True),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold", "same"), NUMBERS)
def test_numbers(answer, gold, same):
    assert (status(answer, gold, kind="number") == "correct") is same


DATES = [
    ("1912年3月4日", "1912年3月4日", True), ("一九一二年三月四日", "1912年3月4日", True),
    ("1912年３月4號", "1912年3月4日", True), ("4 March 1912", "1912年3月4日", True),
    ("1912-03-04", "1912年3月4日", True), ("她出生于1912年3月4日。", "1912年3月4日", True),
    ("1912年3月", "1912年3月4日", False), ("1912年", "1912年3月4日", False),
    ("1912年3月4日", "1912年", True), ("1912", "1912年", True),
    ("1912年3月14日", "1912年3月4日", False),
    ("1912年或1913年", "1912年", False), ("不是1912年", "1912年", False),
    ("1912年3月4日、1913年3月4日", "1912年3月4日", False), ("1912年至1914年", "1912年", False),
    ("公元前44年", "公元前44年", True), ("44 BC", "公元前44年", True),
    ("公元44年", "公元前44年", False), ("前221年", "公元前221年", True),
    ("221年", "公元前221年", False), ("1910年代", "1910年", False), ("民国元年", "1912年", False),
    ("1912年13月4日", "1912年", False),
    ("1912年3月4日至6日", "1912年3月4日", False), ("1912年3月4-6日", "1912年3月4日", False),
    ("一九一二年三月四日到六日", "1912年3月4日", False),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold", "same"), DATES)
def test_dates(answer, gold, same):
    assert (status(answer, gold, kind="date") == "correct") is same


def test_answers_that_say_the_same():
    assert equivalent("沈若川", "答案：沈若川")
    assert equivalent("李明、王强", "王强；李明")
    assert equivalent("三百二十页", "320", "number")
    assert equivalent("1912年3月4日", "一九一二年三月四日", "date")
    assert not equivalent("李明", "李明华")


def test_text_without_chinese_is_left_alone():
    for text in ("1,204 km", "4 March 1912", "Orla Venn", ""):
        assert in_figures(text) == text
        assert dates_in_figures(text, whole=True) == text


def test_traditional_and_simplified():
    assert simplified("國籍：電影《臺灣》、領導者") == "国籍：电影《台湾》、领导者"
    assert simplified("国籍 Orla 12") == "国籍 Orla 12"


# Round trips: a writer of numerals, by the rules of school arithmetic.

_DIGIT = "零一二三四五六七八九"


def _section(number: int) -> str:
    """A number under 10,000."""
    text, zero = "", False
    for power, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGIT[digit] + name
        zero = not digit
    return text


def _numeral(number: int) -> str:
    if not number:
        return "零"
    text = ""
    for power, name in ((10**8, "亿"), (10**4, "万"), (1, "")):
        part = number // power % 10**4
        if part:
            text += ("零" if text and part < 1000 else "") + _section(part) + name
    return text


@given(st.integers(0, 10**12 - 1))
def test_numerals_read_back(number):
    assert numeral_value(_numeral(number)) == number
    found = find_quantities(f"共有{_numeral(number)}页。")
    assert [found[0].value] == [float(number)]


@given(st.integers(0, 10**12 - 1), st.sampled_from(["", "km", "m³/s", "min", "crowns"]))
def test_numbers_as_graphs_write_them_read_back(number, unit):
    text = value_text(Value(kind="number", value=float(number), unit=unit), "zh")
    quantity = parse_quantity(text)
    assert quantity is not None
    assert quantity.value == number
    task = Task(id="t", question="？", answers=(Answer(text=text, kind="number"),), origin=ORIGIN)
    check_gold(task)


@given(st.dates(date(1000, 1, 1)), st.booleans())
def test_dates_read_back(day, in_words):
    wanted = PartialDate(day.year, day.month, day.day)
    assert parse_date(value_text(Value(kind="date", value=day.isoformat()), "zh")) == wanted
    year = "".join("〇一二三四五六七八九"[int(digit)] for digit in str(day.year))
    month = _numeral(day.month).removeprefix("一" if day.month > 9 else "")
    number = _numeral(day.day).removeprefix("一" if 9 < day.day < 20 else "")
    text = f"{year}年{month}月{number}日"
    assert parse_date(text) == wanted
    assert calendar.month_name[day.month] in dates_in_figures(text)


@given(st.text("李王明强华沈若川的是、，和不或答案导演", min_size=1, max_size=12))
def test_a_gold_grades_itself(text):
    assert status(text, "李明华") in ("correct", "wrong")
    assert status(text, text) == "correct"


@given(st.text("一二两三十百千万亿零〇廿点分之第几年月日公元前1.0,米里多负", max_size=30))
def test_nothing_crashes_the_grader(text):
    for said in (text, text * 200):
        assert status(said, "320页", kind="number") in ("correct", "wrong")
        assert status(said, "1912年3月4日", kind="date") in ("correct", "wrong")
        assert status(f"沈若川{said}", "沈若川") in ("correct", "wrong")
