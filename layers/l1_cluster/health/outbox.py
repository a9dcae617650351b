"""The outbox: what notifiers are still to be told. Written down before anything is sent, and kept until it has arrived.

One file is all of it, replaced as a whole: whoever is killed between two steps has sent nothing, or sends the same
notice again, with the same id.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.store.timestamp import from_text, to_text

from .notice import Change, Notice
from .notifier import Notifier

SECONDS = 5.0
"""So long all notifiers together may hold up a run; what is not sent by then is sent by the next."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """What was told, and what is still to be told.

    Attributes:
        known: What goes on and was put into a notice, by the key under which it is known again.
        until: Up to when the policy's deeds were put into notices; None before the first time.
        pending: By notifier, notices that it has not delivered, oldest first.
        failing: By notifier, why it could not deliver when it last tried; so that this is said once.
    """

    known: Mapping[str, Change] = field(default_factory=dict)
    until: datetime | None = None
    pending: Mapping[str, tuple[Notice, ...]] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)


def advance(
    outbox: Outbox,
    now: Mapping[str, Change],
    *,
    deeds: Iterable[Change],
    names: Iterable[str],
    make: Callable[[tuple[Change, ...]], Notice],
    until: datetime,
) -> Outbox:
    """The outbox with one notice more for each notifier, where something has changed. Pure.

    Args:
        outbox: As it was.
        now: What goes on now, by its key.
        deeds: What the policy has done since.
        names: The notifiers that there are; what was for others is let go.
        make: Makes the notice of its changes.
        until: Up to when the deeds are.
    """
    changes = (
        *(change for key, change in now.items() if key not in outbox.known),
        *deeds,
        *(replace(change, turn="over") for key, change in outbox.known.items() if key not in now),
    )
    notice = (make(changes),) if changes else ()
    names = tuple(names)
    return Outbox(
        dict(now),
        until,
        {name: (*outbox.pending.get(name, ()), *notice) for name in names},
        {name: why for name, why in outbox.failing.items() if name in names},
    )


def deliver(
    outbox: Outbox, notifiers: Sequence[Notifier], clock: Clock, seconds: float = SECONDS
) -> tuple[Outbox, dict[str, str]]:
    """Send what is pending, all notifiers at once, for `seconds` at most.

    Returns:
        The outbox without what has arrived; and by notifier that fails since now, why.
    """
    errands = [_Errand(one, outbox.pending.get(one.name, ()), clock, seconds) for one in notifiers]
    for errand in errands:
        errand.start()
    ends = clock.monotonic() + seconds
    for errand in errands:
        errand.join(max(0.0, ends - clock.monotonic()))
    pending = {errand.notifier.name: errand.left for errand in errands}
    failing = {errand.notifier.name: errand.trouble for errand in errands if errand.trouble}
    fresh = {name: why for name, why in failing.items() if name not in outbox.failing}
    return replace(outbox, pending=pending, failing=failing), fresh


class _Errand(threading.Thread):
    """One notifier at work; a daemon, so that one that hangs is left behind."""

    def __init__(self, notifier: Notifier, notices: tuple[Notice, ...], clock: Clock, seconds: float) -> None:
        super().__init__(name=f"notifier-{notifier.name}", daemon=True)
        self.notifier = notifier
        self._notices = notices
        self._clock = clock
        self._seconds = seconds
        self._ends = clock.monotonic() + seconds
        self._sent = 0
        self._why = ""

    @property
    def left(self) -> tuple[Notice, ...]:
        """What has not arrived."""
        return self._notices[self._sent :]

    @property
    def trouble(self) -> str:
        """Why not; empty where all has, or some is left for the next run."""
        if self._why:
            return self._why
        return f"it did not take a notice within {self._seconds:g} s" if self.left and self._sent == 0 else ""

    def run(self) -> None:
        for notice in self._notices:
            remaining = self._ends - self._clock.monotonic()
            if remaining <= 0:
                return
            try:
                self.notifier.send(notice, remaining)
            except AiopsError as error:
                self._why = error.message
                return
            except Exception as error:  # noqa: BLE001 - a stranger's notifier must cost nobody but itself
                self._why = f"it failed: {type(error).__name__}"  # its words may hold a secret
                return
            self._sent += 1


def read_outbox(path: Path) -> Outbox:
    """What was written down; an empty outbox where nothing was, or nothing that can be read."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return Outbox(
            {str(key): Change.of(one) for key, one in document["known"].items()},
            from_text(document["until"]) if document["until"] else None,
            {name: tuple(Notice.of(one) for one in several) for name, several in document["pending"].items()},
            {str(name): str(why) for name, why in document["failing"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Outbox()


def write_outbox(path: Path, outbox: Outbox) -> None:
    """Write it down, whole.

    Raises:
        OSError: The folder is missing, full or read-only.
    """
    document: dict[str, Any] = {
        "known": {key: asdict(one) for key, one in outbox.known.items()},
        "until": None if outbox.until is None else to_text(outbox.until),
        "pending": {name: [one.document() for one in several] for name, several in outbox.pending.items()},
        "failing": dict(outbox.failing),
    }
    write_atomic(path, json.dumps(document).encode(), 0o600)
