"""The search index: names first, any query, one order, snippets of whole words."""

import re
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.types import FailureError
from webfarer.web.document import Document, Paragraph, Run
from webfarer.web.index import SearchIndex, snippet


def document(title: str, text: str, *aliases: str) -> Document:
    return Document(f"/{title}", title, aliases=aliases, lead=(Paragraph((Run(text),)),))


PAGES = [
    document("Taren Vollis", "Taren Vollis is a painter. Taren Vollis knew Taren Vollin."),
    document("Taren Vollin", "Taren Vollin is a painter. " + "Taren Vollis and he met. " * 20),
    document("Vollis", "Vollis is a town where Taren Vollis was born.", "Old Vollis"),
    document("Category: Painter", "Taren Vollin, Taren Vollis, Taren Vollis"),
    document("Café Zoë", "A café that was opened in 1912 by happy people."),
    *(document(f"Twin {n}", "The same words on every page.") for n in range(20)),
]


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    return SearchIndex.build(PAGES, "https://h.example")


def titles(index: SearchIndex, query: str, k: int = 3) -> list[str]:
    return [hit.title for hit in index.search(query, k)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_a_label_finds_its_own_page_first(index: SearchIndex, page: Document):
    assert titles(index, page.title)[0] == page.title


def test_names_are_found_within_a_query_and_by_alias(index: SearchIndex):
    assert titles(index, "Where was Taren Vollin born?")[0] == "Taren Vollin"
    assert titles(index, "taren VOLLIS's birthplace")[0] == "Taren Vollis"
    assert titles(index, "old vollis")[0] == "Vollis"
    assert titles(index, "cafe zoe")[0] == "Café Zoë"
    assert titles(index, "who opens cafes")[0] == "Café Zoë"  # stems


def test_hits_carry_absolute_urls_and_falling_scores(index: SearchIndex):
    hits = index.search("painter", 5)
    assert hits[0].url.startswith("https://h.example/")
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("query", ['"()[]{}:^~*\\/+-!&|', "", "   ", "🐝", "\ud800", "\0"])
def test_a_query_without_words_finds_nothing(index: SearchIndex, query: str):
    assert index.search(query, 3) == []


@pytest.mark.parametrize("query", ['title:"Vollis', "a AND (b OR", "vollis^9 ~", "* vollis [1 TO"])
def test_syntax_is_only_words(index: SearchIndex, query: str):
    words = " ".join(re.findall(r"\w+", query))
    assert index.search(query, 3) == index.search(words, 3)


@given(st.text(), st.integers(-1, 30))
def test_any_text_may_be_searched_for(text: str, k: int):
    assert len(_index().search(text, k)) <= max(0, k)


@lru_cache
def _index() -> SearchIndex:
    return SearchIndex.build(PAGES)


def test_long_queries_are_searched(index: SearchIndex):
    assert titles(index, "Taren Vollin " + "word " * 5000)[0] == "Taren Vollin"


def test_ties_come_in_the_order_of_the_documents(index: SearchIndex):
    assert titles(index, "same words", 7) == [f"Twin {n}" for n in range(7)]


def test_an_index_in_a_folder_answers_as_one_in_memory(index: SearchIndex, tmp_path: Path):
    SearchIndex.build(PAGES, "https://h.example", tmp_path / "index")
    again = SearchIndex.open(tmp_path / "index")
    assert len(again) == len(index) == len(PAGES)
    assert again.search("Taren painter", 9) == index.search("Taren painter", 9)


def test_an_index_that_is_not_there_is_a_failure_of_ours(tmp_path: Path):
    with pytest.raises(FailureError, match="no index can be read"):
        SearchIndex.open(tmp_path)


def test_an_empty_index_finds_nothing():
    assert SearchIndex.build([]).search("anything", 3) == []


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
