"""`aiops health --cron`: one look among many that nobody watches. It speaks only when something has changed."""

import fcntl
import json
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.exit import Exit
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from . import formats
from .telling import notify

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.round import Report

    from .looking import Looking

JITTER_SECONDS = 20.0
"""At most so long it waits first, so that many controllers do not ask at the same second."""

_TOLD = "health-told.json"
_LOCK = "health.lock"


def once(looking: "Looking", *, fail_on: str) -> int:
    """Look once, unless another is still at it; tell what has changed since the last time it was told."""
    folder = ensure_folder(looking.aiops.home / "clusters" / looking.inventory.cluster)
    with _alone(folder / _LOCK) as alone:
        if not alone:
            return Exit.DONE
        looking.aiops.clock.sleep(random.uniform(0.0, JITTER_SECONDS))  # noqa: S311 - no secret
        report, acted = looking.look()
        before, now = _read(folder / _TOLD), {**lines(report), **acted.waiting}
        for line in (*differences(before, now), *acted.done):
            looking.screen.line(line)
        if now != before:  # told first: who is killed in between tells it twice, which is better than never
            write_atomic(folder / _TOLD, json.dumps(now).encode(), 0o600)
        notify(looking, report, acted.waiting)
    return formats.exit_code(report, fail_on=fail_on)


def lines(report: "Report") -> dict[str, str]:
    """What counts, by a key under which it is known again; values that move from look to look are not in the key."""
    return {
        f"{one.node} {one.check} {one.about} {one.verdict}": f"{one.node} {one.verdict}: {one.check}: {one.words}"
        for one in report.findings
        if one.counts
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has come, and what is over, one line each. Pure."""
    return [
        *(line for key, line in now.items() if key not in before),
        *(f"over: {line}" for key, line in before.items() if key not in now),
    ]


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else is at it; the kernel lets go of the lock with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, str]:
    """What was told last; nothing where that is not known."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
