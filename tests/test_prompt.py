"""The prompts name every tool, and the long one holds its schema as JSON."""

import json

import pytest

from scripted import a_task
from webfarer.policy import tags
from webfarer.rollout.prompt import system_prompt, user_message
from webfarer.tools.search import SearchTool
from webfarer.tools.visit import VisitTool


@pytest.fixture
def tools(lore):
    return [SearchTool(lore.web), VisitTool(lore.web)]


def test_brief_gives_names_and_arguments(tools):
    assert system_prompt(tools, "brief") == (
        "Answer the question. Tools: search(query) visit(url, goal)."
    )


def test_full_holds_every_schema_as_json(tools):
    text = system_prompt(tools)
    between = text.split("<tools>\n")[1].split("\n</tools>")[0]
    read = [json.loads(line) for line in between.splitlines()]
    assert [each["name"] for each in read] == ["search", "visit"]
    assert [each["parameters"] for each in read] == [tool.schema for tool in tools]


def test_full_shows_the_format_that_is_read_back(tools):
    """The example call in the prompt is a turn that the reader accepts."""
    text = system_prompt(tools, "full")
    example = text[text.index("<think>") : text.index("</tool_call>") + len("</tool_call>")]
    call = tags.read(example).call
    assert call is not None
    assert (call.name, call.arguments) == ("the tool", {"its": "arguments"})
    answer = text[text.rindex("<think>") : text.index("</answer>") + len("</answer>")]
    assert tags.read(answer).answer == "the answer"


def test_braces_in_a_description_do_no_harm(tools):
    tools[0].description = "Takes {query} and {0} and {}."
    assert "Takes {query} and {0} and {}." in system_prompt(tools)


def test_start_urls_are_told_below_the_question_and_none_change_nothing():
    one = a_task()
    assert user_message(one) == one.question == "Who?"
    urls = ("https://a.test/x", "https://a.test/ü?q=1")
    told = user_message(one.model_copy(update={"start_urls": urls}))
    assert told == "Who?\nStart from: https://a.test/x https://a.test/ü?q=1"
