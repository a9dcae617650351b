"""The members of a cluster: nodes that something was deployed to, remembered with the way to reach them.

A node that is taken out of the inventory is still as aiops made it. What is remembered says so, and lets a reset
reach it. Only how to connect is kept, as the inventory's cache keeps it, and which machine it is; no variable of the
user's, no secret. A machine that the inventory has under another name now did not leave it: it was renamed.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Become, Connection, Node

VERSION = 1
SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class _Member:
    """A node, and the machine-id it had; empty where that was not known, or is no machine's alone."""

    node: Node
    machine: str


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
        return tuple(one.node for one in self._read().values())

    def machines(self) -> dict[str, str]:
        """The machine-ids of members, by name, as far as they are known.

        Raises:
            FailedError: As for `all`.
        """
        return {name: one.machine for name, one in self._read().items() if one.machine}

    def keep(self, nodes: Iterable[Node], machines: Mapping[str, str] | None = None) -> None:
        """Remember `nodes`, in the place of what was remembered of them.

        Args:
            nodes: The members.
            machines: By name, the machine-ids of these and of others; one that several have tells nobody apart. Of
                those that are not in it, what was known stays.

        Raises:
            FailedError: It cannot be read or written.
        """
        known = self._read()
        count = Counter((machines or {}).values())
        said = {name: machine * (count[machine] == 1) for name, machine in (machines or {}).items()}
        before = {name: one.machine for name, one in known.items()}
        new = {node.name: _Member(node, {**before, **said}.get(node.name, "")) for node in nodes}
        if any(name not in known or _row(known[name]) != _row(one) for name, one in new.items()):
            self._write({**known, **new})

    def forget(self, names: Iterable[str], machines: Collection[str] = ()) -> None:
        """Forget the nodes called `names`, and whatever names these and `machines` have had besides.

        Raises:
            FailedError: It cannot be read or written.
        """
        known = self._read()
        gone = set(names)
        lost = {*machines, *(one.machine for name, one in known.items() if name in gone)} - {""}
        left = {name: one for name, one in known.items() if name not in gone and one.machine not in lost}
        if left != known:
            self._write(left)

    def gone_from(self, inventory: Inventory) -> tuple[Node, ...]:
        """The members that are not in the inventory any more, under no name.

        Raises:
            FailedError: What is remembered cannot be read.
        """
        known = self._read()
        renamed = _renamed(inventory, known)
        names = {node.name for node in inventory.nodes}
        return tuple(one.node for name, one in known.items() if name not in names and name not in renamed)

    def renamed_in(self, inventory: Inventory) -> dict[str, str]:
        """The members whose machine or address is one of the inventory under another name; that name of each.

        Raises:
            FailedError: What is remembered cannot be read.
        """
        return _renamed(inventory, self._read())

    def _read(self) -> "dict[str, _Member]":
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(str(error.strerror)) from error
        try:
            document = json.loads(text)
            if document["v"] != VERSION:
                raise self._unreadable(f"another version of aiops wrote it ({document['v']})")
            rows = sorted(document["nodes"].items())
            return {name: _Member(_node(name, row), str(row.get("machine", ""))) for name, row in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(str(error)) from error

    def _write(self, known: "Mapping[str, _Member]") -> None:
        rows = {name: _row(one) for name, one in sorted(known.items())}
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
        if error.code != "nodeset.unknown_node":
            raise
        renamed = members.renamed_in(inventory)
        new = [
            f"`{old}` is `{name}` in the inventory now" for old, name in renamed.items() if f"`{old}`" in error.message
        ]
        left = () if gone else ("a node that left the inventory is known where it was deployed from",)
        raise InputError(error.message, code=error.code, hints=(*new, *error.hints, *left)) from error


def _renamed(inventory: Inventory, known: Mapping[str, _Member]) -> dict[str, str]:
    """See `Members.renamed_in`. Pure."""
    machines = {known[node.name].machine: node.name for node in inventory.nodes if node.name in known}
    addresses = {_address(node): node.name for node in inventory.nodes}
    names = {node.name for node in inventory.nodes}
    found = {}
    for name, one in known.items():
        if name in names:
            continue
        if one.machine and one.machine in machines:
            found[name] = machines[one.machine]
        elif _address(one.node) in addresses:
            found[name] = addresses[_address(one.node)]
    return found


def _address(node: Node) -> tuple[str, str, int]:
    """Where a node is reached."""
    link = node.connection
    return link.kind, link.address or node.name, link.port or SSH_PORT


def _row(one: _Member) -> dict[str, Any]:
    node = one.node
    connection = {**asdict(node.connection), "ssh_arguments": list(node.connection.ssh_arguments)}
    machine = {"machine": one.machine} if one.machine else {}
    return {"groups": list(node.groups), "roles": sorted(node.roles), "connection": connection, **machine}


def _node(name: str, row: Mapping[str, Any]) -> Node:
    values = dict(row["connection"])
    become = Become(**values.pop("become"))
    arguments = tuple(values.pop("ssh_arguments"))
    connection = Connection(**values, become=become, ssh_arguments=arguments)
    return Node(name, tuple(row["groups"]), frozenset(row["roles"]), connection)
