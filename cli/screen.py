"""What people and machines see. stdout is the answer and nothing else; the rest goes to stderr."""

import json
from collections.abc import Sequence
from typing import Any, TextIO

from aiops.layers.core.errors import AiopsError


class Screen:
    """One invocation's output, in one of its modes: terminal, pipe, JSON, quiet."""

    def __init__(
        self, stdout: TextIO, stderr: TextIO, *, json: bool = False, quiet: bool = False, verbose: int = 0
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.json = json
        self.quiet = quiet
        self.verbose = verbose

    @property
    def terminal(self) -> bool:
        """Whether the answer goes to a terminal."""
        return self._stdout.isatty()

    def document(self, value: Any) -> None:
        """The answer as one JSON document."""
        self._stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The answer as a table: aligned on a terminal, tab-separated and untruncated in a pipe."""
        for row in (header, *rows):
            self._stdout.write("\t".join(row) + "\n")

    def line(self, text: str) -> None:
        """A line of the answer."""
        self._stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """A line beside the answer (progress, counts); silent when quiet or JSON."""
        if not (self.quiet or self.json):
            self._stderr.write(text + "\n")

    def hint(self, text: str) -> None:
        """What to type next."""
        self.note(f"hint: {text}")

    def error(self, error: AiopsError) -> None:
        """An error: `error:`, its problems with file and line, a blank line, `hint:` lines; or one document."""
        if self.json:
            self.document({"error": {"code": error.code, "message": error.message, "hint": "; ".join(error.hints)}})
            return
        out = self._stderr
        out.write(f"error: {error.message}\n")
        for problem in error.problems:
            out.write(f"  {problem}\n")
        if error.hints:
            out.write("\n")
        for hint in error.hints:
            out.write(f"hint: {hint}\n")
