"""`aiops health [run]`: ask the nodes and judge what they say."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption, VerboseOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError

from . import cron as unattended
from . import formats, table
from .looking import Looking

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.round import Report
    from aiops.layers.l1_cluster.health.rules import Rules
    from aiops.layers.l1_cluster.health.verdict import Level

    from .acting import Acted


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
    LevelName,
    typer.Option("--level", help="How much is asked: quick takes 2 s of a node, deep minutes of nodes out of service."),
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


ActOption = Annotated[
    bool, typer.Option("--act", help="Drain nodes that are critical, and give back those that are well, by policy.")
]
CronOption = Annotated[
    bool,
    typer.Option("--cron", help="For cron: never twice at once, a moment later, and silent while nothing changes."),
]


def run(
    context: typer.Context,
    *,
    on: OnOption = None,
    level: LevelOption = LevelName.standard,
    check: CheckOption = None,
    tag: TagOption = None,
    format_: FormatOption = FormatName.table,
    fail_on: FailOption = FailName.critical,
    act: ActOption = False,
    cron: CronOption = False,
    watch: WatchOption = False,
    every: EveryOption = 30.0,
    forks: ForksOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Ask every node and judge what it says; 4 where something is critical, 3 where something is unknown.

    Equal findings are told once, with all their nodes. Nothing is changed, unless `--act` is given.
    """
    if context.invoked_subcommand is not None:  # of the group, whose callback this is, too: another verb was typed
        return Exit.DONE
    from aiops.layers.l1_cluster.health.catalogue import checks_of, select
    from aiops.layers.l1_cluster.health.notifier import read_notifiers
    from aiops.layers.l1_cluster.health.site import read_site

    aiops: App = context.obj
    style = FormatName.json if json else format_
    aside = quiet or cron or style is not FormatName.table
    screen = aiops.screen(json=style is FormatName.json, quiet=aside, verbose=verbose)
    _require_sense(style, watch=watch, cron=cron)
    if level is LevelName.deep:
        _require_once(act=act, cron=cron, watch=watch)
    checks = checks_of(aiops.plugins)
    chosen = select(checks, check or (), tag or ())
    read = aiops.inventory(inventory)
    nodes = read.select(on) if on is not None or level is not LevelName.deep else testable(read)
    site = read_site(read.settings, checks, {group for node in read.nodes for group in node.groups})
    notifiers = read_notifiers(read.settings, aiops.plugins, aiops.environment)
    _require_checks(chosen, site.rules, level.value)
    words = ["aiops", "health", *(["--act"] if act else []), *(["--on", on] if on else [])]
    looking = Looking(aiops, screen, read, nodes, chosen, site, level.value, forks, words if act else None, notifiers)
    if cron:
        return unattended.once(looking, fail_on=fail_on.value)
    while True:
        report, acted = looking.look()
        out = looking.out() if style is FormatName.table else ()  # the others tell no hints
        code = show(screen, read, report, style, fail_on=fail_on.value, acted=acted if act else None, out=out)
        for line in acted.done:  # of the answer, where people read it, and so told also when quiet
            (screen.line if style is FormatName.table and screen.terminal else screen.note)(line)
        for line in acted.waiting.values():
            screen.note(line)
        if not watch:
            return code
        screen.line("")
        aiops.clock.sleep(every)


def _require_sense(style: FormatName, *, watch: bool, cron: bool) -> None:
    """Refuse options that exclude each other."""
    if watch and (cron or style is not FormatName.table):
        other = "`--cron`" if cron else f"`--format {style.value}`"
        raise InputError(f"`--watch` does not go with {other}", code="usage.watch", hints=["leave one of them out"])
    if cron and style is not FormatName.table:
        raise InputError(
            f"`--cron` does not go with `--format {style.value}`", code="usage.cron", hints=["leave one of them out"]
        )


def _require_once(**wanted: bool) -> None:
    """Refuse to test deeply again and again: a test loads a node for minutes, and somebody waits for its end."""
    for name in (name for name, given in wanted.items() if given):
        raise InputError(
            f"`--{name}` does not go with `--level deep`: deep tests are for nodes out of service, once",
            code="usage.deep",
            hints=[f"leave one of them out: `aiops health --level deep`, or `aiops health --{name}`"],
        )


def _require_checks(wanted: "Sequence[Check]", rules: "Rules", level: "Level") -> None:
    """Refuse a look that would make no check: it would call every node well."""
    from aiops.layers.l1_cluster.health.examination import chosen
    from aiops.layers.l1_cluster.health.verdict import LEVELS

    if chosen(wanted, level, rules):
        return
    on = [one for one in wanted if one.id not in rules.off]
    if not on:
        raise InputError(
            "none of these checks is made: aiops.toml has them under `health.off`",
            code="health.nothing_to_check",
            hints=["take them from there, or look with others: `aiops health checks`"],
        )
    needed = min((one.level for one in on), key=LEVELS.index)
    raise InputError(
        f"none of these checks is made at the level `{level}`",
        code="health.nothing_to_check",
        hints=[f"look at the level at which they are: `aiops health --level {needed}`"],
    )


def testable(inventory: "Inventory") -> "tuple[Node, ...]":
    """Whom deep tests are for where nobody is named: the workers. A head or a storage server serves all others."""
    workers = tuple(node for node in inventory.nodes if "workers" in node.roles)
    return workers or inventory.select(None)


def show(
    screen: Screen,
    inventory: "Inventory",
    report: "Report",
    style: FormatName,
    *,
    fail_on: str,
    acted: "Acted | None" = None,
    out: Collection[str] = (),
) -> int:
    """Tell a report, and the exit code that goes with it."""
    match style:
        case FormatName.json:
            screen.document(formats.document(inventory.cluster, report, acted))
        case FormatName.nagios:
            screen.line(formats.nagios(report))
            return formats.nagios_code(report)
        case FormatName.prometheus:
            screen.text(formats.prometheus(inventory.cluster, report))
        case FormatName.table:
            heads = [node.name for node in inventory.nodes if node.roles and "workers" not in node.roles]
            table.show(screen, report, out, heads)
    return formats.exit_code(report, fail_on=fail_on)
