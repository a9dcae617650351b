"""Nodes that left the inventory and are still as a deploy made them, told wherever the cluster is looked at."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.nodeset import fold

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node


def unmanaged(aiops: "App", inventory: "Inventory") -> tuple[str, ...]:
    """The names of nodes that were deployed to from here and are no longer in the inventory.

    Raises:
        FailedError: What is remembered of members cannot be read.
    """
    from aiops.layers.l1_cluster.member import Members

    members = Members.of(aiops.home / "clusters" / inventory.cluster)
    return tuple(node.name for node in members.gone_from(inventory))


def everyone(aiops: "App", inventory: "Inventory") -> "tuple[Node, ...]":
    """The nodes of the inventory and the members that left it: another controller may have them in its inventory still.

    Raises:
        FailedError: What is remembered of members cannot be read.
    """
    from aiops.layers.l1_cluster.member import Members

    return (*inventory.nodes, *Members.of(aiops.home / "clusters" / inventory.cluster).gone_from(inventory))


def tell_unmanaged(screen: Screen, inventory: Path, names: tuple[str, ...], *, answer: bool = False) -> None:
    """Say which nodes are no longer managed, and how they are cleaned; nothing where there are none.

    Args:
        screen: Where it is said.
        inventory: The inventory's file, for the command.
        names: See `unmanaged`.
        answer: Whether it belongs to the answer on stdout, as in a plan.
    """
    if not names:
        return
    verb = "is" if len(names) == 1 else "are"
    line = f"{fold(names)} {verb} no longer in the inventory and still {verb} as deployed"
    (screen.line if answer else screen.note)(line)
    command = shlex.join(["aiops", "cluster", "reset", str(inventory), "--on", fold(names)])
    screen.hint(f"undo it there: `{command}`")


def forget_members(aiops: "App", screen: Screen, inventory: "Inventory", on: str | None) -> int:
    """Forget members that left the inventory; nothing is done to them.

    Raises:
        InputError: None is named, or one is no such member.
    """
    from aiops.layers.l0_nodes.nodeset import expand
    from aiops.layers.l1_cluster.member import Members

    members = Members.of(aiops.home / "clusters" / inventory.cluster)
    gone = [*(node.name for node in members.gone_from(inventory)), *members.renamed_in(inventory)]
    names = expand(on) if on else ()
    wrong = [name for name in names if name not in gone]
    if wrong or not names:
        raise InputError(
            f"{fold(wrong)} did not leave the inventory" if wrong else "`--forget` needs `--on` with the nodes",
            code="reset.forget",
            hints=[f"nodes that left are {fold(gone)}" if gone else "no node has left it"],
        )
    members.forget(names)
    if screen.json:
        screen.document({"forgotten": list(names)})
    screen.note(f"{fold(names)} {'is' if len(names) == 1 else 'are'} forgotten; nothing was done there")
    return 0
