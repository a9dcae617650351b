"""`aiops health learn`: write down what is normal here, for a person to review and to keep."""

from difflib import unified_diff
from typing import TYPE_CHECKING

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.node import failures
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption, YesOption
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.core.file import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from aiops.cli.screen import Screen
    from aiops.layers.l1_cluster.health.normal import Specimen


def learn(
    context: typer.Context,
    *,
    on: OnOption = None,
    yes: YesOption = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Ask the nodes what they have, and write what most of each group agree on to health.yml beside the inventory.

    Nodes that were critical when they were last looked at teach nothing. What is there already is shown as a difference
    and replaced only when that is confirmed.
    """
    from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
    from aiops.layers.l0_nodes.probe import probe
    from aiops.layers.l1_cluster.health import normal
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.normal_file import normals_path

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    chosen = read.select(on)
    vendors = aiops.vendors()
    asks = (*fact_asks(vendors), *normal.ASKS)
    with aiops.store() as store:
        last = HealthHistory(store, read.cluster).latest([node.name for node in chosen])
    ill = [node.name for node in chosen if node.name in last and last[node.name].verdict == "critical"]
    nodes = [node for node in chosen if node.name not in ill]
    found: list[Specimen] = []
    errors: dict[str, AiopsError] = {}
    with aiops.fleet(read, nodes) as fleet, screen.step("learn", nodes=[node.name for node in nodes]) as step:
        for outcome in probe(fleet, nodes, lambda _: asks, aiops.clock):
            if outcome.value is not None:
                found.append(normal.Specimen(outcome.node, facts_of(outcome.value, vendors), outcome.value))
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
            step.done(outcome.node.name, failed=outcome.error is not None)
    failures.tell(screen, errors)
    if ill:
        screen.note(f"left out, for they were critical when last looked at: {', '.join(ill)}")
    if not found:
        raise FailedError(
            "no node could be learned from", code="health.nothing_learned", hints=["see why: `aiops health`"]
        )
    order = {node.name: place for place, node in enumerate(nodes)}
    text = normal.learned(sorted(found, key=lambda one: order[one.node.name]))
    path = normals_path(read.path)
    changed = _write(screen, path, text, yes=yes)
    if changed is None:
        screen.note("nothing was changed")
        return Exit.FAILED
    if json:
        screen.document(
            {"file": str(path), "changed": changed, "nodes": [one.node.name for one in found], "left_out": ill}
        )
    else:
        screen.line(str(path))
        screen.hint("review it and keep it in git; from now on `aiops health` expects what it says")
    return Exit.UNREACHABLE if errors else Exit.DONE


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
