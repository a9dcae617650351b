"""Groundwork: what the engine has done on an attempt's nodes themselves, over their own connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account

from .program import text_of
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


class Groundwork:
    """Folders of attempts on their nodes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

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
        who = f"{FOLDER!r}, {str(key)!r}, {(owner.user, owner.uid, owner.gid)!r}"
        return self._ask(nodes, {node.name: f"place({who}, {dict(contents[node.name])!r})" for node in nodes})

    def look(self, key: Key, owner: Account, nodes: Sequence[Node]) -> Found:
        """What there is of the attempt on each of `nodes`."""
        call = f"look({FOLDER!r}, {str(key)!r}, {owner.uid:d}, {owner.gid:d})"
        return self._ask(nodes, {node.name: call for node in nodes})

    def sweep(self, key: Key, owner: Account, job: str, nodes: Sequence[Node]) -> Found:
        """End whatever Slurm's `job` still has there, and look."""
        call = f"swept({FOLDER!r}, {str(key)!r}, {owner.uid:d}, {owner.gid:d}, {job!r})"
        return self._ask(nodes, {node.name: call for node in nodes})

    def _ask(self, nodes: Sequence[Node], calls: Mapping[str, str]) -> Found:
        def ask(transport: Transport) -> Mapping[str, Any]:
            node = transport.node
            source = f"{text_of('place')}\n\ntell({calls[node.name]})\n"
            done = transport.run(command(node, source, timeout=SECONDS))
            if not done.ok:
                why = "no answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason"])[-1]
                raise FailedError(f"{node.name}: {why}", code="slurm.groundwork")
            answer: Mapping[str, Any] = answer_of(node, done, "slurm.groundwork", dict)
            return answer

        outcomes = list(self._fleet.each(nodes, ask))
        return Found(
            {one.node.name: one.value for one in outcomes if one.value is not None},
            {one.node.name: one.error for one in outcomes if one.error is not None},
        )
