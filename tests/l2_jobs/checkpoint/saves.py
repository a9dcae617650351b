"""Recorded saves of real libraries, laid out in a folder; see `record_saves`."""

import hashlib
import json
import lzma
import os
import re
import tarfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from io import BytesIO
from pathlib import Path

from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST, Place
from aiops.layers.l2_jobs.checkpoint.format import Formats, read_formats
from aiops.layers.l2_jobs.checkpoint.reader import Reader
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor

SAVES = Path(__file__).with_name("saves")
OLD, NEW = 10, 20


@dataclass(frozen=True)
class Save:
    """A recorded folder of two checkpoints, of the steps OLD and NEW.

    Attributes:
        format: Which must know them.
        world_size: As they tell it.
        optional: Files that a run can go on without, so that without a manifest nobody can tell that one is missing.
    """

    name: str
    format: str
    world_size: int | None = None
    optional: str = "-"
    argument: str = "auto"

    @property
    def folder_manifest(self) -> bool:
        """Whether a checkpoint is a folder of its own, so that a manifest can lie in it."""
        return all("/" in path for path in files_of(self.name) if str(NEW) in path)


_HF = r".*(config|generation_config|adapter_config|tokenizer\w*)\.json|training_args\.bin|README\.md|latest|.*\.py"
ALL = (
    Save("torch", "torch"),
    Save("torch-ranks", "torch", 3, r"rank2\.pt"),
    Save("torch-stream", "torch"),
    Save("torch-without-sums", "torch"),
    Save("dcp", "dcp"),
    Save("safetensors", "safetensors"),
    Save("safetensors-sharded", "safetensors"),
    Save("hf-trainer", "hf-trainer", 1, _HF),
    Save("hf-trainer-weights-only", "hf-trainer", None, _HF),
    Save("hf-trainer-peft", "hf-trainer", 1, _HF),
    Save("peft", "peft", None, r"README\.md"),
    Save("lightning", "lightning"),
    Save("deepspeed", "deepspeed", 2),
    Save("deepspeed-source", "deepspeed", 4),
    Save("megatron-source", "megatron", 4),
    Save("megatron-dist-source", "megatron", 2),
    Save("lightning-fsdp-source", "lightning"),
    Save("hf-trainer-deepspeed-source", "hf-trainer", 4, _HF + r"|model\.safetensors"),
)


@cache
def files_of(name: str) -> dict[str, bytes]:
    """The files of a fixture; links are left out."""
    with tarfile.open(fileobj=BytesIO(lzma.decompress((SAVES / f"{name}.tar.xz").read_bytes()))) as archive:
        found = {one.name: archive.extractfile(one) for one in archive if one.isfile()}
        return {path: stream.read() for path, stream in found.items() if stream is not None}


def lay(name: str, folder: Path) -> Path:
    """Write a fixture out; all of it is an hour old, the newest checkpoint is the youngest."""
    for path, content in files_of(name).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


@cache
def formats(argument: str = "auto") -> Formats:
    """All formats, as the entry points of this working tree name them."""
    import tomllib

    document = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    points = document["project"]["entry-points"]["aiops"]
    ours = [EntryPoint(name, target, "aiops") for name, target in points.items() if name.startswith("checkpoint_f")]
    return read_formats(Plugins(ours), argument)


def reader(settled: float = 0.0, argument: str = "auto") -> Reader:
    """A reader of this machine's files; nobody writes any more."""
    return Reader(LocalSurveyor(), formats(argument), settled)


def write_manifest(folder: Path, step: int, format_: str, world_size: int | None = None) -> None:
    """What our own writers leave in a checkpoint's folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    document = {
        "aiops": 1,
        "step": step,
        "world_size": world_size,
        "job": "llama-7",
        "epoch": 3,
        "format": format_,
        "written": "2026-11-28T22:00:00Z",
        "data": None,
        "files": [
            {
                "path": str(path.relative_to(folder)),
                "size": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in files
        ],
    }
    (folder / MANIFEST).write_text(json.dumps(document))


def place(save: Save, root: Path, step: int) -> Place:
    """Where the checkpoint of a step is."""
    _, places = reader(argument=save.argument).places(str(root))
    found = [one for format_, one in places if format_.name == save.format]
    steps = {one.step: one for one in found}
    if step in steps:
        return steps[step]
    return next(one for one in found if str(step) in one.path)


def paths(save: Save, root: Path, step: int) -> list[Path]:
    """The files of the checkpoint of a step."""
    one = place(save, root, step)
    return [root / one.base / entry.path for entry in one.files]


def is_optional(save: Save, path: Path) -> bool:
    """Whether a run can go on without a file."""
    return re.fullmatch(save.optional, path.name) is not None


def age(root: Path, seconds: float) -> None:
    """Let everything below `root` be so old."""
    import time

    for path in root.rglob("*"):
        if path.is_file():
            at = time.time() - seconds
            os.utime(path, (at, at))


def spoil(path: Path) -> bytes:
    """Cut a file in half; what is left of it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content[: len(content) // 2]
