"""`Tool`: a named, typed call with a JSON schema."""

from typing import Any, Protocol

from webfarer.types import Observation


class Tool(Protocol):
    """What an agent may call. Arrays live here, not in webs.

    `schema` is the JSON schema of the arguments, as published to the model. `problem` says in one
    line why arguments do not fit the schema, or None. `call` is given arguments that fit; it
    raises `FailureError` where our side broke.
    """

    name: str
    description: str
    schema: dict[str, Any]

    def problem(self, arguments: dict[str, Any]) -> str | None: ...

    async def call(self, arguments: dict[str, Any]) -> Observation: ...
