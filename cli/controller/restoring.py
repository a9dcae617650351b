"""`aiops controller backup|restore`: the store kept on other nodes, and brought back to another head."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption, YesOption
from aiops.layers.core.errors import ConflictError, FailedError

from .running import require_place

if TYPE_CHECKING:
    from aiops.layers.l2_jobs.controller.backup import Backup


def backup(
    context: typer.Context, *, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> int:
    """Keep a copy of the store on two other nodes now; the controller does so each minute and at each change."""
    from aiops.layers.l2_jobs.controller.backup import keep, others

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    read = aiops.inventory(inventory)
    require_place(aiops, read)
    nodes = others(read)
    if not nodes:
        raise FailedError(
            f"{read.cluster} has no other node that could keep a backup",
            code="backup.nowhere",
            hints=[f"copy it yourself while no controller runs: `cp {aiops.home}/aiops.db ELSEWHERE`"],
        )
    with aiops.store() as store, aiops.fleet(read, nodes) as fleet, screen.step("backup") as step:
        kept = keep(store, fleet, nodes, read.cluster, at=aiops.clock.now())
        step.summary = ", ".join(kept)
    if json:
        screen.document({"nodes": list(kept)})
    return Exit.DONE


def restore(
    context: typer.Context,
    *,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A backup in this file, instead of the nodes' newest.")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="STORE", help="Whose backups, where several stores have some.")
    ] = None,
    inventory: InventoryOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Put the newest backup in the place of this machine's store, on a new head, before the controller starts there.

    What runs is adopted then, and nothing is started again. A store that is here already is kept beside it.
    """
    from aiops.layers.core.home import ensure_folder
    from aiops.layers.l2_jobs.controller.backup import unpacked
    from aiops.layers.l2_jobs.controller.restoration import copies, newest, replace_store
    from aiops.layers.l2_jobs.controller.writer import sole_writer

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    if aiops.environment.get("AIOPS_DB"):
        raise ConflictError(
            "the store is PostgreSQL's, which aiops does not restore",
            code="store.backup",
            hints=["use its own tools: `pg_restore`"],
        )
    if source is not None:
        found, place = unpacked(source.read_bytes(), str(source)), str(source)
    else:
        with aiops.fleet(read) as fleet:
            found, place = newest(fleet, read.cluster, copies(fleet, read), store)
    if found.cluster != read.cluster:
        raise ConflictError(
            f"{place} is a backup of {found.cluster}, and this inventory is of {read.cluster}",
            code="backup.other",
            hints=["name the inventory of that cluster: `aiops controller restore -i FILE`"],
        )
    path = aiops.home / "aiops.db"
    told = f"the backup of {screen.time(found.at)} from {place}"
    if path.exists() and not screen.confirm(f"Put {told} in the place of {path}? That is kept beside it.", yes=yes):
        screen.note("nothing was changed")
        return Exit.FAILED
    ensure_folder(aiops.home)
    with sole_writer(aiops.home, cluster=read.cluster):
        database = _succeeding(found, aiops.home, aiops.clock.now().timestamp())
        aside = path.with_name(f"aiops.db.before-{aiops.clock.now():%Y%m%dT%H%M%S}")
        kept = replace_store(path, database, found.at.isoformat(), aside)
    if json:
        screen.document({"at": found.at.isoformat(), "from": place, "before": str(aside) if kept else None})
        return Exit.DONE
    screen.note(f"restored {told}")
    screen.hint("start the controller: `systemctl start aiops-controller`, or `aiops controller run`")
    return Exit.DONE


def _succeeding(found: "Backup", folder: Path, now: float) -> bytes:
    """The database of a backup with a higher term: nodes obey whoever had it before no more.

    Raises:
        FailedError: It is no whole database.
        ConflictError: A newer aiops has written it.
    """
    import tempfile

    from aiops.layers.core.store import Store, check_file
    from aiops.layers.l2_jobs.controller.ledger import Ledger

    with tempfile.TemporaryDirectory(dir=folder) as name:
        copy = Path(name) / "aiops.db"
        copy.write_bytes(found.database)
        check_file(copy)
        with Store.open(Path(name), {}) as store:
            Ledger(store).raise_term(now)
            return store.snapshot()
