"""The cluster lock: one changer at a time, across controllers.

It lives on the head (without one, in AIOPS_HOME), is renewed every `RENEW_SECONDS` by a daemon thread and may be taken
over at once from a dead process of this machine, otherwise after `STALE_SECONDS` unrenewed. Its epoch is the fence:
nodes refuse steps that carry a lower one than they have seen (`gate`), so an owner that was paused and woke too
late changes nothing.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiops.layers.core.clock import Clock, SystemClock, rfc3339
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, UnreachableError
from aiops.layers.core.identifier import token as new_token
from aiops.layers.l0_nodes.transport import Transport

from .floor import Floor
from .identity import Identity
from .keeper import STALE_SECONDS, FolderKeeper, HeadKeeper, Holder, Keeper, ask
from .owner import Owner
from .past import Past
from .tenure import Instant, Tenure

__all__ = ["STALE_SECONDS", "ClusterLock", "FolderKeeper", "HeadKeeper", "Holder", "Keeper", "Lock"]

RENEW_SECONDS = 10.0
_CERTAIN_SECONDS = 30.0


class ClusterLock:
    """The lock of one cluster, whoever holds it."""

    def __init__(
        self,
        keeper: Keeper,
        clock: Clock | None = None,
        identity: Identity | None = None,
        floor: Floor | None = None,
    ) -> None:
        self._keeper = keeper
        self._floor = floor
        self._clock = clock or SystemClock()
        self._identity = identity

    @classmethod
    def of(cls, head: Transport | None, folder: Path, clock: Clock | None = None, *, headless: bool = False) -> Self:
        """The lock on `head`, or in `folder` (`AIOPS_HOME/clusters/NAME/lock`) when there is none.

        Args:
            head: Connected.
            folder: Where.
            clock: The time.
            headless: See `Identity`.
        """
        keeper = FolderKeeper(folder) if head is None else HeadKeeper(head)
        return cls(
            keeper, clock, Identity(folder.parent, head.node if head else None, headless=headless), Floor(folder.parent)
        )

    @property
    def place(self) -> str:
        """Where it is kept, in words."""
        return self._keeper.place

    def acquire(self, owner: Owner, purpose: str = "") -> "Lock":
        """Take the lock and renew it until it is released (`with lock.acquire(owner) as lock:`).

        Asking again after a lost answer is harmless: the request carries a token of its own.

        Args:
            owner: Who takes it.
            purpose: What for, without secrets: the command.

        Raises:
            ConflictError: Another holds it (`lock.held`): who, on which host, in which run, since when. Or the keeper
                is of another cluster than the one this machine knows under the name (`cluster.other`).
            UnreachableError: The head cannot be asked.
            FailedError: The head cannot keep it (disk full, state unreadable).
        """
        self.require_known()
        token = new_token()
        request: dict[str, Any] = {"verb": "acquire", "token": token, "owner": asdict(owner), "dead": None}
        request["purpose"] = purpose
        if self._identity is not None:
            request["cluster"] = self._identity.wish
        if self._floor is not None:
            request["floor"] = self._floor.epoch
        asked = Instant.now(self._clock)
        answer = self._ask(request)
        if answer["answer"] == "held":
            holder = Holder.of(answer["holder"])
            if holder.owner.dead():
                asked = Instant.now(self._clock)
                answer = self._ask({**request, "dead": holder.epoch})
        if answer["answer"] == "held":
            raise self._held(Holder.of(answer["holder"]))
        renamed = None
        if self._identity is not None:
            if answer["answer"] == "other":
                raise self._identity.other(answer["cluster"])
            self._identity.settle(answer["cluster"])
            before = answer["was"]
            renamed = before["name"] if before and before["name"] != self._identity.name else None
        previous = Holder.of(answer["previous"]) if answer["previous"] else None
        tenure = Tenure(
            token, int(answer["epoch"]), asked, previous, answer["reason"], clean=answer["clean"], renamed=renamed
        )
        return Lock(self._keeper, self._clock, tenure, self._floor)

    def require_known(self) -> None:
        """Return only if the keeper is of the cluster that this machine knows under the name; changes nothing.

        Asks it only where the head is not the one that was met last.

        Raises:
            ConflictError: It is of another (`cluster.other`).
            UnreachableError: The head cannot be asked.
            FailedError: The state cannot be read.
        """
        if self._identity is not None and self._identity.moved:
            self._identity.require(self._ask({"verb": "show"})["cluster"])

    def show(self) -> Holder | None:
        """Who holds it, or None.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The state cannot be read.
        """
        holder = self._ask({"verb": "show"})["holder"]
        return Holder.of(holder) if holder else None

    def require_free(self) -> None:
        """Return only if nobody is at work under the lock; changes nothing.

        Raises:
            ConflictError: Somebody is (`lock.held`).
            UnreachableError: The head cannot be asked.
            FailedError: The state cannot be read.
        """
        holder = self.show()
        if holder is not None and not holder.stale and not holder.owner.dead():
            raise self._held(holder)

    def past(self) -> tuple[Past, ...]:
        """The last tenures, oldest first, with the one that lasts still, if any.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The state cannot be read.
        """
        answer = self._ask({"verb": "history"})
        tenures = [Past.of(entry) for entry in answer["history"]]
        if answer["holder"]:
            tenures.append(Past.of(answer["holder"]))
        return tuple(tenures)

    def release(self, epoch: int, by: Owner | None = None) -> bool:
        """Take the lock away from whoever holds it under `epoch`; False when that tenure was over already.

        The holder learns it at its next renewal and stops; the nodes refuse its steps as soon as another deploys.

        Args:
            epoch: Of the tenure that is ended.
            by: Who does so, for the history.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The head could not write it.
        """
        request = {"verb": "release", "epoch": epoch, "by": asdict(by) if by else None}
        return bool(self._ask(request)["answer"] == "released")

    def repair(self) -> None:
        """Put a free lock in the place of a state that cannot be read; a readable one is left alone.

        Raises:
            UnreachableError: The head cannot be asked.
            FailedError: The head could not write it.
        """
        self._ask({"verb": "release", "unreadable": True})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return ask(self._keeper, request)

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


class Lock:
    """The lock while we hold it: renewed by a thread, released at the end of the block.

    Attributes:
        token: The proof of our tenure. Never shown.
        epoch: What every changing step carries (`gate`); only `surpass` raises it.
        lost: Set when the keeper has refused a renewal: another holds the lock now.
    """

    def __init__(self, keeper: Keeper, clock: Clock, tenure: Tenure, floor: Floor | None = None) -> None:
        self.tenure = tenure
        self.token = tenure.token
        self.epoch = tenure.epoch
        self.lost = threading.Event()
        self._keeper = keeper
        self._clock = clock
        self._floor = floor
        self._confirmed = tenure.asked
        self._taken_by = ""
        self._ended = threading.Event()
        self._asking = threading.Lock()
        self._remember()
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
        self._renew({"verb": "renew", "token": self.token})

    def surpass(self, seen: int) -> None:
        """Raise our epoch above `seen`, which a node says it has seen; return only while the lock is ours.

        Raises:
            ConflictError: The lock was lost (`lock.lost`).
            UnreachableError: The head cannot be asked.
            FailedError: The head cannot keep it now.
        """
        self._renew({"verb": "surpass", "token": self.token, "seen": seen})
        self.guard()
        self._remember()

    def _renew(self, request: Mapping[str, Any]) -> None:
        with self._asking:
            if self._ended.is_set() or self.lost.is_set():
                return
            asked = Instant.now(self._clock)
            answer = ask(self._keeper, request)
            if answer["answer"] == "renewed":
                self._confirmed = asked
                self.epoch = int(answer["epoch"])
            else:
                holder = answer["holder"]
                self._taken_by = f" to {Holder.of(holder).owner}" if holder else " (it was released by hand)"
                self.lost.set()

    def release(self) -> None:
        """Give the lock back. Where the head cannot be told, it goes stale by itself; releasing twice is harmless."""
        with self._asking:  # after a renewal that is under way, never beside it
            if self._ended.is_set():
                return
            self._ended.set()
            if not self.lost.is_set():
                with suppress(UnreachableError, FailedError):
                    ask(self._keeper, {"verb": "release", "token": self.token})

    def _remember(self) -> None:
        if self._floor is not None:
            self._floor.keep(self.epoch)

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
