"""What `aiops train` shows: the way to the first step in lines that stay, then one line that lives."""

import textwrap
from typing import TYPE_CHECKING, Any

from aiops.cli.exit import Exit
from aiops.cli.job.following import AT_REST, exit_of_job, standings
from aiops.cli.job.options import loss_of, nodes_of, progress_of
from aiops.cli.step import HEARTBEAT, layout

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen
    from aiops.layers.core.clock import Clock

_FAULTS = frozenset({"fault_found", "job_held", "job_failed", "checkpoint_rejected", "node_drained"})
"""Decisions that are told with ✗; all others stand with ·, and those that a line of its own tells are left out."""

_OWN_LINES = frozenset({"job_started", "job_running", "job_succeeded"})
_TITLES = {
    "checkpoint_rejected": "checkpoint",
    "fault_found": "fault",
    "job_recovered": "recovered",
    "job_requeued": "again",
    "job_waiting": "waits",
    "job_stopping": "stops",
    "job_held": "held",
    "job_failed": "failed",
    "node_drained": "drained",
    "node_kept": "not drained",
    "power_asked": "power",
    "pairs_tested": "pair test",
    "job_submitted": "queued",
}
_WIDTH = 100


def follow(
    desk: "Counter",
    screen: "Screen",
    clock: "Clock",
    asked: dict[str, Any],
    *,
    resumed: bool,
    again: str | None = None,
) -> tuple[Exit, dict[str, Any]]:
    """Show a job until it has ended, or waits for a person; the exit code, and the end as a document.

    Args:
        desk: Who answers.
        screen: Where it is shown.
        clock: The time.
        asked: The job, the number of the request, and of the last decision that is not of it.
        resumed: Whether it was there before.
        again: What is typed to go on with it; None for a job that is no recipe's.
    """
    shown = _Shown(screen, clock)
    found: dict[str, Any] = {}
    try:
        for found in standings(desk, clock, asked["job"], request=asked["request"], after=asked["after"]):
            if found["heard"]:
                shown.take(found)
    finally:
        screen.live("")
    state = found["state"]
    if state == "succeeded":
        screen.note(f"{found['id']} succeeded{_attempts(found)}")
    elif not screen.json:
        _tell_end(screen, found, again)
    document = {
        "job": found["id"],
        "state": state,
        "reason": found["reason"] or None,
        "attempts": found["launched"],
        "step": found["step"],
        "resumed": resumed,
    }
    return exit_of_job(state), document


def _attempts(found: dict[str, Any]) -> str:
    return f" after {found['launched']} attempts" if found["launched"] > 1 else ""


def _tell_end(screen: "Screen", found: dict[str, Any], again: str | None) -> None:
    screen.warn(f"{found['id']} {'is held' if found['state'] == 'held' else found['state']}: {found['reason']}")
    screen.hint(f"see what went wrong first: `aiops job logs {found['id']}`")
    screen.hint(f"and why this was decided: `aiops job explain {found['id']}`")
    if again is not None or found["state"] in {"held", "failed"}:
        screen.hint(f"once that is mended: `{again or 'aiops train --resume --job ' + found['id']}`")


class _Shown:
    """What was shown so far."""

    def __init__(self, screen: "Screen", clock: "Clock") -> None:
        self._screen = screen
        self._clock = clock
        self._begun = self._said = clock.monotonic()
        self._attempt = 0
        self._running = False
        self._stepped = False
        self._hinted = False
        self._state = ""

    def take(self, found: dict[str, Any]) -> None:
        """Show what has changed."""
        attempt = found["attempt"]
        if attempt is not None and attempt["number"] != self._attempt and found["state"] not in AT_REST:
            self._head(found, attempt)
        for one in found["decisions"]:
            if one["kind"] not in _OWN_LINES:
                self._decision(one)
        if attempt is not None and not self._running and found["state"] == "running":
            self._running = True
            self._line("✓", "started", f"{attempt['engine']}   {nodes_of(attempt['nodes'])}")
        progress = found["progress"]
        if self._running and not self._stepped and progress is not None and progress["first"] is not None:
            self._stepped = True
            loss = progress["first_loss"]
            self._line("✓", "first step", f"{progress['first']:,}" + (f", loss {loss_of(loss)}" if loss else ""))
        self._live(found)

    def _head(self, found: dict[str, Any], attempt: dict[str, Any]) -> None:
        self._attempt, self._running, self._stepped = attempt["number"], False, False
        count = len(attempt["nodes"])
        each = attempt["devices"] // count if count else 0
        what = f"{count} node{'s' * (count != 1)}" + (f" × {each} devices" if each else "")
        self._screen.note(f"{found['id']} · attempt {attempt['number']} · {what} · {attempt['engine']}")
        self._screen.note("")
        if attempt["resume"] is not None:
            self._line("✓", "checkpoint", f"step {attempt['step']:,} verified")
        self._line("✓", "health gate", f"{count}/{count} ok")

    def _decision(self, one: dict[str, Any]) -> None:
        mark = "✗" if one["kind"] in _FAULTS else "·"
        title = _TITLES.get(one["kind"], one["kind"].replace("_", " "))
        first, *more = textwrap.wrap(" ".join(one["message"].split()), _WIDTH) or [""]
        self._screen.note(f"  {mark} {title:<13} {first}")
        for line in more:
            self._screen.note(f"{'':18}{line}")
        if one["kind"] in _FAULTS:
            self._begun = self._clock.monotonic()  # what comes next is timed from the fault, not from the first step

    def _line(self, mark: str, title: str, text: str) -> None:
        now = self._clock.monotonic()
        self._screen.note(layout(mark, title, text, now - self._begun).rstrip())
        self._begun = now

    def _live(self, found: dict[str, Any]) -> None:
        text = _standing(found)
        if self._screen.animated:
            self._screen.live(f"  {text}")
        elif self._clock.monotonic() - self._said >= HEARTBEAT or found["state"] != self._state:
            if found["state"] in {"queued", "waiting"} or found["state"] == self._state:
                self._screen.note(f"  {text}")
            self._said = self._clock.monotonic()
        self._state = found["state"]
        if self._stepped and not self._hinted:
            self._hinted = True
            self._screen.note(f"Ctrl-C detaches; the job goes on. Come back with `aiops job logs -f {found['id']}`")


def _standing(found: dict[str, Any]) -> str:
    """`step 12,400/50,000   loss 1.839   41.0k tokens/s   21h left`, or why there is none yet."""
    words = progress_of(found["progress"], pace=True) if found["state"] == "running" else None
    if words is not None:
        return words
    return f"{found['state']}" + (f": {found['reason']}" if found["reason"] else "")
