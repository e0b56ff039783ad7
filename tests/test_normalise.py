"""Normalisation, dates, numbers: what counts as the same writing. Values are worked out by hand."""

import calendar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.grade.dates import PartialDate, find_dates, parse_date
from webfarer.grade.normalise import fold, normalise, words
from webfarer.grade.numbers import find_quantities, parse_quantity, same_quantity
from webfarer.grade.units import units

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates included


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Long Harbour", "long harbour"),
        ("children 's picture book", "Children’s Picture Book"),
        ("U.S.", "US"),
        ("J. K. Rowling", "J.K. Rowling"),
        ("Jean-Luc", "jean luc"),
        ("ＮＨＫ", "nhk"),
        ("the `` Sole Survivor ''", "Sole Survivor"),
        ("Tullahoma , Tennessee", "tullahoma, tennessee"),
        ("Straße", "STRASSE"),
        ("zero\u200bwidth", "zerowidth"),
        ("1,204", "1204"),
        ("A Farewell to Arms", "farewell to arms"),
        ("Kamakawiwoʻole", "Kamakawiwo'ole"),
    ],
)
def test_written_differently_and_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.2.3", "123"), ("C++", "C"), ("C#", "C"), ("Vitamin A", "Vitamin"),
        ("A. Venn", "Venn"), ("Orla Venn II", "Orla Venn"), ("が", "か"), ("й", "и"),
    ],
)  # fmt: skip
def test_alike_and_not_the_same(one: str, other: str) -> None:
    assert fold(normalise(one)) != fold(normalise(other))


def test_accents_are_folded_apart_from_normalising() -> None:
    assert normalise("Purandara Dāsa") == "purandara dāsa"
    assert fold(normalise("Purandara Dāsa")) == "purandara dasa"
    assert fold(normalise("Łódź Ærø")) == "lodz aero"


def test_nothing_but_articles_or_marks_is_kept() -> None:
    assert normalise("The") == "the"
    assert normalise("☕ !") == "☕ !"
    assert normalise("") == ""


@given(ANY_TEXT)
def test_normalising_never_raises_and_covers_the_text(text: str) -> None:
    assert all(word.norm for word in words(text))
    assert bool(normalise(text)) or not any(char.isalnum() for char in text)


DAY = PartialDate(1912, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "4 March 1912", "4th of March, 1912", "March 4, 1912", "March 4th 1912", "Mar. 4 1912",
        "1912-03-04", "04-Mar-1912", "Monday, 4 March 1912", "on the 4th of March 1912.",
        "1912-03-04T00:00:00Z", "1912, March 4", "4 MARCH 1912", "1912/03/04",
    ],
)  # fmt: skip
def test_a_day_in_many_forms(text: str) -> None:
    assert parse_date(text) == DAY


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("March 1912", PartialDate(1912, 3)), ("Sept. 1912", PartialDate(1912, 9)),
        ("1912-03", PartialDate(1912, 3)), ("1912", PartialDate(1912)),
        ("c. 1912", PartialDate(1912)), ("44 BC", PartialDate(-43)), ("AD 43", PartialDate(43)),
        ("15 March 44 BC", PartialDate(-43, 3, 15)), ("-0043", PartialDate(-43)),
        ("13/03/1912", PartialDate(1912, 3, 13)), ("3/13/1912", PartialDate(1912, 3, 13)),
        ("03/03/1912", PartialDate(1912, 3, 3)), ("29 February 2000", PartialDate(2000, 2, 29)),
        ("15 December 37", PartialDate(37, 12, 15)), ("987", PartialDate(987)),
        ("January 99", PartialDate(99, 1)),
    ],
)  # fmt: skip
def test_precision_and_era(text: str, date: PartialDate) -> None:
    assert parse_date(text) == date


@pytest.mark.parametrize(
    "text",
    [
        "04/03/1912", "31 February 1912", "29 February 1900", "12th century", "1910s", "1912-15",
        "1912–1915", "1911-1912", "on March 12", "soon", "", "1,204", "4 March 1912, 5 March 1912",
    ],
)  # fmt: skip
def test_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_dates_in_a_sentence() -> None:
    found = find_dates("Born on 4 March 1912, she left in May 1930 (or 04/03/1930).")
    assert found.dates == (DAY, PartialDate(1930, 5))
    assert found.unreadable == ("04/03/1930",)


