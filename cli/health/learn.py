"""`aiops health learn`: write down what is normal here, for a person to review and to keep."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from difflib import unified_diff
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.duration import spell
from aiops.cli.exit import Exit
from aiops.cli.node import failures
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption, YesOption
from aiops.layers.core.errors import AiopsError, FailedError, InputError
from aiops.layers.core.file import write_atomic

from .looking import kept_idle
from .run import testable

if TYPE_CHECKING:
    from pathlib import Path

    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.ask import Record
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l0_nodes.vendor import Vendor
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.normal import Specimen


class LearnLevel(StrEnum):
    """What `--level` takes here."""

    standard = "standard"
    deep = "deep"


LevelOption = Annotated[
    LearnLevel,
    typer.Option("--level", help="deep: measure how fast nodes out of service are, too; that takes minutes of them."),
]


def learn(
    context: typer.Context,
    *,
    on: OnOption = None,
    level: LevelOption = LearnLevel.standard,
    yes: YesOption = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Ask the nodes what they have, and write what most of each group agree on to health.yml beside the inventory.

    Nodes that were critical when they were last looked at teach nothing. What is there already is shown as a difference
    and replaced only when that is confirmed.
    """
    from aiops.layers.l0_nodes.fact_reading import fact_asks
    from aiops.layers.l0_nodes.probe import longest, probe
    from aiops.layers.l1_cluster.health import normal
    from aiops.layers.l1_cluster.health.catalogue import checks_of
    from aiops.layers.l1_cluster.health.examination import asks_of
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.normal_file import normals_path

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    deep = level is LearnLevel.deep
    chosen = testable(read) if deep and on is None else read.select(on)
    vendors = aiops.vendors()
    checks = [one for one in checks_of(aiops.plugins) if one.rates is not None] if deep else []
    asks = asks_of(checks, (*fact_asks(vendors), *normal.ASKS))
    with aiops.store() as store:
        last = HealthHistory(store, read.cluster).latest([node.name for node in chosen])
    ill = [node.name for node in chosen if node.name in last and last[node.name].verdict == "critical"]
    nodes = [node for node in chosen if node.name not in ill]
    found: list[Specimen] = []
    errors: dict[str, AiopsError] = {}
    with aiops.fleet(read, nodes) as fleet, ExitStack() as stack:
        if deep:
            words = ("aiops", "health", "learn", "--level", "deep")
            stack.enter_context(kept_idle(aiops, screen, read, fleet, nodes, words=words))
            screen.note(f"deep tests take up to {spell(longest(asks))} of each node")
        step = stack.enter_context(screen.step("learn", nodes=[node.name for node in nodes]))
        for outcome in probe(fleet, nodes, lambda _: asks, aiops.clock, longest(asks)):
            if outcome.value is not None:
                found.append(_specimen(outcome.node, outcome.value, vendors, checks))
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
            step.done(outcome.node.name, failed=outcome.error is not None)
    failures.tell(screen, errors)
    if ill:
        screen.note(f"left out, for they were critical when last looked at: {', '.join(ill)}")
    if not found:
        hints = ["see why: `aiops health`"]
        raise FailedError("no node could be learned from", code="health.nothing_learned", hints=hints)
    order = {node.name: place for place, node in enumerate(nodes)}
    path = normals_path(read.path)
    text = normal.learned(sorted(found, key=lambda one: order[one.node.name]), before=_before(path, read))
    changed = _write(screen, path, text, yes=yes)
    if changed is None:
        screen.note("nothing was changed")
        return Exit.FAILED
    if json:
        taught = [one.node.name for one in found]
        screen.document({"file": str(path), "changed": changed, "nodes": taught, "left_out": ill})
    else:
        _tell(screen, path, changed=changed)
    return Exit.UNREACHABLE if errors else Exit.DONE


def _tell(screen: "Screen", path: "Path", *, changed: bool) -> None:
    screen.line(str(path))
    if changed:
        screen.hint("review it and keep it in git; from now on `aiops health` expects what it says")
    else:
        screen.note("nothing has changed")


def _specimen(node: "Node", record: "Record", vendors: "Sequence[Vendor]", checks: "Sequence[Check]") -> "Specimen":
    from aiops.layers.l0_nodes.fact_reading import facts_of
    from aiops.layers.l0_nodes.variables import variables_of
    from aiops.layers.l1_cluster.health.check import Subject
    from aiops.layers.l1_cluster.health.normal import Specimen, measured

    facts = facts_of(record, vendors)
    return Specimen(node, facts, record, measured(Subject(node, record, facts, variables_of(node), record.at), checks))


def _before(path: "Path", inventory: "Inventory") -> "Mapping[str, Mapping[str, float | str]]":
    """What is known of groups until now; nothing where that cannot be read, for this is how it is written anew."""
    from aiops.layers.l1_cluster.health.normal_file import read_normals

    groups = {group for node in inventory.nodes for group in node.groups}
    try:
        return {group: known for group, known in read_normals(path).groups.items() if group in groups}
    except InputError:
        return {}


def _write(screen: "Screen", path: "Path", text: str, *, yes: bool) -> bool | None:
    """Write `text`; whether that changed anything, None where it was declined."""
    try:
        before = path.read_text("utf-8")
    except FileNotFoundError:
        before = ""
    if text == before:
        return False
    if before:
        for line in unified_diff(before.splitlines(), text.splitlines(), path.name, path.name, lineterm="", n=1):
            screen.note(line)
        if not screen.confirm(f"Replace {path}?", yes=yes):
            return None
    write_atomic(path, text.encode(), 0o644)
    return True
