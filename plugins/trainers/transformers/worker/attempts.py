"""Attempts: what each process of a run has written down when it began, `attempts.jsonl`."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

FILE = "attempts.jsonl"


def attempts(folder: Path) -> list[dict[str, Any]]:
    """The attempts that a run had, as far as they could be written down: a line that was cut off is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in Path(folder, FILE).read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    found.append(said)
    return found


def begin_attempt(folder: Path, step: int) -> None:
    """Write down that an attempt begins, and from which step."""
    line = {
        "attempt": os.environ.get("AIOPS_ATTEMPT"),
        "job": os.environ.get("AIOPS_JOB"),
        "from_step": step,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with Path(folder, FILE).open("a+b") as stream:
        # What the one before could not write to its end must not take this line with it.
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            torn = stream.read(1) != b"\n"
        else:
            torn = False
        stream.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
