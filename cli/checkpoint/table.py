"""Checkpoints as rows and documents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiops.cli.exit import Exit
from aiops.cli.screen import Screen
from aiops.layers.core.clock import rfc3339
from aiops.layers.core.errors import InputError

if TYPE_CHECKING:
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint

_UNIT = 1024


def show(screen: Screen, path: str, checkpoints: "Sequence[Checkpoint]") -> None:
    """All of them, the newest first."""
    from aiops.layers.l2_jobs.checkpoint.checkpoint import newest

    if screen.json:
        best = newest(checkpoints)
        screen.document(
            {
                "path": path,
                "newest": None if best is None else best.path,
                "checkpoints": [document(one) for one in checkpoints],
            }
        )
        return
    screen.table(
        ("step", "state", "format", "size", "written", "world", "path", "why"),
        [
            (
                one.step,
                word(one),
                one.format,
                spelled(one.size) if screen.terminal else one.size,
                one.written,
                one.world_size,
                one.path,
                one.why,
            )
            for one in checkpoints
        ],
    )


def word(checkpoint: "Checkpoint") -> str:
    """Its state; `whole` where its structure is, and its manifest was not compared."""
    return "whole" if checkpoint.verified and not checkpoint.proved else checkpoint.state


def document(checkpoint: "Checkpoint") -> dict[str, Any]:
    """One of them for programs."""
    return {
        "step": checkpoint.step,
        "path": checkpoint.path,
        "format": checkpoint.format,
        "state": word(checkpoint),
        "level": int(checkpoint.level),
        "why": checkpoint.why,
        "world_size": checkpoint.world_size,
        "bytes": checkpoint.size,
        "written": None if checkpoint.written is None else rfc3339(checkpoint.written),
        "manifest": checkpoint.manifest,
        "elastic": checkpoint.elastic,
    }


def spelled(size: int) -> str:
    """`94.2 GiB`."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= _UNIT and len(units) > 1:
        value /= _UNIT
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def nothing(path: str) -> InputError:
    """The error where there is no checkpoint at all."""
    return InputError(
        f"there is no checkpoint at {path}",
        code="checkpoint.none",
        hints=[
            "name the folder that they are in",
            "for a layout of your own: `--format 'glob:step_*/*.bin,DONE'`; `aiops plugin list` names the known ones",
        ],
    )


def verdict(checkpoints: "Sequence[Checkpoint]") -> Exit:
    """4 when one is bad, else 3 when one could not be read."""
    states = {one.state for one in checkpoints}
    return Exit.CRITICAL if "bad" in states else Exit.UNREACHABLE if "unknown" in states else Exit.DONE
