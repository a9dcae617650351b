"""The screen of a deploy: its events as steps, one line per phase."""

import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from aiops.cli.step import Step
from aiops.layers.core.event import Event

if TYPE_CHECKING:
    from aiops.cli.screen import Screen

_NAMED = 3


class Progress:
    """A listener that shows each phase while it runs; close it whatever happens, so that the live line goes away."""

    def __init__(self, screen: "Screen") -> None:
        self._screen = screen
        self._stack = ExitStack()
        self._step: Step | None = None
        self._task = ""
        self._running: dict[str, None] = {}
        self._done = 0
        self._unreached: set[str] = set()
        self.held: dict[str, None] = {}
        """Nodes that the deploy has set draining and not given back."""
        self._lock = threading.Lock()

    def listen(self, event: Event) -> None:
        """Show one event."""
        match event.kind:
            case "phase_started" if event.data["nodes"]:
                self._step = self._stack.enter_context(
                    self._screen.step(event.data["phase"], nodes=event.data["nodes"])
                )
            case "task_failed" if event.node is not None:
                self.end(event.node, event.data["task"])
            case "node_finished" if self._step is not None:
                if event.data["outcome"] != "blocked":
                    self._step.done(event.node, failed=event.data["outcome"] == "failed")
                if event.data["phase"] == "connect" and event.data["outcome"] == "failed" and event.node:
                    self._unreached.add(event.node)
            case "phase_finished" if self._step is not None:
                self._tell("")
                self._step.summary = event.message or _counts(event.data)
                if event.data["blocked"] and not event.data["failed"]:
                    self._step.mark = "-"
                self._step = None
                self._stack.close()
            case _:
                self._between(event)

    def _between(self, event: Event) -> None:
        """Show what comes between phases."""
        match event.kind:
            case "node_draining" if event.node is not None:
                self.held[event.node] = None
            case "node_resumed" if event.node is not None:
                self.held.pop(event.node, None)
            case "batch_started":
                self._screen.note(f"batch {event.data['number']} of {event.data['of']}: {event.message}")
            case "lock_awaited":
                self._screen.note(f"  waiting up to {event.data['seconds'] / 60:.0f} min for the head: {event.message}")
            case "lock_confirmed":
                self._screen.note(f"  {event.message}")
            case "rollout_stopped":
                self.close()  # a phase that was cut off has no end of its own
            case "drain_awaited" if self._step is not None:
                self._step.summary = _awaited(event.data)
            case "nodes_asked_again" if event.data["silent"]:
                self._screen.note(f"  asking {event.data['silent']} again, to tell why the work there was cut off")
            case "preflight_finished":
                self._preflight(event.data["nodes"], set(event.data["refused"]) - self._unreached)
                self._findings(event.data["findings"])

    def begin(self, node: str, task: str) -> None:
        """Show that a node has begun a task; called from any thread."""
        self._tell(task, begun=node)

    def end(self, node: str, task: str) -> None:
        """Show that a node has ended a task, well or not; called from any thread."""
        self._tell(task, ended=node)

    def _tell(self, task: str, *, begun: str = "", ended: str = "") -> None:
        """Show the newest task: how many nodes have done it, and those that it waits for."""
        with self._lock:
            if task != self._task:
                self._task, self._done = task, 0
                self._running.clear()
            if begun:
                self._running[begun] = None
            elif ended in self._running:
                del self._running[ended]
                self._done += 1
            if self._step is not None:
                self._step.summary = _work(task, self._done, list(self._running))

    def close(self) -> None:
        """End the step that is still shown, as failed."""
        if self._step is not None:
            self._step.summary = "interrupted"
            self._step = None
            cut = KeyboardInterrupt()
            self._stack.__exit__(type(cut), cut, None)

    def _preflight(self, nodes: int, refused: Collection[str]) -> None:
        """A line where nodes that answer are kept out; why is said at the end."""
        if not refused:
            return
        reached = nodes - len(self._unreached)
        with self._screen.step("preflight", total=reached) as step:
            step.done(count=reached - len(refused))
            step.done(count=len(refused), failed=True)

    def _findings(self, findings: list[Mapping[str, Any]]) -> None:
        for finding in findings:
            if finding["severity"] == "warning":
                self._screen.note(f"  warning: {finding['folded']}: {finding['message']}")


def _work(task: str, done: int, running: list[str]) -> str:
    """`install packages on 12/16, waiting for gpu07`."""
    if not task:
        return ""
    words = f"{task[:1].lower()}{task[1:]} on {done}/{done + len(running)}"
    return f"{words}, waiting for {_list(running)}" if done and running else words


def _awaited(data: Mapping[str, Any]) -> str:
    """`draining until 14:20: gpu01 runs job 42 of alice; 3 more after it`."""
    from datetime import datetime

    parts = []
    if data["draining"]:
        until = max(datetime.fromisoformat(one["until"]) for one in data["draining"]).astimezone()
        few = [f"{one['node']} runs {_list(one['work']) or 'something'}" for one in data["draining"][:_NAMED]]
        more = len(data["draining"]) - _NAMED
        parts.append(f"draining until {until:%H:%M}: {'; '.join(few)}{f' and {more} more nodes' if more > 0 else ''}")
    if data["returning"]:
        parts.append(f"waiting for {_list(data['returning'])} to be back")
    if parts and data["queued"]:
        parts.append(f"{data['queued']} more to come")
    return ", ".join(parts)


def _list(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def _counts(data: Mapping[str, Any]) -> str:
    words = [f"{data[name]} {name}" for name in ("changed", "blocked") if data[name]]
    return "   ".join(words) or ("" if data["failed"] else "as wanted")
