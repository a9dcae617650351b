"""The cluster lock: one changer at a time, across controllers.

It lives on the head (without one, in AIOPS_HOME), is renewed every `RENEW_SECONDS` by a daemon thread and may be taken
over at once from a dead process of this machine, otherwise after `STALE_SECONDS` unrenewed. Its epoch is the fence:
nodes refuse steps that carry a lower one than they have seen (`gate`), so an owner that was paused and woke too
late changes nothing.
"""

import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from aiops.layers.core.clock import Clock, SystemClock, rfc3339
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, UnreachableError
from aiops.layers.core.identifier import token as new_token
from aiops.layers.l0_nodes.transport import Transport

from .owner import Owner
from .remote import lock as remote_lock
from .script import script_command

FOLDER = "/var/lib/aiops/lock"
RENEW_SECONDS = 10.0
STALE_SECONDS = remote_lock.STALE_SECONDS
_CERTAIN_SECONDS = 30.0
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock.

    Attributes:
        epoch: Number of this tenure; grows with every one.
        since: When it was acquired, by the keeper's clock.
        age: Seconds since it was last renewed, by the keeper's clock.
    """

    owner: Owner
    epoch: int
    since: datetime
    age: float

    @property
    def stale(self) -> bool:
        """Whether the next one who asks gets the lock."""
        return self.age >= STALE_SECONDS

    def document(self) -> dict[str, Any]:
        """JSON-ready values, without the token."""
        return {**asdict(self.owner), "epoch": self.epoch, "since": rfc3339(self.since), "renewed_ago": self.age}


class Keeper(Protocol):
    """Where the lock is kept, and how it is asked."""

    @property
    def place(self) -> str:
        """The keeper in words: a node, or a folder."""
        ...

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request (see `remote.lock.decide`) and return the answer.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: It could not run the request.
        """
        ...


class HeadKeeper:
    """The lock on the head, asked over its transport as root."""

    def __init__(self, head: Transport, folder: str = FOLDER) -> None:
        self._head = head
        self._folder = folder

    @property
    def place(self) -> str:
        """The head's name."""
        return self._head.node.name

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run the lock's script on the head."""
        call = f"main({self._folder!r}, {json.dumps(request)!r})"
        completed = self._head.run(script_command(self._head.node, "lock", call, timeout=_ANSWER_SECONDS))
        if completed.timed_out:
            raise UnreachableError(
                f"`{self.place}` did not answer about the cluster lock within {_ANSWER_SECONDS:.0f} s",
                code="lock.timeout",
                hints=[f"look at it: `aiops node ssh {self.place}`"],
            )
        if not completed.ok:
            reason = completed.error_text.rpartition("\n")[2]
            raise FailedError(
                f"the cluster lock on `{self.place}` cannot be asked: {reason}",
                code="lock.failed",
                hints=[f"`python3` and root are needed there: `aiops node exec --on {self.place} -- python3 -V`"],
            )
        answer: dict[str, Any] = json.loads(completed.stdout)
        return answer


class FolderKeeper:
    """The lock in a folder of this machine, where the inventory has no head."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Serve the request in this process, by the same code that the head runs."""
        return remote_lock.answer(str(self._folder), dict(request))


