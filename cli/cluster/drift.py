"""`aiops cluster drift`: where nodes are not as wanted, or not as most of their group are."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.cell import clean
from aiops.cli.exit import Exit, worst
from aiops.cli.options import (
    InventoryArgument,
    InventoryOption,
    JsonOption,
    OnOption,
    QuietOption,
    VerboseOption,
    chosen_inventory,
)
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError

from .deploy import ForksOption, PhasesOption

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.drift import Drift, Report
    from aiops.layers.l1_cluster.inspection import Scope
    from aiops.layers.l1_cluster.phase import Phase
    from aiops.layers.l1_cluster.repair import Commands

GROUP = "group"
"""Stands in `--only` for the comparison with the group."""

OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="PHASE",
        help="Only what this phase wants, or several by commas; `group` is the comparison with the group.",
    ),
]


def drift(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    only: OnlyOption = None,
    on: OnOption = None,
    forks: ForksOption = None,
    phases: PhasesOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Show what differs from what is wanted and from most of the group; 4 where something does, 3 where unknown.

    Every node is asked once, nothing is changed and no lock is needed. With -v the lines that differ in files.
    """
    from aiops.layers.l1_cluster.inspection import Scope, bundled_nodes
    from aiops.layers.l1_cluster.phase import read_phases, shipped_phases
    from aiops.layers.l1_cluster.preflight import require
    from aiops.layers.l1_cluster.repair import Commands

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet, verbose=verbose)
    known = read_phases(phases or shipped_phases())
    names, compared = _chosen(only)
    chosen = () if names == "" and compared else _choose(known, names)
    read = aiops.inventory(chosen_inventory(inventory, inventory_option))
    scope = Scope(read, chosen, read.select(on), compared=compared)
    require(read, {phase.name: phase.needs for phase in scope.phases})
    commands = Commands(str(read.path), bundled_nodes(read.nodes), str(phases) if phases else None)
    report, simulated = _inspect(aiops, screen, scope, commands, forks=forks)
    if json:
        screen.document(_document(read, report, simulated=simulated))
    else:
        _show(screen, read, report, commands, simulated=simulated)
    return _exit(report)


def _chosen(only: str | None) -> tuple[str | None, bool]:
    """The phases' names (None: all, empty: none) and whether groups are compared."""
    if only is None:
        return None, True
    words = [word.strip() for word in only.split(",")]
    rest = [word for word in words if word != GROUP]
    return ",".join(rest), GROUP in words


def _choose(known: "Sequence[Phase]", names: str | None) -> "tuple[Phase, ...]":
    """As a deploy chooses them; what else may stand here is said too where a name is wrong."""
    from aiops.layers.l1_cluster.phase import choose

    try:
        return choose(known, names, None)
    except InputError as error:
        told = f"`{GROUP}` may stand there too: the comparison with the group"
        raise InputError(error.message, code=error.code, hints=[*error.hints, told]) from error


def _inspect(
    aiops: App, screen: Screen, scope: "Scope", commands: "Commands", *, forks: int | None
) -> "tuple[Report, bool]":
    """Look at the nodes; what was found, and whether some of them are simulated."""
    from aiops.layers.l1_cluster.drift import judge
    from aiops.layers.l1_cluster.file_difference import with_lines
    from aiops.layers.l1_cluster.identity import Identity
    from aiops.layers.l1_cluster.inspection import Inspection, KeptSecrets
    from aiops.layers.l1_cluster.prober import FleetProber
    from aiops.layers.l1_cluster.recollection import Recollection
    from aiops.layers.l1_cluster.secrets import Secrets
    from aiops.layers.l1_cluster.survey import Survey

    from .offer import offer_of

    inventory = scope.inventory
    folder = aiops.home / "clusters" / inventory.cluster
    with ExitStack() as stack:
        chosen = {node.name for node in scope.nodes}
        step = stack.enter_context(screen.step("look", nodes=[node.name for node in scope.nodes]))
        fleet = stack.enter_context(aiops.fleet(inventory, width=forks or inventory.settings.forks))
        head = fleet.transport(inventory.head) if inventory.head else None
        secrets = KeptSecrets(Secrets.of(head, inventory.cluster, folder / "secrets"))
        prober = FleetProber(fleet, aiops.vendors(), aiops.clock)
        # What is remembered under this name of another cluster is none of this one's.
        memory = None if Identity(folder, inventory.head).moved else Recollection(folder / "records")
        bundle = offer_of(aiops, inventory, inventory.nodes) if scope.phases else None
        survey = Survey(inventory, scope.phases, prober, secrets, bundle=bundle, memory=memory)

        def told(node: str, failed: bool) -> None:
            if node in chosen:
                step.done(node, failed=failed)

        inspection = Inspection(scope, survey, prober, secrets, memory, told=told)
        report = judge(inspection.evidence(), commands)
        if screen.verbose:
            report = with_lines(report, survey, prober, scope.nodes)
        simulated = any(one.simulated for name, one in survey.facts.items() if name in chosen)
    return report, simulated


