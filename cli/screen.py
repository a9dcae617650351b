"""What people and machines see. stdout is the answer and nothing else; the rest goes to stderr."""

import json
import os
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.errors import AiopsError, InputError

from .cell import Cell, clean, for_person, for_program
from .step import Step

if TYPE_CHECKING:
    from datetime import datetime

_WHOLE = frozenset({"run"})
"""Columns whose values are pasted: never broken over lines."""

_ERASE_LINE = "\r\x1b[2K"


class PipeClosedError(Exception):
    """Whoever read our stdout has gone (`aiops ... | head`)."""


class Screen:
    """One invocation's output, in one of its modes: terminal, pipe, JSON, quiet."""

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        *,
        stdin: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        json: bool = False,
        quiet: bool = False,
        verbose: int = 0,
        pasteable: Callable[[str], str] = str,
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._stdin = stdin
        self._environment = {} if environment is None else environment
        self.clock = clock or SystemClock()
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self.pasteable = pasteable
        self._lock = threading.Lock()
        self._live = ""

    # The answer, on stdout

    @property
    def terminal(self) -> bool:
        """Whether the answer goes to a terminal."""
        return self._stdout.isatty()

    def document(self, value: Any) -> None:
        """The answer as one JSON document."""
        self._answer(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def record(self, value: Any) -> None:
        """One JSON document on one line, for answers that go on and on."""
        self._answer(json.dumps(value, ensure_ascii=False) + "\n")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """The answer as a table.

        A terminal gets aligned columns under `header` and relative times; a pipe gets the rows alone,
        tab-separated, untruncated, times in RFC 3339, empty where a value is missing.
        """
        if not self.terminal:
            self._answer("".join("\t".join(map(for_program, row)) + "\n" for row in rows))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        now = self.clock.now()
        style = "" if self._environment.get("NO_COLOR") else "bold"
        table = Table(box=None, padding=(0, 2, 0, 0), header_style=style, pad_edge=False)
        for title in header:
            table.add_column(title.upper(), overflow="fold", no_wrap=title in _WHOLE)
        for row in rows:
            table.add_row(*(Text(for_person(value, now)) for value in row))
        console = Console(file=self._stdout, highlight=False, _environ=dict(self._environment))
        with console.capture() as captured:
            console.print(table)
        self._answer("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))

    def line(self, text: str) -> None:
        """A line of the answer."""
        self._answer(text + "\n")

    def text(self, text: str) -> None:
        """Lines of the answer as they are, each with its end."""
        self._answer(text)

    def time(self, at: "datetime") -> str:
        """`at` as the answer shows it: relative on a terminal, RFC 3339 in a pipe."""
        return for_person(at, self.clock.now()) if self.terminal else for_program(at)

    def wrapped(self, text: str, indent: int, *, aside: bool = False) -> str:
        """`text` for the terminal that it goes to: broken between words, later lines `indent` columns in.

        Elsewhere it stays one line.

        Args:
            text: One line.
            indent: Of the lines after the first.
            aside: Whether it goes to stderr.
        """
        stream = self._stderr if aside else self._stdout
        if not stream.isatty():
            return text
        lead = len(text) - len(text.lstrip())
        return textwrap.fill(
            text.lstrip(),
            _columns(stream, self._environment),
            initial_indent=" " * lead,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _answer(self, text: str) -> None:
        with self._lock:
            self._clear()
            try:
                self._stdout.write(text)
                self._stdout.flush()
            except BrokenPipeError as error:
                raise PipeClosedError from error

    # Beside the answer, on stderr

    @property
    def progress_wanted(self) -> bool:
        """Whether progress is shown at all."""
        return not (self.quiet or self.json)

    @property
    def animated(self) -> bool:
        """Whether a line may be drawn again and again."""
        return self.progress_wanted and self._stderr.isatty() and self._environment.get("TERM") != "dumb"

    def step(self, title: str, *, nodes: Iterable[str] = (), total: int | None = None) -> Step:
        """A step to show while a `with` block runs."""
        return Step(self, title, nodes=nodes, total=total)

    def live(self, text: str) -> None:
        """Draw the one line that changes; empty takes it away. Only where `animated`."""
        if not self.animated:
            return
        with self._lock:
            self._clear()
            self._live = text[: _columns(self._stderr, {})]
            self._write(self._live)

    def note(self, text: str) -> None:
        """A line beside the answer (progress, counts); silent when quiet or JSON."""
        if self.progress_wanted:
            self._aside(f"{text}\n")

    def hint(self, text: str) -> None:
        """What to type next."""
        self.note(f"hint: {self.pasteable(text)}")

    def warn(self, text: str) -> None:
        """Something to know that is no failure; told also when quiet."""
        if not self.json:
            self._aside(f"warning: {text}\n")

    def error(self, error: AiopsError) -> None:
        """An error: `error:`, its problems with file and line, a blank line, `hint:` lines; or one document."""
        if self.json:
            self.document({"error": error_document(error, self.pasteable)})
            return
        lines = [self.wrapped(f"error: {clean(error.message)}", 2, aside=True)]
        for problem in error.problems:
            lines.append(self.wrapped(f"  {clean(str(problem))}", 4, aside=True))
            if problem.hint:
                lines.append(f"    {clean(self.pasteable(problem.hint))}")
        if error.hints and not self.quiet:
            lines += ["", *(f"hint: {clean(self.pasteable(hint))}" for hint in error.hints)]
        self._aside("".join(f"{line}\n" for line in lines))

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask, unless `yes` was given; the answer is no unless it begins with y.

        Raises:
            InputError: Nobody can be asked, since this is not a terminal.
        """
        if yes:
            return True
        if not self.interactive:
            raise InputError(
                f'nobody is here to answer what this asks: "{question}"',
                code="usage.needs_yes",
                hints=["say yes beforehand: add `--yes`"],
            )
        return self.ask(f"{question} [y/N] ").lower() in ("y", "yes")

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return not self.json and self._stdin is not None and self._stdin.isatty() and self._stderr.isatty()

    def ask(self, question: str) -> str:
        """What somebody types when asked; empty for a bare return. Only where `interactive`.

        What was typed before the question stood there answers something else, and is dropped.
        """
        if self._stdin is None:
            return ""
        _drop_typed(self._stdin)
        self._aside(question)
        return self._stdin.readline().strip()

    def _aside(self, text: str) -> None:
        with self._lock:
            self._clear()
            self._write(text)

    def _clear(self) -> None:
        if self._live:
            self._live = ""
            self._write(_ERASE_LINE)

    def _write(self, text: str) -> None:
        # Progress that nobody reads any more is no reason to stop the work.
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except BrokenPipeError:
            return


def _drop_typed(stdin: TextIO) -> None:
    import termios

    try:
        termios.tcflush(stdin.fileno(), termios.TCIFLUSH)
    except (OSError, termios.error):  # no terminal of the system's
        return


def _columns(stream: TextIO, environment: Mapping[str, str]) -> int:
    """The width of a terminal; COLUMNS says it over what it tells."""
    wanted = environment.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def error_document(error: AiopsError, pasteable: Callable[[str], str] = str) -> dict[str, Any]:
    """An error as what stands under `error` in a document."""
    document: dict[str, Any] = {"code": error.code, "message": error.message, "hint": pasteable("; ".join(error.hints))}
    if error.problems:
        document["problems"] = [
            {"message": one.message, "file": one.file, "line": one.line, "hint": one.hint} for one in error.problems
        ]
    return document
