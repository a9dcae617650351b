"""What is done to checkpoints on the disk: bad ones are set aside, old ones pruned, loaders led to the chosen one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Protocol

from aiops.layers.core.clock import rfc3339
from aiops.layers.core.errors import ConflictError, FailedError, Problem

from .checkpoint import Checkpoint
from .facts import MANIFEST
from .reader import Seen


class Hand(Protocol):
    """Who changes files where they are; a surveyor is one."""

    def change(self, function: str, *arguments: Any) -> dict[str, Any]:
        """Run a function of `remote.changes`.

        Raises:
            FailedError: The file system refuses it.
            UnreachableError: The machine does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class SetAside:
    """A bad checkpoint under its new name.

    Attributes:
        path: Where it is now; `PATH.json` beside it says why.
    """

    checkpoint: Checkpoint
    path: str


def set_aside(hand: Hand, seen: Seen, now: datetime, why: str | None = None) -> SetAside | None:
    """Rename a bad checkpoint to `NAME.bad-STAMP`, with the reason beside it; None when another has done it.

    The file in it by which its loader would know it is renamed likewise, for some loaders take any folder whose name
    begins like a checkpoint's (torchtitan/components/checkpoint.py, `_find_load_step`).

    Args:
        hand: Who renames it.
        seen: It, as it was seen.
        now: The time, for its new name.
        why: Why one is renamed that verifies, as the loss that it was saved after; None where only bad ones are.

    Raises:
        ConflictError: It is not bad: good, unfinished or unknown ones stay where they are.
        FailedError: The file system refuses it.
        UnreachableError: The machine does not answer.
    """
    checkpoint = seen.checkpoint
    if checkpoint.state != "bad" and (why is None or not checkpoint.proved):
        raise ConflictError(
            f"{checkpoint.path} is {checkpoint.state}, and stays where it is",
            code="checkpoint.not_bad",
            hints=[f"look at it: `aiops checkpoint verify {checkpoint.path}`"],
        )
    folder, names = _names(seen)
    marker = seen.format.marker(seen.place)
    known = dict.fromkeys((marker, MANIFEST))  # of some formats they are one
    markers = [name for name in known if name is not None and name in seen.place.named()]
    document = {
        "why": why if checkpoint.proved else checkpoint.why,
        "path": checkpoint.path,
        "step": checkpoint.step,
        "format": checkpoint.format,
        "level": int(checkpoint.level),
        "at": rfc3339(now),
        "renamed_inside": markers if seen.place.whole else [],
    }
    stamp = f"bad-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    moved = hand.change("set_aside", folder, names, stamp, markers if seen.place.whole else [], document)["moved"]
    return SetAside(checkpoint, f"{folder}/{moved[0]}") if moved else None


def prune(hand: Hand, chosen: Iterable[Seen]) -> tuple[Checkpoint, ...]:
    """Delete good checkpoints that `pruning` has named; those that are gone.

    Raises:
        FailedError: Some could not be deleted; with each and why.
        UnreachableError: The machine does not answer.
    """
    gone: list[Checkpoint] = []
    problems: list[Problem] = []
    for seen in chosen:
        folder, names = _names(seen)
        told = hand.change("prune", folder, names)
        problems += [Problem(f"{folder}/{name}: {reason}") for name, reason in told["failed"].items()]
        if set(names) <= set(told["gone"]):
            gone.append(seen.checkpoint)
    if problems:
        raise FailedError(
            f"{len(problems)} of the old checkpoints could not be deleted whole",
            code="checkpoint.prune",
            hints=["once its cause is mended, the same command again goes on"],
            problems=problems,
        )
    return tuple(gone)


def point(hand: Hand, seen: Seen) -> tuple[str, ...]:
    """Let the files by which the loader of a format finds the newest lead to `seen`; which were changed.

    Raises:
        FailedError: The file system refuses it.
        UnreachableError: The machine does not answer.
    """
    pointers = seen.format.pointers(seen.listing, seen.place)
    if not pointers:
        return ()
    return tuple(hand.change("point", seen.listing.root, dict(pointers))["changed"])


def _names(seen: Seen) -> tuple[str, list[str]]:
    """The folder that a checkpoint is in, and what of it is the checkpoint."""
    root = PurePosixPath(seen.listing.root)
    if seen.place.whole:
        path = root / seen.place.base
        return str(path.parent), [path.name]
    return str(root / seen.place.base), [one.path for one in seen.place.files]
