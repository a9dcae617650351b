"""`aiops health history`: what was found, from when to when, and how reliable each node was."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.duration import parse, spell
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.episode import Episode
    from aiops.layers.l1_cluster.health.stretch import Reliability

_DEFAULT = "7d"
_SHORTEST = 3600.0
"""Seconds: what fails in less was not watched for long enough to tell how often it does."""
SinceOption = Annotated[str, typer.Option("--since", metavar="SPAN", help="How far to look back, as in `2h` or `30d`.")]
CheckOption = Annotated[
    list[str] | None, typer.Option("--check", metavar="NAME", help="Only this check; may be given several times.")
]


def history(
    context: typer.Context,
    *,
    on: OnOption = None,
    since: SinceOption = _DEFAULT,
    check: CheckOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what was found on nodes, from when to when, and how often each node failed. Nobody is asked."""
    from aiops.layers.l1_cluster.health.catalogue import checks_of, select
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.stretch import reliability

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    after = aiops.clock.now() - parse(since)
    if check:
        select(checks_of(aiops.plugins), check)
    read = aiops.inventory(inventory)
    nodes = [node.name for node in read.select(on)]
    with aiops.store() as store:
        kept = HealthHistory(store, read.cluster)
        episodes = [one for one in kept.episodes(after, nodes=nodes, checks=check) if one.counted]
        done = reliability(kept.stretches(after, nodes=nodes), after)
    told = {name: done[name] for name in nodes if name in done}
    if json:
        screen.document(
            {
                "cluster": read.cluster,
                "since": after.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "episodes": [one.document() for one in episodes],
                "nodes": [_document(one) for one in told.values()],
            }
        )
        return
    if not told:
        screen.note(f"{read.cluster} was not looked at in the last {since}")
        screen.hint("look at it: `aiops health`; have it looked at: `aiops health schedule`")
        return
    screen.table(
        ("node", "verdict", "check", "what", "from", "for", "looks"),
        [_row(one) for one in episodes],
    )
    if not episodes:
        screen.note(f"nothing was found in the last {since}")
    lemons = sorted((one for one in told.values() if one.failures), key=lambda one: -one.failures)
    for one in lemons:
        mtbf = "" if one.mtbf is None or one.mtbf < _SHORTEST else f", one in {spell(one.mtbf)}"
        screen.note(
            f"{one.node}: {one.failures} failure{'s' * (one.failures != 1)}{mtbf}; well {_percent(one)} of the time"
        )


def _row(one: "Episode") -> tuple[Any, ...]:
    what = f"{one.about}: {one.message}" if one.about else one.message
    end = one.ended or one.seen
    seconds = (end - one.started).total_seconds()
    span = spell(seconds)
    if one.ended is None:
        span = f"{span}, goes on" if seconds else "goes on"
    return (one.node, one.verdict, one.check, what, one.started, span, one.looks)


def _percent(one: "Reliability") -> str:
    return "?" if one.well is None else f"{100 * one.well:.1f} %"


def _document(one: "Reliability") -> dict[str, Any]:
    return {
        "node": one.node,
        "watched_seconds": round(one.watched),
        "failures": one.failures,
        "well": None if one.well is None else round(one.well, 5),
        "mtbf_seconds": None if one.mtbf is None else round(one.mtbf),
    }
