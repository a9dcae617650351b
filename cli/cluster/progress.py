"""The screen of a deploy: its events as steps, one line per phase."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from aiops.cli.step import Step
from aiops.layers.core.event import Event

if TYPE_CHECKING:
    from aiops.cli.screen import Screen


class Progress:
    """A listener that shows each phase while it runs; close it whatever happens, so that the live line goes away."""

    def __init__(self, screen: "Screen") -> None:
        self._screen = screen
        self._stack = ExitStack()
        self._step: Step | None = None
        self.facts = ""

    def listen(self, event: Event) -> None:
        """Show one event."""
        match event.kind:
            case "phase_started":
                self._step = self._stack.enter_context(
                    self._screen.step(event.data["phase"], nodes=event.data["nodes"])
                )
            case "node_finished" if self._step is not None:
                if event.data["outcome"] != "blocked":
                    self._step.done(event.node, failed=event.data["outcome"] == "failed")
            case "phase_finished" if self._step is not None:
                self._step.summary = event.message or _counts(event.data)
                if event.data["blocked"] and not event.data["failed"]:
                    self._step.mark = "-"
                self._step = None
                self._stack.close()
            case "preflight_finished":
                self._findings(event.data["findings"])

    def task(self, node: str, task: str) -> None:
        """Show what a node has done last."""
        if self._step is not None:
            self._step.summary = f"{node}: {task[:1].lower()}{task[1:]}"

    def close(self) -> None:
        """End the step that is still shown, as failed."""
        if self._step is not None:
            self._step.summary = "interrupted"
            self._step = None
            cut = KeyboardInterrupt()
            self._stack.__exit__(type(cut), cut, None)

    def _findings(self, findings: list[Mapping[str, Any]]) -> None:
        for finding in findings:
            if finding["severity"] == "warning":
                self._screen.note(f"  warning: {finding['folded']}: {finding['message']}")


def _counts(data: Mapping[str, Any]) -> str:
    words = [f"{data[name]} {name}" for name in ("changed", "blocked") if data[name]]
    return "   ".join(words) or ("" if data["failed"] else "as wanted")
