"""`aiops health [run]`: ask the nodes and judge what they say."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption, VerboseOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError

from . import formats, table

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.round import Report


class LevelName(StrEnum):
    """What `--level` takes."""

    quick = "quick"
    standard = "standard"
    deep = "deep"


class FormatName(StrEnum):
    """What `--format` takes."""

    table = "table"
    json = "json"
    nagios = "nagios"
    prometheus = "prometheus"


class FailName(StrEnum):
    """What `--fail-on` takes."""

    warn = "warn"
    critical = "critical"


LevelOption = Annotated[
    LevelName, typer.Option("--level", help="How much is asked: quick takes at most 2 s of a node.")
]
CheckOption = Annotated[
    list[str] | None, typer.Option("--check", metavar="NAME", help="Only this check; may be given several times.")
]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only checks with this tag, e.g. `gpu` or `disk`.")
]
FormatOption = Annotated[FormatName, typer.Option("--format", help="How the answer is written.")]
FailOption = Annotated[FailName, typer.Option("--fail-on", help="From which verdict on the exit code is 4.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")]
EveryOption = Annotated[float, typer.Option("--every", metavar="S", min=1, help="With --watch: seconds between looks.")]
ForksOption = Annotated[int | None, typer.Option("--forks", metavar="N", min=1, help="Nodes at once.")]


def bare(
    context: typer.Context,
    *,
    on: OnOption = None,
    level: LevelOption = LevelName.standard,
    check: CheckOption = None,
    tag: TagOption = None,
    format_: FormatOption = FormatName.table,
    fail_on: FailOption = FailName.critical,
    watch: WatchOption = False,
    every: EveryOption = 30.0,
    forks: ForksOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Ask every node and judge what it says; 4 where something is critical, 3 where something is unknown.

    Nothing is changed. Equal findings are told once, with all their nodes.
    """
    if context.invoked_subcommand is not None:
        return Exit.DONE
    return run(
        context,
        on=on,
        level=level,
        check=check,
        tag=tag,
        format_=format_,
        fail_on=fail_on,
        watch=watch,
        every=every,
        forks=forks,
        inventory=inventory,
        json=json,
        quiet=quiet,
        verbose=verbose,
    )


def run(
    context: typer.Context,
    *,
    on: OnOption = None,
    level: LevelOption = LevelName.standard,
    check: CheckOption = None,
    tag: TagOption = None,
    format_: FormatOption = FormatName.table,
    fail_on: FailOption = FailName.critical,
    watch: WatchOption = False,
    every: EveryOption = 30.0,
    forks: ForksOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Ask every node and judge what it says; 4 where something is critical, 3 where something is unknown.

    Nothing is changed. Equal findings are told once, with all their nodes.
    """
    from aiops.layers.l1_cluster.health.catalogue import checks_of, select

    aiops: App = context.obj
    style = FormatName.json if json else format_
    screen = aiops.screen(json=style is FormatName.json, quiet=quiet or style is not FormatName.table, verbose=verbose)
    if watch and style is not FormatName.table:
        raise InputError("`--watch` is for a table", code="usage.watch", hints=["leave `--format` out"])
    checks = checks_of(aiops.plugins)
    chosen = select(checks, check or (), tag or ())
    read = aiops.inventory(inventory)
    nodes = read.select(on)
    while True:
        report = look(aiops, screen, read, nodes, chosen, level=level.value, forks=forks, every_check=checks)
        code = show(screen, read, report, style, fail_on=fail_on.value)
        if not watch:
            return code
        screen.line("")
        aiops.clock.sleep(every)


def look(
    aiops: App,
    screen: Screen,
    inventory: "Inventory",
    nodes: "tuple[Node, ...]",
    checks: "tuple[Check, ...]",
    *,
    level: str,
    forks: int | None,
    every_check: "tuple[Check, ...] | None" = None,
) -> "Report":
    """One round over `nodes`, remembered in the store.

    Raises:
        InputError: aiops.toml says something wrong of health.
    """
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.round import Round
    from aiops.layers.l1_cluster.health.site import read_site

    groups = {group for node in inventory.nodes for group in node.groups}
    site = read_site(inventory.settings, every_check or checks, groups)
    with (
        aiops.store() as store,
        aiops.fleet(inventory, nodes, width=forks or inventory.settings.forks) as fleet,
        screen.step("health", nodes=[node.name for node in nodes]) as step,
    ):
        round_ = Round(
            fleet,
            aiops.vendors(),
            checks,
            site.rules,
            aiops.clock,
            level,  # type: ignore[arg-type]  # one of the three, by its enumeration
            history=HealthHistory(store, inventory.cluster),
        )
        return round_.make(nodes, lambda node, failed: step.done(node, failed=failed))


def show(screen: Screen, inventory: "Inventory", report: "Report", style: FormatName, *, fail_on: str) -> int:
    """Tell a report, and the exit code that goes with it."""
    match style:
        case FormatName.json:
            screen.document(formats.document(inventory.cluster, report))
        case FormatName.nagios:
            screen.line(formats.nagios(report))
            return formats.nagios_code(report)
        case FormatName.prometheus:
            screen.text(formats.prometheus(inventory.cluster, report))
        case FormatName.table:
            table.show(screen, report)
    return formats.exit_code(report, fail_on=fail_on)
