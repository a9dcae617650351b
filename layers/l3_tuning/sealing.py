"""Sealing: the artefact of a run whose tool writes none itself, with all that ours says of what it was made of.

It is made where the run ends to whoever follows it, on storage that it shares with the nodes. What the tool left is
copied, not moved: its checkpoints stay its own. The folder stands below a hidden name until its lineage is on the disk.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import aiops
from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import sync_folder, sync_tree

from . import run_folder, run_jobs
from .artefact import ARTEFACT, LINEAGE, Artefact, read_artefact, whole_artefact
from .left_model import LeftModel, left_model
from .parity import parity
from .run_document import Making

_CHUNK = 1 << 22

Told = Callable[[int, int], None]
"""Told the bytes that were taken, and those that are to be."""


def sealed(place: Path, at: datetime, told: Told = lambda _done, _all: None) -> Artefact | None:
    """The artefact of a run that has ended well; made of what its tool left where that is how its trainer hands over.

    Args:
        place: The folder of the run, whose lock is held.
        at: Now.
        told: For progress.

    Returns:
        It; None where the trainer was to write it itself and did not.

    Raises:
        FailedError: What the tool left is no model, is not whole (`artefact.missing`, `artefact.broken`), would be
            served otherwise than it was trained (`artefact.template`), or cannot be written (`artefact.unwritten`).
    """
    written, making = run_folder.read(place)
    output = written.get("output")
    jobs = run_jobs.jobs(place)
    job = jobs[-1] if jobs else None
    there = whole_artefact(place)  # what is broken is made again, as long as the tool's own is there
    if isinstance(output, Mapping) and (there is None or there.lineage.get("jobs") != jobs):
        left = left_by(place, written)
        try:
            _seal(place, left, written, making, said={"job": job, "made": f"{at:%Y-%m-%dT%H:%M:%SZ}"}, told=told)
        except OSError as error:
            raise FailedError(
                f"the tuned model could not be taken from {left.folder} to {place / ARTEFACT}: {error.strerror}",
                code="artefact.unwritten",
                hints=["make room or see who may write there, then the same command with `--resume`"],
            ) from error
    return read_artefact(place)


def left_by(place: Path, written: Mapping[str, Any]) -> LeftModel:
    """The model that a run's tool has left.

    Args:
        place: The folder of the run.
        written: Its run.json, which has an `output`.

    Raises:
        FailedError: There is none, or it is not whole (`artefact.missing`, `artefact.broken`).
    """
    output = written["output"]
    base = Path(written["base"]["path"]) if output["bare"] else None
    return left_model(place / str(output["path"]), int(written["steps"]), base)


def _seal(
    place: Path, left: LeftModel, written: Mapping[str, Any], making: Making, *, said: Mapping[str, Any], told: Told
) -> None:
    recipe = making.recipe
    hidden = place / f".{ARTEFACT}.making"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        files = _taken(left, hidden / left.kind, dict(written["base"]["files"]), told)
        own = written["output"].get("own_template")
        same = None if own else parity(hidden / left.kind, Path(written["data"]["path"]), recipe.data.loss)
        lineage = {
            "v": 1,
            "name": recipe.handing.name or recipe.name,
            "alias": recipe.handing.alias,
            "run": written["run"],
            "trainer": recipe.trainer,
            **said,
            "base": {"path": written["base"]["path"], "digest": making.digests["base"]},
            "data": {"path": written["data"]["path"], "digest": making.digests["data"]},
            "recipe": {"path": run_folder.RECIPE, "digest": making.digests["recipe"]},
            "code": {"digest": making.digests["code"]},
            "allowed_to_differ": list(making.allowed),
            "method": recipe.method,
            "adapter": {**asdict(recipe.adapter), "targets": list(recipe.adapter.targets)},
            "length": recipe.data.length,
            "steps": written["steps"],
            "world": written["world"],
            "jobs": run_jobs.jobs(place),
            "taken_from": str(left.folder.relative_to(place)),
            "evaluation": {"passed": None, "measured": False},
            "versions": {"aiops": aiops.__version__},
            "simulated": written.get("simulated"),  # a run of before does not say it
            "parts": {left.kind: left.kind},
            "template": None if same is None else same.template,
            "template_rows_compared": None if same is None else same.rows,
            "files": files,
        }
        run_folder.write_json(hidden / LINEAGE, lineage)
        sync_tree(hidden)
        shutil.rmtree(place / ARTEFACT, ignore_errors=True)  # of a job before, or what a killed process left
        hidden.rename(place / ARTEFACT)
        sync_folder(place)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _taken(left: LeftModel, target: Path, base: Mapping[str, str], told: Told) -> list[dict[str, Any]]:
    """Copy the files of a model, each read once; their names, sizes and sha256."""
    whole = sum(path.stat().st_size for path in left.files.values())
    found: list[dict[str, Any]] = []
    done = 0
    for name, path in left.files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as source, (target / name).open("xb") as copy:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
                told(done + size, whole)
            os.fchmod(copy.fileno(), 0o644)
        done += size
        if not path.is_relative_to(left.folder) and base.get(name) != digest.hexdigest():
            raise FailedError(
                f"{path} is not what the run was made with, and the tuned model is to be handed on with it",
                code="artefact.broken",
                hints=["bring the base's files back as they were, then the same command with `--resume`"],
            )
        found.append({"path": f"{target.name}/{name}", "size": size, "sha256": digest.hexdigest()})
    return found
