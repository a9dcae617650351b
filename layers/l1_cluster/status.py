"""The state of a cluster: what the journals say was done, and which nodes answer now. Pure; the asking is elsewhere."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

from .run import Reach, Result, Run

_PREFLIGHT = "preflight"
_ARRIVAL = frozenset({"connect", _PREFLIGHT})
"""Looks only: nothing is done in them."""

_BLOCKED = "blocked"
_VERIFY = "verify"
RESET = "reset"
_RESUME = "resume"

State = Literal["deployed", "failed", "new", "unreachable"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node.

    Attributes:
        state: `deployed` (the last word of every phase on it is good), `failed` (that of one is not), `new` (no phase
            ever did anything there) or `unreachable` (it does not answer now, whatever was done).
        reason: Why it failed or is unreachable; else what is wrong with its driver, if anything.
        run: The run that it failed in.
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
    run: str | None = None

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """All nodes of an inventory, and the last results of all phases on them.

    Attributes:
        last: The newest run; None when there was none.
        running: Runs that go on now.
        reach: How far the newest run came, where it was cut off.
    """

    cluster: str
    nodes: tuple[NodeStatus, ...]
    results: tuple[Result, ...]
    last: Run | None
    running: tuple[Run, ...] = ()
    reach: Reach | None = None

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
            "running": [run.document() for run in self.running],
            "came_to": self.reach.document() if self.reach else None,
            "simulated": any(node.simulated for node in self.nodes),
        }


def cluster_status(
    inventory: Inventory,
    nodes: Sequence[Node],
    results: Iterable[Result],
    last: Run | None,
    live: Mapping[str, Facts | AiopsError],
    *,
    running: Iterable[Run] = (),
    machines: Mapping[tuple[str, str], str] | None = None,
    reach: Reach | None = None,
) -> ClusterStatus:
    """Judge the state of `nodes`.

    Args:
        inventory: The inventory.
        nodes: The chosen nodes of it.
        results: The last result of each phase and node (`Runs.latest_results`); nodes that left the inventory are
            left out.
        last: The newest run on this cluster.
        live: What a probe just brought, by node: facts, or why there are none.
        running: Runs on this cluster that go on now.
        machines: The machine-id of a node in a run, by run and node (`Runs.machines`): what was done to a machine that
            another one has taken the place of is left out.
        reach: How far the newest run came, where it was cut off.
    """
    names = {node.name for node in nodes}
    told = standing(result for result in results if result.node in names)
    kept = tuple(one for one in told if not _replaced(one, live.get(one.node), machines or {}))
    own: dict[str, list[Result]] = {}
    for one in kept:
        own.setdefault(one.node, []).append(one)
    replaced = {one.node for one in told} - set(own)
    return ClusterStatus(
        inventory.cluster,
        tuple(
            _node(
                node,
                own.get(node.name, ()),
                live.get(node.name),
                replaced=node.name in replaced,
            )
            for node in nodes
        ),
        kept,
        last,
        tuple(running),
        reach,
    )


def _replaced(result: Result, live: Facts | AiopsError | None, machines: Mapping[tuple[str, str], str]) -> bool:
    """Whether the machine that `result` is of is known to be another than the one that answers now."""
    before = machines.get((result.run, result.node))
    return isinstance(live, Facts) and None not in {before, live.machine_id} and before != live.machine_id


def standing(latest: Iterable[Result]) -> tuple[Result, ...]:
    """The results that still say something, of the latest of each phase and node.

    A preflight writes down failures only, and `resume` only nodes that were still drained, so the next run that comes
    to the node takes their place; a look at everything at the end of a run (`verify`) counts until all that the run
    did on the node was done again, and where it was `blocked` by phases that were not tried, until these were.
    """
    results = tuple(latest)
    own: dict[str, list[Result]] = {}
    for one in results:
        own.setdefault(one.node, []).append(one)
    still = {one for told in own.values() for one in _since_reset(told)}
    results = tuple(one for one in results if one in still)
    runs: dict[str, set[str]] = {}  # by node: the runs that some other result is still from
    untried: dict[str, set[str]] = {}  # by node: the runs that some phase is still blocked by
    for one in results:
        if one.phase not in {*_ARRIVAL, _VERIFY, _RESUME}:
            runs.setdefault(one.node, set()).add(one.run)
            if one.outcome == _BLOCKED:
                untried.setdefault(one.node, set()).add(one.run)
    connected = {one.node: one.run for one in results if one.phase == "connect"}

    def stands(one: Result) -> bool:
        if one.phase in {_PREFLIGHT, _RESUME}:
            return connected.get(one.node, one.run) == one.run
        if one.phase == _VERIFY and one.outcome == _BLOCKED:
            return one.run in untried.get(one.node, ())
        return one.phase != _VERIFY or one.run in runs.get(one.node, {one.run})

    return tuple(one for one in results if stands(one))


def in_place(latest: Iterable[Result], phases: Collection[str], node: str) -> bool:
    """Whether one of `phases` was begun on `node` and not undone since.

    Args:
        latest: The last result of each phase and node.
        phases: Their names.
        node: The node's name.
    """
    own = standing(one for one in latest if one.node == node)
    return any(one.phase in phases and one.outcome != _BLOCKED for one in own)


def _since_reset(results: Sequence[Result]) -> Sequence[Result]:
    """Of one node: what was done before it was reset says nothing; neither does a reset, once it was deployed to."""
    for reset in [one for one in results if one.phase == RESET]:
        again = any(one.at > reset.at and one.phase not in _ARRIVAL for one in results)
        undone = reset.outcome in {"ok", "changed"}
        if undone or again:
            results = [one for one in results if one is not reset and (one.at > reset.at or not undone)]
    return results


def _node(node: Node, results: Sequence[Result], live: Facts | AiopsError | None, *, replaced: bool) -> NodeStatus:
    roles = tuple(sorted(node.roles))
    if live is None or isinstance(live, AiopsError):
        return NodeStatus(node.name, roles, "unreachable", live.message if live else "it was not asked")
    state: State = "deployed" if any(one.phase not in _ARRIVAL for one in results) else "new"
    reason = "another machine than the one that was deployed" if replaced else None
    run = None
    # A phase that is blocked only says that an earlier one failed.
    for outcome in (_BLOCKED, "failed"):
        for result in results:
            if result.outcome == outcome:
                state, reason, run = "failed", f"{result.phase}: {result.reason or outcome}", result.run
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
        run=run,
    )


def accelerators_in_words(facts: Facts) -> str | None:
    """`8 × NVIDIA H100 80GB HBM3`; by the bus alone where no driver answers; None where there are none."""
    models = Counter(device.model or device.vendor for device in facts.accelerators or ())
    if not models:
        models = Counter({one.vendor: one.count for one in facts.bus_accelerators or ()})
        return ", ".join(f"{count} × {vendor} (no driver)" for vendor, count in sorted(models.items())) or None
    return ", ".join(f"{count} × {model}" for model, count in sorted(models.items()))
