"""The members of a cluster: nodes that something was deployed to, remembered with the way to reach them.

A node that is taken out of the inventory is still as aiops made it. What is remembered says so, and lets a reset
reach it. Only how to connect is kept, as the inventory's cache keeps it; no variable of the user's, no secret.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Become, Connection, Node

VERSION = 1


class Members:
    """The members of one cluster, in one file (`AIOPS_HOME/clusters/NAME/members.json`)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The members of the cluster whose folder in AIOPS_HOME is `folder`."""
        return cls(folder / "members.json")

    def all(self) -> tuple[Node, ...]:
        """Every member, in the order of their names.

        Raises:
            FailedError: The file cannot be read, or is none of ours (`members.unreadable`).
        """
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(str(error.strerror)) from error
        try:
            document = json.loads(text)
            if document["v"] != VERSION:
                raise self._unreadable(f"another version of aiops wrote it ({document['v']})")
            return tuple(_node(name, row) for name, row in sorted(document["nodes"].items()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(str(error)) from error

    def keep(self, nodes: Iterable[Node]) -> None:
        """Remember `nodes`, in the place of what was remembered of them.

        Raises:
            FailedError: It cannot be read or written.
        """
        known = {node.name: node for node in self.all()}
        new = {node.name: node for node in nodes}
        if any(_row(known.get(name)) != _row(node) for name, node in new.items()):
            self._write({**known, **new})

    def forget(self, names: Iterable[str]) -> None:
        """Forget the nodes called `names`.

        Raises:
            FailedError: It cannot be read or written.
        """
        known = {node.name: node for node in self.all()}
        gone = set(names)
        if gone & set(known):
            self._write({name: node for name, node in known.items() if name not in gone})

    def gone_from(self, inventory: Inventory) -> tuple[Node, ...]:
        """The members that are not in the inventory any more.

        Raises:
            FailedError: What is remembered cannot be read.
        """
        names = {node.name for node in inventory.nodes}
        return tuple(node for node in self.all() if node.name not in names)

    def _write(self, nodes: Mapping[str, Node]) -> None:
        rows = {name: _row(node) for name, node in sorted(nodes.items())}
        text = json.dumps({"v": VERSION, "nodes": rows}, indent=1) + "\n"
        try:
            ensure_folder(self._path.parent)
            write_atomic(self._path, text.encode())
        except OSError as error:
            raise FailedError(
                f"the members of the cluster cannot be kept in {self._path}: {error.strerror}",
                code="members.unwritable",
                hints=[f"make room in {self._path.parent}"],
            ) from error

    def _unreadable(self, reason: str) -> FailedError:
        return FailedError(
            f"{self._path}, which remembers the members of the cluster, cannot be read: {reason}",
            code="members.unreadable",
            hints=[f"put it aside, the next deploy makes a new one: `mv {self._path} {self._path}.old`"],
        )


def choose(inventory: Inventory, members: Members, on: str | None) -> tuple[Node, ...]:
    """The nodes of `--on` among those of the inventory and the members that left it; all of them by default.

    Raises:
        InputError: A name is unknown, or nothing is selected.
        FailedError: What is remembered cannot be read.
    """
    gone = members.gone_from(inventory)
    whole = replace(inventory, nodes=(*inventory.nodes, *gone))
    try:
        return whole.select(on)
    except InputError as error:
        if error.code != "nodeset.unknown_node" or gone:
            raise
        hints = (*error.hints, "a node that left the inventory is known where it was deployed from")
        raise InputError(error.message, code=error.code, hints=hints) from error


def _row(node: Node | None) -> dict[str, Any] | None:
    if node is None:
        return None
    connection = {**asdict(node.connection), "ssh_arguments": list(node.connection.ssh_arguments)}
    return {"groups": list(node.groups), "roles": sorted(node.roles), "connection": connection}


def _node(name: str, row: Mapping[str, Any]) -> Node:
    values = dict(row["connection"])
    become = Become(**values.pop("become"))
    arguments = tuple(values.pop("ssh_arguments"))
    connection = Connection(**values, become=become, ssh_arguments=arguments)
    return Node(name, tuple(row["groups"]), frozenset(row["roles"]), connection)
