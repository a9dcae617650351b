"""What the probe is to fetch of a node, and what came back, raw.

The probe asks and never parses: raw answers travel and are stored, pure parsers judge them on the controller.
So a parser's bug is mended without touching a node, and any stored record can be judged again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: a command to run and files to read, both optional.

    Attributes:
        name: Unique in one probe; dotted (`os.release`, `nvidia.query`).
        argv: The command, found in PATH and in the vendors' usual folders. Empty: no command.
        paths: Files to read; `*` globs are expanded on the node.
        timeout: Seconds until the command is killed.
        max_bytes: Bytes kept of each stream and each file.
    """

    name: str
    argv: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    timeout: float = 5.0
    max_bytes: int = 262_144


@dataclass(frozen=True, slots=True)
class Answer:
    """What one Ask brought.

    Attributes:
        exit_status: None when there was no command, it was not found, or it was killed.
        files: Content by path, for what could be read.
        missing: Reason by path (or `argv`), for what could not.
        timed_out: The command was killed at its timeout.
    """

    name: str
    exit_status: int | None = None
    stdout: str = ""
    stderr: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """All answers of one node from one probe."""

    node: str
    at: datetime
    answers: Mapping[str, Answer]

    def answer(self, name: str) -> Answer:
        """The answer to `name`; an empty one, marked missing, if it was never asked."""
        found = self.answers.get(name)
        return found if found is not None else Answer(name, missing={"argv": "not asked"})
