"""Which cluster a name stands for on this machine: two that are called alike never share their state here.

A cluster gets an id at its first deploy. It is kept with the lock, and in AIOPS_HOME/clusters/NAME/identity.json beside
the head that it was met on. A head of that name, address and no id is the same one, installed anew.
"""

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from aiops.layers.core.errors import ConflictError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.core.identifier import token
from aiops.layers.l0_nodes.node import Node

from . import floor

FILE = "identity.json"


@dataclass(frozen=True, slots=True)
class Known:
    """What this machine remembers of a cluster.

    Attributes:
        head: Name of the head; None where the inventory had none.
        address: Where the head was reached, with its port where one was given.
    """

    id: str
    head: str | None = None
    address: str = ""

    def __str__(self) -> str:
        return f"`{self.head}` ({self.address})" if self.head else "a cluster with no head"


class Identity:
    """The cluster called as its folder is, as an inventory names its head now."""

    def __init__(self, folder: Path, head: Node | None, *, headless: bool = False) -> None:
        """Read what is remembered in `folder` (AIOPS_HOME/clusters/NAME); it need not exist.

        Args:
            folder: Where.
            head: The head; None where the inventory has none.
            headless: Whether no head is taken for the same cluster, whose head is gone for good. What is remembered
                stays as it is then: this is for what undoes deploys, and for none that follows.
        """
        self._path = folder / FILE
        self.name = folder.name
        self._known = self._read()
        identity = self._known.id if self._known else token()
        self._abandoned = headless and head is None and self._known is not None and self._known.head is not None
        self._here = Known(identity, head.name if head else None, _address(head) if head else "")

    @property
    def moved(self) -> bool:
        """Whether the head is not where it was met: the keeper must say that it is the same cluster."""
        known, here = self._known, self._here
        if known is None or known.head is None or self._abandoned:
            return False  # a cluster that gets its first head is the same one
        return (known.head, known.address) != (here.head, here.address)

    @property
    def wish(self) -> dict[str, Any]:
        """What the keeper is told when the lock is asked for; see `remote.lock.decide`."""
        adopt = ["none", "any"] if self._known is None else [] if self.moved else ["none"]
        return {"id": self._here.id, "name": self.name, "adopt": adopt}

    def require(self, cluster: Mapping[str, Any] | None) -> None:
        """Return only if what a keeper says of its cluster is this one.

        Args:
            cluster: `{id, name}`, or None where nobody ever deployed.

        Raises:
            ConflictError: It is another (`cluster.other`).
        """
        same = cluster is not None and cluster["id"] == self._here.id
        if self.moved and (not same or self._here.head is None):
            raise self.other(cluster)

    def settle(self, cluster: Mapping[str, Any] | None) -> None:
        """Remember the cluster as the keeper has named it; what cannot be written is asked again the next time."""
        if cluster is None or self._abandoned:
            return
        settled = Known(cluster["id"], self._here.head, self._here.address)
        if settled != self._known:
            with suppress(OSError):
                ensure_folder(self._path.parent)
                write_atomic(self._path, json.dumps(asdict(settled)).encode())

    def other(self, cluster: Mapping[str, Any] | None) -> ConflictError:
        """Why nothing may be done: this head is another cluster's, or the cluster had a head."""
        if self._here.head is None and self._known is not None:
            return ConflictError(
                f"the head of `{self.name}` is {self._known}, and this inventory names none",
                code="cluster.other",
                hints=[
                    f"write `{self._known.head}` into the inventory again, or the machine that took its place",
                    (
                        f"if it is gone for good, what was deployed to the others can be undone: "
                        f"`aiops cluster reset --confirm {shlex.quote(self.name)}`"
                    ),
                    "if this is another cluster, give it its own name by `aiops_cluster` in its inventory",
                ],
            )
        called = f", which calls itself `{cluster['name']}`" if cluster else ""
        return ConflictError(
            f"this machine knows another cluster as `{self.name}`: its head is {self._known}, "
            f"and this inventory's is {self._here}{called}",
            code="cluster.other",
            hints=[
                "two clusters need two names: give this one its own by `aiops_cluster` in its inventory",
                f"if it is the same cluster and its head is a new machine, forget the old one: `rm {self._path}`",
            ],
        )

    def _read(self) -> Known | None:
        with suppress(OSError, ValueError, TypeError):
            return Known(**json.loads(self._path.read_text("utf-8")))
        return None


def forget(folder: Path, head: str, address: str) -> None:
    """Forget the cluster in `folder` (AIOPS_HOME/clusters/NAME), whose nodes are no more; logs of its runs stay.

    Another one of that name, met on another head, stays known.
    """
    with suppress(OSError, ValueError, TypeError):
        known = Known(**json.loads((folder / FILE).read_text("utf-8")))
        if (known.head, known.address) == (head, address):
            for name in ("members.json", floor.FILE, FILE):
                (folder / name).unlink(missing_ok=True)
            rmtree(folder / "records", ignore_errors=True)


def _address(head: Node) -> str:
    connection = head.connection
    address = connection.address or head.name
    return address if connection.port is None else f"{address}:{connection.port}"
