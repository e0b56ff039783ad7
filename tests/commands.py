"""Runs commands as a user does, in this process; and a recipe that takes seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from webfarer.__main__ import main

TINY = """
name = "tiny"
workers = 1
[worlds]
size = 60
train = 1
valid = 1
test = 1
[tasks]
train = {1 = 6, 2 = 4}
valid = {1 = 3}
test = {1 = 3, 2 = 2}
[rollout]
chunk = 4
slots = 4
turn_tokens = 8
context = 1024
[sft]
steps = 6
rows = 1
length = 1024
checkpoint_every = 2
[rl]
steps = 3
tasks = 2
group = 2
checkpoint_every = 2
eval_every = 1
show_every = 2
[eval]
samples = 1
k = 1
"""


@dataclass(frozen=True)
class Said:
    """What a command said and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON: all of it, and nothing else."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line of an error that exits with 2; fails where there is more, or a traceback."""
        assert self.code == 2, (self.code, self.err)
        assert "Traceback" not in self.err
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


class Webfarer:
    """`webfarer("world", "show", folder)`: the command line, through its own entry."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd

    def __call__(self, *arguments: object) -> Said:
        self._capfd.readouterr()
        self._monkeypatch.setattr("sys.argv", ["webfarer", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = self._capfd.readouterr()
        return Said(int(code or 0), out, err)