@given(ANY_TEXT)
def test_reading_dates_and_numbers_never_raises(text: str) -> None:
    find_dates(text), parse_date(text), find_quantities(text), parse_quantity(text)


@given(st.dates())
def test_every_date_is_read_back(date) -> None:
    want = PartialDate(date.year, date.month, date.day)
    name = calendar.month_name[date.month]
    forms = (date.isoformat(), f"{date.day} {name} {date.year}", f"{name} {date.day}, {date.year}")
    assert all(parse_date(form) == want for form in forms)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,204", 1204), ("1 204", 1204), ("1\u202f204", 1204), ("1.2 million", 1.2e6),
        ("1.2e6", 1.2e6), ("1.2 × 10⁶", 1.2e6), ("3x10^-2", 0.03), ("twenty-six", 26),
        ("five hundred and two", 502), ("two million", 2e6), ("nineteen hundred", 1900),
        ("-5", -5), ("−5", -5), ("about 12", 12), ("12 films", 12), ("1e+22", 1e22),
        ("-0.25", -0.25), ("34.749271", 34.749271), ("0", 0), ("zero", 0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    found = parse_quantity(text)
    assert found is not None
    assert found.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "dimension", "base"),
    [
        ("1,204 km", "length", 1_204_000), ("1204 kilometres", "length", 1_204_000),
        ("5 ft 11 inches", "length", 1.8034), ("952.63 km²", "area", 952.63e6),
        ("10 ha", "area", 1e5), ("2 h 30 min", "time", 9000), ("ninety minutes", "time", 5400),
        ("55 percent", "share", 55), ("$5", "US dollars", 5), ("US$ 5 million", "US dollars", 5e6),
        ("€5", "euros", 5), ("100 MHz", "frequency", 1e8), ("0 °C", "temperature", 273.15),
        ("32 °F", "temperature", 273.15), ("100-metre", "length", 100),
        ("3 years.", "time", 94670856),
    ],
)  # fmt: skip
def test_quantities(text: str, dimension: str, base: float) -> None:
    found = parse_quantity(text)
    assert found is not None
    assert found.unit is not None
    assert found.unit.dimension == dimension
    assert found.base == pytest.approx(base, rel=1e-9)


@pytest.mark.parametrize("text", ["10–12", "1.2.3", "", "none", "swlb-403", "9" * 400, "1 204,5"])
def test_no_one_number(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("12", "12", True), ("12.4", "12", False), ("9,999", "9,998", False),
        ("45,961", "45,960", True), ("46,000", "45,960", False),  # 22.98 is 0.05%
        ("1,234,567", "1.2 million", True), ("1,260,000", "1.2 million", False),
        ("1.754 m", "1.75 m", True), ("1.8 m", "1.75 m", False), ("1.75", "1.75 m", True),
        ("748 miles", "1,204 km", True), ("770 miles", "1,204 km", False),  # 1,203.8 and 1,239.2
        ("1,204 kg", "1,204 km", False), ("1204 m", "1204 km", False), ("€5", "$5", False),
        ("5", "$5", True), ("3 years", "3", True), ("24 h", "1 day", True),
        ("20 °C", "68 °F", True), ("293 K", "20 °C", False),  # "K" alone is no unit: 293 is not 20
    ],
)  # fmt: skip
def test_when_a_number_is_the_gold_number(answer: str, gold: str, same: bool) -> None:
    said, wanted = parse_quantity(answer), parse_quantity(gold)
    assert said is not None
    assert wanted is not None
    assert same_quantity(said, wanted) is same


@settings(max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_back_as_written(number: float) -> None:
    found = parse_quantity(repr(number))
    assert found is not None
    assert same_quantity(found, found)
    assert found.value == pytest.approx(number, rel=1e-12, abs=5e-324)


def test_every_unit_is_read_in_every_spelling() -> None:
    for spelling, unit in units().items():
        found = parse_quantity(f"7 {spelling}") if spelling[-1] != "$" else None
        assert found is None or found.unit == unit, spelling
