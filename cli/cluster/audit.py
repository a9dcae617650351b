"""`aiops cluster audit`: who changed what on a cluster, when, in which run."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.duration import parse
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryArgument, InventoryOption, JsonOption, OnOption, QuietOption, chosen_inventory
from aiops.layers.core.errors import AiopsError, FailedError, NotFoundError, UnreachableError

from .succession import lock_of

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.audit import Deed
    from aiops.layers.l1_cluster.past import Past

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="SPAN", help="Only what was done in the last `2h`, `7d`. [all]")
]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only this run, every change; its id, or the start of it.")
]


def audit(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    since: SinceOption = None,
    on: OnOption = None,
    run: RunOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show who changed what, when, in which run, from any machine; 3 when the head cannot be asked for other runs."""
    from aiops.layers.l1_cluster.audit import KINDS, chosen, deeds, folded
    from aiops.layers.l1_cluster.run import Runs

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    after = aiops.clock.now() - parse(since) if since is not None else None
    read = aiops.inventory(chosen_inventory(inventory, inventory_option))
    past, trouble = _past(aiops, read)
    also = [tenure.owner.run for tenure in past]
    with aiops.store() as store:
        runs = Runs(store)
        known = runs.of(read.cluster, also)
        told = runs.told(read.cluster, KINDS, also=also, since=after)
        ended = [
            one
            for one in known
            if one.status != "running" and (after is None or one.ended is None or one.ended >= after)
        ]
        cut_off = [result for one in ended for result in runs.cut_off(one.id)]
    found = deeds(known, told, cut_off, past)
    nodes = _named(read, found, on)
    found = chosen(found, since=after, run=_run(found, run), nodes=nodes)
    if json:
        head = None if trouble is None else {"code": trouble.code, "message": trouble.message}
        screen.document({"cluster": read.cluster, "deeds": [deed.document() for deed in found], "unknown": head})
        return Exit.DONE if trouble is None else Exit.UNREACHABLE
    whole = run is not None or on is not None
    rows = folded(found, whole=whole)
    if rows:
        screen.table(("when", "by", "run", "on", "phase", "what"), [_row(deed) for deed in rows])
    else:
        screen.note(
            f"nothing is known to have been changed on {read.cluster}" + (f" in the last {since}" if since else "")
        )
    if trouble is not None:
        screen.warn(f"what was done from other machines is not known: {trouble.message}")
        return Exit.UNREACHABLE
    if rows and not whole and any(deed.change for deed in rows):
        last = next(deed for deed in reversed(rows) if deed.change)
        screen.hint(f"every change of a run: `aiops cluster audit --run {last.run}`")
    return Exit.DONE


def _past(aiops: App, inventory: "Inventory") -> "tuple[tuple[Past, ...], AiopsError | None]":
    """The tenures of the lock, or why they cannot be asked for."""
    with aiops.fleet(inventory) as fleet:
        lock = lock_of(aiops, inventory, fleet)
        try:
            lock.require_known()
            return lock.past(), None
        except (UnreachableError, FailedError) as error:
            return (), error


def _named(inventory: "Inventory", found: "Sequence[Deed]", on: str | None) -> tuple[str, ...] | None:
    """The nodes of a node set; also those that have left the inventory and that something was done to.

    Raises:
        InputError: It is no node set, or names nobody known.
    """
    from aiops.layers.l0_nodes.nodeset import expand

    if on is None:
        return None
    gone = {node for deed in found for node in deed.nodes}
    if "@" not in on and set(expand(on)) <= gone:
        return expand(on)
    return tuple(node.name for node in inventory.select(on))


def _run(found: "Sequence[Deed]", text: str | None) -> str | None:
    """The run whose id starts so.

    Raises:
        NotFoundError: There is none, or there are several.
    """
    if text is None:
        return None
    prefix = text if text.startswith("r-") else f"r-{text}"
    ids = sorted({deed.run for deed in found if deed.run is not None and deed.run.startswith(prefix)})
    if prefix in ids or len(ids) == 1:
        return prefix if prefix in ids else ids[0]
    what = f"`{text}` is the start of {len(ids)} runs" if ids else f"no run `{text}` has changed anything here"
    hints = [f"one of them: `{ids[0]}`"] if ids else ["all runs: `aiops run list`"]
    raise NotFoundError(what, code="audit.run", hints=hints)


def _row(deed: "Deed") -> tuple[datetime, str, str | None, str | None, str | None, str]:
    from aiops.layers.l1_cluster.audit import where

    return deed.at, f"{deed.user}@{deed.host}", deed.run, where(deed), deed.phase, deed.what
