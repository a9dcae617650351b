"""How Ansible would reach a node: its variables over its settings, in Ansible's order of precedence. Pure.

Where an option has several variables, the last one wins, as in Ansible's ssh and become plugins.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .node import Become, Connection

VARIABLES = (
    "ansible_connection",
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_private_key_file",
    "ansible_ssh_private_key_file",
    "ansible_python_interpreter",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_host_key_checking",
    "ansible_ssh_host_key_checking",
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
    "ansible_sudo_user",
    "ansible_su_user",
    "ansible_doas_user",
    "ansible_become_exe",
    "ansible_sudo_exe",
    "ansible_become_flags",
    "ansible_sudo_flags",
)
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})
_KINDS: Mapping[str, Literal["ssh", "local"]] = {
    "ssh": "ssh",
    "smart": "ssh",
    "paramiko": "ssh",
    "paramiko_ssh": "ssh",
    "local": "local",
}
_HIGHEST_PORT = 65535
_NO_LOGIN = re.compile(r"""^-|['`";&<>|(){}\x00-\x1f\x7f]|\s-|\\(\\|$)""")
"""What ssh refuses in a user's name, and what `-o User="NAME"`, as Ansible writes it, would make another name of."""


class WrongValueError(ValueError):
    """A connection variable has a value that cannot be used.

    Attributes:
        variable: Its name, or None where the value comes from Ansible's settings.
    """

    def __init__(self, variable: str | None, message: str) -> None:
        super().__init__(message)
        self.variable = variable


@dataclass(frozen=True, slots=True)
class AnsibleSettings:
    """What ansible.cfg and ANSIBLE_* say that matters for reaching nodes; only what is not a default.

    Attributes:
        base: As `ansible-config dump` names them.
        ssh: Those of the ssh connection plugin.
        become: Those of the become plugins, by method.
    """

    base: Mapping[str, Any] = field(default_factory=dict)
    ssh: Mapping[str, Any] = field(default_factory=dict)
    become: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def connection_of(
    name: str, variables: Mapping[str, Any], settings: AnsibleSettings, *, folder: Path, home: Path
) -> Connection:
    """The connection of the node called `name`.

    Args:
        name: The node's name in the inventory.
        variables: Its connection variables, after templating.
        settings: Ansible's own.
        folder: The working folder, to which a relative key file belongs.
        home: What `~` stands for.

    Raises:
        WrongValueError: A value has the wrong type, ssh takes no user of that name, or a connection plugin that aiops
            cannot use is asked for.
    """
    reader = _Reader(variables)
    base, ssh = settings.base, settings.ssh
    key = reader.text("ansible_private_key_file", "ansible_ssh_private_key_file")
    key = key or base.get("DEFAULT_PRIVATE_KEY_FILE") or ssh.get("private_key_file")
    python = reader.text("ansible_python_interpreter") or base.get("INTERPRETER_PYTHON")
    checking = reader.flag("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    kind = _kind(reader, base)
    user = _login(reader, base, ssh) if kind == "ssh" else reader.text("ansible_user", "ansible_ssh_user")
    port = reader.port("ansible_port", "ansible_ssh_port")
    return Connection(
        kind=kind,
        address=reader.text("ansible_host", "ansible_ssh_host") or name,
        port=ssh.get("port") if port is None else port,
        user=user,
        key_file=_path(str(key), folder, home) if key else None,
        python=None if python is None or str(python).startswith("auto") else str(python),
        become=_become(reader, settings, user),
        ssh_arguments=_arguments(reader, ssh),
        host_key_checking=bool(ssh.get("host_key_checking", True)) if checking is None else checking,
    )


class _Reader:
    """Variables with their types; a wrong one is named."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables

    def last(self, *names: str) -> tuple[str | None, Any]:
        for name in reversed(names):
            if self._variables.get(name) is not None:
                return name, self._variables[name]
        return None, None

    def text(self, *names: str) -> str | None:
        name, value = self.last(*names)
        if isinstance(value, dict | list):
            raise WrongValueError(name, f"`{name}` must be text")
        return None if value is None else str(value)

    def flag(self, *names: str) -> bool | None:
        name, value = self.last(*names)
        if value is None or isinstance(value, bool):
            return value
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise WrongValueError(name, f"`{name}` must be true or false, not `{value}`")
        return word in _TRUE

    def port(self, *names: str) -> int | None:
        name, value = self.last(*names)
        if value is None:
            return None
        number = int(value) if str(value).isascii() and str(value).isdigit() else 0
        if isinstance(value, bool) or not 1 <= number <= _HIGHEST_PORT:
            raise WrongValueError(name, f"`{name}` must be a port from 1 to {_HIGHEST_PORT}, not `{value}`")
        return number


def _login(reader: _Reader, base: Mapping[str, Any], ssh: Mapping[str, Any]) -> str | None:
    name, _ = reader.last("ansible_user", "ansible_ssh_user")
    user = reader.text("ansible_user", "ansible_ssh_user") or base.get("DEFAULT_REMOTE_USER") or ssh.get("remote_user")
    if user is None or not _NO_LOGIN.search(str(user)):
        return user
    raise WrongValueError(name, f"`{name or 'remote_user'}`: ssh takes no user called {str(user)!r}")


def _kind(reader: _Reader, base: Mapping[str, Any]) -> Literal["ssh", "local"]:
    name, value = reader.last("ansible_connection")
    word = str(value or base.get("DEFAULT_TRANSPORT") or "ssh").removeprefix("ansible.builtin.")
    if word not in _KINDS:
        raise WrongValueError(
            name, f"connections of the kind `{word}` are not supported: aiops knows `ssh` and `local`"
        )
    return _KINDS[word]


def _become(reader: _Reader, settings: AnsibleSettings, login: str | None) -> Become:
    enabled = reader.flag("ansible_become")
    if enabled is None:
        enabled = bool(settings.base.get("DEFAULT_BECOME", False))
    method = reader.text("ansible_become_method") or str(settings.base.get("DEFAULT_BECOME_METHOD") or "sudo")
    method = method.removeprefix("ansible.builtin.")
    own = settings.become.get(method, {})
    executable = reader.text("ansible_become_exe", f"ansible_{method}_exe") or own.get("become_exe")
    flags = reader.text("ansible_become_flags", f"ansible_{method}_flags")
    user = reader.text("ansible_become_user", f"ansible_{method}_user") or own.get("become_user") or "root"
    needless = login == user and not settings.base.get("BECOME_ALLOW_SAME_USER", False)
    return Become(
        enabled=enabled and not needless,
        method=method,
        user=user,
        executable=executable,
        flags=own.get("become_flags") if flags is None else flags,
    )


def _arguments(reader: _Reader, ssh: Mapping[str, Any]) -> tuple[str, ...]:
    """In Ansible's order; its own default of `ssh_args` (compression, connection sharing) is left out."""
    words: list[str] = []
    for option in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        name = f"ansible_{option}"
        text = reader.text(name)
        try:
            words += shlex.split((ssh.get(option) or "") if text is None else text)
        except ValueError as error:
            raise WrongValueError(name, f"`{name}` cannot be split into words: {error}") from error
    return tuple(words)


def _path(text: str, folder: Path, home: Path) -> str:
    if text == "~" or text.startswith("~/"):
        return str(home / text[2:])
    return str(folder / Path(text).expanduser())
