"""Attempts: the repairs that were made on a node, read from its changes of state. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from .node_state import IN_SERVICE, StateChange
from .verdict import Action

REPAIRS = 5
"""So many repairs within `WINDOW` are enough: the next one is for service (NVSentinel: five remediations in 7 days)."""

WINDOW = timedelta(days=7)

CUT_OFF = "its repair was cut off"
"""How the cause of a change begins that puts a node back whose repair did not come to its end. Where its step was being
taken, that was no attempt; where it was looked at, the step had been taken."""


UNDONE = "it was not done"
"""How the cause of a change begins that puts a node back which its step did not reach: that tells nothing of it."""

IN_VAIN = 2
"""After so many tries in a row to which a node was not reached, a person is to see why."""

PLAYED: tuple[Action, ...] = ("reset_device", "restart_service", "reboot")
"""The steps that do something on a node; each has a playbook."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A repair that was begun."""

    step: Action
    at: datetime


def attempts(changes: Iterable[StateChange], at: datetime) -> tuple[Attempt, ...]:
    """The repairs of a node within `WINDOW` before `at` that came to an end, oldest first.

    `restart_app` on a drained node is a look afresh, and has no other state than that.

    What was before it came back from service does not count any more.

    Args:
        changes: Of one node, oldest first.
        at: When this is.
    """
    found: list[Attempt] = []
    for change in changes:
        if change.before == "rma":
            found = []
        elif change.after == "repairing" or (change.before, change.after) == ("drained", "validating"):
            step = step_of(change)
            if step is not None and at - change.at <= WINDOW:
                found.append(Attempt(step, change.at))
        elif found and _erases(change, found[-1]):
            found.pop()
    return tuple(found)


def _erases(change: StateChange, attempt: Attempt) -> bool:
    """Whether a change tells that the attempt before it was not made: the look of `restart_app` is all of it."""
    under = "validating" if attempt.step == "restart_app" else "repairing"
    return change.before == under and change.cause.startswith((CUT_OFF, UNDONE))


def undone(changes: Iterable[StateChange]) -> tuple[str, ...]:
    """Why the last repairs in a row were not done, oldest first; empty where the last one was.

    Args:
        changes: Of one node, oldest first.
    """
    found: list[str] = []
    for change in changes:
        if change.before == "rma":
            found = []
        elif change.before == "repairing" and change.cause.startswith(UNDONE):
            found.append(change.cause.removeprefix(UNDONE).removeprefix(": "))
        elif change.before == "repairing" and not change.cause.startswith(CUT_OFF):
            found = []
    return tuple(found)


def step_of(change: StateChange) -> Action | None:
    """The step that a change to `repairing` was made for, or the look after it."""
    word = change.cause.partition(":")[0]
    return next((action for action in get_args(Action) if action == word), None)


def repaired_at(changes: Iterable[StateChange]) -> dict[str, datetime]:
    """When each node was last looked at after a step that did something there, by name.

    A look alone, after `restart_app` or where the step could not be taken any more, cures nothing.

    Args:
        changes: Of any nodes, oldest first.
    """
    return {
        one.node: one.at
        for one in changes
        if (one.before, one.after) == ("repairing", "validating") and step_of(one) in PLAYED
    }


def since_service(changes: Sequence[StateChange]) -> list[StateChange]:
    """The changes since a node was last in service."""
    last = max((number for number, one in enumerate(changes) if one.after in IN_SERVICE), default=-1)
    return list(changes[last + 1 :])
