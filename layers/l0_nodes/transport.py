"""The seam between us and a node: run a command, put a file. One contract suite serves every implementation."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError

from .node import Node

LINGER = 2.0
"""Seconds that a child which keeps the output open may outlive its command before we stop listening."""

MAX_OUTPUT = 64 * 1024 * 1024
"""Bytes of one stream that are taken of one command."""

MAX_SAID = 4096
"""Bytes that are kept of what a command with an open channel writes on stderr: the last ones."""


def too_much_output(node: Node, command: Command) -> FailedError:
    """The error for a command that never stops talking."""
    return FailedError(
        f"{node.name}: `{command.argv[0]}` wrote more than {MAX_OUTPUT // 1024 // 1024} MiB",
        code="command.too_much_output",
        hints=["write it to a file on the node and fetch what you need of it"],
    )


class Channel(Protocol):
    """A command that runs on a node and is talked with. None of its calls waits for the node.

    It is used by one thread at a time. It has no timeout: closing it ends the command's input and output.
    """

    def send(self, data: bytes) -> int:
        """Send to its stdin what can be sent now; how many bytes that is, 0 while it does not read.

        Raises:
            UnreachableError: It has ended, or the connection broke.
        """
        ...

    def receive(self) -> bytes | None:
        """What has come on its stdout since the last call; empty for nothing, None once it has ended."""
        ...

    def said(self) -> str:
        """The last of what it wrote on stderr: why it ended, where it says so."""
        ...

    def on_news(self, call: Callable[[], None]) -> None:
        """Have `call` called, by whatever thread, now and whenever something has come or it has ended."""
        ...

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        ...


class Transport(Protocol):
    """One connection to one node; safe to use from several threads."""

    @property
    def node(self) -> Node:
        """The node at the other end."""
        ...

    def run(self, command: Command) -> Completed:
        """Run `command` and wait for its end, or its timeout.

        Raises:
            UnreachableError: The node cannot be reached, does not let us in, or the connection broke.
            FailedError: Root is needed and sudo does not give it, or the output is endless.
        """
        ...

    def open(self, command: Command) -> Channel:
        """Start `command` and talk with it; its `stdin` is sent first. Its timeout does not count.

        Raises:
            UnreachableError: As for `run`.
            FailedError: Root is needed and sudo does not give it.
        """
        ...

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        """Write `content` to the absolute `path`, atomically; never through argv.

        Raises:
            UnreachableError: As for `run`.
            FailedError: The node could not write it; the old file is untouched.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
