"""What a node is: a name, its groups and variables, and how to reach it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Become:
    """How root is reached on a node. Passwords are asked of their owner when needed, never kept here.

    Attributes:
        enabled: Whether Ansible would become: not where the login is that user already.
        executable: Other than the method's own program; `flags` likewise (Ansible's sudo has `-H -S -n`).
    """

    enabled: bool = False
    method: str = "sudo"
    user: str = "root"
    executable: str | None = None
    flags: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """What Ansible would use to reach the node, after templating.

    Attributes:
        kind: `ssh`, or `local` for the machine aiops runs on.
        address: `ansible_host`, or the node's name. `ssh -G` may map it further.
        port: None when the inventory says none, so that ssh's own configuration decides. `user` likewise.
        key_file: `ansible_ssh_private_key_file`, user expanded.
        python: `ansible_python_interpreter`, or None for discovery.
        ssh_arguments: Extra ssh options from ansible_ssh_common_args and its sisters, split.
        host_key_checking: Whether keys are checked strictly; False only where the inventory says so.
    """

    kind: Literal["ssh", "local"] = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    python: str | None = None
    become: Become = Become()
    ssh_arguments: tuple[str, ...] = ()
    host_key_checking: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the inventory.

    Attributes:
        groups: All groups it is in, parents too, sorted, without `all` and `ungrouped`.
        roles: The role groups of aiops it is in (`head`, `workers`, `storage`, `login`), after mapping.
        variables: As `ansible-inventory --list` gives them, untemplated; vaulted values stay encrypted and
            passwords are withheld (`password.become_passwords` asks for them when they are needed).
        aiops: The `aiops_*` variables after templating, with the defaults of aiops.toml; `variables_of` reads them.
    """

    name: str
    groups: tuple[str, ...] = ()
    roles: frozenset[str] = frozenset()
    connection: Connection = Connection()
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    aiops: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
