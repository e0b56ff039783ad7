"""The tag format: exact about what it accepts, and no text can make it raise."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.policy import tags
from webfarer.types import Call

PUBLISHED = (
    Path(__file__).parents[2] / "shared" / "data" / "tongyi" / "webdancer_trajectories.jsonl"
)
SEARCH = Call(name="search", arguments={"query": ["Orla Venn", "東京"]})
THINK = "<think>t</think>"
CALL = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'


def test_write_gives_the_published_layout():
    assert tags.write("Look it up.", SEARCH) == (
        "<think>\nLook it up.\n</think>\n<tool_call>\n"
        '{"name": "search", "arguments": {"query": ["Orla Venn", "東京"]}}\n</tool_call>'
    )
    assert tags.write("Found.", "1912") == ("<think>\nFound.\n</think>\n<answer>\n1912\n</answer>")


def test_write_compact_has_no_line_breaks():
    assert tags.write("t", "1912", compact=True) == "<think>t</think><answer>1912</answer>"
    assert tags.write("t", Call(name="f", arguments={}), compact=True) == (
        '<think>t</think><tool_call>{"name": "f", "arguments": {}}</tool_call>'
    )


def test_read_accepts_a_call_and_an_answer():
    parsed = tags.read(f" \n{THINK}\n {CALL}")
    assert parsed.call == Call(name="search", arguments={})
    assert (parsed.thought, parsed.answer, parsed.problem) == ("t", None, None)
    parsed = tags.read("<think></think><answer> 4 March 1912\n</answer>")
    assert (parsed.thought, parsed.answer, parsed.call) == ("", "4 March 1912", None)


@pytest.mark.parametrize(
    "after",
    [
        " and more",
        "\n<tool_response>\nThe answer is 42.\n</tool_response>\n<think>",
        "<answer>42</answer>",
        ">\n\n",
        CALL,
    ],
)
def test_what_follows_the_first_call_is_cut_never_accepted(after: str):
    parsed = tags.read(THINK + CALL + after)
    assert parsed.text == THINK + CALL
    assert parsed.call == Call(name="search", arguments={})
    assert parsed.problem is None


@pytest.mark.parametrize(
    "text",
    [
        f"{THINK}<tool_response>hit</tool_response><answer>42</answer>",
        "<think>so <tool_response>hit</tool_response></think><answer>42</answer>",
        f'{THINK}<tool_call>{{"name": "a", "arguments": {{"x": "<tool_response>"}}}}</tool_call>',
        f"{THINK}</tool_response>{CALL}",
        "<tool_response>",
    ],
)
def test_an_observation_the_model_wrote_itself_is_never_accepted(text: str):
    parsed = tags.read(text)
    assert parsed.problem == "wrote an observation itself"
    assert parsed.call is None
    assert parsed.answer is None
    assert "tool_response" not in parsed.text


PROBLEMS = {
    "": "wrote nothing",
    " \n": "wrote nothing",
    CALL: "does not begin with <think>",
    f"Sure. {THINK}{CALL}": "does not begin with <think>",
    f"</think>{THINK}{CALL}": "does not begin with <think>",
    "<think>and so on": "<think> is not closed",
    "<think><think></think>": "<think> inside the thought",
    f"<think>I will write <answer></think>{CALL}": "<answer> inside the thought",
    f"<think>{CALL}</think>": "<tool_call> inside the thought",
    THINK: "neither a call nor an answer after the thought",
    f"{THINK} so it is 1912": "neither a call nor an answer after the thought",
    f"{THINK}{THINK}{CALL}": "<think> after the thought",
    f"{THINK}</tool_call>": "</tool_call> after the thought",
    f"{THINK} so {CALL}": "text between </think> and <tool_call>",
    f"{THINK}<answer>1912": "<answer> is not closed",
    f'{THINK}<tool_call>{{"name": ': "<tool_call> is not closed",
    f"{THINK}<answer>1<tool_call>": "both a call and an answer",
    f"{THINK}<tool_call>{{}}</answer>": "both a call and an answer",
    f"{THINK}<answer>1<think></answer>": "<think> inside <answer>",
    f"{THINK}<answer><answer>1</answer>": "<answer> inside <answer>",
    f"{THINK}<answer> \n</answer>": "the answer is empty",
}  # fmt: skip

BODIES = {
    "": "the call is not JSON: Expecting value at character 0",
    "search(x)": "the call is not JSON: Expecting value at character 0",
    "{'name': 'f'}": "the call is not JSON: Expecting property name enclosed in double quotes",
    '{"name": "f", "arguments": {}} so': "the call is not JSON: Extra data at character 31",
    '{"name": "f", "arguments": {}}\n{"name": "f", "arguments": {}}': "Extra data",
    '[{"name": "f", "arguments": {}}]': "the call is not a JSON object",
    "null": "the call is not a JSON object",
    '{"name": "f"}': "the call's keys are not exactly name and arguments",
    '{"name": "f", "arguments": {}, "id": 1}': "not exactly name and arguments",
    '{"name": 1, "arguments": {}}': "the call's name is not a text",
    '{"name": "", "arguments": {}}': "the call's name is not a text",
    '{"name": "f", "arguments": "{}"}': "the call's arguments are not an object",
    '{"name": "f", "arguments": null}': "the call's arguments are not an object",
    '{"name": "f", "name": "g", "arguments": {}}': "the call gives one key twice",
    '{"name": "f", "arguments": {"a": [{"x": 1, "x": 1}]}}': "the call gives one key twice",
    '{"name": "f", "arguments": {"x": NaN}}': "a number that JSON does not have",
    '{"name": "f", "arguments": {"x": -Infinity}}': "a number that JSON does not have",
    '{"name": "f", "arguments": {"x": 1e999}}': "a number that JSON does not have",
    '{"name": "f", "arguments": {"x": %s}}' % ("9" * 5000): "not JSON that can be kept",
    '{"name": "f", "arguments": {"x": "\\ud800"}}': "half a surrogate pair",
    '{"name": "f", "arguments": {"x": "\n"}}': "the call is not JSON: Invalid control character",
    '{"name": "f", "arguments": {"x": %s}}' % ("[" * 40 + "]" * 40): "nested too deeply",
    "[" * 100_000: "not JSON that can be kept",
}


@pytest.mark.parametrize(("text", "problem"), PROBLEMS.items())
def test_each_malformed_turn_has_its_one_line(text: str, problem: str):
    parsed = tags.read(text)
    assert parsed.problem == problem
    assert parsed.call is None
    assert parsed.answer is None


@pytest.mark.parametrize(("body", "problem"), BODIES.items())
def test_each_malformed_call_has_its_one_line(body: str, problem: str):
    parsed = tags.read(f"{THINK}<tool_call>{body}</tool_call>")
    assert parsed.problem is not None
    assert problem in parsed.problem
    assert "\n" not in parsed.problem
    assert parsed.call is None
    assert parsed.thought == "t"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(tags.TAGS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CALLS = st.builds(
    Call, name=st.text(min_size=1), arguments=st.dictionaries(st.text(), JSON_VALUES, max_size=3)
)


SAID = st.text().map(str.strip).filter(lambda text: not any(tag in text for tag in tags.TAGS))


@given(SAID, CALLS, st.booleans())
def test_what_is_written_is_read_back(thought: str, call: Call, compact: bool):
    text = tags.write(thought, call, compact=compact)
    assert tags.read(text) == tags.Parsed(text, thought, call=call)


@given(SAID, SAID.filter(bool), st.booleans())
def test_an_answer_is_read_back(thought: str, answer: str, compact: bool):
    text = tags.write(thought, answer, compact=compact)
    assert tags.read(text) == tags.Parsed(text, thought, answer=answer)


@pytest.mark.parametrize(
    ("thought", "action"),
    [
        ("so </think> it", "1912"),
        ("so</think><answer>1911</answer>", "1912"),
        ("t", "1911</answer>"),
        ("t", "<answer>"),
        ("t", " "),
        ("t", Call(name="f", arguments={"x": float("nan")})),
        ("t", Call(name="f", arguments={"x": {1}})),
        ("\ud800", "1912"),
    ],
)
def test_write_refuses_what_could_not_be_read_back(thought: str, action: Call | str):
    with pytest.raises((ValueError, TypeError)):
        tags.write(thought, action)


def test_a_tag_in_the_arguments_is_written_with_the_json_escape():
    call = Call(name="search", arguments={"query": ["what is </tool_call>?"]})
    text = tags.write("t", call)
    assert "what is \\u003c/tool_call>?" in text
    assert tags.read(text).call == call


FRAGMENTS = st.lists(
    st.sampled_from([*tags.TAGS, "<", ">", "/", " ", "\n", "t", CALL, THINK, '{"name": "f"}'])
    | st.text(max_size=5),
    max_size=12,
).map("".join)


@given(FRAGMENTS | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_any_text_is_read_as_exactly_one_of_call_answer_and_problem(text: str):
    parsed = tags.read(text)
    assert [parsed.call, parsed.answer, parsed.problem].count(None) == 2
    assert text.encode("utf-8", "replace").decode().startswith(parsed.text)
    assert "tool_response>" not in parsed.text or "<tool_response>" not in parsed.text
    if parsed.problem is None:
        assert parsed.text.endswith(tags.STOP)
        assert tags.read(parsed.text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 15_000,
        "<" * 100_000,
        "<think>" + "</thin" * 20_000,
        THINK + "<tool_call>" + " " * 100_000,
        f"{THINK}<tool_call>{'[' * 100_000}</tool_call>",
        f"{THINK}<tool_call>{'{' * 100_000}</tool_call>",
        '<think>t</think><tool_call>"' + "\\" * 100_000 + '"</tool_call>',
    ],
    ids=lambda text: text[:30],
)
def test_long_texts_are_read_in_linear_time(text: str):
    """Megabytes that would take hours if reading went back over them."""
    assert tags.read(text * 20).problem


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published trajectories are not here")
def test_reads_the_published_trajectories_with_every_call_accounted_for():
    turns = [
        message["content"]
        for line in PUBLISHED.read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"][2:]
        if message["role"] == "assistant"
    ]
    read = [tags.read(turn) for turn in turns]
    # Counted on the text itself, by its closing tags.
    assert len(turns) == 24
    assert sum(turn.count("</tool_call>") for turn in turns) == 12
    assert sum(turn.count("</answer>") for turn in turns) == 12
    assert [p.problem for p in read] == [None] * len(turns)
    assert [p.text for p in read] == turns
    assert sum(p.answer is not None for p in read) == 12
    bodies = [
        t.split("<tool_call>")[1].split("</tool_call>")[0] for t in turns if "<tool_call>" in t
    ]
    assert [p.call.model_dump() for p in read if p.call] == [json.loads(body) for body in bodies]
    # Written again they are the same text, but for blank lines at a thought's end.
    for turn, p in zip(turns, read, strict=True):
        again = tags.write(p.thought, p.call or p.answer or "")
        assert again.split() == turn.split()


def test_thought_end():
    assert tags.thought_end("<think>ab</think><answer>") == len("<think>ab</think>")
    assert tags.thought_end(" <think>never closed") == len(" <think>never closed")
    assert tags.thought_end("no thought") == 0
