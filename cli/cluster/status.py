"""`aiops cluster status`: what was deployed where, what is there now, and who answers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from aiops.cli.app import App
from aiops.cli.cell import Cell
from aiops.cli.exit import Exit, worst
from aiops.cli.options import InventoryArgument, InventoryOption, JsonOption, OnOption, QuietOption, chosen_inventory
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.nodeset import fold

from .membership import tell_unmanaged, unmanaged

_TRIED = 50
"""Runs that are looked through for the last one that was let begin."""

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.facts import Facts
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.metrics import Target
    from aiops.layers.l1_cluster.status import ClusterStatus


def status(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    on: OnOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show phases, versions and node states; 3 when a node does not answer, 4 when a phase failed on one."""
    from aiops.layers.l1_cluster.phase import providers
    from aiops.layers.l1_cluster.run import INTERRUPTED, Runs
    from aiops.layers.l1_cluster.status import cluster_status

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(chosen_inventory(inventory, inventory_option))
    nodes = read.select(on)
    with aiops.store() as store:
        runs = Runs(store)
        results = runs.latest_results(read.cluster)
        # One that was refused (the lock was another's) has touched nothing and says nothing of the cluster.
        tried = runs.newest(cluster=read.cluster, limit=_TRIED)
        last = next((run for run in tried if run.exit != Exit.CONFLICT), None)
        running = runs.running(read.cluster)
        machines = runs.machines(results)
        measured = bool({one.phase for one in results} & providers("metrics"))
        reach = runs.reach(last.id) if last is not None and last.status == INTERRUPTED else None
    with aiops.fleet(read) as fleet:
        live = _look(aiops, screen, fleet, nodes)
        targets = _targets(read, fleet, live) if measured else None
    found = cluster_status(read, nodes, results, last, live, running=running, machines=machines, reach=reach)
    gone = unmanaged(aiops, read)
    if json:
        told = {"prometheus": _prometheus_document(targets), "unmanaged": list(gone)}
        screen.document({**found.document(), **told})
    else:
        _show(screen, found, targets)
        tell_unmanaged(screen, read.path, gone, answer=True)
    return _exit(found)


def _look(aiops: App, screen: Screen, fleet: "Fleet", nodes: "Sequence[Node]") -> "dict[str, Facts | AiopsError]":
    """The facts of each node now, or why there are none."""
    from aiops.layers.core.errors import UnreachableError
    from aiops.layers.l1_cluster.prober import FleetProber

    prober = FleetProber(fleet, aiops.vendors(), aiops.clock)
    live: dict[str, Facts | AiopsError] = {}
    with screen.step("look", nodes=[node.name for node in nodes]) as step:
        for outcome in prober.probe(nodes, prober.fact_asks):
            name = outcome.node.name
            if outcome.value is not None:
                live[name] = prober.facts(outcome.value)
            else:
                live[name] = outcome.error or UnreachableError(f"{name}: no answer", code="node.silent")
            step.done(name, failed=outcome.value is None)
    return live


def _targets(
    inventory: "Inventory", fleet: "Fleet", live: Mapping[str, "Facts | AiopsError"]
) -> "tuple[Target, ...] | AiopsError | None":
    """What Prometheus on the head scrapes, or why that is not known; None without a head that answers."""
    from aiops.layers.l1_cluster.metrics import prometheus, targets

    head = inventory.head
    if head is None or isinstance(live.get(head.name), AiopsError):
        return None
    try:
        with prometheus(fleet.transport(head), head.connection.address) as url:
            return targets(url)
    except AiopsError as error:
        return error


