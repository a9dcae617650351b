"""The state of a cluster: what the journals say was done, and which nodes answer now. Pure; the asking is elsewhere."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

from .run import Result, Run

State = Literal["deployed", "failed", "new", "unreachable"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node.

    Attributes:
        state: `deployed` (the last word of every phase on it is good), `failed` (that of one is not), `new` (no phase
            ever did anything there) or `unreachable` (it does not answer now, whatever was done).
        reason: Why it failed or is unreachable; else what is wrong with its driver, if anything.
        system: Operating system and release; None when it is not known. So for the rest.
        accelerators: `8 × NVIDIA H100`.
    """

    node: str
    roles: tuple[str, ...]
    state: State
    reason: str | None = None
    system: str | None = None
    kernel: str | None = None
    accelerators: str | None = None
    driver: str | None = None
    simulated: bool = False

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """All nodes of an inventory, and the last results of all phases on them.

    Attributes:
        last: The newest run; None when there was none.
    """

    cluster: str
    nodes: tuple[NodeStatus, ...]
    results: tuple[Result, ...]
    last: Run | None

    @property
    def states(self) -> Counter[str]:
        """How many nodes are in each state."""
        return Counter(node.state for node in self.nodes)

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "cluster": self.cluster,
            "nodes": [node.document() for node in self.nodes],
            "phases": [result.document() for result in self.results],
            "last_run": self.last.document() if self.last else None,
            "simulated": any(node.simulated for node in self.nodes),
        }


def cluster_status(
    inventory: Inventory,
    nodes: Sequence[Node],
    results: Iterable[Result],
    last: Run | None,
    live: Mapping[str, Facts | AiopsError],
) -> ClusterStatus:
    """Judge the state of `nodes`.

    Args:
        inventory: The inventory.
        nodes: The chosen nodes of it.
        results: The last result of each phase and node (`Runs.latest_results`); nodes that left the inventory are
            left out.
        last: The newest run on this cluster.
        live: What a probe just brought, by node: facts, or why there are none.
    """
    names = {node.name for node in nodes}
    kept = tuple(result for result in results if result.node in names)
    return ClusterStatus(
        inventory.cluster,
        tuple(_node(node, [one for one in kept if one.node == node.name], live.get(node.name)) for node in nodes),
        kept,
        last,
    )


def _node(node: Node, results: Sequence[Result], live: Facts | AiopsError | None) -> NodeStatus:
    roles = tuple(sorted(node.roles))
    if live is None or isinstance(live, AiopsError):
        return NodeStatus(node.name, roles, "unreachable", live.message if live else "it was not asked")
    state: State = "deployed" if results else "new"
    reason = None
    # A phase that is blocked only says that an earlier one failed.
    for outcome in ("blocked", "failed"):
        for result in results:
            if result.outcome == outcome:
                state, reason = "failed", f"{result.phase}: {result.reason or outcome}"
    devices = live.accelerators or ()
    drivers = sorted({device.driver for device in devices if device.driver})
    return NodeStatus(
        node.name,
        roles,
        state,
        reason or live.driver_mismatch,
        live.os_name,
        live.kernel,
        accelerators_in_words(live),
        ", ".join(drivers) or None,
        simulated=bool(live.simulated),
    )


def accelerators_in_words(facts: Facts) -> str | None:
    """`8 × NVIDIA H100 80GB HBM3`; by the bus alone where no driver answers; None where there are none."""
    models = Counter(device.model or device.vendor for device in facts.accelerators or ())
    if not models:
        models = Counter({one.vendor: one.count for one in facts.bus_accelerators or ()})
        return ", ".join(f"{count} × {vendor} (no driver)" for vendor, count in sorted(models.items())) or None
    return ", ".join(f"{count} × {model}" for model, count in sorted(models.items()))
