"""What the probe is to fetch of a node, and what came back, raw.

The probe asks and never parses: raw answers travel and are stored, pure parsers judge them on the controller.
So a parser's bug is mended without touching a node, and any stored record can be judged again.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from math import inf
from typing import Any

from aiops.layers.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: a command to run and files to read, both optional.

    Attributes:
        name: Unique in one probe; dotted (`os.release`, `nvidia.query`).
        argv: The command, found in PATH and in the vendors' usual folders. Empty: no command.
        paths: Files to read; `*` globs are expanded on the node.
        timeout: Seconds until the command is killed.
        max_bytes: Bytes kept of each stream and each file.
        scratch: Whether the command runs in an empty folder of its own; files that it leaves there come back under
            their bare names, and the folder is gone afterwards.
        tail: Whether the last bytes of files count, not the first: for logs.
        makers: PCI vendor ids, four lower-case hex digits each: asked only where the bus shows a device of one of
            them, or shows nothing at all. Empty: asked everywhere.
        environment: Variables for the command; `{scratch}` in a value stands for its own folder, or `/`.
        alone: Whether the command measures how fast something is: it runs after all others and beside no other, in the
            order of the asks, and is not held back in favour of what else runs on the node.
    """

    name: str
    argv: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    timeout: float = 5.0
    max_bytes: int = 262_144
    scratch: bool = False
    tail: bool = False
    makers: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    alone: bool = False

    def document(self) -> dict[str, Any]:
        """JSON-ready values, as the probe takes them; `Ask.of` makes the same ask of them again."""
        return {
            "name": self.name,
            "argv": list(self.argv),
            "paths": list(self.paths),
            "timeout": self.timeout,
            "max_bytes": self.max_bytes,
            **({"scratch": True} if self.scratch else {}),
            **({"tail": True} if self.tail else {}),
            **({"makers": list(self.makers)} if self.makers else {}),
            **({"environment": dict(self.environment)} if self.environment else {}),
            **({"alone": True} if self.alone else {}),
        }

    @classmethod
    def of(cls, document: Any) -> "Ask":
        """The ask that `document` was made of.

        Raises:
            InputError: It is not the document of an ask (`ask.garbled`).
        """
        try:
            return _ask_of(document)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"this is no question for a node: {error}", code="ask.garbled") from error


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
    """All answers of one node from one probe.

    Attributes:
        made: What readers have made of it, by reader: see `answer_reading.once`.
    """

    node: str
    at: datetime
    answers: Mapping[str, Answer]
    made: dict[Any, tuple[Any, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def answer(self, name: str) -> Answer:
        """The answer to `name`; an empty one, marked missing, if it was never asked."""
        found = self.answers.get(name)
        return found if found is not None else Answer(name, missing={"argv": "not asked"})

    def document(self) -> dict[str, Any]:
        """JSON-ready values; `Record.of` makes the same record of them again."""
        return {
            "aiops": 1,
            "node": self.node,
            "at": self.at.isoformat(),
            "answers": [_plain(asdict(answer)) for answer in self.answers.values()],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Record":
        """The record that `document` was made of.

        Raises:
            InputError: It is not the document of a record.
        """
        try:
            answers = {str(values["name"]): answer_of(values) for values in document["answers"]}
            return cls(str(document["node"]), datetime.fromisoformat(document["at"]), answers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this is not a record of a node: {error!r}", code="record.garbled") from error


def answer_of(values: Mapping[str, Any]) -> Answer:
    """An answer from JSON values; fields it does not know are left out, so newer records can be read.

    Raises:
        TypeError: A value has the wrong type.
    """
    known: dict[str, Any] = {}
    for field_ in fields(Answer):
        if field_.name not in values:
            continue
        value, wanted = values[field_.name], _TYPES[field_.name]
        if not isinstance(value, wanted):
            raise TypeError(f"`{field_.name}` is {type(value).__name__}")
        if isinstance(value, Mapping) and not all(isinstance(word, str) for pair in value.items() for word in pair):
            raise TypeError(f"`{field_.name}` holds something other than text")
        known[field_.name] = value
    return Answer(**known)


def _ask_of(document: Any) -> Ask:
    """An ask from JSON values of anybody's.

    Raises:
        TypeError: A value has the wrong type, or there is one that no ask has.
        ValueError: A value is none that an ask may have.
    """
    if not isinstance(document, Mapping):
        raise TypeError(f"it is {type(document).__name__}")
    for name, value in document.items():
        kind = _KINDS.get(name)
        if kind is None:
            raise TypeError(f"`{str(name)[:80]}` is nothing that can be said of it")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"`{name}` is {type(value).__name__}")
    name, environment = document.get("name"), dict(document.get("environment", {}))
    argv, paths, makers = (tuple(document.get(key, ())) for key in ("argv", "paths", "makers"))
    for text in (name, *argv, *paths, *makers, *environment, *environment.values()):
        _require_text(text)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"`{str(name)[:80]}` is no name of a question")
    timeout, size = float(document.get("timeout", Ask(name).timeout)), document.get("max_bytes", Ask(name).max_bytes)
    if not (0 < timeout < inf and size > 0):
        raise ValueError(f"`{name}` has no time, or no room, for an answer")
    return Ask(
        name,
        argv,
        paths,
        timeout=timeout,
        max_bytes=size,
        scratch=document.get("scratch", False),
        tail=document.get("tail", False),
        makers=makers,
        environment=tuple(environment.items()),
        alone=document.get("alone", False),
    )


def _require_text(text: Any) -> None:
    """Refuse what no program can be given.

    Raises:
        TypeError: It is no text.
        ValueError: It holds NUL, or half of a pair, which no encoding has.
    """
    if not isinstance(text, str):
        raise TypeError(f"{type(text).__name__} stands where a text should")
    if "\0" in text or (not text.isascii() and text.encode("utf-8", "ignore").decode() != text):
        raise ValueError("a text of it is none that a program can be given")


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""The probe names a file by it."""

_KINDS: Mapping[str, Any] = {
    "name": str,
    "argv": list,
    "paths": list,
    "timeout": float | int,
    "max_bytes": int,
    "scratch": bool,
    "tail": bool,
    "makers": list,
    "environment": Mapping,
    "alone": bool,
}

_TYPES: Mapping[str, Any] = {
    "name": str,
    "exit_status": int | None,
    "stdout": str,
    "stderr": str,
    "files": Mapping,
    "missing": Mapping,
    "seconds": float | int,
    "timed_out": bool,
    "truncated": bool,
}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is as a fresh Answer has it: most fields of most answers."""
    fresh = asdict(Answer(values["name"]))
    return {name: value for name, value in values.items() if name == "name" or value != fresh[name]}
