"""Passwords of nodes: asked of Ansible when one is needed, handed on in memory, never kept."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiops.layers.core.errors import InputError

from .ansible import Ansible
from .inventory import Inventory
from .node import Node

_SCRIPT_TIMEOUT = 30.0
_HINTS = (
    "give the vault's password: `export ANSIBLE_VAULT_PASSWORD_FILE=FILE`, or `vault_password_file` in ansible.cfg",
    "`aiops cluster validate` says where the value stands",
)


def become_password(
    inventory: Inventory, node: Node, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str | None:
    """The password for becoming root on `node`, or None where none is set; see `become_passwords`."""
    return become_passwords(inventory, [node], environment, folder).get(node.name)


def become_passwords(
    inventory: Inventory,
    nodes: Sequence[Node],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> dict[str, str]:
    """The passwords for becoming root, by node, from where Ansible takes them; nodes without one are left out.

    Looked for in the variables `ansible_become_password`, `ansible_become_pass` and `ansible_METHOD_pass`, in
    ANSIBLE_BECOME_PASS, in ansible.cfg, and in the `become_password_file` of either.

    Args:
        inventory: Where the nodes are from.
        nodes: All nodes that a password may be needed for: one call asks Ansible once.
        environment: This process's by default.
        folder: The working folder; this process's by default.

    Raises:
        InputError: A value cannot be decrypted or its template does not work.
        FailedError: ansible-core is missing or does not answer.
    """
    reader = _Reader(inventory, os.environ if environment is None else environment, folder or Path.cwd())
    needing = [node for node in nodes if node.connection.become.enabled or node.connection.user != "root"]
    names = {
        node.name: (
            "ansible_become_password",
            "ansible_become_pass",
            f"ansible_{node.connection.become.method}_pass",
        )
        for node in needing
    }
    passwords = reader.variables(needing, names)
    for node in needing:
        method = node.connection.become.method
        if node.name not in passwords and (password := reader.default(method)) is not None:
            passwords[node.name] = password
    return passwords


def login_passwords(
    inventory: Inventory,
    nodes: Sequence[Node],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> dict[str, str]:
    """The passwords for logging in by ssh (`ansible_password` and its sisters), by node, where there are any.

    Raises:
        InputError: A value cannot be decrypted or its template does not work.
        FailedError: ansible-core is missing or does not answer.
    """
    reader = _Reader(inventory, os.environ if environment is None else environment, folder or Path.cwd())
    names = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
    return reader.variables(nodes, {node.name: names for node in nodes})


class _Reader:
    def __init__(self, inventory: Inventory, environment: Mapping[str, str], folder: Path) -> None:
        self._inventory = inventory
        self._environment = environment
        self._folder = folder
        self._ansible = Ansible(environment, folder)
        self._defaults: dict[str, str | None] = {}

    def variables(self, nodes: Sequence[Node], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """For each node the last of its `names` that has a value."""
        wanted = {node.name: [name for name in names[node.name] if name in node.variables] for node in nodes}
        answers = self._ansible.values(self._inventory.path, {node: found for node, found in wanted.items() if found})
        if answers.failures:
            node, words = next(iter(answers.failures.items()))
            raise InputError(f"the password of {node} cannot be read: {words}", code="inventory.vault", hints=_HINTS)
        passwords = {}
        for node, values in answers.values.items():
            given = [values[name] for name in wanted[node] if values.get(name) is not None]
            if given:
                passwords[node] = str(given[-1])
        return passwords

    def default(self, method: str) -> str | None:
        """The password that environment or ansible.cfg give for a method."""
        if method not in self._defaults:
            self._defaults[method] = self._read_default(method)
        return self._defaults[method]

    def _read_default(self, method: str) -> str | None:
        settings = self._ansible.settings("become", method)
        if settings.get("become_pass"):
            return str(settings["become_pass"])
        file = self._ansible.settings("base").get("BECOME_PASSWORD_FILE")
        return None if not file else self._from_file(Path(file))

    def _from_file(self, file: Path) -> str:
        """The first line of the file; of its output where it is a program, as Ansible does it."""
        try:
            if os.access(file, os.X_OK):
                text = subprocess.run(
                    [str(file)],
                    env=dict(self._environment),
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    encoding="utf-8",
                    timeout=_SCRIPT_TIMEOUT,
                    check=True,
                ).stdout
            else:
                text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InputError(
                f"the password file {file} cannot be read: {reason}",
                code="inventory.password_file",
                hints=["correct `become_password_file` in ansible.cfg or ANSIBLE_BECOME_PASSWORD_FILE"],
            ) from error
        return text.strip("\r\n")
