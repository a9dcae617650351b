"""`aiops run`: what was done to which node, read from the journals."""

import shlex
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from aiops.layers.core.event import Event
from aiops.layers.l0_nodes.nodeset import expand, fold
from aiops.layers.l1_cluster.run import INTERRUPTED, RUNNING, Reach, Result, Run, Runs

from .app import App
from .duration import spell
from .options import FollowOption, JsonOption, OnOption, QuietOption
from .screen import Screen

app = typer.Typer(no_args_is_help=True, help="What was done, when, by whom: the journals of all runs.")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the start of it.")]

_FOLLOW_SECONDS = 0.5


@app.command("list")
def list_(
    context: typer.Context,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME", help="Only runs of this cluster.")] = None,
    last: Annotated[int, typer.Option("-n", "--last", metavar="N", min=1, help="At most N.")] = 20,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the newest runs."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    with aiops.store() as store:
        runs = Runs(store).newest(cluster=cluster, limit=last)
        clusters = Runs(store).clusters()
    if json:
        screen.document([run.document() for run in runs])
        return
    if not runs:
        known = ", ".join(clusters)
        screen.note(f"nothing was run on `{cluster}`; there are runs of {known}" if known else "nothing was run yet")
        return
    screen.table(
        ("run", "cluster", "started", "took", "status", "exit", "by", "command"),
        [
            (run.id, run.cluster, run.started, _took(run), run.status, run.exit, _by(run), _command(aiops, screen, run))
            for run in runs
        ],
    )


@app.command()
def show(
    context: typer.Context,
    run: RunArgument,
    on: OnOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what each phase of a run did, and why something failed."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    with aiops.store() as store:
        runs = Runs(store)
        found = runs.find(run)
        nodes = runs.nodes(found.id, on)
        results = [result for result in runs.results(found.id) if result.node in nodes]
        if found.status == INTERRUPTED:
            results += [result for result in runs.cut_off(found.id) if result.node in nodes]
        told = [event for event in runs.events(found.id) if event.node in nodes]
        reach = runs.reach(found.id) if found.status == INTERRUPTED else None
    failures = [event for event in told if event.kind == "task_failed"]
    if json:
        screen.document(
            {
                **found.document(),
                "came_to": reach.document() if reach else None,
                "results": [result.document() for result in results],
                "failures": [event.document() for event in failures],
            }
        )
        return
    _head(screen, found, reach)
    if results:
        screen.line("")
        screen.table(("phase", "nodes", "outcome", "took", "reason"), _folded(results))
    changes = [event for event in told if event.kind == "resource_changed"] if on else []
    if changes:
        screen.line("")
        screen.table(
            ("changed", "on", "phase"), [(event.message, event.node, event.data.get("phase")) for event in changes]
        )
    for event in failures:
        _failure(screen, event)
    if failures and on is None:
        screen.hint(f"everything of one node: `aiops run show {found.id} --node {failures[0].node}`")
    if reach is not None:
        screen.hint(f"type it again, it goes on where it was: `{found.command}`")


@app.command()
def events(
    context: typer.Context,
    *,
    run: RunArgument,
    on: OnOption = None,
    follow: FollowOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print the events of a run; with `--json -f` one document per line."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    with aiops.store() as store:
        runs = Runs(store)
        found = runs.find(run)
        if not follow:
            nodes = runs.nodes(found.id, on)
            _events(screen, [event for event in runs.events(found.id) if on is None or event.node in nodes])
            return
        wanted = None if on is None else set(expand(on))
        after = 0
        while True:
            running = runs.find(found.id).status == RUNNING  # asked before the events: none comes after the end
            for event in runs.events(found.id, after=after):
                after = event.seq
                if wanted is None or event.node in wanted:
                    screen.record(event.document()) if json else screen.line(_line(event))
            if not running:
                return
            aiops.clock.sleep(_FOLLOW_SECONDS)


def _events(screen: Screen, found: Iterable[Event]) -> None:
    if screen.json:
        screen.document([event.document() for event in found])
    else:
        for event in found:
            screen.line(_line(event))


def _line(event: Event) -> str:
    """Time, node, kind, message: the same for a person and for a program."""
    stamp = event.document()["at"]
    return "\t".join((stamp, event.node or "-", event.kind, " ".join(event.message.split()))).rstrip()


def _head(screen: Screen, run: Run, reach: Reach | None) -> None:
    rows: list[tuple[str, Any]] = [
        ("run", run.id),
        ("cluster", run.cluster),
        ("command", run.command),
        ("by", _by(run)),
        ("started", run.started),
        ("took", _took(run)),
        ("status", run.status),
        ("exit", run.exit),
        ("aiops", run.aiops),
    ]
    if run.reason:
        rows.append(("reason", run.reason))
    if reach is not None:
        rows.append(("came to", came_to(run, reach)))
    screen.table(("", ""), rows)


def came_to(run: Run, reach: Reach) -> str:
    """`phase base on gpu[01-02], 12s after it began`."""
    place = f"phase {reach.phase}" if reach.phase else "the start"
    nodes = f" on {fold(reach.nodes)}" if reach.nodes else ""
    return f"{place}{nodes}, {spell((reach.at - run.started).total_seconds())} after it began"


def _folded(results: Iterable[Result]) -> list[tuple[str, str, str, str | None, str | None]]:
    """Equal outcomes of one phase in one row, with the time of the slowest node."""
    groups: dict[tuple[str, str, str | None], list[Result]] = {}
    for result in results:
        groups.setdefault((result.phase, result.outcome, result.reason), []).append(result)
    rows = []
    for (phase, outcome, reason), members in groups.items():
        times = [member.seconds for member in members if member.seconds is not None]
        rows.append(
            (phase, fold(member.node for member in members), outcome, spell(max(times)) if times else None, reason)
        )
    return rows


def _failure(screen: Screen, event: Event) -> None:
    """One failed task: where, what, why, and the last of what it said."""
    data = event.data
    screen.line("")
    screen.line(f"{event.node or '-'}: {data.get('phase', '-')}: {data.get('task', '-')}: {event.message}")
    for line in data.get("tail") or ():
        screen.line(f"  | {line}")


def _took(run: Run) -> str | None:
    return spell((run.ended - run.started).total_seconds()) if run.ended else None


def _command(aiops: App, screen: Screen, run: Run) -> str:
    """What was typed; on a terminal with files as they are called from here."""
    if not screen.terminal:
        return run.command
    return shlex.join(aiops.nickname(word) for word in shlex.split(run.command))


def _by(run: Run) -> str:
    return f"{run.owner.user}@{run.owner.host}"
