"""What preflight judges, and what it finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a judge draws its line.

    Attributes:
        disk_mib: Free MiB on `/` and `/var` below which packages do not fit; `disk_warn_mib` below which they may not.
        memory_mib: Memory in all below which a node is not worth deploying.
        offset: Seconds a clock may differ from the others; munge refuses at 300 what `offset_error` does not let
            through.
    """

    disk_mib: int = 512
    disk_warn_mib: int = 2048
    memory_mib: int = 480
    offset: float = 2.0
    offset_error: float = 240.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, on all the nodes where it is the same.

    Attributes:
        check: Which judge found it (`disk`, `clock`, ...).
        hint: A command or step that mends it.
    """

    check: str
    severity: Severity
    nodes: tuple[str, ...]
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{fold(self.nodes)}: {self.message}"

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "check": self.check,
            "severity": self.severity,
            "nodes": list(self.nodes),
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Situation:
    """All that preflight judges.

    Attributes:
        nodes: The nodes the deploy is for.
        facts: By node, for those that answered (nodes beside the chosen ones may be in it: they help to compare).
        errors: By node, for those that did not.
        here: `(machine_id, boot_id)` of the controller, to know its own host; None where it has none.
        clock_phase: The chosen phase that sets the clocks, or None.
        everyone: All nodes of the inventory, to tell which group something is expected of; `nodes` where left out.
        slurm: The release of Slurm that a node gets, by its name, None where unknown; None where no phase brings one.
        installs: Whether packages are to be installed; a plan only looks.
        pair_mismatch: The accelerator judge: reason for which a node's driver pair does not fit together, or None.
    """

    nodes: Sequence[Node]
    facts: Mapping[str, Facts]
    errors: Mapping[str, AiopsError]
    here: tuple[str, str] | None = None
    clock_phase: str | None = None
    pair_mismatch: Callable[[Facts], str | None] | None = None
    limits: Limits = field(default_factory=Limits)
    installs: bool = True
    everyone: Sequence[Node] = ()
    slurm: Callable[[str], str | None] | None = None

    def known(self) -> Iterator[tuple[Node, Facts]]:
        """The chosen nodes that answered."""
        for node in self.nodes:
            if node.name in self.facts:
                yield node, self.facts[node.name]
