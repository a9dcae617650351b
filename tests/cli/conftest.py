"""A whole screen as text: the command, its exit code, stdout and stderr, as one can read them in a test."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.app import App
from aiops.cli.main import main
from aiops.layers.core.plugin import Plugins

_VOLATILE = (
    (re.compile(r"\d{8}T\d{6}"), "[TIME]"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "[TIME]"),
    (re.compile(r"\b\d+\.\ds\b"), "[SECONDS]"),
    (re.compile(r"aiops \d+\.\d+\.\d+"), "aiops [VERSION]"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)

Shown = Callable[..., str]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """Run one command line in this process and give its whole screen, volatile text filtered."""

    def show(
        *words: str,
        environment: dict[str, str] | None = None,
        terminal: bool = False,
        typed: str = "",
        plugins: Plugins | None = None,
    ) -> str:
        stream = Terminal if terminal else io.StringIO
        stdout, stderr = stream(), stream()
        app = App(
            {"AIOPS_HOME": str(tmp_path / "home"), "TERM": "dumb", **(environment or {})},
            stdin=stream(typed),
            stdout=stdout,
            stderr=stderr,
            plugins=plugins or Plugins([]),
            working_folder=tmp_path,
        )
        code = main(words, app)
        screen = f"exit: {code}\n--- stdout\n{stdout.getvalue()}--- stderr\n{stderr.getvalue()}"
        screen = screen.replace(str(tmp_path), "[TMP]")
        for pattern, word in _VOLATILE:
            screen = pattern.sub(word, screen)
        return screen

    return show
