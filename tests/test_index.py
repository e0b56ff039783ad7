"""The search index: names first, any query, one order; English and Chinese; kept in a folder."""

import json
import re
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.types import FailureError
from webfarer.web.document import Document, Paragraph, Run
from webfarer.web.index import Entry, SearchIndex


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


CHINESE = [
    Entry("/1", "北京市", "北京市是中国的首都。它位于华北平原，人口2189万。", ("北平",)),
    Entry("/2", "东京", "东京是日本的首都。它位于关东平原。"),
    Entry("/3", "约翰·史密斯", "约翰·史密斯是一位画家，出生于东京。", ("史密斯",)),
    Entry("/4", "Python 3.11 文档", "这里是Python 3.11的文档。标准库在第2页。"),
    Entry("/5", "首都", "首都是一个国家的政府所在地。"),
    Entry("/6", "Peking opera", "Peking opera (京剧) is a form of theatre from the capital."),
]


@pytest.fixture(scope="module")
def chinese() -> SearchIndex:
    return SearchIndex.build(CHINESE)


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.title)
def test_a_chinese_title_finds_its_own_page_first(chinese: SearchIndex, page: Entry):
    assert titles(chinese, page.title)[0] == page.title


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("北京市的人口是多少？", "北京市"),  # a name in a question, where no spaces are
        ("请问约翰·史密斯出生在哪里？", "约翰·史密斯"),
        ("约翰史密斯的出生地", "约翰·史密斯"),  # written without the dot
        ("北平的人口", "北京市"),  # by another name
        ("关东平原在哪", "东京"),  # words of the body
        ("Python 3.11 的文档", "Python 3.11 文档"),
        ("标准库", "Python 3.11 文档"),
        ("京剧", "Peking opera"),  # Chinese in an English page
        ("peking theatre", "Peking opera"),
        ("画家", "约翰·史密斯"),
    ],
)
def test_chinese_is_found_without_spaces(chinese: SearchIndex, query: str, first: str):
    assert titles(chinese, query)[0] == first


def test_what_is_shown_is_what_was_given(chinese: SearchIndex):
    hit = chinese.search("华北平原", 1)[0]
    assert (hit.url, hit.title) == ("/1", "北京市")
    assert hit.snippet == "它位于华北平原，人口2189万。"


def test_english_scores_know_nothing_of_chinese_in_brackets():
    """A name in brackets is one word to either, or four characters: the same length and score."""
    bracketed = [Entry(str(n), f"Page {n}", "A town (日本大阪) by the sea.") for n in range(5)]
    spelt = [Entry(str(n), f"Page {n}", "A town (Osaka) by the sea.") for n in range(5)]
    scores = [
        [hit.score for hit in SearchIndex.build(pages).search("town by the sea", 5)]
        for pages in (bracketed, spelt)
    ]
    assert scores[0] == scores[1]


@given(st.text("北京市东 a.，"), st.text("北京市东 a.，"))
def test_any_chinese_may_be_searched_for(text: str, query: str):
    hits = SearchIndex.build([Entry("/", text, text)]).search(query, 3)
    pairs = {query[i : i + 2] for i in range(len(query) - 1)}
    if any(pair in text and not set(pair) & set(" a.，") for pair in pairs):
        assert len(hits) == 1


def test_entries_and_documents_make_the_same_index(index: SearchIndex):
    again = SearchIndex.build(Entry.of(page, "https://h.example") for page in PAGES)
    assert again.search("Taren painter", 9) == index.search("Taren painter", 9)


def test_ties_come_in_order_across_segments_too(monkeypatch: pytest.MonkeyPatch):
    """A writer's least memory (15 MB) makes several segments; 30 pages of each are alike."""
    monkeypatch.setattr("webfarer.web.index._HEAP", 15_000_000)
    noise = " ".join(f"w{n}" for n in range(2000))
    pages = [
        Entry(f"/{n}", f"T{n}", "the same words" if n % 40 == 0 else f"{n} {noise[n % 7 :]}")
        for n in range(1200)
    ]
    index = SearchIndex.build(pages)
    assert [hit.url for hit in index.search("same", 25)] == [f"/{40 * n}" for n in range(25)]


# In a folder


def kept(folder: Path) -> Path:
    SearchIndex.build(CHINESE, "", folder / "index")
    return folder / "index"


def test_a_chinese_index_is_opened_again(chinese: SearchIndex, tmp_path: Path):
    again = SearchIndex.open(kept(tmp_path))
    assert again.search("日本的首都在哪里", 9) == chinese.search("日本的首都在哪里", 9)


def test_a_folder_in_use_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FailureError, match="is not empty"):
        SearchIndex.build(CHINESE, "", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("suffix", [".store", ".term", ".idx", ".fast", "meta.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_torn_index_says_so(tmp_path: Path, suffix: str, how: str):
    folder = kept(tmp_path)
    for path in folder.glob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:-7]) if how == "cut" else path.unlink()
    with pytest.raises(FailureError, match=rf"{re.escape(suffix)} is torn; build it again"):
        SearchIndex.open(folder)


def test_an_index_that_was_not_finished_says_so(tmp_path: Path):
    folder = kept(tmp_path)
    (folder / "webfarer-index.json").unlink()
    with pytest.raises(FailureError, match="none was finished there"):
        SearchIndex.open(folder)
    (folder / "webfarer-index.json").write_text('{"format": 2, "fi')
    with pytest.raises(FailureError, match="is not readable"):
        SearchIndex.open(folder)


def test_an_index_of_another_form_is_refused(tmp_path: Path):
    mark = kept(tmp_path) / "webfarer-index.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"format": 1}))
    with pytest.raises(FailureError, match="it has form 1, this version reads 2; build it again"):
        SearchIndex.open(mark.parent)
