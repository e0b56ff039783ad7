"""The extractive reader: what of a page it quotes for a goal, and that it keeps to its budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.tools.reader import (
    ExtractiveReader,
    Passage,
    count_words,
    fit,
    passages,
    plain,
    shorten,
    stem,
)
from webfarer.types import Page

TEXT = """# The Long Harbour

| Director | [Orla Venn](https://w.test/wiki/Orla_Venn) |
|---|---|
| Released | 4 March 1912 |
| Length | 1,204 km |

The Long Harbour is a film by J. R. Bel of St. Ives. It won the [Prize. Of Port
Vale](https://w.test/wiki/Prize_(film)) twice. Critics liked it.

## Cast

- [Tam Ros](https://w.test/wiki/Tam_Ros)
- [Ana Bel](https://w.test/wiki/Ana_Bel)

## Weather

1. It rained in the harbour.
2. Born in rain: Lou Reed.
"""
PAGE = Page("https://w.test/wiki/The_Long_Harbour", "The Long Harbour", TEXT)


def read(goal: str, limit: int = 200, page: Page = PAGE, **settings) -> list[str]:
    return ExtractiveReader(**settings).extract(page, goal, limit, count_words).split("\n")


def test_a_page_in_passages() -> None:
    found = passages(PAGE)
    assert found[0] == Passage(
        "Director: [Orla Venn](https://w.test/wiki/Orla_Venn)", "", "Director"
    )
    assert [part.text for part in found[3:6]] == [
        "The Long Harbour is a film by J. R. Bel of St. Ives.",
        "It won the [Prize. Of Port Vale](https://w.test/wiki/Prize_(film)) twice.",
        "Critics liked it.",
    ]
    assert found[6] == Passage("[Tam Ros](https://w.test/wiki/Tam_Ros)", "Cast")
    assert found[-1] == Passage("Born in rain: Lou Reed.", "Weather", "Born in rain")
    assert len(found) == 10


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("director", "directed"), ("directs", "direction"), ("composer", "composition"),
        ("founded", "foundation"), ("cities", "city"), ("born", "birth"), ("died", "death"),
        ("located", "location"), ("writer", "wrote"), ("wife", "spouse"), ("painting", "painters"),
    ],
)  # fmt: skip
def test_stems_that_meet(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("prize", "price"), ("city", "cite"), ("film", "fill")])
def test_stems_that_do_not_meet(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("goal", "first"),
    [
        (
            "Who directed The Long Harbour?",
            "- Director: [Orla Venn](https://w.test/wiki/Orla_Venn)",
        ),
        ("when was it released", "- Released: 4 March 1912"),
        ("length in km", "- Length: 1,204 km"),
        ("1204", "- Length: 1,204 km"),
        (
            "prizes won",
            "- It won the [Prize. Of Port Vale](https://w.test/wiki/Prize_(film)) twice.",
        ),
        ("ORLA", "- Director: [Orla Venn](https://w.test/wiki/Orla_Venn)"),
    ],
)
def test_the_best_passage_comes_first_below_the_title(goal: str, first: str) -> None:
    assert read(goal)[:2] == ["# The Long Harbour", first]


def test_a_heading_brings_its_list() -> None:
    assert read("the cast of the film", cutoff=0.3)[1:4] == [
        "## Cast",
        "- [Tam Ros](https://w.test/wiki/Tam_Ros)",
        "- [Ana Bel](https://w.test/wiki/Ana_Bel)",
    ]


def test_irrelevant_passages_are_dropped_once_there_is_a_relevant_one() -> None:
    assert len(read("release date")) == 2
    assert len(read("release date", cutoff=0.0)) == 10  # the title, the best eight, a heading


def test_nothing_relevant_gives_the_start_of_the_page() -> None:
    lines = read("xyzzy")
    assert lines[1] == "- Director: [Orla Venn](https://w.test/wiki/Orla_Venn)"
    assert read("The Long Harbour") == lines  # the title says nothing about which passage
    assert len(lines) == 13  # title, ten passages, two headings


def test_links_can_be_left_out() -> None:
    assert read("director", links=False)[1] == "- Director: Orla Venn"


def test_a_tight_budget_shortens_the_best_passage_between_words() -> None:
    page = Page("u", "T", "A " + "very " * 50 + "long [sentence](https://w.test/a) on rain.")
    text = ExtractiveReader().extract(page, "rain", 20, count_words)
    assert text.startswith("# T\nA very very")
    assert text.endswith(" …")
    assert count_words(text) <= 20


def test_link_targets_go_before_words() -> None:
    page = Page("u", "T", "By [Orla Venn](https://w.test/wiki/a/b/c/d/e/f/g/h/Orla_Venn).")
    assert ExtractiveReader().extract(page, "by whom", 12, count_words) == "# T\nBy Orla Venn."


async def test_a_page_without_passages_is_its_title() -> None:
    assert await ExtractiveReader().read(Page("u", "T", "# T"), "x", 50, count_words) == "# T"


def test_shorten_and_fit() -> None:
    def at_most(size: int):
        return lambda text: len(text) <= size

    assert shorten("one two three", at_most(13)) == "one two three"
    assert shorten("one two three", at_most(9)) == "one two …"
    assert shorten("https://w.test/a/long/address", at_most(9)) == ""
    assert shorten("漢字漢字漢字", at_most(4)) == "漢字 …"
    assert fit("a b\nc d", 5, len) == "a b"
    assert plain("a [b](https://x.y/z_(w)) c") == "a b c"


COUNTERS = st.sampled_from(
    [count_words, len, lambda text: len(text.encode()), lambda text: len(text.split()) * 3,
     # A counter that does not grow with its text, as merges across words make some tokenizers.
     lambda text: len(text) - 7 * (len(text) % 5 == 0)]
)  # fmt: skip
MARKDOWN = st.lists(
    st.sampled_from(
        ["# ", "- ", "| ", " |", "\n", "\n\n", "[rain", "](https://w.test/a_(b))", "]", "(",
         "Rain. ", "Born: ", "1912 ", "director ", "**", "é", "漢字", "x" * 50, "St. ",
         "1. ", "|---|"]
    ), max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(MARKDOWN | st.text(max_size=300), st.text(max_size=30) | st.just("director of rain 1912"),
       st.text(max_size=20), st.integers(0, 120), COUNTERS)  # fmt: skip
def test_the_budget_holds_for_any_page_and_counter(text, goal, title, limit, count) -> None:
    page = Page("https://w.test/x", title, text)
    assert count(ExtractiveReader().extract(page, goal, limit, count)) <= max(limit, count(""))


WORDS = st.sampled_from(["https://w.test/a/b", "(https://w.test/c)", "word", "漢字"])


@given(st.lists(WORDS, max_size=12), st.integers(0, 80))
def test_a_url_is_never_cut(words: list[str], limit: int) -> None:
    kept = shorten(" ".join(words), lambda text: len(text) <= limit).split()
    assert all("://" not in word or word in words for word in kept)
