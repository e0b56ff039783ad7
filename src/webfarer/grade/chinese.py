"""Chinese numbers, quantities and dates, rewritten in the figures that the other rules read.

"三百二十页" becomes "320 页", "1亿2000万" "120000000", "5.5公里" "5.5 km", "一九一二年三月四日"
"4 March 1912". So one set of rules compares what is said, in whatever language. A text without a
Chinese character is returned as it is.

What is read: figures of any width, numerals in everyday and in banker's writing, 廿 and 卅,
"两万五" (25,000), 万 and 亿 after figures, units, percentages. What is not: fractions (三分之一),
tenths (五成), halves (一个半), and years of an era (民国, 光绪).
"""

from __future__ import annotations

import calendar
import re
from decimal import Decimal

from webfarer.graph.hanzi import HAN, has_han, simplified

_DIGITS = {"〇": 0, "零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7,
           "八": 8, "九": 9}  # fmt: skip
_SCALES = {"亿": 10**8, "万": 10**4, "千": 1000, "百": 100, "十": 10}  # the greatest first
_LONGEST = 40  # characters of a numeral
_POWERS = {"百": 2, "千": 3, "万": 4, "亿": 8}
_BANKERS = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千")
_BANKERS_RUN = re.compile("[壹贰叁肆伍陆柒捌玖拾佰仟零万亿]{2,}")

# A unit's names, and the name that `units` knows it by.
_UNITS = {
    "平方公里 平方千米": "km2", "平方米": "m2", "公顷": "ha", "平方英里": "mi2", "平方英尺": "ft2",
    "立方公里 立方千米": "km3", "立方米": "m3", "升 公升": "l", "毫升": "ml",
    "公里每小时 千米每小时 公里/小时 千米/小时": "km/h", "米每秒 米/秒": "m/s",
    "公里 千米": "km", "米 公尺": "m", "厘米 公分": "cm", "毫米": "mm", "纳米": "nm",
    "英里": "mi", "英尺": "ft", "英寸": "inch", "海里": "nmi", "光年": "ly", "天文单位": "au",
    "公斤 千克": "kg", "克": "g", "毫克": "mg", "吨 公吨": "t", "磅": "lb", "盎司": "oz",
    "毫秒": "ms", "秒 秒钟": "s", "分钟": "min", "小时 个小时 个钟头": "h", "天": "d",
    "周 星期 个星期": "week", "个月": "month", "年": "year",
    "千瓦": "kw", "兆瓦": "mw", "瓦": "w", "赫兹": "hz", "摄氏度": "°c", "华氏度": "°f",
    "美元": "usd", "欧元": "eur", "英镑": "gbp", "日元 日圆": "jpy", "卢比": "inr",
}  # fmt: skip
_UNIT_OF = {name: unit for names, unit in _UNITS.items() for name in names.split()}
_UNIT = "|".join(sorted(map(re.escape, _UNIT_OF), key=len, reverse=True))
# After a number, 千米 and its like are a unit, and no thousand of another; 克朗 is no gram.
_NOT_SCALE = "(?![米克瓦])"
_UNIT_AFTER = rf"(?P<unit>{_UNIT})(?!朗|拉|代|级|度)"
_MORE = "[多余]?"

_NUMERAL = "〇零一二两三四五六七八九十百千万亿廿卅"
_SCALED = re.compile(
    rf"(?<![\d.,])(?P<first>\d[\d,]*(?:\.\d+)?)\s*(?P<rest>(?:(?:[百千]{_NOT_SCALE})?[万亿]"
    rf"|[百千]{_NOT_SCALE})(?:零?\d+(?:\.\d+)?(?:[百千]{_NOT_SCALE})?[万亿]?)*)"
)
_PART = re.compile(r"零?(\d[\d,]*(?:\.\d+)?)([百千]?[万亿]?)")
_VAGUE = "几数"  # "几十", "数百", "十几" say no number
_RUN = re.compile(
    rf"(?<![第{_VAGUE}{_NUMERAL}])(?:百分之)?(?:[{_NUMERAL}](?!(?<=千)[米克瓦]))+"
    rf"(?:点[〇零一二三四五六七八九]+)?(?![{_VAGUE}])"
)
_PERCENT = re.compile(r"百分之\s*(\d[\d,.]*)")
_COUNTED = re.compile(rf"[个位部本座家名条所首张项种支件次页人届年月日天岁口户层间轮场]|{_UNIT}")
_HAN_BESIDE = (
    re.compile(rf"(?<=[{HAN}])(?<!第)(?=[-+]?\d)"),
    re.compile(rf"(?<=[\d%])(?=[{HAN}])(?!年代)"),
)
_BELOW = re.compile(r"负\s*(?=\d)")
_ABOUT = re.compile(r"(?:大约|大概|约莫|接近|左右|上下|约|近)")

