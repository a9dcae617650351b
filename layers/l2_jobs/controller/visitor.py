"""A visitor: the client's end of the controller's unix socket. It imports nothing that a desk needs: start-up is short.

One JSON document per line each way: `{"verb": "list", "words": {...}}`, answered by `{"answer": ...}` or by
`{"error": {...}}`. A connection may ask as often as it likes.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import (
    AiopsError,
    ConflictError,
    CriticalError,
    FailedError,
    InputError,
    NotFoundError,
    PendingError,
    Problem,
    UnreachableError,
)

SYSTEM_SOCKET = Path("/run/aiops/controller.sock")
"""Of the controller that the head's systemd runs: every user of the head may knock."""

UNIT = Path("/etc/systemd/system/aiops-controller.service")
"""Where it is, a head was deployed (`playbooks/jobs`): its jobs are in its store, also while its controller is away."""

FILE = "controller.sock"
"""Of a controller of one's own, in AIOPS_HOME, which only its owner may enter."""

_FAMILIES: dict[str, type[AiopsError]] = {
    one.__name__: one
    for one in (
        InputError,
        NotFoundError,
        UnreachableError,
        ConflictError,
        CriticalError,
        FailedError,
        PendingError,
    )
}


class Visitor:
    """A client at the door: asks, and is answered as by a desk. Not safe to use from several threads."""

    def __init__(self, path: Path, seconds: float = 120.0) -> None:
        """Knock.

        Raises:
            UnreachableError: Nobody opens (`controller.away`).
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        try:
            with short(path) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            raise away(path, error.strerror or str(error)) from error
        self._path = path
        self._stream = self._socket.makefile("rb")

    def ask(self, verb: str, **words: Any) -> Any:
        """The desk's answer.

        Raises:
            AiopsError: The desk's own; or the controller has gone (`controller.away`).
        """
        try:
            with suppress(BrokenPipeError):  # it has been turned away, and is told why
                self._socket.sendall(json.dumps({"verb": verb, "words": words}).encode() + b"\n")
            line = self._stream.readline()
            said = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise away(self._path, str(error)) from error
        if said is None:
            raise away(self._path, "it has ended")
        if "error" in said:
            raise error_of(said["error"])
        return said["answer"]

    def close(self) -> None:
        """Leave."""
        self._stream.close()
        self._socket.close()


def away(path: Path, why: str) -> UnreachableError:
    """The error for a controller that does not answer."""
    return UnreachableError(
        f"the controller does not answer at {path}: {why}",
        code="controller.away",
        hints=["jobs go on meanwhile; start it again: `systemctl start aiops-controller`, or `aiops controller run`"],
    )


def error_document(error: AiopsError) -> dict[str, Any]:
    """An error as it is said at the door."""
    family = next((name for name, one in _FAMILIES.items() if isinstance(error, one)), "FailedError")
    return {
        "family": family,
        "code": error.code,
        "message": error.message,
        "hints": list(error.hints),
        "problems": [[one.message, one.file, one.line, one.hint] for one in error.problems],
    }


def error_of(written: dict[str, Any]) -> AiopsError:
    """The error that `error_document` has written."""
    return _FAMILIES.get(written["family"], FailedError)(
        written["message"],
        code=written["code"],
        hints=written["hints"],
        problems=[Problem(*one) for one in written["problems"]],
    )


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for the socket at `path` that is short enough: the kernel takes 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
