"""Trace: files with a line of JSON a step, which after a resume say what one unbroken run would have said."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Trace:
    """One such file. Nothing in it is needed to go on, so it is not brought to the disk at each line."""

    def __init__(self, path: Path, step: int) -> None:
        """Go on after `step`: what earlier processes have written of later steps is cut off, in one move."""
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        making = path.with_name(f".{path.name}.making")
        with making.open("w") as stream:
            stream.writelines(line + "\n" for line in kept)
            stream.flush()
            os.fsync(stream.fileno())
        making.rename(path)
        self._stream = path.open("a", buffering=1)

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a step."""
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")

    def close(self) -> None:
        """Bring it to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All its steps."""
    return [json.loads(line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    """Its whole lines: the last may have been cut off with whoever wrote it."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                if isinstance(json.loads(line)["step"], int):
                    found.append(line)
    return found
