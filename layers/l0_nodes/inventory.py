"""The inventory: the nodes, their groups and the roles they play."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from aiops.layers.core.errors import InputError, NotFoundError

from .node import Node
from .nodeset import select
from .settings import ROLES, Settings


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was read from one inventory file or directory.

    Attributes:
        path: The file or directory.
        cluster: The cluster's name.
        nodes: All nodes, in Ansible's order.
        groups: All groups, `all` and `ungrouped` too, each with the names of its nodes, those of its children too.
        settings: What aiops.toml beside it says.
    """

    path: Path
    cluster: str
    nodes: tuple[Node, ...]
    groups: Mapping[str, tuple[str, ...]] = field(repr=False, hash=False)
    settings: Settings = field(default_factory=Settings)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def node(self, name: str) -> Node:
        """The node called `name`.

        Raises:
            NotFoundError: There is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        near = get_close_matches(name, [node.name for node in self.nodes], n=1)
        raise NotFoundError(
            f"there is no node `{name}` in {self.path}",
            code="inventory.unknown_node",
            hints=[f"did you mean `{near[0]}`?" if near else "`aiops node list` shows all nodes"],
        )

    def role(self, name: str) -> tuple[Node, ...]:
        """The nodes that play the role `name`; empty where none does.

        Raises:
            ValueError: aiops has no such role; a defect of the caller.
        """
        if name not in ROLES:
            raise ValueError(f"no such role: {name}")
        return tuple(node for node in self.nodes if name in node.roles)

    @property
    def head(self) -> Node | None:
        """The head, or None where the inventory has none."""
        return next(iter(self.role("head")), None)

    def select(self, on: str | None) -> tuple[Node, ...]:
        """The nodes of `--on`; all where it was not given.

        Roles can be written like groups (`@workers`), also where other groups play them.

        Raises:
            InputError: A name is unknown, or nothing is selected.
        """
        if on is None:
            if not self.nodes:
                raise InputError(f"{self.path} has no nodes", code="inventory.empty", hints=["`aiops cluster init`"])
            return self.nodes
        played = {role: tuple(node.name for node in self.role(role)) for role in ROLES}
        groups = {**{role: names for role, names in played.items() if names}, **self.groups}
        chosen = set(select(on, [node.name for node in self.nodes], groups))
        return tuple(node for node in self.nodes if node.name in chosen)
