"""The screen of a preparation: its events as steps."""

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiops.cli.step import Step

if TYPE_CHECKING:
    from aiops.cli.screen import Screen

_TITLES = {"check": "check", "examine": "read", "judge": "duplicates", "render": "tokens", "assemble": "write"}


class Progress:
    """Shows each step while it runs."""

    def __init__(self, screen: "Screen", within: Step | None = None) -> None:
        """Begin with nothing shown.

        Args:
            screen: Where steps are shown.
            within: The one step that all are parts of; None for one each.
        """
        self._screen = screen
        self._within = within
        self._title = ""
        self._stack = ExitStack()
        self._step: Step | None = None
        self._count = 0
        self._whole: int | None = None
        self.found = False
        """Whether nothing had to be done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def hashed(self, size: int) -> None:
        """So many more bytes of files were hashed."""
        if self._step is None:
            self._begin("hash")
        self._count += size
        if self._step is not None:
            self._step.summary = f"{self._count / 2**20:,.1f} MiB"

    def listen(self, kind: str, _message: str = "", /, **data: Any) -> None:
        """Show one event."""
        match kind:
            case "data_found":
                self.found = True
            case "data_step_started":
                self._begin(_TITLES[data["step"]])
            case "data_rows_done" if data["rows"]:  # of what was done before anybody looked nothing is known
                self._count += data["rows"]
                self._rows(self._count)
            case "data_step_ended" if "rows" in data:  # exact; who works apart is only known by chunks until then
                self._whole = data["rows"]
                self._rows(self._whole)

    def _rows(self, count: int) -> None:
        if self._step is not None:
            known = count if self._whole is None else min(count, self._whole)
            self._step.summary = f"{self._title}{known:,} rows"

    def _begin(self, title: str) -> None:
        self._stack.close()
        self._count = 0
        if self._within is not None:
            self._step, self._title = self._within, f"{title}, "
            self._step.summary = title
            return
        self._step = self._stack.enter_context(self._screen.step(title))
