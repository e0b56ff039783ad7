"""Words of English and Chinese: pairs, names, and what is left as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.web.words import characters, is_cjk, names_in, pairs, parted


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("北京市", ["北京", "京市"]),
        ("Python 3.11 的文档", ["的文", "文档"]),
        ("1912年3月4日", ["年", "月", "日"]),  # a lone character is its own pair
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("约翰·史密斯", ["约翰", "史密", "密斯"]),
        ("Orla Venn, café", []),
        ("", []),
    ],
)
def test_pairs(text: str, found: list[str]):
    assert list(pairs(text)) == found


def test_words_stand_apart_only_in_a_chinese_text():
    assert parted("用Python写的文档") == (" Python ", "用 写的 的文 文档")
    english = "Osaka (大阪) is a city of three million people on the sea."
    assert parted(english) == (english, "大阪")
    assert parted("Orla Venn") == ("Orla Venn", "")


@given(st.text(st.characters(exclude_categories=["Lo", "Lm", "Nl", "Cn"])))
def test_text_without_chinese_is_left_as_it_is(text: str):
    assert parted(text) == (text, "")
    assert characters(text) == text


def test_names_of_words_and_of_characters():
    assert list(names_in(["who", "is", "orla"])) == [
        ("who is orla", 40.0), ("who is", 8.0), ("is orla", 8.0),
    ]  # fmt: skip
    assert list(names_in(["在", "东", "京"])) == [
        ("在 东 京", 40.0),
        ("在 东", 4.0),
        ("东 京", 4.0),
    ]


def test_a_name_is_of_at_most_eight_words_or_sixteen_characters():
    """By hand: of 40 words runs of 2 to 8, 39 + ... + 33; of 40 characters runs of 2 to 16."""
    assert sum(1 for _ in names_in([f"w{n}" for n in range(40)])) == 1 + sum(range(33, 40))
    characters_ = [chr(0x4E00 + n) for n in range(40)]
    assert sum(1 for _ in names_in(characters_)) == 1 + sum(range(25, 40))


@pytest.mark.parametrize(
    ("word", "so"), [("北京", True), ("a北", False), ("々", True), ("·", False)]
)
def test_what_is_chinese(word: str, so: bool):
    assert is_cjk(word) is so
