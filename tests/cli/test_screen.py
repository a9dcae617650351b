import io
import json
import os
import select
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.cli.cell import Cell, clean, for_person, for_program
from aiops.cli.duration import ago, parse, spell
from aiops.cli.screen import Screen
from aiops.cli.step import layout
from aiops.layers.core.errors import InputError

NOW = datetime(2026, 11, 21, 19, 30, 5, 400_000, UTC)


class Clock:
    """Time that stands still unless told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(*, terminal: bool, **options: object) -> tuple[Screen, io.StringIO, io.StringIO]:
    stdout, stderr = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    made = Screen(stdout, stderr, clock=Clock(), environment={"TERM": "xterm", "NO_COLOR": "1"}, **options)  # type: ignore[arg-type]
    return made, stdout, stderr


ROWS: list[list[Cell]] = [["gpu01", NOW - timedelta(hours=3), None], ["gpu02", NOW - timedelta(seconds=5), 8]]


def test_a_pipe_gets_rows_only_whole_and_exact() -> None:
    made, stdout, _ = screen(terminal=False)
    made.table(["node", "seen", "devices"], ROWS)
    assert stdout.getvalue() == "gpu01\t2026-11-21T16:30:05Z\t\ngpu02\t2026-11-21T19:30:00Z\t8\n"


def test_a_terminal_gets_columns_and_relative_times() -> None:
    made, stdout, _ = screen(terminal=True)
    made.table(["node", "seen", "devices"], ROWS)
    assert stdout.getvalue().splitlines() == ["NODE   SEEN    DEVICES", "gpu01  3h ago  -", "gpu02  5s ago  8"]


def test_without_no_color_headers_are_bold_on_a_terminal_only() -> None:
    stdout = Terminal()
    Screen(stdout, io.StringIO(), clock=Clock(), environment={"TERM": "xterm"}).table(["node"], [["a"]])
    assert "\x1b[1m" in stdout.getvalue()


def test_markup_in_a_value_is_only_text() -> None:
    made, stdout, _ = screen(terminal=True)
    made.table(["node"], [["[bold]x[/bold] :smile:"]])
    assert "[bold]x[/bold] :smile:" in stdout.getvalue()


@given(st.text())
def test_a_cell_never_breaks_its_row(text: str) -> None:
    for shown in (for_program(text), for_person(text, NOW), clean(text)):
        assert not set(shown) & {"\t", "\n", "\r", "\x1b", "\x9b"}


def test_documents_and_records() -> None:
    made, stdout, _ = screen(terminal=False, json=True)
    made.document({"ü": [1]})
    assert json.loads(stdout.getvalue()) == {"ü": [1]}
    made, stdout, _ = screen(terminal=False, json=True)
    made.record({"a": 1})
    made.record({"a": 2})
    assert [json.loads(line)["a"] for line in stdout.getvalue().splitlines()] == [1, 2]


@pytest.mark.parametrize(("json_wanted", "quiet"), [(True, False), (False, True)])
def test_json_and_quiet_keep_stderr_silent(json_wanted: bool, quiet: bool) -> None:
    made, stdout, stderr = screen(terminal=True, json=json_wanted, quiet=quiet)
    made.note("a note")
    made.hint("a hint")
    with made.step("facts", total=3) as step:
        step.done()
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "")


def test_a_warning_is_told_also_when_quiet() -> None:
    made, _, stderr = screen(terminal=False, quiet=True)
    made.warn("simulated")
    assert stderr.getvalue() == "warning: simulated\n"


# Steps


def test_the_layout_of_a_step() -> None:
    line = layout("✓", "facts", "16/16   Ubuntu 24.04", 3.04)
    assert line == "  ✓ facts         16/16   Ubuntu 24.04                               3.0s"


def test_a_step_in_a_pipe_is_one_line() -> None:
    made, stdout, stderr = screen(terminal=False)
    with made.step("facts", nodes=["gpu01", "gpu02"]) as step:
        step.done("gpu02")
        step.done("gpu01")
        step.summary = "Debian 12"
    assert stdout.getvalue() == ""
    assert stderr.getvalue() == layout("✓", "facts", "2/2   Debian 12", 0.0) + "\n"


def test_a_step_with_failures_is_crossed() -> None:
    made, _, stderr = screen(terminal=False)
    with made.step("facts", nodes=["gpu01", "gpu02"]) as step:
        step.done("gpu01", failed=True)
        step.done("gpu02")
    assert stderr.getvalue().startswith("  ✗ facts         1/2   1 failed ")


def test_a_step_that_raises_is_crossed() -> None:
    made, _, stderr = screen(terminal=False)
    with pytest.raises(InputError), made.step("facts"):
        raise InputError("x", code="x")
    assert stderr.getvalue().startswith("  ✗ facts")


def test_a_long_step_in_a_pipe_says_that_it_lives() -> None:
    made, _, stderr = screen(terminal=False)
    with made.step("facts", nodes=["gpu01", "gpu02"]) as step:
        step.done("gpu01")
        step.tick()
        assert stderr.getvalue() == ""
        made.clock.sleep(31)
        step.tick()
        step.tick()
        assert stderr.getvalue().splitlines() == [layout("…", "facts", "1/2   waiting for gpu02", 31)]


def test_a_live_line_names_the_slowest_and_goes_away() -> None:
    made, _, stderr = screen(terminal=True)
    with made.step("facts", nodes=["a", "b", "c", "d", "e"]) as step:
        step.done("c")
        step.tick()
        live = stderr.getvalue().rpartition("\r\x1b[2K")[2]
        assert "1/5   waiting for a, b, d and 1 more" in live
        assert "\n" not in stderr.getvalue()
    assert stderr.getvalue().count("\n") == 1
    assert stderr.getvalue().endswith("0.0s\n")


def test_a_note_does_not_tear_the_live_line() -> None:
    made, _, stderr = screen(terminal=True)
    made.live("12/16")
    made.note("gpu07 failed")
    assert stderr.getvalue() == "12/16\r\x1b[2Kgpu07 failed\n"


def test_a_dumb_terminal_is_not_animated() -> None:
    made = Screen(Terminal(), Terminal(), environment={"TERM": "dumb"})
    assert not made.animated


# Questions


class Answering(Terminal):
    """A terminal at which somebody types once the question stands there."""

    def __init__(self, keyboard: int, answer: bytes) -> None:
        super().__init__()
        self._keyboard, self._answer = keyboard, answer

    def write(self, text: str) -> int:
        os.write(self._keyboard, self._answer)
        return super().write(text)


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), ("yes\n", True), ("Y\n", True), ("\n", False), ("", False)]
)
def test_a_question_on_a_terminal(typed: str, agreed: bool) -> None:
    made, _, stderr = screen(terminal=True, stdin=Terminal(typed))
    assert made.confirm("Continue?", yes=False) is agreed
    assert stderr.getvalue() == "Continue? [y/N] "


def test_what_was_typed_before_the_question_is_no_answer_to_it() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, encoding="utf-8") as stdin:
        os.write(ours, b"yes\n")  # while it still looked around
        assert select.select([theirs], [], [], 10)[0]
        made = Screen(Terminal(), Answering(ours, b"no\n"), stdin=stdin)
        assert made.ask("Undo this? ") == "no"
    os.close(ours)


def test_yes_asks_nothing() -> None:
    made, _, stderr = screen(terminal=False)
    assert made.confirm("Continue?", yes=True)
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_without_somebody_to_ask_it_refuses_and_names_yes(terminal: bool) -> None:
    made, _, _ = screen(terminal=terminal, stdin=io.StringIO("y\n"))
    with pytest.raises(InputError) as caught:
        made.confirm("Continue?", yes=False)
    assert caught.value.code == "usage.needs_yes"
    assert "--yes" in caught.value.hints[0]


# Time


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0s"),
        (-1, "0.0s"),
        (1.24, "1.2s"),
        (41.4, "41s"),
        (59.6, "1m00s"),
        (372, "6m12s"),
        (7500, "2h05m"),
        (273_600, "3d04h"),
    ],
)
def test_spans_are_spelled(seconds: float, words: str) -> None:
    assert spell(seconds) == words


@pytest.mark.parametrize(
    ("before", "words"), [(0, "0s ago"), (59, "59s ago"), (3600, "1h ago"), (200_000, "2d ago"), (-240, "in 4m")]
)
def test_times_are_relative(before: float, words: str) -> None:
    assert ago(NOW - timedelta(seconds=before), NOW) == words


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2h", 7200), ("1h30m", 5400), ("7d", 604_800), ("0.5h", 1800)]
)
def test_spans_are_parsed(text: str, seconds: float) -> None:
    assert parse(text) == timedelta(seconds=seconds)


@given(st.text())
def test_whatever_is_typed_is_a_span_or_a_clear_error(text: str) -> None:
    with suppress(InputError):
        assert parse(text) >= timedelta(0)


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 h", "2y", "99999d", "9" * 400 + "d"])
def test_other_words_are_no_spans(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)
