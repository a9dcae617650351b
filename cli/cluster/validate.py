"""`aiops cluster validate`: read an inventory and say everything that is wrong, touching no node."""

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryArgument, InventoryOption, JsonOption, QuietOption, chosen_inventory


def validate(
    context: typer.Context,
    file: InventoryArgument = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read an inventory, say every mistake with file and line; touch nothing."""
    from aiops.layers.l0_nodes.inventory import read_inventory
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l0_nodes.settings import ROLES

    app: App = context.obj
    screen = app.screen(json=json, quiet=quiet)
    path = app.locate(chosen_inventory(file, inventory))
    found = read_inventory(path, app.environment, app.home / "cache", folder=app.working_folder, thorough=True)
    roles = {role: [node.name for node in found.role(role)] for role in ROLES}
    if json:
        screen.document(
            {
                "path": str(found.path),
                "cluster": found.cluster,
                "nodes": [node.name for node in found.nodes],
                "groups": {name: list(nodes) for name, nodes in found.groups.items()},
                "roles": roles,
                "problems": [],
            }
        )
        return
    count = "1 node" if len(found.nodes) == 1 else f"{len(found.nodes)} nodes"
    played = [f"{role} {fold(names)}" for role, names in roles.items() if names]
    screen.line(f"{path} is right: cluster {found.cluster}, {count}" + (f", {', '.join(played)}" if played else ""))
    if not found.role("head"):
        screen.hint("it has no head: scheduler, monitoring and the package repository need one")
