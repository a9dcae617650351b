"""What is asked of a node, as a value, and what came back.

A `Command` is built by pure functions and compared in tests; transports run it. A non-zero exit is a value,
not an exception: only a node that cannot be asked at all raises (`UnreachableError`).
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """An argument vector and how to run it.

    Attributes:
        argv: The words, never a shell line; quoting happens at the one place that needs it.
        stdin: Bytes fed to the process. The only way a secret may travel: it is never shown.
        environment: Extra variables, visible in the process list of the node: no secrets here.
        timeout: Seconds until the process is killed and `Completed.timed_out` is set.
        root: Run as root by the node's become settings (no-op where the login user is root).
    """

    argv: tuple[str, ...]
    stdin: bytes = field(default=b"", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    timeout: float = 30.0
    root: bool = False

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a command.

    Attributes:
        exit_status: The process's exit status; 128+N when signal N ended it.
        seconds: Wall time as the asker saw it.
        timed_out: Whether it was killed because `Command.timeout` had passed.
    """

    command: Command
    exit_status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.exit_status == 0 and not self.timed_out

    @property
    def text(self) -> str:
        """Stdout as text; bytes that are not UTF-8 are replaced, never fatal."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        """Stderr as text, stripped."""
        return self.stderr.decode("utf-8", "replace").strip()
