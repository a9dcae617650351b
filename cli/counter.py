"""Where jobs are asked about: at the controller's door; while none runs, in the store that we may read ourselves."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiops.layers.core.errors import ConflictError, UnreachableError

if TYPE_CHECKING:
    from aiops.layers.l2_jobs.controller.desk import Caller, Desk
    from aiops.layers.l2_jobs.job import Account, Job

    from .app import App


class Counter(Protocol):
    """Answers as a desk does.

    Attributes:
        decided: Whether a controller is there that acts on what is asked.
        place: Whose store it is, `HOST:SOCKET`: the same words are the same jobs.
    """

    decided: bool
    place: str

    def ask(self, verb: str, **words: Any) -> Any:
        """The answer to one question or wish.

        Raises:
            AiopsError: The desk's own.
        """
        ...


class AtDoor:
    """A controller that runs."""

    decided = True

    def __init__(self, path: Path) -> None:
        """Knock.

        Raises:
            UnreachableError: Nobody opens.
        """
        from aiops.layers.l2_jobs.controller.visitor import Visitor

        self._visitor = Visitor(path)
        self.place = place_of(path)

    def ask(self, verb: str, **words: Any) -> Any:
        """The controller's answer."""
        return self._visitor.ask(verb, **words)

    def close(self) -> None:
        """Leave."""
        self._visitor.close()


class AtDesk:
    """A desk in this process."""

    def __init__(self, desk: "Desk", caller: "Caller", *, decided: bool, place: str) -> None:
        self._desk = desk
        self._caller = caller
        self.decided = decided
        self.place = place

    def ask(self, verb: str, **words: Any) -> Any:
        """The desk's answer."""
        return self._desk.answer(self._caller, verb, words)


def place_of(path: Path) -> str:
    """What the store is called whose controller opens at `path`, or would."""
    return f"{socket.gethostname()}:{path}"


def myself() -> "Caller":
    """The user of this process, who may do everything in a store of their own."""
    from aiops.layers.l2_jobs.controller.door import caller_for

    return caller_for(os.geteuid(), os.getegid(), os.geteuid())


def knock(aiops: "App") -> AtDoor | None:
    """The controller on this machine; None where none runs.

    Raises:
        UnreachableError: One is installed and does not answer, and only it may read its store (`controller.away`).
    """
    from aiops.layers.l2_jobs.controller.visitor import FILE, SYSTEM_SOCKET, UNIT, away

    own = aiops.home / FILE
    trouble: UnreachableError | None = None
    system = [] if aiops.environment.get("AIOPS_HOME") else [SYSTEM_SOCKET]
    for path in (own, *system):
        if not path.parent.is_dir():
            continue
        try:
            return AtDoor(path)
        except UnreachableError as error:
            trouble = error if path == SYSTEM_SOCKET and os.geteuid() != 0 else trouble
    if trouble is not None and SYSTEM_SOCKET.exists():
        raise trouble
    if system and os.geteuid() != 0 and UNIT.exists():
        raise away(SYSTEM_SOCKET, "its service has been stopped")
    return None


@contextmanager
def counter(aiops: "App") -> "Iterator[Counter]":
    """Where to ask: a controller that runs here, else our own store.

    Raises:
        UnreachableError: Only a controller may read the store, and it does not answer.
    """
    door = knock(aiops)
    if door is not None:
        try:
            yield door
        finally:
            door.close()
        return
    from aiops.layers.l2_jobs.controller.desk import Desk
    from aiops.layers.l2_jobs.controller.ledger import Ledger
    from aiops.layers.l2_jobs.controller.logs import Logs
    from aiops.layers.l2_jobs.controller.visitor import FILE

    with aiops.store() as store:
        desk = Desk(
            Ledger(store),
            Logs(aiops.home),
            compile_job=_nobody_decides,
            now=lambda: aiops.clock.now().timestamp(),
            look=lambda: None,
        )
        yield AtDesk(desk, myself(), decided=False, place=place_of(aiops.home / FILE))


def _nobody_decides(_submission: Any, _account: "Account", _number_of: Any) -> "Job":
    raise ConflictError(
        "no controller runs that would start it",
        code="controller.none",
        hints=["start one: `aiops controller run`"],
    )
