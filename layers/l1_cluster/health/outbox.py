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

from .news import News
from .notice import Change, Notice
from .notifier import REJECTED, Notifier

SECONDS = 5.0
"""So long all notifiers together may hold up a run; what is not sent by then is sent by the next."""

MOST_NOTICES = 20
"""So many notices wait for a notifier; with a look every 5 minutes, changes of 100 minutes one by one."""

MOST_CHANGES = 500
"""So many changes are kept of notices that were folded into one: about 150 KB, which chat programs and mail take."""

LEFT_OUT = Change("came", "earlier changes are left out, they waited for too long: `aiops health history` tells them")


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
    news: News,
    *,
    deeds: Iterable[Change],
    names: Iterable[str],
    make: Callable[[tuple[Change, ...]], Notice],
    until: datetime,
) -> Outbox:
    """The outbox with one notice more for each notifier, where something has changed. Pure.

    Args:
        outbox: As it was.
        news: What has come and what is over since what it knows.
        deeds: What the policy has done since.
        names: The notifiers that there are; what was for others is let go.
        make: Makes the notice of its changes.
        until: Up to when the deeds are.
    """
    changes = (*news.came, *deeds, *news.over)
    notice = (make(changes),) if changes else ()
    names = tuple(names)
    return Outbox(
        news.known,
        until,
        {name: _folded((*outbox.pending.get(name, ()), *notice), make) for name in names},
        {name: why for name, why in outbox.failing.items() if name in names},
    )


def _folded(notices: tuple[Notice, ...], make: Callable[[tuple[Change, ...]], Notice]) -> tuple[Notice, ...]:
    """The same changes in `MOST_NOTICES` notices at most: the oldest are one, less what is too much of them."""
    if len(notices) <= MOST_NOTICES:
        return notices
    over = len(notices) - MOST_NOTICES + 1
    changes = [one for notice in notices[:over] for one in notice.changes if one != LEFT_OUT]
    less = len(changes) > MOST_CHANGES or any(LEFT_OUT in notice.changes for notice in notices[:over])
    kept = changes[-MOST_CHANGES:]
    return (make((LEFT_OUT, *kept) if less else tuple(kept)), *notices[over:])


def deliver(
    outbox: Outbox, notifiers: Sequence[Notifier], clock: Clock, seconds: float = SECONDS
) -> tuple[Outbox, tuple[str, ...]]:
    """Send what is pending, all notifiers at once, for `seconds` at most.

    Returns:
        The outbox without what has arrived or was refused for good; and warnings: of each notifier that fails since
        now, or does not reach everybody since now, and of each notice that is lost.
    """
    errands = [_Errand(one, outbox.pending.get(one.name, ()), clock, seconds) for one in notifiers]
    for errand in errands:
        errand.start()
    ends = clock.monotonic() + seconds
    for errand in errands:
        errand.join(max(0.0, ends - clock.monotonic()))
    outcomes = {errand.notifier.name: errand.outcome for errand in errands}
    failing = {name: one.trouble for name, one in outcomes.items() if one.trouble}
    # Whoever had nothing to send has neither failed nor recovered.
    idle = {name: why for name, why in outbox.failing.items() if not outbox.pending.get(name)}
    warnings = [
        f"notifier `{name}` {words}"
        for name, one in outcomes.items()
        for words in (*((one.words,) if one.trouble and name not in outbox.failing else ()), *one.lost)
    ]
    pending = {name: one.left for name, one in outcomes.items()}
    return replace(outbox, pending=pending, failing={**idle, **failing}), tuple(warnings)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What has come of one notifier's notices.

    Attributes:
        left: What is to be sent again.
        trouble: Why something was not delivered, or not to everybody; empty where there is nothing to tell.
        lost: Words about what was refused for good.
    """

    left: tuple[Notice, ...]
    trouble: str
    lost: tuple[str, ...]

    @property
    def words(self) -> str:
        """The trouble, and what becomes of it."""
        if self.left:
            return f"could not be told, and is tried again at each run: {self.trouble}"
        return f"was told, but not everybody whom it tells: {self.trouble}"


class _Errand(threading.Thread):
    """One notifier at work; a daemon, so that one that hangs is left behind."""

    def __init__(self, notifier: Notifier, notices: tuple[Notice, ...], clock: Clock, seconds: float) -> None:
        super().__init__(name=f"notifier-{notifier.name}", daemon=True)
        self.notifier = notifier
        self._notices = notices
        self._clock = clock
        self._seconds = seconds
        self._ends = clock.monotonic() + seconds
        self._done = 0
        self._why = ""
        self._unreached = ""
        self._lost: tuple[str, ...] = ()

    @property
    def outcome(self) -> _Outcome:
        """What has come of it so far."""
        done = self._done
        left = self._notices[done:]
        slow = f"it did not take a notice within {self._seconds:g} s" if left and done == 0 else ""
        return _Outcome(left, self._why or slow or self._unreached, self._lost)

    def run(self) -> None:
        for notice in self._notices:
            remaining = self._ends - self._clock.monotonic()
            if remaining <= 0:
                return
            try:
                self._unreached = self.notifier.send(notice, remaining) or self._unreached
            except AiopsError as error:
                if error.code != REJECTED:
                    self._why = error.message
                    return
                self._lost += (f"refuses `{notice.subject}` for good, so it is not sent again: {error.message}",)
            except Exception as error:  # noqa: BLE001 - a stranger's notifier must cost nobody but itself
                self._why = f"it failed: {type(error).__name__}"  # its words may hold a secret
                return
            self._done += 1


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
