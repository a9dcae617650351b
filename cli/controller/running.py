"""`aiops controller run|status`."""

from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.counter import knock
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import ConflictError, UnreachableError

SystemOption = Annotated[
    bool, typer.Option("--system", help="Answer all users of this machine at /run/aiops, as its service does.")
]


def run(
    context: typer.Context,
    *,
    system: SystemOption = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Decide about jobs until Ctrl-C; what runs goes on without it. There is one for each AIOPS_HOME.

    `aiops cluster deploy` installs it as a service on the head: `systemctl status aiops-controller`.
    """
    from .assembly import assembled

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    require_place(aiops, read)
    with assembled(aiops, screen, read, system=system) as running:
        alive = len(running.controller.world.roster.jobs)
        screen.note(f"{read.cluster} · {len(running.sites.nodes)} nodes · {alive} job{'s' * (alive != 1)} taken up")
        try:
            running.run()
        except KeyboardInterrupt:
            screen.note("the controller has ended; what runs goes on, and nobody decides about it")
            screen.hint("take it up again: `aiops controller run`")
            return Exit.INTERRUPTED
    return Exit.DONE


def require_place(aiops: App, inventory: object) -> None:
    """Refuse to decide anywhere but on the head, where there is one: two who decide would undo each other's work.

    Raises:
        ConflictError: The head is another machine (`controller.elsewhere`).
        UnreachableError: It cannot be told whether it is, since it does not answer.
    """
    from aiops.layers.core.command import Command
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.doors import this_machine

    assert isinstance(inventory, Inventory)  # noqa: S101 - for the checker
    head = inventory.head
    if head is None or head.connection.kind == "local":
        return
    here = this_machine()
    with aiops.fleet(inventory, [head], root=False) as fleet:
        read = fleet.transport(head).run(Command(("cat", "/etc/machine-id", "/proc/sys/kernel/random/boot_id")))
    if here is None or read.text.split() != list(here):
        raise ConflictError(
            f"the jobs of {inventory.cluster} are decided about on its head, {head.name}",
            code="controller.elsewhere",
            hints=[
                f"install it there: `aiops cluster deploy {inventory.path} --only jobs`",
                "or decide here, for nodes of the engine ssh: by an inventory of them without a head",
            ],
        )


def status(
    context: typer.Context, *, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> int:
    """Show whether the controller runs, what it has to do, and when it was last backed up; 3 where none runs."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    door = knock(aiops)
    if door is None:
        raise UnreachableError(
            f"no controller runs on {aiops.home}",
            code="controller.none",
            hints=["start it: `aiops controller run`, or on a head `systemctl start aiops-controller`"],
        )
    found = door.ask("status")
    door.close()
    if json:
        screen.document(found)
        return Exit.DONE
    backup = found["backup"]
    rows = [
        ("cluster", found["cluster"]),
        ("process", found["pid"]),
        ("nodes", found["nodes"]),
        *((f"engine {name}", words) for name, words in found["engines"].items()),
        ("jobs", ", ".join(f"{count} {state}" for state, count in found["jobs"].items()) or "none"),
        ("settled", "yes" if found["settled"] else "no: it is not known yet what runs"),
        ("backup", "to no other node" if backup is None else backup["at"] or backup["trouble"] or "not yet"),
    ]
    if backup is not None and backup["at"] and backup["trouble"]:
        rows.append(("since then", backup["trouble"]))
    if backup is not None and backup["nodes"]:
        rows.append(("backup on", ", ".join(backup["nodes"])))
    if found.get("logs"):
        rows.append(("logs", found["logs"]))
    rows += [("power unknown", words) for words in found.get("power") or ()]
    screen.table(("", ""), rows)
    return Exit.DONE
