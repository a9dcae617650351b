"""A fault as a value: what kind, who has to act, what may be done, and the evidence it rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .fault_class import Causer, fault_class

EvidenceSource = Literal["log", "kernel", "exit", "agent", "health", "scheduler", "step"]
"""Where evidence was seen: a rank's log, the kernel's log, an exit status, our agent on the node, a health finding,
the scheduler, or the timing of steps."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen.

    Attributes:
        source: Where.
        text: As it was seen, one line.
        node: The node it concerns, where that is known.
        rank: The global rank it concerns, where that is known.
        line: The line of the log, counted from 1, where it is of one.
        at: When, in seconds since the epoch (UTC), where that is known.
    """

    source: EvidenceSource
    text: str
    node: str | None = None
    rank: int | None = None
    line: int | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong with an attempt.

    Attributes:
        kind: The name of its class in `fault_class.FAULT_CLASSES`.
        causer: Who has to act first.
        retryable: Whether the same job may be started again unchanged, on other nodes if need be.
        bad_node: Whether `nodes` are to be taken out.
        nodes: The nodes it concerns, sorted; empty where none is known.
        evidence: What it rests on, the strongest first.
        at: When it was noticed, in seconds since the epoch (UTC).
        echo: A log says no more than how a process has ended, in the words of who had started it.
    """

    kind: str
    causer: Causer
    retryable: bool
    bad_node: bool
    nodes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    at: float
    echo: bool = False


def usual_fault(kind: str, at: float, *, nodes: Iterable[str] = (), evidence: Iterable[Evidence] = ()) -> Fault:
    """A fault with the usual values of its class.

    Args:
        kind: The name of the class.
        at: When it was noticed, in seconds since the epoch (UTC).
        nodes: The nodes it concerns.
        evidence: What it rests on, the strongest first.

    Raises:
        NotFoundError: There is no such class.
    """
    usual = fault_class(kind)
    return Fault(
        usual.name, usual.causer, usual.retryable, usual.bad_node, tuple(sorted(set(nodes))), tuple(evidence), at
    )
