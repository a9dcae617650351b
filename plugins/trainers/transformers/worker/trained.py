"""Trained: that the training of a run is over, `trained.json`: how it was judged, and where its tuned weights lie.

What comes after it (merging, GGUF, comparing) is the first rank's alone and may take any time. Whoever goes on with a
run and finds this file does that only: nothing is trained or judged again. Standard library only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .durable import files_of, replace, sync
from .work import Work

FILE = "trained.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """A run that was trained to its end.

    Attributes:
        part: Where the tuned weights lie, below the artefact: `adapter` or `model`.
        evaluation: What they showed.
    """

    part: str
    evaluation: Mapping[str, Any]


def write(work: Work, trained: Trained) -> None:
    """Write it down, once all that it speaks of is on the disk."""
    place = work.artefact / trained.part
    sync(place)
    said = {
        "v": VERSION,
        "step": work.steps,
        "world": work.world,
        "digests": dict(work.digests),
        "part": trained.part,
        "evaluation": dict(trained.evaluation),
        "files": files_of(place),
    }
    replace(Path(work.folder, FILE), said)


def read(work: Work, step: int) -> Trained | None:
    """What was written down of this very run; None where there is training to be done.

    Args:
        work: The run.
        step: Of the checkpoint that it goes on from: somebody may have gone back to an earlier one.
    """
    if step != work.steps:
        return None
    try:
        said = json.loads(Path(work.folder, FILE).read_text())
        same = (said["v"], said["step"], said["world"]) == (VERSION, work.steps, work.world)
        if not same or said["digests"] != dict(work.digests):
            return None
        found = Trained(str(said["part"]), dict(said["evaluation"]))
        whole = bool(said["files"]) and said["files"] == files_of(work.artefact / found.part)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def forget(work: Work) -> None:
    """It is to be trained again: from an earlier checkpoint, or with something that was allowed to differ."""
    Path(work.folder, FILE).unlink(missing_ok=True)