def _show(screen: Screen, found: "ClusterStatus", targets: "tuple[Target, ...] | AiopsError | None") -> None:
    simulated = " · simulated" if any(node.simulated for node in found.nodes) else ""
    last = found.last
    when = f"last run {last.id}, {last.status}, {screen.time(last.started)}" if last else "nothing was deployed yet"
    screen.line(f"{found.cluster} · {_count(len(found.nodes))}{simulated} · {when}")
    _show_runs(screen, found)
    screen.line("")
    screen.table(("nodes", "last deploy", "system", "kernel", "accelerators", "driver", "reason"), _node_rows(found))
    if found.results:
        screen.line("")
        screen.table(("phase", "outcome", "nodes", "run", "at"), _phase_rows(found))
    if isinstance(targets, AiopsError):
        screen.line("")
        screen.line(f"Prometheus: unknown: {targets.message}")
    elif targets is not None:
        down = [target for target in targets if target.up is False]
        screen.line("")
        screen.line(f"Prometheus: {sum(target.up is True for target in targets)}/{len(targets)} targets up")
        for target in down:
            screen.line(f"  {target.job} {target.node or target.instance}: {target.reason or 'down'}")
    _hints(screen, found)


def _show_runs(screen: Screen, found: "ClusterStatus") -> None:
    """Runs that go on, and how far the newest came that was cut off."""
    from aiops.cli.run import came_to

    for run in found.running:
        screen.line(
            f"a deploy is running: run {run.id} by {run.owner.user}@{run.owner.host}, {screen.time(run.started)}"
        )
    if found.last is not None and found.reach is not None:
        screen.line(f"it was cut off: it came to {came_to(found.last, found.reach)}")


def _hints(screen: Screen, found: "ClusterStatus") -> None:
    failed: dict[str, list[str]] = {}
    for node in found.nodes:
        if node.run is not None:
            failed.setdefault(node.run, []).append(node.node)
    for run_id, names in failed.items():
        screen.hint(f"why: `aiops run show {run_id} --node {fold(names)}`")
    if found.last is not None and found.reach is not None:
        screen.hint(f"type it again, it goes on where it was: `{found.last.command}`")
    new = found.states["new"]
    if new:
        screen.hint(f"{_count(new)} not deployed yet: `aiops cluster deploy`")


def _node_rows(found: "ClusterStatus") -> list[tuple[str | None, ...]]:
    """Nodes that are alike in one row."""
    groups: dict[tuple[str | None, ...], list[str]] = {}
    for node in found.nodes:
        key = (node.state, node.system, node.kernel, node.accelerators, node.driver, node.reason)
        groups.setdefault(key, []).append(node.node)
    return [(fold(names), *key) for key, names in groups.items()]


def _phase_rows(found: "ClusterStatus") -> list[tuple[Cell, ...]]:
    """The last result of each phase in their order, nodes with the same in one row, with the newest time."""
    from aiops.layers.l1_cluster.phase import read_phases, shipped_phases

    order = ["connect", "preflight", *(phase.name for phase in read_phases(shipped_phases()))]
    place = {name: number for number, name in enumerate(order)}
    place |= {"verify": len(order) + 1, "resume": len(order) + 2}  # after phases of one's own
    groups: dict[tuple[str, str, str], list[tuple[str, datetime]]] = {}
    for result in sorted(found.results, key=lambda one: place.get(one.phase, len(order))):
        groups.setdefault((result.phase, result.outcome, result.run), []).append((result.node, result.at))
    return [
        (phase, outcome, fold(name for name, _ in members), run, max(at for _, at in members))
        for (phase, outcome, run), members in groups.items()
    ]


def _prometheus_document(targets: "Iterable[Target] | AiopsError | None") -> object:
    if targets is None:
        return None
    if isinstance(targets, AiopsError):
        return {"error": {"code": targets.code, "message": targets.message}}
    return [
        {"job": one.job, "node": one.node, "instance": one.instance, "up": one.up, "reason": one.reason}
        for one in targets
    ]


def _exit(found: "ClusterStatus") -> Exit:
    codes = {"unreachable": Exit.UNREACHABLE, "failed": Exit.CRITICAL}
    return worst(codes.get(node.state, Exit.DONE) for node in found.nodes)


def _count(nodes: int) -> str:
    return f"{nodes} node{'s' * (nodes != 1)}"
