"""A node in memory: commands are Python functions, files a dictionary. Held to the same contract as the real ones."""

import shlex
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.node import Node

Program = Callable[[Command], tuple[int, bytes, bytes]]


class FakeTransport:
    """Answers commands with `programs` by their first word."""

    def __init__(self, node: Node, programs: dict[str, Program] | None = None) -> None:
        self._node = node
        self.programs: dict[str, Program] = {"cat": self._cat, "true": lambda _: (0, b"", b""), **(programs or {})}
        self.files: dict[str, tuple[bytes, int]] = {}
        self.ran: list[Command] = []
        self._closed = threading.Event()

    @property
    def node(self) -> Node:
        return self._node

    def run(self, command: Command) -> Completed:
        if self._closed.is_set():
            raise UnreachableError(f"{self._node.name}: the connection was closed", code="fake.closed")
        self.ran.append(command)
        program = self.programs.get(command.argv[0])
        if program is None:
            words = f"{command.argv[0]}: not found ({shlex.join(command.argv)})"
            return Completed(command, 127, b"", words.encode(), 0.0)
        status, stdout, stderr = program(command)
        return Completed(command, status, stdout, stderr, 0.0)

    def open(self, command: Command) -> "FakeChannel":
        return FakeChannel(self.run(command))

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        if not path.startswith("/") or path.endswith("/"):
            raise InputError(f"`{path}` is not the absolute path of a file", code="put.path")
        if self._closed.is_set():
            raise UnreachableError(f"{self._node.name}: the connection was closed", code="fake.closed")
        if path.startswith("/nowhere/"):
            raise FailedError(f"{self._node.name}: cannot write {path}: no such folder", code="put.failed")
        self.files[path] = (content, mode)

    def close(self) -> None:
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cat(self, command: Command) -> tuple[int, bytes, bytes]:
        if len(command.argv) == 1:
            return 0, command.stdin, b""
        content = self.files.get(command.argv[1])
        return (0, content[0], b"") if content else (1, b"", b"No such file")


class FakeChannel:
    """A command with an open channel that has said all that it will say; what is sent to it is kept."""

    def __init__(self, done: Completed) -> None:
        self._done = done
        self._left = done.stdout
        self.sent = b""
        self.closed = False

    def send(self, data: bytes) -> int:
        if self.closed:
            raise UnreachableError("the channel was closed", code="fake.closed")
        self.sent += data
        return len(data)

    def receive(self) -> bytes | None:
        data, self._left = self._left, b""
        return data or None

    def said(self) -> str:
        return self._done.error_text

    def on_news(self, call: Callable[[], None]) -> None:
        call()

    def close(self) -> None:
        self.closed = True
