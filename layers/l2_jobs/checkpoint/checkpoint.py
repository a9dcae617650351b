"""Checkpoint: one state of a run on the disk, and what is known of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal

from aiops.layers.core.errors import Problem

State = Literal["good", "bad", "unfinished", "unknown"]
Doubt = Literal["unfinished", "unknown"]


class Level(IntEnum):
    """How closely a checkpoint was looked at; each includes those below it."""

    MARKER = 0
    """What its writer leaves last is there."""

    STRUCTURE = 1
    """Headers, lengths, checksums of archives, and every part that its own index speaks of."""

    MANIFEST = 2
    """Size and SHA-256 of every file, where there is an `aiops-manifest.json`; else nothing more than `STRUCTURE`."""

    TRIAL = 3
    """It was loaded by the job's own Python."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of a run on the disk.

    Attributes:
        step: Of the training run; None where neither its name nor its contents tell.
        path: Absolute: its folder, or its only file; of several files in a row the first.
        format: Name of the plugin that knows it.
        level: How closely it was looked at.
        verified: Whether all that was looked at is right, at `STRUCTURE` or above.
        why: What is wrong with it, or why it is not known; None where it is verified or was hardly looked at.
        world_size: Processes that have written it; None where it does not tell.
        size: Bytes of all its files.
        written: When the last of them was changed, by the clock of their file system.
        manifest: Whether it has one, so that only level `MANIFEST` proves it.
        elastic: Whether another number of processes may go on from it.
        doubt: Why it is not verified though nothing is known to be wrong: it is still being written, or something of
            it could not be read.
    """

    step: int | None
    path: str
    format: str
    level: Level
    verified: bool
    why: str | None
    world_size: int | None
    size: int
    written: datetime | None
    manifest: bool = False
    elastic: bool = True
    doubt: Doubt | None = None

    @property
    def state(self) -> State:
        """In one word; a checkpoint of which only the marker was looked at is `unknown`."""
        if self.proved:
            return "good"
        if self.doubt is not None:
            return self.doubt
        return "bad" if self.why is not None else "unknown"

    @property
    def proved(self) -> bool:
        """Whether a run may go on from it: verified, by its manifest where it has one."""
        return self.verified and self.level >= (Level.MANIFEST if self.manifest else Level.STRUCTURE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job can go on from.

    Attributes:
        format: Name of the plugin; None or `auto` for any.
        world_size: Processes that it will have; None for any.
    """

    format: str | None = None
    world_size: int | None = None


def newest(checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The one to go on from: of those that are proved the highest step, of equal ones the last written. Pure.

    One without a manifest right after one that has one is passed over: who seals its checkpoints was cut off before it
    had sealed this one, and structure alone does not tell what a power cut took. Two of them in a row are taken: who
    wrote them seals no more.
    """
    good = sorted((one for one in checkpoints if one.proved), key=age_key)
    if len(good) > 1 and good[-2].manifest and not good[-1].manifest:
        return good[-2]
    return good[-1] if good else None


def age_key(checkpoint: Checkpoint) -> tuple[bool, int, datetime]:
    """What puts checkpoints in order, the oldest first; those that tell no step stand before all that do."""
    written = checkpoint.written or datetime.min.replace(tzinfo=UTC)
    return (checkpoint.step is not None, checkpoint.step or 0, written)


def fits(checkpoint: Checkpoint, wanted: Wanted) -> Problem | None:
    """Why a job cannot go on from `checkpoint`, as something to correct in what was asked; None where it can. Pure."""
    asked = (wanted.format or "auto").partition(":")[0]
    if asked not in {"auto", checkpoint.format}:
        return Problem(
            f"{checkpoint.path} is a checkpoint of the format {checkpoint.format}, not {asked}",
            hint=f"`format: {checkpoint.format}`, or `format: auto`",
        )
    sizes = (checkpoint.world_size, wanted.world_size)
    if checkpoint.elastic or None in sizes or sizes[0] == sizes[1]:
        return None
    return Problem(
        f"{checkpoint.path} was written by {sizes[0]} processes, and this format ({checkpoint.format}) can only be "
        f"read by as many; the job would have {sizes[1]}",
        hint=f"nodes and devices that make {sizes[0]} processes",
    )
