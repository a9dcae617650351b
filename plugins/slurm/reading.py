"""What Slurm says, read. Pure; what is garbled makes its node unknown, never an exception."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import expand
from aiops.layers.l1_cluster.draining import Standing

_SYMBOLS = "*~#!%$@^-+"
"""Marks that some releases put behind a state's name."""

_FREE = {"IDLE", "UNKNOWN"}
_BUSY = {"ALLOCATED", "MIXED"}
_OUT = {"DOWN", "ERROR", "FUTURE"}
_SILENT = {"UNKNOWN", "NOT_RESPONDING"}
_NO_NEW_WORK = ("DRAIN", "FAIL")
_OVER = {
    *("PENDING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"),
    *("OUT_OF_MEMORY", "REVOKED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
}
"""States of jobs that hold no node. Any other holds its nodes, those that later releases may invent too."""

_SIGNED = re.compile(r" \[[^\[\]]*@[^\[\]]*\]$")
_JOB_FIELDS = 4
_NOTHING = {"", "None", "Unknown", "N/A", "(null)", "n/a"}


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """One node, in Slurm's words.

    Attributes:
        name: Slurm's own name of it.
        states: The parts of its state: `IDLE`, `DRAIN` ...
        reason: Why it drains or is down, without the name and time of who said so.
        started: When its slurmd started, as it reported; None where it has not, since slurmctld did.
        gres: What it has beside processors and memory; those two are what Slurm's configuration says. None: not told.
    """

    name: str
    states: frozenset[str] = frozenset()
    reason: str = ""
    host: str = ""
    address: str = ""
    started: str | None = None
    gres: str = ""
    processors: int | None = None
    memory_mib: int | None = None

    @property
    def silent(self) -> bool:
        """Whether it has not been heard of since slurmctld started, and does not answer it; it is given no work."""
        return self.states == _SILENT and self.started is None


def read_nodes(text: str) -> list[SlurmNode]:
    """The answer to `scontrol show node`: a block per node, which begins in the first column with `NodeName=`."""
    nodes = []
    for block in re.split(r"^(?=NodeName=)", text, flags=re.MULTILINE):
        if not block.startswith("NodeName="):
            continue
        values: dict[str, str] = {}
        for line in block.split("\n"):
            stripped = line.strip()
            if stripped.startswith(("Reason=", "Comment=", "Extra=", "OS=")):  # free text to the end of the line
                key, _, value = stripped.partition("=")
                values.setdefault(key, value)
                continue
            for word in stripped.split():
                key, found, value = word.partition("=")
                if found:
                    values.setdefault(key, value)
        started = values.get("SlurmdStartTime", "")
        nodes.append(
            SlurmNode(
                values["NodeName"],
                _parts(values.get("State", "")),
                _SIGNED.sub("", values.get("Reason", "")),
                values.get("NodeHostName", ""),
                values.get("NodeAddr", ""),
                None if started in _NOTHING else started,
                "" if values.get("Gres", "") in _NOTHING else values["Gres"],
                _count(values.get("CPUEfctv") or values.get("CPUTot")),
                _count(values.get("RealMemory")),
            )
        )
    return nodes


def _count(word: str | None) -> int | None:
    return int(word) if word is not None and word.isascii() and word.isdecimal() else None


def named(nodes: Iterable[Node], known: Sequence[SlurmNode]) -> dict[str, SlurmNode]:
    """What Slurm has of `nodes`, by our names: the node of that name, else the one with its host name or address."""
    names = {one.name: one for one in known}
    others = {word: one for one in known for word in (one.address, one.host) if word}
    found = {}
    for node in nodes:
        words = (node.name, node.aiops.get("aiops_address"), node.connection.address)
        match = names.get(node.name) or next((others[word] for word in words if word in others), None)
        if match is not None:
            found[node.name] = match
    return found


def jobs_by_node(text: str) -> Mapping[str, tuple[str, ...]]:
    """The answer to `squeue`: by Slurm's node names, what holds them.

    Raises:
        FailedError: A line cannot be read, so that nobody can say which nodes are free.
    """
    jobs: dict[str, list[str]] = {}
    for line in text.splitlines():
        number, state, user, where = _job(line)
        if state.rstrip(_SYMBOLS) in _OVER or where in _NOTHING:
            continue
        try:
            names = expand(where)
        except InputError as error:
            raise _garbled(line) from error
        for name in names:
            jobs.setdefault(name, []).append(f"job {number} of {user}")
    return {name: tuple(words) for name, words in jobs.items()}


def _job(line: str) -> tuple[str, str, str, str]:
    parts = line.strip().split("|")
    if len(parts) != _JOB_FIELDS:
        raise _garbled(line)
    number, state, user, where = parts
    return number, state, user, where


def _garbled(line: str) -> FailedError:
    return FailedError(f"squeue said {line!r}, which is no job", code="slurm.garbled")


def _parts(state: str) -> frozenset[str]:
    """`MIXED+DRAIN` in parts; the mark `*`, which some releases put behind them, is `NOT_RESPONDING` in others."""
    parts = {part.rstrip(_SYMBOLS) for part in state.split("+")} - {""}
    return frozenset(parts | ({"NOT_RESPONDING"} if "*" in state else set()))


def standing_of(node: SlurmNode, work: tuple[str, ...]) -> Standing:
    """Where a node stands, by its own state and what holds it."""
    seen = "NOT_RESPONDING" not in node.states
    session = node.started if seen else None
    if any(part.startswith(_NO_NEW_WORK) for part in node.states):
        free = not work and not node.states & _BUSY and "COMPLETING" not in node.states
        sure = node.states & (_FREE | _OUT)
        if free and not sure:
            return _unknown(node, work)
        return Standing("drained" if free else "draining", node.reason, work, session)
    if node.states & _OUT:
        return Standing("draining" if work else "down", node.reason, work, session)
    if node.states & (_FREE | _BUSY):
        return Standing("in_service", node.reason, work, session)
    return _unknown(node, work)


def _unknown(node: SlurmNode, work: tuple[str, ...]) -> Standing:
    state = "+".join(sorted(node.states)) or "none"
    return Standing("unknown", f"Slurm has {node.name} in a state that is not understood: {state}", work)
