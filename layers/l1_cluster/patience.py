"""The cluster lock as a deploy holds it: while the head that keeps it is away, the deploy waits.

Nobody can take the lock while its keeper does not answer, so waiting gives nothing away. Once it answers again it says
whose the lock is.
"""

import threading
from collections.abc import Callable

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError, FailedError, UnreachableError
from aiops.layers.core.event import EventStream

from .doors import HeldLock

SECONDS = 600.0
"""How long the head may be away: longer than it takes to boot, shorter than anybody likes to wait for nothing."""

LOST = "lock.lost"
AWAY = "lock.away"

_STEP = 5.0


class PatientLock:
    """A lock that is held, asked until its keeper answers."""

    def __init__(self, lock: HeldLock, clock: Clock, events: EventStream) -> None:
        self._lock = lock
        self._clock = clock
        self._events = events

    @property
    def epoch(self) -> int:
        """What every changing step carries."""
        return self._lock.epoch

    @property
    def lost(self) -> threading.Event:
        """Set once it is known that another holds it."""
        return self._lock.lost

    def guard(self) -> None:
        """Return only while it is ours: call it before every changing step.

        Raises:
            ConflictError: It is not (`lock.lost`).
            FailedError: Its keeper has not answered for `SECONDS` (`lock.away`).
        """
        self._insist(self._lock.guard)

    def confirm(self) -> None:
        """Ask the keeper in any case, and return only if it is ours: what was seen before is no later owner's doing.

        Raises:
            ConflictError: It is not (`lock.lost`).
            FailedError: Its keeper has not answered for `SECONDS` (`lock.away`).
        """

        def ask() -> None:
            self._lock.renew()
            self._lock.guard()

        self._insist(ask)

    def surpass(self, seen: int) -> None:
        """Raise the epoch above `seen`, which a node has seen, and return only if the lock is ours.

        Raises:
            ConflictError: It is not (`lock.lost`).
            FailedError: Its keeper has not answered for `SECONDS` (`lock.away`).
        """
        self._insist(lambda: self._lock.surpass(seen))

    def _insist(self, ask: Callable[[], None]) -> None:
        deadline = None
        while True:
            try:
                ask()
            except (UnreachableError, FailedError) as error:
                now = self._clock.monotonic()
                if deadline is None:
                    deadline = now + SECONDS
                    self._events.emit("lock_awaited", error.message, seconds=SECONDS)
                if now >= deadline:
                    raise FailedError(
                        f"the head, which keeps the cluster's lock, has not answered for {SECONDS / 60:.0f} min: "
                        f"{error.message}",
                        code=AWAY,
                        hints=error.hints,
                    ) from error
                self._clock.sleep(_STEP)
            else:
                if deadline is not None:
                    self._events.emit("lock_confirmed", "the head answers again, and the cluster lock is still ours")
                return


def ended_by_lock(error: AiopsError) -> bool:
    """Whether a deploy ended because its lock was lost, or could not be confirmed."""
    return error.code in {LOST, AWAY}
