"""A survey: what a user wants to know of nodes, asked for them by who may reach the nodes, and as that user.

A job of theirs could find out all of it; so nobody reads by it what is not theirs to read. What comes of it is bounded:
so many nodes a question, so many asks, so much time and text for each node, and one survey of a user at a time.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aiops.layers.core.clock import Clock
from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes import probe
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import command, program

from .job import Account
from .remote.survey import REFUSED
from .text import plain

NODES = 32
"""Asked by one question at most: the door waits for it. The others are left to the next question."""

MOST_ASKS = 256
"""The facts of a node with all vendors take 65, a plan ten more."""

MOST_SECONDS = probe.SECONDS
"""For any ask; after so long a node answers with what it has."""

MOST_BYTES = 2 * 1024 * 1024
"""Text of one node in all."""

_MOST_SAID = 32 * 1024 * 1024
"""Bytes of what nodes have said by which one question is answered: who is not heard by then is left to the next."""

_AT_ONCE = 4
_WAIT_SECONDS = 30.0
_MARGIN = 5.0
_ESCAPED = 6
"""Bytes of JSON for one of text, at most: a control character is six."""

_OUTLINE = 1024
"""Bytes of an answer beside its text, and then some."""

_PACKAGE = "aiops.layers.l2_jobs"


@dataclass(frozen=True, slots=True)
class Survey:
    """What came of one question.

    Attributes:
        records: Of nodes that have answered.
        silent: Why the others did not, by name.
        left: Those that are still to be asked, by another question.
    """

    records: tuple[Record, ...]
    silent: Mapping[str, str]
    left: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON-ready values; `Survey.of` makes the same survey of them again."""
        records = [one.document() for one in self.records]
        return {"records": records, "silent": dict(self.silent), "left": list(self.left)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Survey":
        """The survey that `document` was made of.

        Raises:
            InputError: It is not the document of one.
        """
        try:
            records = tuple(Record.of(one) for one in document["records"])
            silent = {str(name): str(why) for name, why in document["silent"].items()}
            return cls(records, silent, tuple(str(name) for name in document["left"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"this is not what came of a survey: {error!r}", code="survey.garbled") from error


def asks_of(documents: Any) -> tuple[Ask, ...]:
    """What somebody wants to have asked, by documents of asks, within what one may. Pure.

    Raises:
        InputError: They are none, are too many, share a name, or measure: that would disturb who works there.
    """
    if not isinstance(documents, list) or not 0 < len(documents) <= MOST_ASKS:
        raise InputError(f"a survey has 1 to {MOST_ASKS} questions", code="survey.asks")
    asks = tuple(Ask.of(one) for one in documents)
    if len({one.name for one in asks}) < len(asks):
        raise InputError("two questions of a survey have the same name", code="survey.asks")
    measuring = [one.name for one in asks if one.alone]
    if measuring:
        raise InputError(f"a survey measures nothing, and `{measuring[0]}` does", code="survey.asks")
    return tuple(
        replace(one, timeout=min(one.timeout, MOST_SECONDS), max_bytes=min(one.max_bytes, MOST_BYTES)) for one in asks
    )


def names_of(said: Any) -> tuple[str, ...] | None:
    """Which nodes somebody names; None for all. Pure.

    Raises:
        InputError: They are no names.
    """
    if said is None:
        return None
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise InputError("a survey names nodes, or none for all", code="survey.nodes")
    return tuple(said)


def question(node: Node, asks: Sequence[Ask], account: Account) -> Command:
    """What runs on a node to have it answer as a user."""
    request = probe.request_of(asks, MOST_SECONDS, MOST_BYTES)
    paths = sum(len(path) for ask in asks for path in ask.paths)
    spec = {
        "user": account.user,
        "uid": account.uid,
        "probe": probe.source(),
        "request": request,
        "seconds": MOST_SECONDS + _MARGIN,
        "longest": _ESCAPED * (MOST_BYTES + paths) + _OUTLINE * len(asks) + MOST_BYTES,
    }
    source = program(("processes", "errands", "survey"), f"main({spec!r})", _PACKAGE)
    return command(node, source, timeout=MOST_SECONDS + probe.GRACE)


class Surveyor:
    """Asks the nodes of one cluster for its users; safe to use from several threads."""

    def __init__(self, fleet: Fleet, nodes: Mapping[str, Node], clock: Clock, own: int) -> None:
        """Prepare.

        Args:
            fleet: How nodes are reached.
            nodes: Those that jobs may be placed on, by name.
            clock: Says when an answer came.
            own: The number of the user whose controller this is: like root's, their questions are asked as it reaches
                nodes itself.
        """
        self._fleet = fleet
        self._nodes = nodes
        self._clock = clock
        self._privileged = frozenset({0, own})
        self._busy: set[int] = set()
        self._turn = threading.Condition()

    def survey(self, asks: Sequence[Ask], names: Sequence[str] | None, account: Account) -> Survey:
        """Ask the first of `names` that jobs may be placed on, of all such nodes without names, as `account`.

        Raises:
            InputError: None of the names is such a node (`survey.nodes`).
            UnreachableError: Others are asked for at the moment (`survey.busy`).
        """
        wanted = [node for node in self._nodes.values() if names is None or node.name in names]
        if not wanted:
            raise InputError("none of these nodes is one that jobs are placed on", code="survey.nodes")
        begun = wanted[: min(NODES, self._fleet.width)]  # in one round: the caller does not wait for a second

        def ask(transport: Transport) -> tuple[Completed, datetime]:
            return transport.run(self._question(transport.node, asks, account)), self._clock.now()

        records: list[Record] = []
        silent: dict[str, str] = {}
        said = 0
        with self._turn_of(account):
            for outcome in self._fleet.each(begun, ask, keep=False):
                name = outcome.node.name
                try:
                    if outcome.value is None:
                        silent[name] = outcome.error.message if outcome.error else "it did not answer"
                    else:
                        records.append(_read(outcome.node, *outcome.value))
                except AiopsError as error:
                    silent[name] = plain(error.message)
                said += len(outcome.value[0].stdout) if outcome.value else 0
                if said > _MOST_SAID:
                    break
        heard = {*silent, *(one.node for one in records)}
        return Survey(tuple(records), silent, tuple(node.name for node in wanted if node.name not in heard))

    def _question(self, node: Node, asks: Sequence[Ask], account: Account) -> Command:
        if account.uid in self._privileged:
            return probe.command(node, asks, MOST_SECONDS)
        return question(node, asks, account)

    @contextmanager
    def _turn_of(self, account: Account) -> Iterator[None]:
        """One survey of a user at a time, and few in all: each may hold as much text as its nodes have said."""
        uid = account.uid
        free: Callable[[], bool] = lambda: uid not in self._busy and len(self._busy) < _AT_ONCE  # noqa: E731
        with self._turn:
            if not self._turn.wait_for(free, _WAIT_SECONDS):
                raise UnreachableError(
                    "the controller asks nodes for others at the moment, or for another command of yours",
                    code="survey.busy",
                    hints=["try again in a moment"],
                )
            self._busy.add(uid)
        try:
            yield
        finally:
            with self._turn:
                self._busy.discard(uid)
                self._turn.notify_all()


def _read(node: Node, done: Completed, at: datetime) -> Record:
    """What a node has said.

    Raises:
        FailedError: It was not asked as the user (`survey.account`), or said something else (`probe.failed`).
    """
    if done.exit_status == REFUSED:
        said = (done.error_text.splitlines() or ["no reason"])[-1]
        raise FailedError(f"{node.name} cannot be asked: {plain(said, 300)}", code="survey.account")
    return probe.record_of(node, done, at)
