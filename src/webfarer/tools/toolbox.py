"""`Toolbox`: the tools of an agent, in order; and the check of arguments against a schema.

What the policy did wrong is an observation with a kind; what a tool did wrong is a `FailureError`
(CONTRIBUTING.md, "Whose fault is it?"): a crash never becomes text in a trajectory. What is wrong
with a call is said without its words, which would count as read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webfarer.tools.base import Tool
from webfarer.types import Call, FailureError, Observation, ObservationKind


class Toolbox:
    """What an agent may call. Raises ValueError where two tools have one name."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self.tools:
                raise ValueError(f"two tools are called {tool.name}")
            self.tools[tool.name] = tool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.tools)

    def schemas(self) -> list[dict[str, Any]]:
        """The tools in the form that chat templates and OpenAI-compatible servers take."""
        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            }
            for tool in self.tools.values()
        ]

    def problem(self, call: Call) -> tuple[ObservationKind, str] | None:
        """Why a call cannot be run, as a kind and one line; None if it can."""
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return "unknown_tool", f"There is no tool of that name. Tools: {known}."
        reason = tool.problem(call.arguments)
        return ("bad_arguments", f"{tool.name}: {reason}") if reason else None

    async def run(self, call: Call) -> Observation:
        """What the tool says, or what is wrong with the call.

        Raises `FailureError` where our side broke: the tool's own, or of kind "tool" for anything
        else that the tool raised.
        """
        if found := self.problem(call):
            kind, reason = found
            return Observation.of(reason, kind)
        try:
            return await self.tools[call.name].call(call.arguments)
        except FailureError:
            raise
        except Exception as error:
            reason = f"{call.name} raised {type(error).__name__}: {error}"
            raise FailureError("tool", reason) from error


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def problem_of(schema: dict[str, Any], value: Any, name: str = "arguments") -> str | None:
    """Why a value does not fit a JSON schema, in one line; None if it does.

    Of JSON schema it knows type, properties, required, additionalProperties (false or absent),
    items, minItems, maxItems, minLength, maxLength and enum. Types are strict: "3" is no integer,
    and true is no number. Blank text is empty, and text must be Unicode (no lone surrogate).
    """
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"{name} must be {'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} must be one of {', '.join(map(str, schema['enum']))}"
    further = {"object": _object_problem, "array": _array_problem, "string": _text_problem}
    return further[kind](schema, value, name) if kind in further else None


def _object_problem(schema: dict[str, Any], value: dict[str, Any], name: str) -> str | None:
    fields = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            return f"{key} is missing from {name}"
    if schema.get("additionalProperties") is False and not value.keys() <= fields.keys():
        return f"{name} may have only {', '.join(fields)}"
    checks = (problem_of(part, value[key], key) for key, part in fields.items() if key in value)
    return next((found for found in checks if found), None)


def _array_problem(schema: dict[str, Any], value: list[Any], name: str) -> str | None:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < least:
        return f"{name} must have at least {least} item{'s' * (least != 1)}"
    if most is not None and len(value) > most:
        return f"{name} may have at most {most} items, not {len(value)}"
    items = schema.get("items")
    if items is None:
        return None
    checks = (problem_of(items, item, f"{name}[{place}]") for place, item in enumerate(value))
    return next((found for found in checks if found), None)


def _text_problem(schema: dict[str, Any], value: str, name: str) -> str | None:
    if any("\ud800" <= char <= "\udfff" for char in value):
        return f"{name} is not Unicode text"
    if len(value.strip()) < schema.get("minLength", 0):
        return f"{name} is empty"
    most = schema.get("maxLength")
    if most is not None and len(value) > most:
        return f"{name} may have at most {most} characters, not {len(value)}"
    return None
