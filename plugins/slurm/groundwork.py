"""Groundwork: what the engine has done on an attempt's nodes themselves, over their own connections.

Nodes remember the latest controller of a store (`layers/l2_jobs/remote/terms.py`), and do nothing for an earlier one.
So whoever is to change something in Slurm, which remembers none, asks them first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.term import Term
from aiops.layers.l2_jobs.wire import whole

from .program import placing
from .submission import FOLDER

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """What nodes have answered.

    Attributes:
        answers: By node.
        errors: Why the others did not.
    """

    answers: Mapping[str, Mapping[str, Any]]
    errors: Mapping[str, AiopsError]


class DeposedError(ConflictError):
    """A node has seen a later controller of the same store, and does nothing for this one.

    Attributes:
        node: Its name.
        term: The later one's.
    """

    def __init__(self, node: str, term: int) -> None:
        super().__init__(f"{node} obeys a later controller, of the term {term}", code="slurm.deposed")
        self.node = node
        self.term = term


class Groundwork:
    """Folders of attempts on their nodes.

    Each of its calls raises `DeposedError` where a node has seen a later controller.
    """

    def __init__(self, fleet: Fleet, term: Term | None = None) -> None:
        """Ask nobody yet.

        Args:
            fleet: Reaches the nodes.
            term: Of the controller; None where nobody is to be told apart.
        """
        self._fleet = fleet
        self._term = None if term is None else (term.lineage, term.number)

    def place(
        self, key: Key, owner: Account, contents: Mapping[str, Mapping[str, str]], nodes: Sequence[Node]
    ) -> Found:
        """Have each of `nodes` make the attempt's folder with its files, unless it is there, and look.

        Args:
            key: The attempt.
            owner: Whose folder it becomes.
            contents: By node, the texts of the files by name.
            nodes: Its nodes.
        """
        who = (str(key), (owner.user, owner.uid, owner.gid))
        return self._ask(nodes, {node.name: self._call("place", *who, dict(contents[node.name])) for node in nodes})

    def look(self, key: Key, owner: Account, nodes: Sequence[Node]) -> Found:
        """What there is of the attempt on each of `nodes`."""
        call = self._call("look", str(key), owner.uid, owner.gid)
        return self._ask(nodes, {node.name: call for node in nodes})

    def sweep(self, key: Key, owner: Account, job: str, nodes: Sequence[Node]) -> Found:
        """End whatever Slurm's `job` still has there, and look."""
        call = self._call("swept", str(key), owner.uid, owner.gid, job)
        return self._ask(nodes, {node.name: call for node in nodes})

    def remains(self, owner: Account, jobs: Sequence[str], node: Node) -> Found:
        """The boot of a node, and how many processes (`left`) of these jobs of Slurm's are there."""
        return self._ask([node], {node.name: self._call("remains", owner.uid, list(jobs))})

    def require_latest(self, nodes: Sequence[Node]) -> None:
        """Ask `nodes` whether they obey this controller, until one has answered; where none does, nobody can tell."""
        if self._term is None:
            return
        for outcome in self._fleet.each(nodes, lambda transport: self._answer(transport, self._call("here"))):
            if isinstance(outcome.error, DeposedError):
                raise outcome.error
            if outcome.value is not None:
                return

    def _call(self, deed: str, *values: object) -> str:
        return f"tell({', '.join(repr(one) for one in (deed, FOLDER, self._term, *values))})"

    def _ask(self, nodes: Sequence[Node], calls: Mapping[str, str]) -> Found:
        outcomes = list(self._fleet.each(nodes, lambda transport: self._answer(transport, calls[transport.node.name])))
        for one in outcomes:
            if isinstance(one.error, DeposedError):
                raise one.error
        return Found(
            {one.node.name: one.value for one in outcomes if one.value is not None},
            {one.node.name: one.error for one in outcomes if one.error is not None},
        )

    def _answer(self, transport: Transport, call: str) -> Mapping[str, Any]:
        node = transport.node
        done = transport.run(command(node, placing(call), timeout=SECONDS))
        if not done.ok:
            why = "no answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason"])[-1]
            raise FailedError(f"{node.name}: {why}", code="slurm.groundwork")
        answer: Mapping[str, Any] = answer_of(node, done, "slurm.groundwork", dict)
        if whole(answer.get("deposed")):
            raise DeposedError(node.name, answer["deposed"])
        return answer
