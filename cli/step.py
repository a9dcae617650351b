"""One step of something long: a live line with a counter and the slowest node on a terminal, plain lines elsewhere."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from aiops.layers.core.clock import Clock

from .cell import clean
from .duration import spell

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK = 0.1
HEARTBEAT = 30.0
"""Seconds between lines off a terminal, so that nobody takes a long step for a hung one."""

_NAMED = 3


def layout(mark: str, title: str, text: str, seconds: float) -> str:
    """`  ✓ connect       16/16   Ubuntu 24.04                      1.2s`."""
    return f"  {mark} {title:<13} {text:<46} {spell(seconds):>8}"


class Stage(Protocol):
    """What a step is shown on; `Screen` is one."""

    clock: Clock

    @property
    def progress_wanted(self) -> bool:
        """Whether progress is shown at all."""
        ...

    @property
    def animated(self) -> bool:
        """Whether a line may be drawn again and again."""
        ...

    def live(self, text: str) -> None:
        """Draw the one line that changes; empty takes it away."""
        ...

    def note(self, text: str) -> None:
        """A line that stays."""
        ...


class Step:
    """Shown while a `with` block runs; ends with ✓, or ✗ when something failed or the block raised.

    ```
    with screen.step("facts", nodes=names) as step:
        for outcome in outcomes:
            step.done(outcome.node.name, failed=outcome.error is not None)
        step.summary = "Debian 12"
    ```
    """

    def __init__(self, screen: Stage, title: str, *, nodes: Iterable[str] = (), total: int | None = None) -> None:
        """Prepare a step.

        Args:
            screen: Where it is shown.
            title: A word or two.
            nodes: The nodes worked on; the ones not done yet are named as the slowest.
            total: How many things there are, when they are not nodes.
        """
        self._screen = screen
        self.title = title
        self._waiting = dict.fromkeys(nodes)
        self._total = total if total is not None else (len(self._waiting) or None)
        self._count = 0
        self._failed = 0
        self._frame = 0
        self._begun = 0.0
        self._said = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.summary = ""
        self.mark = ""

    def done(self, node: str | None = None, *, failed: bool = False, count: int = 1) -> None:
        """One more is done: `node`, or `count` things."""
        with self._lock:
            if node is not None:
                self._waiting.pop(node, None)
            self._failed += count if failed else 0
            self._count += count

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return self._screen.clock.monotonic() - self._begun

    def __enter__(self) -> Self:
        self._begun = self._said = self._screen.clock.monotonic()
        if self._screen.progress_wanted:
            self._thread = threading.Thread(target=self._run, name=f"step {self.title}", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        mark = self.mark or ("✗" if self._failed or error is not None else "✓")
        self._screen.note(layout(mark, self.title, self._text(ended=True), self.seconds).rstrip())

    def _run(self) -> None:
        while not self._ended.wait(_TICK):
            self.tick()
        self._screen.live("")

    def tick(self) -> None:
        """Show where it stands: the live line on a terminal, a line now and then elsewhere."""
        if self._screen.animated:
            self._frame += 1
            mark = _FRAMES[self._frame % len(_FRAMES)]
            self._screen.live(layout(mark, self.title, self._text(ended=False), self.seconds))
        elif self._screen.clock.monotonic() - self._said >= HEARTBEAT:
            self._said = self._screen.clock.monotonic()
            self._screen.note(layout("…", self.title, self._text(ended=False), self.seconds))

    def _text(self, *, ended: bool) -> str:
        with self._lock:
            parts = []
            if self._total is not None:
                good = self._count - self._failed if ended else self._count
                parts.append(f"{good}/{self._total}")
            elif self._count:
                parts.append(str(self._count))
            if self._failed:
                parts.append(f"{self._failed} failed")
            waiting = list(self._waiting)
        if waiting and not ended and self._count:
            parts.append(f"waiting for {_few(waiting)}")
        if self.summary:
            parts.append(clean(self.summary))
        return "   ".join(parts)


def _few(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