_YEAR_NUMERAL = "〇零一二三四五六七八九"
_ERA = r"(?P<era>公元前|西元前|纪元前|公元|西元|(?<![\w])前)?"
_DATE = re.compile(
    rf"{_ERA}\s*(?<![\d.,\-/])(?P<y>\d{{1,6}}|[{_YEAR_NUMERAL}]{{2,4}}|[{_NUMERAL}]{{1,7}})\s*年"
    r"(?!代|级|龄|度|限|轻)"
    rf"(?:\s*(?P<m>\d{{1,2}}|[{_NUMERAL}]{{1,3}})\s*月(?:份|\s*(?P<d>\d{{1,2}}|[{_NUMERAL}]{{1,3}})"
    r"\s*[日号])?)?"
)
_OPEN = re.compile(
    "或(?!许)|还是|抑或|要么|(?:并|绝|而)非|非也|不(?:是|为|叫|在|会|能|可能|确定|确知|清楚|知|详|明"
    "|到|足|对|少于|多于|超过|低于|高于|早于|晚于|等于|止)|没有|没能|并没|未知|尚未|未能|无法|无从|无人"
    "|除了|除外|以外|而不|错误|但(?!丁)|然而|难以|说不"
)
_DAY = rf"(?:\d{{1,2}}|[{_NUMERAL}]{{1,3}})"
_DAYS = re.compile(
    rf"([\d{_NUMERAL}]+\s*年\s*{_DAY}\s*月\s*)({_DAY})\s*[日号]?\s*[至到~—–-]\s*({_DAY})\s*[日号]"
)
_CHARACTERS_A_WORD = 2  # of Chinese, where a limit is counted in words


def hedge(text: str) -> str | None:
    """What in a Chinese text denies or leaves open what it says: "或", "不是"; None if nothing."""
    found = _OPEN.search(simplified(text)) if has_han(text) else None
    return found[0] if found else None


def extra_words(text: str) -> int:
    """How many words the Chinese of a text is worth, at two characters a word."""
    return len(re.findall(rf"[{HAN}]", text)) // _CHARACTERS_A_WORD


def in_figures(text: str) -> str:
    """The text with its Chinese quantities as figures and with units that `units` knows.

    Numerals are read only in a text without figures, as English ones are; there, a lone one that
    counts nothing ("一部", "四川") is none where another number is named.
    """
    if not has_han(text):
        return text
    text = _plain(text).replace("零下", "负")
    text = _SCALED.sub(_scaled, text) if re.search(r"\d", text) else _numerals(text)
    text = _PERCENT.sub(r"\1%", text)
    text = re.sub(rf"(?<=\d)\s*{_MORE}\s*{_UNIT_AFTER}", _with_unit, text)
    text = re.sub(r"(?<=\d h )\s*(\d+)\s*分(?!之)", r"\1 min ", text)
    text = _BELOW.sub("-", _ABOUT.sub(" ", text))
    return _apart(text)


def dates_in_figures(text: str, whole: bool = False) -> str:
    """The text with its Chinese dates as English ones, in figures where there is no such month.

    A year of one or two figures is one only after 公元, or where the text is nothing else
    (`whole`): "44年" within a sentence is a time.
    """
    if not has_han(text):
        return text
    text = _DAYS.sub(_both_days, _plain(text))
    return _apart(_DATE.sub(lambda match: _dated(match, whole), text))


