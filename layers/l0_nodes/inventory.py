"""The inventory: the nodes, their groups and the roles they play."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError, NotFoundError, Problem

from . import inventory_cache
from .ansible import Ansible
from .inventory_files import foreign
from .key_file import key_trouble
from .node import Become, Connection, Node
from .nodeset import select
from .settings import ROLES, Settings, read_settings, settings_path
from .withheld import Variables

SYSTEM_PATH = Path("/etc/aiops/inventory.yml")
_PLAIN_NAMES = ("inventory", "inventories", "hosts")
_INIT = "`aiops cluster init` writes one"


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


def locate(option: Path | None, environment: Mapping[str, str], folder: Path) -> Path:
    """Which inventory is meant: the option, AIOPS_INVENTORY, ./inventory.yml, or the head's own.

    Raises:
        InputError: None is named and none is there, or the one named does not exist.
    """
    given = option or (Path(environment["AIOPS_INVENTORY"]) if environment.get("AIOPS_INVENTORY") else None)
    if given is not None:
        path = folder / given.expanduser()
        if not path.exists():
            raise InputError(f"there is no inventory {given}", code="inventory.missing", hints=[_INIT])
        return path
    for path in (folder / "inventory.yml", SYSTEM_PATH):
        if path.exists():
            return path
    raise InputError(
        f"there is no inventory: neither {folder / 'inventory.yml'} nor {SYSTEM_PATH}",
        code="inventory.missing",
        hints=[_INIT, "or name one: `-i FILE`, `export AIOPS_INVENTORY=FILE`"],
    )


def read_inventory(
    path: Path, environment: Mapping[str, str], cache: Path, *, folder: Path | None = None, thorough: bool = False
) -> Inventory:
    """The inventory at `path`, as Ansible reads it; from the cache where nothing it rests on has changed.

    Args:
        path: A file or a directory.
        environment: This process's; ANSIBLE_* and HOME count.
        cache: The folder of the cache, `AIOPS_HOME/cache`.
        folder: The working folder, where Ansible looks for ansible.cfg; this process's by default.
        thorough: Read afresh in any case, and see whether every vaulted value can be decrypted.

    Raises:
        InputError: The inventory is missing or wrong; all mistakes together as problems, with file and line.
        FailedError: ansible-core is missing or does not answer.
    """
    folder = (folder or Path.cwd()).absolute()
    path = folder / path
    try:
        return _read(path, environment, cache, folder, thorough=thorough)
    except OSError as error:  # a folder that cannot be listed; single files are told about with the other mistakes
        problem = Problem(f"cannot be read: {error.strerror}", str(error.filename or path), None, f"`ls -ld {path}`")
        raise wrong(path, [problem]) from error


def _read(path: Path, environment: Mapping[str, str], cache: Path, folder: Path, *, thorough: bool) -> Inventory:
    if not path.exists():
        raise InputError(f"there is no inventory {path}", code="inventory.missing", hints=[_INIT])
    if path.is_dir() and (reason := foreign(path)) is not None:
        raise InputError(
            f"{path} is not taken for an inventory: {reason}",
            code="inventory.foreign",
            hints=["name the inventory's own file or directory"],
        )
    key = _key(path, environment, folder)
    kept = inventory_cache.load(cache, path, key) if key and not thorough else None
    if kept is not None and (inventory := _restored(kept, path, environment, folder)) is not None:
        return inventory
    settings = read_settings(settings_path(path))
    from .ansible_inventory import read_afresh

    reading = read_afresh(path, environment, folder, settings, thorough=thorough)
    if reading.problems:
        raise wrong(path, reading.problems)
    inventory = Inventory(path, _cluster(path, reading.nodes), reading.nodes, reading.groups, settings)
    if key and reading.keepable:
        inventory_cache.store(cache, path, key, _document(inventory))
    else:
        inventory_cache.drop(cache, path)
    return inventory


def wrong(path: Path, problems: Sequence[Problem], *, code: str = "inventory.wrong") -> InputError:
    """The error that reports all mistakes of an inventory at once."""
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return InputError(
        f"{path} has {count}", code=code, hints=[f"then try again: `aiops cluster validate {path}`"], problems=problems
    )


def _key(path: Path, environment: Mapping[str, str], folder: Path) -> str | None:
    """The cache's key; None where a file cannot be read, which reading afresh will report."""
    try:
        return inventory_cache.key_of(path, environment, folder)
    except OSError:
        return None


def _cluster(path: Path, nodes: Sequence[Node]) -> str:
    """`aiops_cluster`, or a name made of the inventory's path: the file's, the folder's where that says nothing."""
    for node in nodes:
        if node.aiops.get("aiops_cluster"):
            return str(node.aiops["aiops_cluster"])
    names = [path.name if path.is_dir() else path.stem, *(parent.name for parent in path.absolute().parents)]
    name = next((name for name in names if name.lower() not in _PLAIN_NAMES), "")
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (word if word[:1].isalpha() else f"cluster-{word}").strip("-")[:40]


def _document(inventory: Inventory) -> dict[str, Any]:
    """What the cache keeps; nothing that is withheld."""
    return {
        "cluster": inventory.cluster,
        "groups": inventory.groups,
        "nodes": [_row(node) for node in inventory.nodes],
    }


def _row(node: Node) -> list[Any]:
    variables = node.variables
    known, withheld = (variables.known, sorted(variables.withheld)) if isinstance(variables, Variables) else ({}, [])
    return [node.name, node.groups, sorted(node.roles), asdict(node.connection), known, withheld, node.aiops]


def _restored(kept: Mapping[str, Any], path: Path, environment: Mapping[str, str], folder: Path) -> Inventory | None:
    """The inventory that was kept; None where it is not of our making, or a private key is no longer usable."""
    ansible = Ansible(environment, folder)
    try:
        nodes = tuple(_node(row, ansible, path) for row in kept["nodes"])
        groups = {str(name): tuple(names) for name, names in kept["groups"].items()}
        cluster = str(kept["cluster"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if any(key_trouble(key) for key in {node.connection.key_file for node in nodes} if key is not None):
        return None
    return Inventory(path, cluster, nodes, groups, read_settings(settings_path(path)))


def _node(row: Sequence[Any], ansible: Ansible, path: Path) -> Node:
    name, groups, roles, connection, known, withheld, aiops = row
    become = Become(**connection.pop("become"))
    arguments = tuple(connection.pop("ssh_arguments"))
    return Node(
        name,
        tuple(groups),
        frozenset(roles),
        Connection(**connection, become=become, ssh_arguments=arguments),
        Variables(known, frozenset(withheld), ansible.revealer(path, name)),
        aiops,
    )
