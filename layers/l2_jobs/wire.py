"""What is said on a line, both ways: pure. Whatever is garbled, or made up by a job's user, is no report.

A job's user owns what its launcher writes, and may put anything there: every number has bounds, every text is plain.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from .attempt import Key
from .report import (
    End,
    Ended,
    Exited,
    Frozen,
    Halted,
    NotStarted,
    PeerHeard,
    PeerSilent,
    Phase,
    Ready,
    Report,
    Started,
    Stepped,
)
from .text import plain

_ENDS = frozenset(get_args(End)) - {"lost"}
_PHASES = frozenset(get_args(Phase))
_LONGEST = 2000
WHOLE = 1 << 53
"""What is no smaller is no number of ours: JSON has it exactly up to there, and every column holds it."""
RANKS = 1 << 20
"""Of one attempt, and more than any cluster has devices."""
STATUSES = 1 << 31
_CAUSERS = frozenset({"user", "node", "storage", "scheduler", "network", "framework"})


def report_of(key: Key, node: str, at: float, event: Mapping[str, Any]) -> Report | None:  # noqa: C901, PLR0911 - a table
    """A launcher's event as a report; None for one that says nothing to the controller.

    Args:
        key: Whose launcher.
        node: Where it runs.
        at: When it was heard, by the steady clock.
        event: As docs/decisions/jobs.md has it.
    """
    kind = event.get("kind")
    if kind == "started":
        return Started(key, node, at, _text(event.get("boot_id")))
    if kind == "stepped":
        return _stepped(key, node, at, event)
    rank, seconds = event.get("rank"), _number(event.get("seconds"))
    if kind == "exited" and whole(rank, RANKS):
        oom = event.get("oom")
        return Exited(key, node, at, rank, status_of(event.get("status")), oom if isinstance(oom, bool) else None)
    if kind == "halted" and whole(rank, RANKS) and isinstance(event.get("halted"), bool):
        return Halted(key, node, at, rank, event["halted"])
    if kind == "ended" and _end(event) is not None:
        return ended_of(key, node, at, event)
    if kind == "not_started":
        causer = event.get("causer")
        known = isinstance(causer, str) and causer in _CAUSERS
        return NotStarted(key, node, at, _text(event.get("reason")), str(causer) if known else "node")
    if kind == "peer_silent" and seconds is not None and 0 <= seconds < WHOLE:
        return PeerSilent(key, node, at, _text(event.get("peer")), seconds)
    if kind == "peer_heard":
        return PeerHeard(key, node, at, _text(event.get("peer")))
    if kind in ("frozen", "thawed"):
        return Frozen(key, node, at, thawed=kind == "thawed")
    if kind == "ready" and isinstance(event.get("ready"), bool):
        return Ready(key, at, event["ready"])
    return None


def ended_of(key: Key, node: str, at: float, event: Mapping[str, Any]) -> Ended:
    """The end of a rank group, from its launcher's word that it ends or has ended; `lost` where that is unknown."""
    return Ended(key, node, at, _end(event) or "lost", status_of(event.get("status")), _text(event.get("reason")))


def document_of(line: bytes) -> dict[str, Any] | None:
    """The document in a line; None where it is none, is nested without end, or has a number without end."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def lines_of(*orders: Mapping[str, Any]) -> bytes:
    """Orders to an agent, in lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in orders)


def whole(value: Any, below: int = WHOLE) -> TypeGuard[int]:
    """Whether it is a whole number, from 0 on and smaller than `below`."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _end(event: Mapping[str, Any]) -> End | None:
    end = event.get("end")
    return end if isinstance(end, str) and end in _ENDS else None  # type: ignore[return-value]  # _ENDS holds only those


def status_of(value: Any) -> int | None:
    """An exit status, or -N after signal N; None where it can be none."""
    known = isinstance(value, int) and not isinstance(value, bool) and -STATUSES < value < STATUSES
    return value if known else None


def _stepped(key: Key, node: str, at: float, event: Mapping[str, Any]) -> Stepped | None:
    step, rank, phase = event.get("step"), event.get("rank"), event.get("phase", "step")
    if not whole(step) or not whole(rank, RANKS) or not isinstance(phase, str) or phase not in _PHASES:
        return None
    total, tokens = event.get("total"), _number(event.get("tokens"))
    seconds = _number(event.get("seconds"))
    return Stepped(
        key,
        node,
        at,
        rank,
        step,
        phase,  # type: ignore[arg-type]  # _PHASES holds only those
        loss=_number(event.get("loss")),
        total=total if whole(total) else None,
        tokens=tokens if tokens is not None and math.isfinite(tokens) else None,
        printed=event.get("printed") is True,
        seconds=seconds if seconds is not None and 0 < seconds < WHOLE else None,
    )


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _text(value: Any) -> str:
    return plain(value, _LONGEST) if isinstance(value, str) else ""
