"""Reaching the nodes of an inventory: a fleet that knows their passwords when they are needed."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from .connector import CONNECT_SECONDS, Connector
from .fleet import Fleet
from .inventory import Inventory
from .node import Node


def fleet_of(
    inventory: Inventory,
    nodes: Sequence[Node],
    environment: Mapping[str, str],
    folder: Path,
    *,
    seconds: float = CONNECT_SECONDS,
    width: int = 32,
) -> Fleet:
    """A fleet for `nodes`; nothing is connected and no password is asked for yet.

    Args:
        inventory: Where the nodes are from.
        nodes: All nodes that may be reached, so that their passwords are asked of Ansible in one go.
        environment: This process's.
        folder: The working folder.
        seconds: Limit of each step of connecting.
        width: How many nodes are worked on at once.
    """
    passwords = _Passwords(inventory, nodes, environment, folder)
    return Fleet(Connector(environment, become_password=passwords.of, seconds=seconds), width=width)


class _Passwords:
    """Become passwords, asked once and for all nodes together when the first is needed; kept in memory only."""

    def __init__(
        self, inventory: Inventory, nodes: Sequence[Node], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._inventory = inventory
        self._nodes = nodes
        self._environment = environment
        self._folder = folder
        self._known: dict[str, str] | None = None
        self._lock = threading.Lock()

    def of(self, node: Node) -> str | None:
        from .password import become_passwords

        with self._lock:
            if self._known is None:
                self._known = become_passwords(self._inventory, self._nodes, self._environment, self._folder)
            return self._known.get(node.name)
