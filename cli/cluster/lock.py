"""`aiops cluster lock`: who holds the cluster, and taking it away from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import typer

from aiops.cli.app import App
from aiops.cli.options import (
    InventoryArgument,
    InventoryOption,
    JsonOption,
    QuietOption,
    YesOption,
    chosen_inventory,
)
from aiops.layers.core.clock import rfc3339
from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.l1_cluster.lock import STALE_SECONDS, ClusterLock, Holder
from aiops.layers.l1_cluster.owner import Owner

from .succession import lock_of

app = typer.Typer(no_args_is_help=True, help="Who changes the cluster now; one at a time may.")


@app.command()
def show(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show who holds the lock, since when, and where it is kept."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    with _lock(aiops, chosen_inventory(inventory, inventory_option)) as lock:
        holder = lock.show()
    if json:
        screen.document({"place": lock.place, "holder": holder.document() if holder else None})
    elif holder is None:
        screen.note(f"the cluster lock on `{lock.place}` is free")
    else:
        owner = holder.owner
        screen.table(
            ("user", "host", "pid", "run", "since", "renewed", "kept on"),
            [
                (
                    owner.user,
                    owner.host,
                    owner.pid,
                    owner.run,
                    holder.since,
                    screen.clock.now() - timedelta(seconds=holder.age),
                    lock.place,
                )
            ],
        )
        if holder.stale or owner.dead():
            screen.note("its process is gone: the next deploy takes the lock over by itself")


@app.command()
def release(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Take the lock away from whoever holds it; their deploy stops before its next step."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    with _lock(aiops, chosen_inventory(inventory, inventory_option)) as lock:
        holder, unreadable = _look(lock)
        if holder is None and unreadable is None:
            if json:
                screen.document({"released": None})
            screen.note(f"the cluster lock on `{lock.place}` is free already")
            return 0
        if not screen.confirm(_question(lock, holder), yes=yes):
            screen.note("nothing was changed")
            return 1
        if holder is None:
            lock.repair()
        elif not lock.release(holder.epoch, Owner.here("")):
            raise ConflictError(
                "the lock has passed to another while you were asked",
                code="lock.moved",
                hints=["see who has it: `aiops cluster lock show`"],
            )
    if json:
        screen.document({"released": holder.document() if holder else "unreadable"})
    screen.note("released" if holder is None else f"released; it was held by {holder.owner}")
    return 0


def _look(lock: ClusterLock) -> tuple[Holder | None, FailedError | None]:
    """The holder, or why the state cannot be read: taking the lock away mends that too."""
    try:
        return lock.show(), None
    except FailedError as error:
        if error.code != "lock.unreadable":
            raise
        return None, error


def _question(lock: ClusterLock, holder: Holder | None) -> str:
    if holder is None:
        return f"The lock on `{lock.place}` cannot be read. Put a free one in its place?"
    free = " (its process is gone)" if holder.stale or holder.owner.dead() else ""
    return (
        f"Held by {holder.owner} since {rfc3339(holder.since)}, renewed {holder.age:.0f} s ago{free}. "
        f"A lock that is not renewed is free after {STALE_SECONDS:.0f} s. Take it away?"
    )


@contextmanager
def _lock(aiops: App, named: Path | None) -> Iterator[ClusterLock]:
    """The lock of the inventory's cluster, for the time of the block."""
    inventory = aiops.inventory(named)
    with aiops.fleet(inventory) as fleet:
        yield lock_of(aiops, inventory, fleet)