class ClusterLock:
    """The lock of one cluster, whoever holds it."""

    def __init__(self, keeper: Keeper, clock: Clock | None = None) -> None:
        self._keeper = keeper
        self._clock = clock or SystemClock()

    @classmethod
    def of(cls, head: Transport | None, folder: Path, clock: Clock | None = None) -> Self:
        """The lock on `head`, or in `folder` (`AIOPS_HOME/clusters/NAME/lock`) when there is none."""
        return cls(FolderKeeper(folder) if head is None else HeadKeeper(head), clock)

    @property
    def place(self) -> str:
        """Where it is kept, in words."""
        return self._keeper.place

    def acquire(self, owner: Owner) -> "Lock":
        """Take the lock and renew it until it is released (`with lock.acquire(owner) as lock:`).

        Asking again after a lost answer is harmless: the request carries a token of its own.

        Raises:
            ConflictError: Another holds it (`lock.held`): who, on which host, in which run, since when.
            UnreachableError: The head cannot be asked.
            FailedError: The head cannot keep it (disk full, state unreadable).
        """
        token = new_token()
        request = {"verb": "acquire", "token": token, "owner": asdict(owner), "dead": None}
        asked = Instant.now(self._clock)
        answer = self._ask(request)
        if answer["answer"] == "held":
            holder = _holder(answer["holder"])
            if holder.owner.dead():
                asked = Instant.now(self._clock)
                answer = self._ask({**request, "dead": holder.epoch})
        if answer["answer"] == "held":
            raise self._held(_holder(answer["holder"]))
        previous = _holder(answer["previous"]) if answer["previous"] else None
        tenure = Tenure(token, int(answer["epoch"]), asked, previous, answer["reason"])
        return Lock(self._keeper, self._clock, tenure)

    def show(self) -> Holder | None:
        """Who holds it, or None.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The state cannot be read.
        """
        holder = self._ask({"verb": "show"})["holder"]
        return _holder(holder) if holder else None

    def release(self, epoch: int) -> bool:
        """Take the lock away from whoever holds it under `epoch`; False when that tenure was over already.

        The holder learns it at its next renewal and stops; the nodes refuse its steps as soon as another deploys.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The head could not write it.
        """
        return bool(self._ask({"verb": "release", "epoch": epoch})["answer"] == "released")

    def repair(self) -> None:
        """Put a free lock in the place of a state that cannot be read; a readable one is left alone.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The head could not write it.
        """
        self._ask({"verb": "release", "unreadable": True})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return _checked(self._keeper, request)

    def _held(self, holder: Holder) -> ConflictError:
        owner = holder.owner
        hints = ["wait for it, or take the lock away: `aiops cluster lock release`"]
        if owner.host == socket.gethostname():
            hints.insert(0, f"see what it does: `aiops run show {owner.run}`")
        return ConflictError(
            f"the cluster lock on `{self.place}` is held by {owner} since {rfc3339(holder.since)}, "
            f"renewed {holder.age:.0f} s ago",
            code="lock.held",
            hints=hints,
        )


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment by both clocks: the monotonic one stands still while a machine sleeps, the wall clock can be set."""

    monotonic: float
    wall: datetime

    @classmethod
    def now(cls, clock: Clock) -> Self:
        """This moment."""
        return cls(clock.monotonic(), clock.now())

    def age(self, clock: Clock) -> float:
        """Seconds since then, by the clock that says more."""
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())


@dataclass(frozen=True, slots=True)
class Tenure:
    """One time of holding the lock, as the keeper granted it.

    Attributes:
        token: 128 bits in hex that prove it to the keeper.
        asked: When it was asked for, by our clocks: it cannot have gone stale before `STALE_SECONDS` after that.
        previous: Whom it was taken over from, or None.
        reason: Why that was allowed: its process is `dead`, or it was not renewed (`stale`).
    """

    token: str = field(repr=False)
    epoch: int
    asked: Instant
    previous: Holder | None = None
    reason: Literal["dead", "stale"] | None = None


class Lock:
    """The lock while we hold it: renewed by a thread, released at the end of the block.

    Attributes:
        token: The proof of our tenure. Never shown.
        epoch: What every changing step carries (`gate`).
        lost: Set when the keeper has refused a renewal: another holds the lock now.
    """

    def __init__(self, keeper: Keeper, clock: Clock, tenure: "Tenure") -> None:
        self.tenure = tenure
        self.token = tenure.token
        self.epoch = tenure.epoch
        self.lost = threading.Event()
        self._keeper = keeper
        self._clock = clock
        self._confirmed = tenure.asked
        self._taken_by = ""
        self._ended = threading.Event()
        self._asking = threading.Lock()
        threading.Thread(target=self._renew_until_ended, name="cluster-lock", daemon=True).start()

    def guard(self) -> None:
        """Return only while the lock is ours: call it before every changing step.

        It asks the keeper only when the last renewal is older than `_CERTAIN_SECONDS` (we were paused, or the head
        was away).

        Raises:
            ConflictError: The lock was lost (`lock.lost`): nothing more may be changed.
            UnreachableError: It cannot be confirmed now.
            FailedError: The head cannot keep it now.
        """
        if not self.lost.is_set() and self._confirmed.age(self._clock) >= _CERTAIN_SECONDS:
            self.renew()
        if self.lost.is_set():
            raise ConflictError(
                f"the cluster lock on `{self._keeper.place}` was lost{self._taken_by}; nothing more is changed",
                code="lock.lost",
                hints=["see who has it: `aiops cluster lock show`", "run the same command again when it is free"],
            )

    def renew(self) -> None:
        """Tell the keeper that we are alive; sets `lost` when it refuses.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The head cannot keep it now.
        """
        with self._asking:
            if self._ended.is_set() or self.lost.is_set():
                return
            asked = Instant.now(self._clock)
            answer = _checked(self._keeper, {"verb": "renew", "token": self.token})
            if answer["answer"] == "renewed":
                self._confirmed = asked
            else:
                holder = answer["holder"]
                self._taken_by = f" to {_holder(holder).owner}" if holder else " (it was released by hand)"
                self.lost.set()

    def release(self) -> None:
        """Give the lock back. Where the head cannot be told, it goes stale by itself; releasing twice is harmless."""
        with self._asking:  # after a renewal that is under way, never beside it
            if self._ended.is_set():
                return
            self._ended.set()
            if not self.lost.is_set():
                with suppress(UnreachableError, FailedError):
                    _checked(self._keeper, {"verb": "release", "token": self.token})

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(RENEW_SECONDS) and not self.lost.is_set():
            with suppress(AiopsError):  # the head is away; `guard` tells when that lasts too long
                self.renew()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(shown: Mapping[str, Any]) -> Holder:
    return Holder(
        Owner(**shown["owner"]),
        int(shown["epoch"]),
        datetime.fromtimestamp(shown["acquired"], UTC),
        float(shown["age"]),
    )


def _checked(keeper: Keeper, request: Mapping[str, Any]) -> dict[str, Any]:
    """The keeper's answer, its troubles raised."""
    answer = keeper.ask(request)
    match answer["answer"]:
        case "busy":
            raise FailedError(
                f"the cluster lock on `{keeper.place}` is being changed by a process that does not end",
                code="lock.busy",
                hints=["look for a stopped `python3 -I -` there", "run the same command again"],
            )
        case "unreadable":
            raise FailedError(
                f"the cluster lock on `{keeper.place}` cannot be read: {answer['reason']}",
                code="lock.unreadable",
                hints=["when nobody deploys, put a new one in its place: `aiops cluster lock release`"],
            )
        case "failed":
            raise FailedError(
                f"`{keeper.place}` cannot keep the cluster lock: {answer['reason']}",
                code="lock.failed",
                hints=["make room there, or remount it writable, and run the same command again"],
            )
    return answer