def numeral_value(numeral: str) -> int | None:
    """The number that a Chinese numeral is: 一千二百零四 is 1204, 一九一二 is 1912, 两万五 is
    25000; None where it is not well formed."""
    numeral = numeral.replace("廿", "二十").replace("卅", "三十")
    if len(numeral) > _LONGEST:
        return None
    if all(char in _DIGITS for char in numeral):
        return int("".join(str(_DIGITS[char]) for char in numeral)) if numeral else None
    name, scale = next(pair for pair in _SCALES.items() if pair[0] in numeral)
    head, _, tail = numeral.rpartition(name)
    times = 1 if name == "十" and not head else numeral_value(head)
    rest = _rest(tail, scale)
    if times is None or rest is None or rest >= scale or (scale < 10**4 and times > 9):
        return None
    return times * scale + rest


def _rest(tail: str, scale: int) -> int | None:
    """What stands after a scale: a lone digit is of the next lower one, unless after a 零."""
    if not tail:
        return 0
    if tail[0] in "零〇":
        return numeral_value(tail[1:])
    if tail in _DIGITS and scale > 10:
        return _DIGITS[tail] * scale // 10
    return None if len(tail) > 1 and all(char in _DIGITS for char in tail) else numeral_value(tail)


def _plain(text: str) -> str:
    """Simplified, with banker's numerals in their everyday form."""
    text = simplified(text)
    return _BANKERS_RUN.sub(lambda run: run[0].translate(_BANKERS), text)


def _apart(text: str) -> str:
    """With a space between figures and Chinese, but not after 第, which makes a rank."""
    for beside in _HAN_BESIDE:
        text = beside.sub(" ", text)
    return text


def _with_unit(match: re.Match[str]) -> str:
    return f" {_UNIT_OF[match['unit']]} "


# Numbers


def _scaled(match: re.Match[str]) -> str:
    """ "1亿2000万" in figures alone; as it is where its scales do not fall."""
    parts = [(number.replace(",", ""), _power(scale)) for number, scale in _PART.findall(match[0])]
    powers = [power for _, power in parts]
    if len(set(powers)) < len(powers) or sorted(powers, reverse=True) != powers:
        return match[0]
    total = sum((Decimal(number).scaleb(power) for number, power in parts), Decimal(0))
    return f"{total.normalize():f} "


def _power(scale: str) -> int:
    return sum(_POWERS[char] for char in scale)


def _numerals(text: str) -> str:
    runs = [match for match in _RUN.finditer(text) if _figure(match[0]) is not None]
    several = len(runs) > 1
    keep = {match.span() for match in runs if not (several and _is_no_count(match, text))}
    return _RUN.sub(
        lambda match: f" {_figure(match[0])} " if match.span() in keep else match[0], text
    )


def _is_no_count(match: re.Match[str], text: str) -> bool:
    """A lone numeral that counts nothing: an article (一部, 一起), or part of a name (四川)."""
    if len(match[0]) > 1 or not has_han(text[match.end() : match.end() + 1]):
        return False
    return match[0] == "一" or _COUNTED.match(text, match.end()) is None


def _figure(run: str) -> str | None:
    percent = run.startswith("百分之")
    whole, _, decimals = run.removeprefix("百分之").partition("点")
    value = numeral_value(whole)
    if value is None:
        return None
    digits = "".join(str(_DIGITS[char]) for char in decimals)
    return f"{value}{'.' if digits else ''}{digits}{'%' if percent else ''}"


# Dates


def _both_days(match: re.Match[str]) -> str:
    """ "3日至5日" of a month as two of its days, for it names both."""
    return f"{match[1]}{match[2]}日 {match[1]}{match[3]}日"


def _dated(match: re.Match[str], whole: bool) -> str:
    era = match["era"] or ""
    year, month, day = (_counted(match[part]) for part in ("y", "m", "d"))
    alone = whole and match[0].strip() == match.string.strip()
    if year is None or not (era or match["m"] or year > 99 or alone):
        return match[0]
    if (match["m"] and month is None) or (match["d"] and day is None):
        return match[0]
    written = f"{year} BC" if era.endswith("前") else f"{year:04}" if year > 99 else f"AD {year}"
    if month is None:
        return f" {written} "
    if not 1 <= month <= 12:
        return f" {year:04}-{month:02}-{day or 1:02} "
    name = calendar.month_name[month]
    return f" {day} {name} {written} " if day is not None else f" {name} {written} "


def _counted(text: str | None) -> int | None:
    if not text:
        return None
    return int(text) if text.isdecimal() else numeral_value(text)
