"""`aiops node repair`: drained nodes are repaired, looked at afresh, and given back."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.changing import changing
from aiops.cli.exit import Exit
from aiops.cli.options import DryRunOption, InventoryOption, JsonOption, QuietOption, YesOption
from aiops.cli.repairing import Course, Repairs
from aiops.cli.screen import Screen

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.casebook import Treated
    from aiops.layers.l1_cluster.health.remedy import Remedy
    from aiops.layers.l1_cluster.health.verdict import Action

NodesArgument = Annotated[
    str, typer.Argument(metavar="NODES", help="A node, or a node set such as `gpu[01-04],@workers`.")
]


class ActionName(StrEnum):
    """What `--action` takes."""

    restart_app = "restart_app"
    reset_device = "reset_device"
    restart_service = "restart_service"
    reboot = "reboot"
    service = "service"


ActionOption = Annotated[
    ActionName | None,
    typer.Option("--action", help="This step instead of the one that is next; `service` puts a node out for service."),
]


def repair(
    context: typer.Context,
    nodes: NodesArgument,
    *,
    action: ActionOption = None,
    inventory: InventoryOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Repair drained nodes: take the step that is next, look at them afresh, and give back the well ones.

    What did not help is followed by the next step. A run that was cut off is gone on with by the same command.
    """
    from aiops.layers.l1_cluster.health.catalogue import checks_of
    from aiops.layers.l1_cluster.health.site import read_site

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    chosen = read.select(nodes)
    checks = checks_of(aiops.plugins)
    site = read_site(read.settings, checks, {group for node in read.nodes for group in node.groups})
    repairs = Repairs(aiops, screen, read, checks, site)
    wish: Action | None = None if action is None else action.value
    with aiops.store() as store, aiops.fleet(read) as fleet:
        course = repairs.course(store, fleet, chosen, wish, wait=not dry_run)
        due = course.due
        if dry_run or not due:
            if json:
                screen.document(_document(read.cluster, None, course, {}, chosen))
            else:
                _plan(screen, course, chosen)
            _hints(screen, course, chosen)
            return _code(course, {}, chosen, dry_run=dry_run)
        if not json:
            _tell(screen, course, chosen)
        many = f"{len(due)} node{'s' * (len(due) > 1)}"
        if not screen.confirm(f"Repair {many}?", yes=yes):
            screen.note("nothing was done")
            return Exit.FAILED
        words = ["aiops", "node", "repair", nodes, *(["--action", wish] if wish else [])]
        with changing(aiops, screen, read, words, fleet) as change:
            agreed = repairs.course(change.store, fleet, due, wish)
            moved = [node.name for node in due if _differs(course.remedies[node.name], agreed.remedies[node.name])]
            actor = f"{change.owner.user} on {change.owner.host}"
            still = Course(
                tuple(node for node in due if node.name not in moved), agreed.remedies, agreed.cases, agreed.facts
            )
            treated = repairs.treat(change, still, wished=wish is not None, actor=actor) if still.nodes else {}
            code = _code(course, treated, chosen)
            failed = [one.words for one in treated.values() if one.failed]
            change.journal.end(code, failed[0] if failed else "")
    if json:
        screen.document(_document(read.cluster, change.events.run, course, treated, chosen))
    else:
        _answer(screen, course, treated, chosen)
    _hints(screen, course, chosen, treated)
    if moved:
        screen.hint(f"it has changed meanwhile what is to be done: `aiops node repair {shlex.quote(','.join(moved))}`")
    return code


def _differs(shown: "Remedy", now: "Remedy") -> bool:
    """Whether it is another thing to do than the one that was agreed to."""
    return (shown.step, shown.finding, shown.resets, shown.units) != (now.step, now.finding, now.resets, now.units)


def _code(course: Course, treated: "Mapping[str, Treated]", nodes: "Sequence[Node]", *, dry_run: bool = False) -> int:
    """By our own ledger: a node that is not as it was to become is a failure, whatever the reason."""
    for node in nodes:
        remedy, done = course.remedies[node.name], treated.get(node.name)
        refused = remedy.step is None and not remedy.well
        undone = remedy.step is not None and not dry_run and (done is None or done.failed)
        if refused or undone:
            return Exit.FAILED
    return Exit.DONE


def _folded(rows: "Iterable[tuple[str, tuple[str, ...]]]") -> list[tuple[str, ...]]:
    """Equal rows once, with all their nodes."""
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, ...], list[str]] = {}
    for name, row in rows:
        groups.setdefault(row, []).append(name)
    return [(fold(names), *row) for row, names in groups.items()]


def _planned(course: Course, nodes: "Sequence[Node]") -> list[tuple[str, ...]]:
    rows = []
    for node in nodes:
        remedy = course.remedies[node.name]
        step = remedy.step or "-"
        why = "; ".join((remedy.why, *(f"not {one}" for one in remedy.passed)))
        again = "cut off before; " if remedy.resumed else ""
        rows.append((node.name, (step, again + why)))
    return _folded(rows)


def _plan(screen: Screen, course: Course, nodes: "Sequence[Node]") -> None:
    screen.table(("nodes", "step", "why"), _planned(course, nodes))


def _tell(screen: Screen, course: Course, nodes: "Sequence[Node]") -> None:
    """What is going to be done, aside: the answer comes at the end."""
    for names, step, why in _planned(course, nodes):
        screen.note(f"{names}: {'nothing' if step == '-' else step}: {why}")


def _answer(screen: Screen, course: Course, treated: "Mapping[str, Treated]", nodes: "Sequence[Node]") -> None:
    rows: list[tuple[str, tuple[str, ...]]] = []
    for node in nodes:
        done, remedy = treated.get(node.name), course.remedies[node.name]
        if done is not None:
            rows.append((node.name, (done.step, done.outcome, done.words)))
        else:
            outcome = "well" if remedy.well else "failed"
            rows.append((node.name, (remedy.step or "-", outcome, "nothing was done" if remedy.step else remedy.why)))
    screen.table(("nodes", "step", "outcome", "what"), _folded(rows))


def _hints(
    screen: Screen, course: Course, nodes: "Sequence[Node]", treated: "Mapping[str, Treated] | None" = None
) -> None:
    """What to type next, once each, with the nodes that it is for."""
    from aiops.layers.l0_nodes.nodeset import fold

    hints: dict[str, list[str]] = {}
    for node in nodes:
        done = (treated or {}).get(node.name)
        remedy = course.remedies[node.name]
        hint = done.hint if done is not None else remedy.hint if remedy.step is None else ""
        if hint:
            hints.setdefault(hint.replace(node.name, "\0"), []).append(node.name)
    for hint, names in hints.items():
        screen.hint(hint.replace("\0", shlex.quote(fold(names))))


def _document(
    cluster: str, run: str | None, course: Course, treated: "Mapping[str, Treated]", nodes: "Sequence[Node]"
) -> dict[str, Any]:
    told = []
    for node in nodes:
        remedy, done = course.remedies[node.name], treated.get(node.name)
        told.append(
            {
                "node": node.name,
                "step": remedy.step,
                "why": remedy.why,
                "finding": remedy.finding or None,
                "passed_over": list(remedy.passed),
                "resumed": remedy.resumed,
                "outcome": None if done is None else done.outcome,
                "what": None if done is None else done.words,
                "hint": (done.hint if done is not None else remedy.hint) or None,
            }
        )
    return {"cluster": cluster, "run": run, "nodes": told}