def _show(screen: Screen, inventory: "Inventory", report: "Report", commands: "Commands", *, simulated: bool) -> None:
    """A terminal gets a table and then the repairs, whole and pasteable; a pipe gets one row per finding.

    Lines of files are no fields of a row: beside a pipe they go to stderr.
    """
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l1_cluster.drift import repairs

    rows = [(fold(one.nodes), one.what, one.expected, one.found, one.repair) for one in report.drifts]
    if not screen.terminal:
        screen.table((), [(*row[:-1], _bare(row[-1])) for row in rows])
        _lines(report.drifts, screen.note)
        screen.note(_summary(inventory, report, simulated=simulated))
        return
    screen.line(_summary(inventory, report, simulated=simulated))
    if rows:
        screen.line("")
        screen.table(("nodes", "what", "expected", "found"), [row[:-1] for row in rows])
    _lines(report.drifts, screen.line)
    mends = list(repairs(report.drifts, commands))
    if mends:
        screen.line("")
        screen.line("repair")
        for subject, words in mends:
            screen.line(clean(f"  {subject}: {words}"))
    _remark(screen, report)


def _lines(drifts: "Iterable[Drift]", tell: Callable[[str], None]) -> None:
    """The lines that differ, where they were asked for."""
    from aiops.layers.l0_nodes.nodeset import fold

    for one in drifts:
        if one.lines:
            tell("")
            tell(clean(f"{fold(one.nodes)}: {one.what}  (- expected, + found)"))
            for line in one.lines:
                tell(f"  {clean(line)}")


def _bare(repair: str) -> str:
    """A repair that is one command and nothing else, as a shell takes it: within backticks it would substitute."""
    inner = repair[1:-1]
    return inner if repair == f"`{inner}`" and "`" not in inner else repair


def _remark(screen: Screen, report: "Report") -> None:
    """What limits the answer, and how to see more."""
    from aiops.layers.l0_nodes.nodeset import fold

    if report.alone or report.strangers:
        screen.note("")
    if report.alone:
        screen.note(f"not compared, for nobody else is in the same groups: {fold(report.alone)}")
    if report.strangers:
        screen.note(f"what {fold(report.strangers)} has never told is taken from its group, for files that list nodes")
    if not screen.verbose and any(one.what.startswith("file:") and "sha256" in one.found for one in report.drifts):
        screen.hint("see the lines that differ: the same command with `-v`")


def _summary(inventory: "Inventory", report: "Report", *, simulated: bool) -> str:
    """`lab-a · 8 of 9 nodes · simulated: 2 drifted, 1 unknown, 5 as wanted`."""
    drifted, unknown = report.having("drift"), report.having("unknown")
    unsure = [node for node in unknown if node not in drifted]
    count, total = len(report.nodes), len(inventory.nodes)
    nodes = f"{count}{'' if count == total else f' of {total}'} node{'s' * (total != 1)}"
    words = [(len(drifted), "drifted"), (len(unsure), "unknown"), (count - len(drifted) - len(unsure), "as wanted")]
    told = ", ".join(f"{number} {word}" for number, word in words if number) if report.drifts else "no drift"
    return f"{' · '.join([inventory.cluster, nodes, *(['simulated'] if simulated else [])])}: {told}"


def _document(inventory: "Inventory", report: "Report", *, simulated: bool) -> dict[str, Any]:
    return {
        "cluster": inventory.cluster,
        "nodes": list(report.nodes),
        "simulated": simulated,
        "drifted": list(report.having("drift")),
        "unknown": list(report.having("unknown")),
        "not_compared": list(report.alone),
        "never_answered": list(report.strangers),
        "findings": [one.document() for one in report.drifts],
    }


def _exit(report: "Report") -> Exit:
    codes = {"drift": Exit.CRITICAL, "unknown": Exit.UNREACHABLE}
    return worst(codes[one.verdict] for one in report.drifts)
