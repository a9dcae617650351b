"""Attempts: the repairs that were made on a node, read from its changes of state. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from .node_state import IN_SERVICE, UNDERWAY, StateChange
from .verdict import Action

REPAIRS = 5
"""So many repairs within `WINDOW` are enough: the next one is for service (NVSentinel: five remediations in 7 days)."""

WINDOW = timedelta(days=7)

CUT_OFF = "its repair was cut off"
"""How the cause of a change begins that puts a node back whose repair did not come to its end: that was no attempt."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A repair that was begun."""

    step: Action
    at: datetime


def attempts(changes: Iterable[StateChange], at: datetime) -> tuple[Attempt, ...]:
    """The repairs of a node within `WINDOW` before `at` that came to an end, oldest first.

    What was before it came back from service does not count any more.

    Args:
        changes: Of one node, oldest first.
        at: When this is.
    """
    found: list[Attempt] = []
    for change in changes:
        if change.before == "rma":
            found = []
        elif change.after == "repairing":
            step = step_of(change)
            if step is not None and at - change.at <= WINDOW:
                found.append(Attempt(step, change.at))
        elif change.before in UNDERWAY and change.cause.startswith(CUT_OFF) and found:
            found.pop()
    return tuple(found)


def step_of(change: StateChange) -> Action | None:
    """The step that a change to `repairing` was made for."""
    word = change.cause.partition(":")[0]
    return next((action for action in get_args(Action) if action == word), None)


def since_service(changes: Sequence[StateChange]) -> list[StateChange]:
    """The changes since a node was last in service."""
    last = max((number for number, one in enumerate(changes) if one.after in IN_SERVICE), default=-1)
    return list(changes[last + 1 :])
