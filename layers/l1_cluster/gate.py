"""The gate on every node: nothing of a deploy is run there once another has taken over the cluster lock.

Before a phase, one round trip tells each node our epoch and leaves a program there (`remote.fence`) which Ansible is
given for its Python: it is Python until the node has seen a higher epoch. So every single module is fenced, and none
needs a task of its own for it.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport

from .remote.fence import FOLDER, GATE, STALE_STATUS
from .script import script_command

STALE = "fence.stale"
PYTHON = "/usr/bin/python3"
"""Where the inventory does not say which."""

_SECONDS = 60.0
_MEMORY_SECONDS = 1200.0
"""Likewise, where the node makes copies of what is there before it is changed: packages that leave, whole folders."""


class Gate(Protocol):
    """How nodes are told whose steps they let through."""

    def open(self, nodes: Sequence[Node], epoch: int, programs: Mapping[str, str]) -> dict[str, AiopsError]:
        """Let steps of `epoch` through on `nodes`, all at once; return why some do not, by node.

        Args:
            nodes: The nodes.
            epoch: Of the lock that is held.
            programs: By node, what else is to be run there as root in the same round trip, behind the fence: Python
                source, standard library only.
        """
        ...


class FleetGate:
    """Tells nodes over the connections of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def open(self, nodes: Sequence[Node], epoch: int, programs: Mapping[str, str]) -> dict[str, AiopsError]:
        """One round trip to each node."""

        def tell(transport: Transport) -> None:
            node = transport.node
            call = f"{_passing(node, epoch)}\n\n{programs.get(node.name, '')}"
            seconds = _MEMORY_SECONDS if node.name in programs else _SECONDS
            completed = transport.run(script_command(node, "fence", call, timeout=seconds))
            if completed.timed_out:
                raise FailedError(f"{node.name} did not let a step begin within {seconds:.0f} s", code="fence.timeout")
            if completed.ok:
                return
            told = completed.error_text or completed.text
            reason = told.strip().rpartition("\n")[2]
            if completed.exit_status == STALE_STATUS:
                raise ConflictError(f"{node.name}: {reason}", code=STALE)
            raise FailedError(f"{node.name}: no step can begin there: {reason}", code="fence.failed")

        outcomes = self._fleet.each(nodes, tell)
        return {outcome.node.name: outcome.error for outcome in outcomes if outcome.error is not None}


def fenced(node: Node, epoch: int, command: Command) -> Command:
    """What runs `command`, which has no stdin, on `node` as root, unless the node has seen a higher epoch.

    It ends with `STALE_STATUS` then, and nothing was run.
    """
    words = list(command.argv)
    call = f"{_passing(node, epoch)}\nos.execvp({words[0]!r}, {words!r})"
    return script_command(node, "fence", call, timeout=command.timeout)


def _passing(node: Node, epoch: int) -> str:
    """The call that lets the rest of the program run only while `epoch` is the highest that `node` has seen."""
    python = shlex.join(shlex.split(node.connection.python or PYTHON))
    return f"main({epoch:d}, {FOLDER!r}, {python!r})"


def interpreter(epoch: int) -> str:
    """What Ansible is given as a node's Python once its gate was opened for `epoch`."""
    return f"{FOLDER}/{GATE}-{epoch:d}"


def refused(reason: str) -> bool:
    """Whether a module failed because the gate was shut, or taken away by another owner of the lock."""
    return reason.startswith("fence: epoch") or f"{FOLDER}/{GATE}-" in reason
