"""The published tag format: how a turn is written, and what is accepted when one is read.

A turn is `<think>` thought `</think>`, then either `<tool_call>` JSON `</tool_call>` or `<answer>`
text `</answer>` (WebDancer, Wu et al. 2025, section 3; their published trajectories). Reading is
exact and linear in time: a turn is the sequence of its tags, with nothing but white space outside
them, so a tag is never quoted. A thought or an answer that mentions one, "<answer>" say, is
malformed: for a model whose tags are single tokens the mention is the control token itself, and an
engine that stops at a closing tag would have stopped there.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from webfarer.types import Call

TAGS: tuple[str, ...] = (
    "<think>", "</think>", "<tool_call>", "</tool_call>",
    "<tool_response>", "</tool_response>", "<answer>", "</answer>",
)  # fmt: skip
RESPONSE: tuple[str, str] = ("<tool_response>", "</tool_response>")
STOP: tuple[str, ...] = ("</tool_call>", "</answer>")
MAX_DEPTH = 32  # of the arguments; what is deeper cannot be written to a record again

_TAG = re.compile("|".join(map(re.escape, TAGS)))
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOSES = {"<tool_call>": "</tool_call>", "<answer>": "</answer>"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was accepted of a text: exactly one of `call`, `answer` and `problem` is set.

    `text` is the accepted prefix: through the first `</tool_call>` or `</answer>`, or up to the
    first `<tool_response>` where the policy wrote an observation itself. `thought` and `answer` are
    stripped of white space at their ends; `problem` is one line.
    """

    text: str
    thought: str = ""
    call: Call | None = None
    answer: str | None = None
    problem: str | None = None


class _TurnError(ValueError):
    """Why a text is not a turn; never leaves this module."""


def write(thought: str, action: Call | str, *, compact: bool = False) -> str:
    """A turn that calls a tool, or that answers where `action` is a text.

    `compact` leaves out the line breaks around the tags, for small models. What is written is read
    back: `read(write(thought, action))` has the same thought and action, without white space at
    their ends. A tag within the arguments is written with the JSON escape of "<". Raises ValueError
    where the thought or answer holds a tag or what UTF-8 cannot, the answer is empty, or the
    arguments are not JSON.
    """
    gap = "" if compact else "\n"
    if isinstance(action, Call):
        name, body = "tool_call", _dumps(action)
    else:
        name, body = "answer", action.strip()
    text = f"<think>{gap}{thought.strip()}{gap}</think>{gap}<{name}>{gap}{body}{gap}</{name}>"
    text.encode()
    parsed = read(text)
    if parsed.problem or parsed.text != text:
        raise ValueError(f"this turn could not be read back: {parsed.problem or 'it ends early'}")
    return text


def read(text: str) -> Parsed:
    """Reads a turn; never raises. Code points that UTF-8 cannot hold are read as "?"."""
    text = text.encode("utf-8", "replace").decode()
    text, tags = _cut(text)
    thought = ""
    try:
        thought = _thought(text, tags)
        name, body = _action(text, tags)
        if name == "<answer>":
            return Parsed(text, thought, answer=_filled(body))
        return Parsed(text, thought, call=_call(body))
    except _TurnError as error:
        return Parsed(text, thought, problem=str(error))


def thought_end(text: str) -> int:
    """Where the thought ends in a turn's text, its closing tag included; 0 without a thought.

    A thought that was never closed reaches to the end.
    """
    if not text.lstrip().startswith("<think>"):
        return 0
    end = text.find("</think>")
    return len(text) if end < 0 else end + len("</think>")


def _cut(text: str) -> tuple[str, list[re.Match[str]]]:
    """The text that counts, and the tags in it: what follows the first call is nobody's."""
    tags: list[re.Match[str]] = []
    for tag in _TAG.finditer(text):
        tags.append(tag)
        if tag.group() in STOP:
            return text[: tag.end()], tags
        if tag.group() in RESPONSE:
            return text[: tag.start()], tags
    return text, tags


def _thought(text: str, tags: list[re.Match[str]]) -> str:
    if tags and tags[-1].group() in RESPONSE:
        raise _TurnError("wrote an observation itself")
    if not text.strip():
        raise _TurnError("wrote nothing")
    if not tags or tags[0].group() != "<think>" or text[: tags[0].start()].strip():
        raise _TurnError("does not begin with <think>")
    if len(tags) == 1:
        raise _TurnError("<think> is not closed")
    if tags[1].group() != "</think>":
        raise _TurnError(f"{tags[1].group()} inside the thought")
    return text[tags[0].end() : tags[1].start()].strip()


def _action(text: str, tags: list[re.Match[str]]) -> tuple[str, str]:
    if len(tags) == 2:
        raise _TurnError("neither a call nor an answer after the thought")
    name = tags[2].group()
    if name not in _CLOSES:
        raise _TurnError(f"{name} after the thought")
    if text[tags[1].end() : tags[2].start()].strip():
        raise _TurnError(f"text between </think> and {name}")
    if len(tags) == 3:
        raise _TurnError(f"{name} is not closed")
    if tags[3].group() != _CLOSES[name]:
        _mixed(name, tags[3].group())
    return name, text[tags[2].end() : tags[3].start()]


def _mixed(name: str, inner: str) -> NoReturn:
    if name.strip("<>") != inner.strip("</>") and "think" not in inner:
        raise _TurnError("both a call and an answer")
    raise _TurnError(f"{inner} inside {name}")


def _filled(answer: str) -> str:
    if not answer.strip():
        raise _TurnError("the answer is empty")
    return answer.strip()


def _call(body: str) -> Call:
    call = _loads(body)
    if not isinstance(call, dict):
        raise _TurnError("the call is not a JSON object")
    if call.keys() != {"name", "arguments"}:
        raise _TurnError("the call's keys are not exactly name and arguments")
    name, arguments = call["name"], call["arguments"]
    if not isinstance(name, str) or not name:
        raise _TurnError("the call's name is not a text")
    if not isinstance(arguments, dict):
        raise _TurnError("the call's arguments are not an object")
    _writable(call, MAX_DEPTH)
    return Call(name=name, arguments=arguments)


def _loads(body: str) -> Any:
    try:
        return json.loads(
            body, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except _TurnError:
        raise
    except json.JSONDecodeError as error:
        raise _TurnError(f"the call is not JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; nesting without end
        raise _TurnError("the call is not JSON that can be kept") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TurnError("the call gives one key twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise _TurnError("the call holds a number that JSON does not have")
    return value


def _writable(value: Any, depth: int) -> None:
    """JSON may nest deeper, and escape stranger code points, than a record can be written with."""
    if not depth:
        raise _TurnError("the call is nested too deeply")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise _TurnError("the call holds half a surrogate pair")
    if isinstance(value, dict):
        for key, item in value.items():
            _writable(key, depth)
            _writable(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _writable(item, depth - 1)


def _dumps(call: Call) -> str:
    body = {"name": call.name, "arguments": call.arguments}
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c") if _TAG.search(text) else text
