"""Who keeps a cluster's lock: the head, or a folder of this machine. Both run `remote.lock`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from aiops.layers.core.clock import rfc3339
from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.l0_nodes.transport import Transport

from .owner import Owner
from .remote import lock as remote_lock
from .script import answer_of, script_command

FOLDER = "/var/lib/aiops/lock"
STALE_SECONDS = remote_lock.STALE_SECONDS
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock.

    Attributes:
        epoch: Number of this tenure; grows with every one.
        since: When it was acquired, by the keeper's clock.
        age: Seconds since it was last renewed, by the keeper's clock.
        purpose: What for: a command; empty where it was not said.
    """

    owner: Owner
    epoch: int
    since: datetime
    age: float
    purpose: str = ""

    @property
    def stale(self) -> bool:
        """Whether the next one who asks gets the lock."""
        return self.age >= STALE_SECONDS

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> "Holder":
        """The holder as `remote.lock.public` tells it."""
        since = datetime.fromtimestamp(shown["acquired"], UTC)
        return cls(Owner(**shown["owner"]), int(shown["epoch"]), since, float(shown["age"]), shown.get("purpose", ""))

    def document(self) -> dict[str, Any]:
        """JSON-ready values, without the token."""
        values = {"epoch": self.epoch, "since": rfc3339(self.since), "renewed_ago": self.age, "purpose": self.purpose}
        return {**asdict(self.owner), **values}


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
        return dict(answer_of(self._head.node, completed, "lock.garbled", dict))


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


def ask(keeper: Keeper, request: Mapping[str, Any]) -> dict[str, Any]:
    """The keeper's answer.

    Raises:
        UnreachableError: The head cannot be asked.
        FailedError: The lock is there and cannot be used: its state is unreadable, its disk is full.
    """
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
