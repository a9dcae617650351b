"""Places: a node as L0 and L1 know it, as a place for work. Pure."""

from collections.abc import Iterable, Mapping

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import variables_of
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.health.node_state import IN_SERVICE, NodeState
from aiops.layers.l2_jobs.job import EngineName
from aiops.layers.l2_jobs.node import Place


def workers_of(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes that work may be placed on: the role `workers`, or all where nobody plays it."""
    every = tuple(nodes)
    return tuple(node for node in every if "workers" in node.roles) or every


def engine_of(node: Node, *, slurm: bool) -> EngineName:
    """The one engine that a node belongs to: as the inventory says, else Slurm where that is deployed.

    Args:
        node: The node.
        slurm: Whether aiops has deployed Slurm on this cluster.
    """
    if "aiops_engine" in node.aiops:
        return variables_of(node).aiops_engine
    return "slurm" if slurm else "ssh"


def place_of(
    node: Node,
    engine: EngineName,
    *,
    facts: Facts | None,
    state: NodeState,
    cause: str = "",
    standing: Standing | None = None,
    verdict: str = "unknown",
    verdict_at: float | None = None,
    before: Place | None = None,
) -> Place:
    """A node as a place.

    Args:
        node: The node.
        engine: Whose it is.
        facts: What it said last; None before it ever answered.
        state: As the register of L1 has it.
        cause: Why it came into that state.
        standing: Where it stands with whoever gives it work; None where nobody has anything to say of it.
        verdict: Of its health.
        verdict_at: When that was, by the steady clock.
        before: What it was at the look before: an accelerator that it had and that is not found now is ill, not gone.
    """
    devices, vendor = _devices(node, facts)
    bought = variables_of(node).aiops_accelerators
    had = max(bought.count if bought is not None else 0, before.has if before is not None else 0)
    if vendor is None and not devices:
        vendor = bought.vendor if bought is not None else before.vendor if before is not None else None
    return Place(
        node.name,
        engine,
        devices=devices,
        vendor=vendor,
        shares=variables_of(node).aiops_share_devices,
        closed=_closed(engine, facts, state, cause, standing),
        verdict=verdict,
        verdict_at=verdict_at,
        bmc=bool(variables_of(node).aiops_power_status),
        missing=max(0, had - len(devices)),
    )


def _devices(node: Node, facts: Facts | None) -> tuple[tuple[int, ...], str | None]:
    """Its accelerators and their maker: what it said, or what was bought where it never answered, or none was read."""
    if facts is None or facts.accelerators is None:
        bought = variables_of(node).aiops_accelerators
        return (tuple(range(bought.count)), bought.vendor) if bought is not None else ((), None)
    found = facts.accelerators
    vendors = {one.vendor for one in found}
    indices = sorted(one.index for one in found if one.index is not None)
    return tuple(indices), vendors.pop() if len(vendors) == 1 else None


def _closed(engine: EngineName, facts: Facts | None, state: NodeState, cause: str, standing: Standing | None) -> str:
    """Why a node gets no new work; empty where it may."""
    if state not in IN_SERVICE:
        return f"{state}: {cause}" if cause else state
    if standing is not None and standing.state != "in_service":
        whose = "in Slurm" if engine == "slurm" else "for service"
        return f"{standing.state} {whose}: {standing.reason}".rstrip(": ")
    if facts is not None and facts.accelerators is None:
        return "its accelerators could not be read"
    return ""


def reopened(
    places: Mapping[str, Place], states: Mapping[str, NodeState], causes: Mapping[str, str]
) -> dict[str, Place]:
    """Those of `places` that somebody has drained or given back since they were looked at, as they are now."""
    from dataclasses import replace

    changed = {}
    for name, place in places.items():
        state = states.get(name, "new")
        ours = place.closed.split(":")[0] in {"draining", "drained", "repairing", "validating", "rma"}
        if state not in IN_SERVICE:
            closed = f"{state}: {causes.get(name, '')}".rstrip(": ")
        else:
            closed = "" if ours else place.closed
        if closed != place.closed:
            changed[name] = replace(place, closed=closed)
    return changed
