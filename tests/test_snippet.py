"""Snippets: the part that says most, short, of whole words; in Chinese of whole sentences."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.web.snippet import snippet


def test_a_snippet_is_the_line_that_says_most():
    body = "Orla is a poet.\nBorn: 4 March 1912\nOrla was happily married in Karsk.\nEnd."
    assert snippet(body, {"born": 2.0}).startswith("Born: 4 March 1912; Orla was")
    assert snippet(body, {"happi": 2.0, "orla": 0.1}).startswith("Orla was happily")
    assert snippet(body, {"nothing": 1.0}).startswith("Orla is a poet. Born")


def test_a_snippet_of_an_empty_body_is_empty():
    assert snippet("", {"a": 1.0}) == ""


@given(st.lists(st.from_regex(r"\A[a-z]{1,12}[.,]?\Z"), max_size=120), st.sampled_from(" \n"))
def test_a_snippet_is_short_and_cuts_no_word(words: list[str], space: str):
    text = snippet(space.join(words), {"ab": 1.0, "x": 1.0})
    assert len(text) <= 160
    shown = {word.rstrip(".,;") for word in text.split()} - {""}
    assert shown <= {word.rstrip(".,") for word in words}


def test_a_match_far_into_a_sentence_is_shown():
    text = snippet("word " * 200 + "needle in here", {"needl": 1.0})
    assert "needle" in text
    assert text.startswith("... word")


def by_definition(body: str, weights: dict[str, float]) -> str:
    """The first forty characters of the line or sentence with the greatest weight, by regular
    expressions over every sentence: another way to the same place."""
    loose = {stem: re.escape(stem[:-1] if len(stem) > 3 and stem[-1] in "ie" else stem)
             for stem in sorted(weights, key=len, reverse=True)}  # fmt: skip
    pattern = re.compile(rf"\b({'|'.join(loose.values())})\w*", re.IGNORECASE)
    best, most = "", -1.0
    for sentence in re.split(r"\n|(?<=[.!?]) +(?=[^\W\d_a-z])", body):
        found = {match[1].lower() for match in pattern.finditer(sentence)}
        weight = sum(weights.get(stem, 0.1) for stem in found)
        if sentence and weight > most + 1e-9:
            best, most = sentence, weight
    return best.strip()[:40].rstrip(" ,;:")


TEXT = "art Artist is this happy poet Poetry of the Karsk born 4 end."
WORDS = st.sampled_from(TEXT.split())
BODIES = st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", "\n"])), min_size=1, max_size=60)
STEMS = st.sampled_from(["art", "artist", "is", "happi", "poet", "poetri", "of", "karsk", "4"])


@given(BODIES, st.dictionaries(STEMS, st.floats(0.2, 9), min_size=1))
def test_a_snippet_starts_where_the_weight_is_greatest(pairs, weights):
    body = "".join(word + space for word, space in pairs)
    expected = by_definition(body, weights)
    text = snippet(body, weights)
    assert text.removeprefix("... ").startswith(expected[:10]) or len(expected) == 40


def test_a_chinese_snippet_is_the_sentence_that_says_most():
    body = "奥拉是诗人。她于1912年生于卡尔斯克！后来她结婚了。\n配偶：文恩\n结束"
    assert snippet(body, {"卡尔": 2.0}).startswith(
        "她于1912年生于卡尔斯克！后来她结婚了。配偶：文恩"
    )
    assert snippet(body, {"结婚": 2.0}) == "后来她结婚了。配偶：文恩；结束"
    assert snippet(body, {"诗人": 2.0, "1912": 3.0}).startswith("她于1912年")
    assert snippet("他说：“走吧。”然后走了。", {"然后": 1.0}) == "然后走了。"


def test_chinese_is_cut_between_any_two_characters():
    text = snippet("这是一句很长的话" * 40, {"一句": 1.0})
    assert len(text) == 160
    assert text.startswith("这是一句")
    assert text.endswith("这是 ...") or text.endswith("话 ...") or re.search(r"\w \.\.\.$", text)


def test_a_chinese_match_far_into_a_sentence_is_shown():
    text = snippet("字" * 3000 + "针眼" + "字" * 300, {"针眼": 1.0})
    assert "针眼" in text
    assert text.startswith("... 字")
    assert len(text) <= 160


@pytest.mark.parametrize("body", ["a" * 300_000, "的" * 300_000, "of " * 100_000, "。" * 300_000])
def test_long_runs_are_read_in_a_straight_line(body: str):
    """No assertion on time: with a quadratic search the suite would not end."""
    assert len(snippet(body, {"a": 1.0, "aa": 1.0, "的的": 1.0, "of": 2.0, "off": 1.0})) <= 160


@given(st.text("的a 。.\n1B，"), st.sampled_from(["的的", "a", "1"]))
def test_a_snippet_of_anything_is_short(body: str, stem: str):
    assert len(snippet(body, {stem: 1.0}, 20)) <= 20


def test_blank_lines_are_one_break():
    body = "# Event Loop\n\nSource code\n\n\n- asyncio runs tasks"
    assert snippet(body, {"event": 1.0}) == "# Event Loop; Source code; - asyncio runs tasks"
