"""Becoming root by sudo: the words, and the talk about the password.

The password goes to sudo's stdin and only when sudo asks for it: sudo's prompt is a mark that nobody else prints,
and the command says with another mark that it runs. Its stdin follows only then, so the password can never end up
in it, nor the other way round, whatever the sudoers file says.
"""

import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiops.layers.core.errors import FailedError, InputError

from .node import Node

_OWN_FLAGS = ("-S", "-n", "--stdin", "--non-interactive")  # Ansible's defaults; whether to use them is decided here
_NOT_FOUND = 127
_NO_PASSWORD = ("a password is required", "a terminal is required", "no tty present")


@dataclass(frozen=True, slots=True)
class Sudo:
    """How one command is run as another user.

    Attributes:
        mark: Random letters that make the prompt and the start visible; None where no password is known.
    """

    user: str = "root"
    mark: str | None = None
    program: str = "sudo"
    flags: tuple[str, ...] = ("-H",)

    @property
    def prompt(self) -> bytes:
        """What sudo prints when it wants the password."""
        return f"{self.mark}?".encode()

    @property
    def started(self) -> bytes:
        """What the command prints when sudo has let it run."""
        return f"{self.mark}!".encode()

    def words(self, argv: Sequence[str]) -> tuple[str, ...]:
        """`argv`, run by sudo."""
        head = (self.program, *self.flags, "-u", self.user)
        if self.mark is None:
            return (*head, "-n", "--", *argv)
        start = f'printf %s {self.mark}! >&2; exec "$@"'
        return (*head, "-S", "-p", self.prompt.decode(), "--", "sh", "-c", start, "sh", *argv)


def becoming(
    node: Node, login_user: str, ask: Callable[[], str | None] | None = None
) -> tuple[Sudo | None, str | None]:
    """How `node` becomes root, and the password for it; (None, None) where the login user is it already.

    Args:
        node: The node.
        login_user: Who we are there.
        ask: Gives the password, or None where sudo wants none; only called when it matters.

    Raises:
        FailedError: The inventory does not say how to become root there.
        InputError: It says so in a way other than sudo.
    """
    become = node.connection.become
    if login_user == become.user or (login_user == "root" and not become.enabled):
        return None, None
    if not become.enabled:
        raise FailedError(
            f"{node.name}: this needs root, and {login_user} may not become it",
            code="become.disabled",
            hints=[f"set `ansible_become: true` for {node.name} in the inventory, or log in as root"],
        )
    if become.method != "sudo":
        raise InputError(
            f"{node.name}: ansible_become_method `{become.method}` is not supported",
            code="become.method",
            hints=["use `ansible_become_method: sudo`"],
        )
    password = ask() if ask is not None else None
    mark = secrets.token_hex(12) if password is not None else None
    flags = [word for word in shlex.split(become.flags or "-H") if word not in _OWN_FLAGS]
    return Sudo(become.user, mark, become.executable or "sudo", tuple(flags)), password


class Heard(NamedTuple):
    """What a piece of stderr meant.

    Attributes:
        password_due: The password is to be sent now.
        started: The command has just begun to run: its stdin is to be sent now.
        own: The bytes that are the command's own.
    """

    password_due: bool = False
    started: bool = False
    own: bytes = b""


class Dialogue:
    """Reads a command's stderr until it runs, and says when the password is due. Knows no password itself."""

    def __init__(self, node: Node, sudo: Sudo) -> None:
        self._node = node
        self._sudo = sudo
        self._heard = b""
        self._asked = 0
        self.running = sudo.mark is None

    def hear(self, data: bytes) -> Heard:
        """Take what came on stderr.

        Raises:
            FailedError: sudo asks again: the password was wrong.
        """
        if self.running:
            return Heard(own=data)
        self._heard += data
        before, mark, after = self._heard.partition(self._sudo.started)
        asked = before.count(self._sudo.prompt)
        if asked > 1:
            raise wrong_password(self._node)
        if mark:
            self.running = True
            return Heard(started=True, own=after)
        due = asked > self._asked
        self._asked = asked
        return Heard(password_due=due)

    def explain(self) -> FailedError | None:
        """Why the command never ran, when it has ended without; None when it ran."""
        if self.running:
            return None
        if self._asked:
            return wrong_password(self._node)
        said = self._heard.decode("utf-8", "replace").strip()
        return FailedError(f"{self._node.name}: sudo did not run the command: {said}", code="become.refused")


def wrong_password(node: Node) -> FailedError:
    """The error for a password that sudo did not take."""
    return FailedError(
        f"{node.name}: sudo does not take the become password",
        code="become.password",
        hints=["check `ansible_become_password` in the inventory or its vault"],
    )


def never_ran(node: Node, sudo: Sudo, status: int, error_text: str) -> FailedError | None:
    """The error behind the end of a command that sudo was to run without a password; None if it did run it."""
    if status == _NOT_FOUND and f"{sudo.program}: " in error_text and "not found" in error_text:
        return FailedError(
            f"{node.name}: there is no `{sudo.program}`",
            code="become.missing",
            hints=["install sudo there, or log in as root: `ansible_user: root`"],
        )
    if error_text.startswith("sudo:") and any(sign in error_text for sign in _NO_PASSWORD):
        return FailedError(
            f"{node.name}: sudo wants a password",
            code="become.no_password",
            hints=["set `ansible_become_password` in a vaulted file of the inventory"],
        )
    return None
