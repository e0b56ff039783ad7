"""Tools: published schemas, strict arguments, budgets, typed observations, whose fault it is."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.tools import SearchTool, Toolbox, VisitTool, count_words, problem_of
from webfarer.types import Call, FailureError, Hit, Observation, Page


class FakeWeb:
    """Says what it was given; an address it does not know is not found."""

    name = "fake"

    def __init__(self, hits: Sequence[Sequence[Hit]] = (), pages: Sequence[Page] = ()) -> None:
        self.hits, self.pages = hits, {page.url: page for page in pages}
        self.asked: list[object] = []

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.asked.append((list(queries), k))
        return [list(hits) for hits in self.hits]

    async def visit(self, url: str) -> Page:
        self.asked.append(url)
        return self.pages.get(url) or Page(url, "", "", status="not_found")


ORLA = Hit("https://w.test/wiki/Orla_Venn", "Orla Venn", "Orla Venn is a novelist\nof Port Vale.")
TAM = Hit("https://w.test/wiki/Tam_Ros", "Tam Ros", "Tam Ros paints the coast in winter.")
PAGE = Page("https://w.test/a", "A", "| Director | Orla Venn |\n\nIt rained. Nobody came.")
OTHER = Page("https://w.test/b", "B", "Directed by Tam Ros. " + "Rain fell on the director. " * 30)


async def search(hits, queries: list[str], **settings) -> Observation:
    return await SearchTool(FakeWeb(hits), **settings).call({"query": queries})


async def visit(pages, url, goal: str = "director", **settings) -> Observation:
    return await VisitTool(FakeWeb(pages=pages), **settings).call({"url": url, "goal": goal})


async def test_hits_of_one_query_are_numbered() -> None:
    seen = await search([[ORLA, TAM]], ["orla"])
    assert seen.kind == "ok"
    assert seen.text == (
        "1. [Orla Venn](https://w.test/wiki/Orla_Venn)\nOrla Venn is a novelist of Port Vale.\n"
        "2. [Tam Ros](https://w.test/wiki/Tam_Ros)\nTam Ros paints the coast in winter."
    )


async def test_hits_of_several_queries_are_under_their_number() -> None:
    seen = await search([[ORLA], []], ["orla", "nothing\nthere"])
    assert seen.text.splitlines() == [
        "Query 1:",
        "1. [Orla Venn](https://w.test/wiki/Orla_Venn)",
        "Orla Venn is a novelist of Port Vale.",
        "Query 2: no results.",
    ]


async def test_a_search_without_hits_is_empty() -> None:
    seen = await search([[], []], ["x", "y"])
    assert (seen.kind, seen.text) == ("empty", "No results.")


async def test_snippets_give_way_from_the_last_hit_backwards() -> None:
    def at(limit: int) -> SearchTool:
        return SearchTool(FakeWeb([[ORLA, TAM]]), limit=limit, count=lambda text: len(text.split()))

    # 3 words a head line, 8 and 7 words of snippet: 21 in all.
    texts = {
        n: (await at(n).call({"query": ["q"]})).text.splitlines() for n in (21, 18, 14, 10, 6, 3)
    }
    assert texts[21][3] == "Tam Ros paints the coast in winter."
    assert texts[18][3] == "Tam Ros paints …"
    assert texts[14] == [*texts[21][:2], texts[21][2]]
    assert texts[10] == [texts[21][0], "Orla Venn is …", texts[21][2]]
    assert texts[6] == [texts[21][0], texts[21][2]]
    assert texts[3] == [texts[21][0]]


async def test_k_and_queries_reach_the_web() -> None:
    web = FakeWeb([[ORLA] * 5, [TAM]])
    seen = await SearchTool(web, k=2, limit=500).call({"query": [" a  b ", "c"]})
    assert web.asked == [(["a b", "c"], 2)]
    assert "3. [" not in seen.text


HITS = st.lists(
    st.lists(
        st.builds(
            Hit,
            st.from_regex(r"https://w\.test/[a-z_()/]{0,40}", fullmatch=True),
            st.text(max_size=40),
            st.text(max_size=200)
            | st.lists(st.sampled_from(["rain", "漢字", "é", "x"])).map(" ".join),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)
COUNTERS = st.sampled_from(
    [count_words, len, lambda text: len(text.encode()), lambda text: len(text.split()) * 3,
     lambda text: len(text) - 7 * (len(text) % 5 == 0)]  # does not grow with its text
)  # fmt: skip


@settings(max_examples=200)
@given(HITS, st.integers(0, 300), COUNTERS, st.text(max_size=60))
def test_an_observation_never_exceeds_its_budget(hits, limit, count, query) -> None:
    tool = SearchTool(FakeWeb(hits), k=4, limit=limit, count=count)
    text = asyncio.run(tool.call({"query": [query] * len(hits)})).text
    assert count(text) <= max(limit, count(""))
    urls = {hit.url for row in hits for hit in row}
    shown = [line.split("](", 1)[1] for line in text.split("\n") if line[:3] in ("1. ", "2. ")
             and "](https://w.test/" in line]  # fmt: skip
    assert all(any(line.endswith(f"{url})") for url in urls) for line in shown)


async def test_visit_gives_what_answers_the_goal() -> None:
    seen = await visit([PAGE], [PAGE.url])
    assert (seen.kind, seen.text) == ("ok", "# A\n- Director: Orla Venn")
    assert await visit([PAGE], PAGE.url) == seen  # one address, not in an array


@pytest.mark.parametrize("status", ["not_found", "empty", "unloadable", "refused"])
async def test_what_the_web_says_is_a_typed_line(status) -> None:
    seen = await visit([Page(PAGE.url, "", "", status=status)], [PAGE.url])
    assert seen.kind == status
    assert seen.text.endswith(".")
    assert "\n" not in seen.text


async def test_a_page_with_no_text_is_empty() -> None:
    assert (await visit([Page("u", "T", " \n")], ["u"])).kind == "empty"


async def test_of_several_pages_one_that_is_there_is_enough() -> None:
    seen = await visit([PAGE], [PAGE.url, PAGE.url, "https://w.test/none"])
    assert seen.kind == "ok"
    assert seen.text == "# A\n- Director: Orla Venn\n\nPage 3: there is no page at this address."
    assert (await visit([], ["u", "v"])).kind == "not_found"
    assert (await visit([], ["u"])).text == "There is no page at this address."


WORDS = st.text("qzQZ\u5f20", min_size=5, max_size=30)  # in nothing that webs or tools say


@given(st.lists(WORDS, min_size=1, max_size=4), st.booleans(), WORDS, st.integers(0, 200))
def test_no_observation_says_what_the_policy_wrote(words, some, name, limit) -> None:
    """Whoever asks for "Orla Venn" has not read "Orla Venn", in queries, addresses, goals, names
    of tools or of arguments."""
    web = FakeWeb([[ORLA] if some else [], *([] for _ in words[1:])], [PAGE, Page("u", "", "A")])
    tools = Toolbox([SearchTool(web, limit=limit), VisitTool(web, limit=limit)])
    urls = [f"https://w.test/{word}" for word in words] + [PAGE.url] * some
    calls = [
        Call(name="search", arguments={"query": words}),
        Call(name="visit", arguments={"url": urls, "goal": name}),
        Call(name=name, arguments={}),
        Call(name="search", arguments={"query": words, name: 1}),
        Call(name="visit", arguments={"url": [name], "goal": {name: name}}),
    ]
    for call in calls:
        text = asyncio.run(tools.run(call)).text
        assert not any(word in text for word in (*words, name))


async def test_a_page_without_a_title_is_not_called_by_its_address() -> None:
    url = "https://w.test/page?for=Orla_Venn"
    seen = await visit([Page(url, "", "Directed by Tam Ros.")], [url])
    assert seen.text == "# Untitled page\n- Directed by Tam Ros."


async def test_several_pages_share_the_budget_and_pass_on_what_is_left() -> None:
    limit = 60
    both = (await visit([PAGE, OTHER], [PAGE.url, OTHER.url], limit=limit)).text
    first, second = both.split("\n\n")
    assert count_words(both) <= limit
    assert count_words(first) < limit // 2 < count_words(second)


async def test_an_address_given_twice_is_opened_once() -> None:
    web = FakeWeb(pages=[PAGE])
    await VisitTool(web).call({"url": [PAGE.url, PAGE.url], "goal": "x"})
    assert web.asked == [PAGE.url]


async def test_a_reader_that_says_too_much_is_held_to_the_budget() -> None:
    class Chatty:
        async def read(self, page, goal, limit, count) -> str:
            return "word " * 1000

    assert count_words((await visit([PAGE], [PAGE.url], reader=Chatty(), limit=50)).text) <= 50


URLS = st.sampled_from([PAGE.url, OTHER.url, "https://w.test/none"])


@given(st.lists(URLS, min_size=1, max_size=6), st.integers(0, 120), COUNTERS)
def test_a_visit_never_exceeds_its_budget(urls, limit, count) -> None:
    seen = asyncio.run(visit([PAGE, OTHER], urls, limit=limit, count=count))
    assert count(seen.text) <= max(limit, count(""))


def box() -> Toolbox:
    web = FakeWeb([[ORLA]], [PAGE])
    return Toolbox([SearchTool(web), VisitTool(web)])


def test_schemas_are_the_published_ones() -> None:
    schemas = box().schemas()
    functions = [schema["function"] for schema in schemas]
    assert [function["name"] for function in functions] == ["search", "visit"]
    assert all(schema["type"] == "function" for schema in schemas)
    found, opened = (function["parameters"] for function in functions)
    assert found["required"] == ["query"]
    assert found["properties"]["query"]["type"] == "array"
    assert found["properties"]["query"]["items"]["type"] == "string"
    assert opened["required"] == ["url", "goal"]
    assert opened["properties"]["url"]["type"] == "array"
    assert opened["properties"]["goal"]["type"] == "string"


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("search", {}, "query is missing"),
        ("search", {"query": "orla"}, "query must be an array"),
        ("search", {"query": []}, "at least 1 item"),
        ("search", {"query": [""]}, "query[0] is empty"),
        ("search", {"query": ["  "]}, "query[0] is empty"),
        ("search", {"query": [1]}, "query[0] must be a string"),
        ("search", {"query": ["x"] * 11}, "at most 10 items, not 11"),
        ("search", {"query": ["x"], "k": 3}, "may have only query"),
        ("search", {"query": ["\ud800"]}, "query[0] is not Unicode"),
        ("search", {"query": ["x" * 1001]}, "at most 1000 characters"),
        ("search", {"query": None}, "query must be an array"),
        ("visit", {"url": ["u"]}, "goal is missing"),
        ("visit", {"goal": "g"}, "url is missing"),
        ("visit", {"url": [], "goal": "g"}, "at least 1 item"),
        ("visit", {"url": "", "goal": "g"}, "url[0] is empty"),
        ("visit", {"url": ["u"], "goal": ["g"]}, "goal must be a string"),
        ("visit", {"url": ["u"], "goal": " "}, "goal is empty"),
        ("visit", {"url": {"a": "u"}, "goal": "g"}, "url must be an array"),
        ("visit", {"url": [True], "goal": "g"}, "url[0] must be a string"),
    ],
)
async def test_bad_arguments_are_observed_with_a_reason(name, arguments, reason) -> None:
    call = Call(name=name, arguments=arguments)
    found = box().problem(call)
    assert found is not None
    assert found[0] == "bad_arguments"
    assert reason in found[1]
    assert "\n" not in found[1]
    assert await box().run(call) == Observation.of(found[1], "bad_arguments")


async def test_an_unknown_tool_is_observed() -> None:
    seen = await box().run(Call(name="calc\ud800\n" * 30, arguments={}))
    assert seen.kind == "unknown_tool"
    assert seen.text.isascii()
    assert "\n" not in seen.text
    assert seen.text.endswith("Tools: search, visit.")
    assert len(seen.text) < 200


async def test_a_good_call_runs() -> None:
    assert box().problem(Call(name="visit", arguments={"url": "u", "goal": "g"})) is None
    seen = await box().run(Call(name="search", arguments={"query": ["orla"]}))
    assert seen.text.startswith("1. [Orla Venn]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


NAMES = st.sampled_from(["search", "visit", "Search", ""]) | st.text(st.characters(), max_size=9)
KEYS = st.sampled_from(["query", "url", "goal"]) | st.text(max_size=5)


@given(NAMES, st.dictionaries(KEYS, JSON, max_size=4))
def test_nothing_a_policy_writes_raises(name, arguments) -> None:
    toolbox, call = box(), Call(name=name, arguments=arguments)
    seen = asyncio.run(toolbox.run(call))
    assert (seen.kind in ("unknown_tool", "bad_arguments")) == (toolbox.problem(call) is not None)


class Broken(SearchTool):
    def __init__(self, error: BaseException) -> None:
        super().__init__(FakeWeb())
        self.error = error

    async def call(self, arguments) -> Observation:
        raise self.error


async def test_a_crash_of_a_tool_is_our_failure_never_an_observation() -> None:
    call = Call(name="search", arguments={"query": ["q"]})
    with pytest.raises(FailureError, match=r"search raised KeyError: 'x'") as caught:
        await Toolbox([Broken(KeyError("x"))]).run(call)
    assert caught.value.kind == "tool"
    with pytest.raises(FailureError, match="index gone") as caught:
        await Toolbox([Broken(FailureError("search", "index gone"))]).run(call)
    assert caught.value.kind == "search"
    with pytest.raises(asyncio.CancelledError):
        await Toolbox([Broken(asyncio.CancelledError())]).run(call)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="search"):
        Toolbox([SearchTool(FakeWeb()), SearchTool(FakeWeb())])


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"type": "integer"}, 3, True), ({"type": "integer"}, True, False),
        ({"type": "integer"}, 3.0, False), ({"type": "integer"}, "3", False),
        ({"type": "number"}, 3, True), ({"type": "number"}, 0.5, True),
        ({"type": "boolean"}, True, True), ({"type": "boolean"}, 1, False),
        ({"type": "string", "enum": ["a"]}, "b", False), ({"type": "string"}, "", True),
        ({"type": "array"}, [1, "x"], True), ({"type": "object"}, {"a": 1}, True),
        ({"type": "object", "additionalProperties": False}, {"a": 1}, False),
    ],
)  # fmt: skip
def test_types_are_strict(schema, value, fits: bool) -> None:
    assert (problem_of(schema, value) is None) is fits
