"""Progress off a terminal: lines with count, rate and time left, by a clock that the test turns."""

from __future__ import annotations

import pytest

from webfarer.cli.progress import Lines, Teller


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(clock) -> list[str]:
    return []


def test_a_line_at_first_then_every_ten_seconds_and_at_the_end(clock, said):
    update = Lines("worlds", said.append, clock)
    for done in range(1, 29):
        update(done, 28)
        clock.seconds += 1
    # 10 of the 27 that followed the first came in 10 s, so 17 are 17 s away; and so on.
    assert said == [
        "worlds: 1/28",
        "worlds: 11/28, 1.0/s, 17 s left",
        "worlds: 21/28, 1.0/s, 7 s left",
        "worlds: 28/28, 1.0/s",
    ]


def test_what_a_run_that_goes_on_finds_done_is_in_no_rate(clock, said):
    update = Lines("expert", said.append, clock)
    update(5000, 7200, "found")
    clock.seconds += 100
    update(5050, 7200)
    assert said == [
        "expert: 5,000/7,200, found",
        "expert: 5,050/7,200, 2.0 s each, 71 min 40 s left",
    ]


def test_a_step_that_is_done_at_once_is_said_once(clock, said):
    update = Lines("tasks", said.append, clock)
    update(3, 3)
    update(3, 3)
    assert said == ["tasks: 3/3"]


def test_a_clock_that_stands_still_divides_nothing_by_zero(clock, said):
    update = Lines("x", said.append, clock)
    for done in (1, 2, 3):
        update(done, 3)
    assert said == ["x: 1/3", "x: 3/3"]
    Lines("empty", said.append, clock)(0, 0)
    assert said[-1] == "empty: 0/0"


def test_off_a_terminal_a_teller_prints_lines_and_a_quiet_one_nothing(clock, capfd):
    for quiet in (False, True):
        with Teller(quiet, clock).bar("fine-tuning") as update:
            update(1, 2, "loss 2.000")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "fine-tuning: 1/2, loss 2.000\n")


def test_on_a_terminal_there_is_a_bar(clock, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    teller = Teller(now=clock)
    assert teller.console.is_terminal
    with teller.bar("fine-tuning", 2) as update:
        update(2, 2, "loss 2.000")
    assert "\x1b[" in capfd.readouterr().err
