"""Passwords of nodes: asked of Ansible when one is needed, handed on in memory, never kept."""

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aiops.layers.core.errors import AiopsError, InputError

from .ansible import Ansible
from .inventory import Inventory, wrong
from .node import Node
from .outline import Outline, Setting

_SCRIPT_TIMEOUT = 30.0


class BecomePasswords:
    """What sudo wants on each node: asked of Ansible once, for all nodes together, and kept in memory only.

    Where they cannot be had, every call says so with the same error, and Ansible is not asked again.
    """

    def __init__(
        self, inventory: Inventory, nodes: Sequence[Node], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._inventory = inventory
        self._nodes = nodes
        self._environment = environment
        self._folder = folder
        self._known: dict[str, str] | None = None
        self._error: AiopsError | None = None
        self._lock = threading.Lock()

    def __call__(self, node: Node) -> str | None:
        """The password for becoming root on `node`, or None where none is set; see `become_passwords`."""
        return self._all().get(node.name)

    def prepare(self) -> None:
        """Ask now if any node becomes root by a password: a mistake in one then stops all before any is reached.

        Raises:
            InputError: A value cannot be decrypted or its template does not work.
            FailedError: ansible-core is missing or does not answer.
        """
        connections = [node.connection for node in self._nodes]
        if any(one.become.enabled and one.user != one.become.user for one in connections):
            self._all()

    def _all(self) -> Mapping[str, str]:
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._known is None:
                try:
                    self._known = become_passwords(self._inventory, self._nodes, self._environment, self._folder)
                except AiopsError as error:
                    self._error = error
                    raise
            return self._known


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
            raise self._unreadable(answers.failures, {node.name: node for node in nodes}, wanted)
        passwords = {}
        for node, values in answers.values.items():
            given = [values[name] for name in wanted[node] if values.get(name) is not None]
            if given:
                passwords[node] = str(given[-1])
        return passwords

    def _unreadable(
        self, failures: Mapping[str, str], nodes: Mapping[str, Node], wanted: Mapping[str, Sequence[str]]
    ) -> InputError:
        """Where the passwords stand that Ansible could not make out: all of them, with its reasons."""
        from . import mistakes
        from .inventory_files import inventory_files, variable_files
        from .source import outline_of, read_source

        path = self._inventory.path
        sources = [read_source(file) for file in inventory_files(path)]
        outline = outline_of(sources, list(variable_files(path, self._folder)))
        findings = mistakes.Findings()
        for name, words in failures.items():
            written = replace(outline, settings=_behind(outline, nodes[name], wanted[name]))
            place, message, hint = mistakes.spoiled(name, nodes[name].variables, words, written, str(path))
            findings.add(name, message, place, hint)
        return wrong(path, list(findings.problems()), code="inventory.password")

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


def _behind(outline: Outline, node: Node, names: Sequence[str]) -> list[Setting]:
    """What was written, for `node`, of the variables `names` and of those that their templates name."""
    from .mistakes import ranked

    groups = ranked(outline, node.groups)
    found: dict[str, Setting | None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        setting = found[name] = outline.variable(node.name, groups, name)
        if setting is not None and setting.text and "{" in setting.text:
            waiting += [word for word in re.findall(r"[A-Za-z_]\w*", setting.text) if word in node.variables]
    return [setting for setting in found.values() if setting is not None]
