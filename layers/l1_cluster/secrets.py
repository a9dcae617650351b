"""Secrets that aiops makes itself, once per cluster: a munge key, say. Random bytes, readable by root only.

They are kept on the head, so that every controller deploys the same ones; where a cluster has no head, on the
controller. They travel in the stdin and stdout of one connection, never in a command line or a file on the way.
"""

import base64
import re
import secrets
from pathlib import Path
from typing import Self

from aiops.layers.core.errors import ConflictError, FailedError, UnreachableError
from aiops.layers.l0_nodes.transport import Transport

from .remote import secret as remote
from .script import answer_of, script_command

SIZE = 1024
FOLDER = Path("/var/lib/aiops/clusters")
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_ANSWER_SECONDS = 20.0


class Secrets:
    """The secrets of one cluster, in a folder (0700, each file 0600) of the head, or of this machine.

    A secret is drawn when it is first asked for and written down by `keep`, so that a dry run leaves nothing behind.
    Once written it is never replaced.
    """

    def __init__(self, folder: Path, head: Transport | None = None) -> None:
        self._folder = folder
        self._head = head
        self._known: dict[str, bytes] = {}
        self._drawn: dict[str, bytes] = {}

    @classmethod
    def of(cls, head: Transport | None, cluster: str, folder: Path) -> Self:
        """The secrets of `cluster` on `head`, or in `folder` of this machine where there is none."""
        return cls(folder) if head is None else cls(FOLDER / cluster / "secrets", head)

    def __repr__(self) -> str:
        return f"Secrets({self._place!r})"

    @property
    def _place(self) -> str:
        return f"{self._folder}" if self._head is None else f"{self._folder} on `{self._head.node.name}`"

    def get(self, name: str) -> bytes:
        """The secret `name`: `SIZE` random bytes, the same ever after.

        Raises:
            ValueError: The name is not one.
            UnreachableError: The head, which keeps it, does not answer.
            FailedError: It is there and cannot be read (`secret.unreadable`).
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a secret: {name!r}")
        if name not in self._known:
            kept = self._read(name)
            if kept is None:
                self._drawn[name] = kept = secrets.token_bytes(SIZE)
            elif not kept:
                raise FailedError(
                    f"the secret `{name}` in {self._place} is empty",
                    code="secret.unreadable",
                    hints=["remove the file there; the next deploy makes a new one and brings it to all nodes"],
                )
            self._known[name] = kept
        return self._known[name]

    def keep(self) -> None:
        """Write down what was drawn since.

        Raises:
            UnreachableError: The head, which keeps them, does not answer.
            FailedError: They cannot be written (`secret.unwritable`).
            ConflictError: Another controller has written one of them meanwhile (`secret.taken`).
        """
        for name in tuple(self._drawn):
            if self._write(name, self._drawn[name]) != self._drawn[name]:
                raise ConflictError(
                    f"the secret `{name}` was made by another run meanwhile, in {self._place}",
                    code="secret.taken",
                    hints=["run the same command again: it takes that one"],
                )
            del self._drawn[name]

    def _read(self, name: str) -> bytes | None:
        if self._head is not None:
            return self._ask(self._head, name, None)
        try:
            return remote.read(str(self._folder), name)
        except OSError as error:
            raise FailedError(
                f"{self._folder / name} cannot be read: {error.strerror}", code="secret.unreadable"
            ) from error

    def _write(self, name: str, content: bytes) -> bytes | None:
        if self._head is not None:
            return self._ask(self._head, name, content)
        try:
            return remote.keep(str(self._folder), name, content)
        except OSError as error:
            raise FailedError(
                f"secrets cannot be kept in {self._folder}: {error.strerror}", code="secret.unwritable"
            ) from error

    def _ask(self, head: Transport, name: str, content: bytes | None) -> bytes | None:
        """Read a secret on the head, or write one; what it keeps then."""
        sent = None if content is None else base64.b64encode(content).decode("ascii")
        call = f"main({str(self._folder)!r}, {name!r}, {sent!r})"
        completed = head.run(script_command(head.node, "secret", call, timeout=_ANSWER_SECONDS))
        if completed.timed_out:
            raise UnreachableError(
                f"`{head.node.name}` did not answer about the cluster's secrets within {_ANSWER_SECONDS:.0f} s",
                code="secret.timeout",
                hints=[f"look at it: `aiops node ssh {head.node.name}`"],
            )
        if not completed.ok:
            reason = completed.error_text.rpartition("\n")[2]
            what, code = ("read", "secret.unreadable") if content is None else ("kept", "secret.unwritable")
            raise FailedError(
                f"the secret `{name}` cannot be {what} on `{head.node.name}`: {reason}",
                code=code,
                hints=[f"look at its disk: `aiops node exec --on {head.node.name} -- df -h /var`"],
            )
        kept = answer_of(head.node, completed, "secret.garbled", str, type(None))
        return None if kept is None else base64.b64decode(kept)
