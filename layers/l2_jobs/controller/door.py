"""The door: the controller's unix socket. The kernel says who has come in; the desk says what that one may.

What is said there is told in `visitor.py`.
"""

import grp
import json
import os
import pwd
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l2_jobs.job import Account

from .desk import Caller
from .visitor import error_document, short

GROUP = "aiops"
"""Its members may do everything to all jobs."""

MOST_BYTES = 4 * 1024 * 1024
"""Of one question: a job file of megabytes is none."""

_IDLE_SECONDS = 300.0
_MOST_CALLERS = 200
_MOST_OF_ONE = 20
"""Connections of one user at a time. Root, and whose controller it is, always get in, also beyond `_MOST_CALLERS`."""

_PAUSE_SECONDS = 0.2
"""Until it is listened again when no connection could be taken, as for want of descriptors."""

Answer = Callable[[Caller, str, dict[str, Any]], Any]


class Door:
    """Listens until it is closed; each caller has a thread."""

    def __init__(self, path: Path, answer: Answer, *, everybody: bool = False) -> None:
        """Listen at `path`, in the place of a socket that nobody listens at any more.

        Args:
            path: Of the socket; its folder exists.
            answer: Who answers.
            everybody: Whether all users of this machine may knock, instead of its owner alone.

        Raises:
            OSError: It cannot be made.
        """
        self._answer = answer
        self._own = os.geteuid()
        self._path = path
        self._inside: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        with short(path) as name:
            self._socket.bind(name)
        path.chmod(0o666 if everybody else 0o600)
        self._socket.listen(64)
        threading.Thread(target=self._listen, name="door", daemon=True).start()

    def close(self) -> None:
        """Listen no more; whoever is in is answered to the end."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:  # it was closed, or there is no descriptor for another
                self._closed.wait(_PAUSE_SECONDS)
                continue
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        """Answer one in a thread of its own, or turn it away at once: nobody waits because of others."""
        uid = _credentials(connection)[1]
        if not self._enter(uid):
            with connection, suppress(OSError):
                connection.settimeout(0)
                connection.sendall(_line({"error": error_document(_full())}))
            return
        try:
            threading.Thread(target=self._serve, args=(connection, uid), name="caller", daemon=True).start()
        except RuntimeError:  # the machine has no room for another thread
            connection.close()
            self._leave(uid)

    def _enter(self, uid: int) -> bool:
        with self._lock:
            privileged = {0, self._own}
            others = sum(count for one, count in self._inside.items() if one not in privileged)
            if uid not in privileged and (self._inside[uid] >= _MOST_OF_ONE or others >= _MOST_CALLERS):
                return False
            self._inside[uid] += 1
            return True

    def _leave(self, uid: int) -> None:
        with self._lock:
            self._inside[uid] -= 1
            if not self._inside[uid]:
                del self._inside[uid]

    def _serve(self, connection: socket.socket, uid: int) -> None:
        try:
            with connection, suppress(OSError):
                connection.settimeout(_IDLE_SECONDS)
                caller = caller_of(connection, self._own)
                for line in _lines(connection):
                    connection.sendall(self._said(caller, line))
        finally:
            self._leave(uid)

    def _said(self, caller: Caller, line: bytes) -> bytes:
        try:
            asked = json.loads(line)
            verb, words = str(asked["verb"]), dict(asked.get("words") or {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _line({"error": error_document(InputError("this is no question", code="desk.words"))})
        try:
            return _line({"answer": self._answer(caller, verb, words)})
        except AiopsError as error:
            return _line({"error": error_document(error)})
        except Exception as error:  # noqa: BLE001 - a defect of one answer must not take the controller with it
            told = FailedError(f"the controller could not answer: {type(error).__name__}", code="desk.defect")
            return _line({"error": error_document(told)})


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def caller_of(connection: socket.socket, own: int) -> Caller:
    """Who is at the other end, as the kernel says.

    Args:
        connection: A unix socket.
        own: The number of the user whose controller this is, who may do everything.
    """
    _, uid, gid = _credentials(connection)
    return caller_for(uid, gid, own)


def _credentials(connection: socket.socket) -> tuple[int, int, int]:
    """The process, user and group at the other end."""
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid, gid


def _full() -> UnreachableError:
    return UnreachableError(
        "the controller answers as many at once as it can, or as many of yours",
        code="controller.full",
        hints=[f"try again in a moment; a user may have {_MOST_OF_ONE} commands like `aiops job logs -f` at a time"],
    )


def caller_for(uid: int, gid: int, own: int) -> Caller:
    """A user of this machine as a caller."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        group = grp.getgrnam(GROUP)
        member = user in group.gr_mem or gid == group.gr_gid
    except KeyError:
        member = False
    return Caller(Account(user, uid, gid), uid in (0, own) or member)


def _lines(connection: socket.socket) -> Iterator[bytes]:
    """The lines that come in, until the other end has gone, or one is too long."""
    with connection.makefile("rb") as stream:
        while line := stream.readline(MOST_BYTES):
            if not line.endswith(b"\n"):
                return
            yield line
