"""Merge: an adapter put into the base's weights, one tensor after the other.

The base's files are copied as they are, and only the tensors that have an adapter are written over, each where it was:
calculated in fp32, kept in the type that it has there. So no more than one tensor is in memory, whatever the model's
size, and all else stays the publisher's own, to the byte.
"""

import json
import shutil
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .durable import sync
from .pulse import Pulse
from .work import RefusedError, Work

_COPIED = ("config.json", "generation_config.json", "model.safetensors.index.json")
_BLOCK = 64 << 20
_TYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_FIRST = ".lora_A."
"""In the name of an adapter's first matrix; before it stands the layer, behind `_BEFORE`."""

_SECOND = ".lora_B."
_BEFORE = "base_model.model."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies.

    Attributes:
        file: Of the base, by its name.
        start: Bytes from the file's beginning; `size` of the tensor.
        kind: Its type, as safetensors names it.
    """

    file: str
    start: int
    size: int
    kind: str
    shape: tuple[int, ...]


def tensors_of(folder: Path) -> dict[str, Place]:
    """Where each tensor of a model lies; empty where it has no safetensors.

    Format: 8 bytes with the length of a JSON header, the header, the tensors (huggingface/safetensors, README).
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        for name, said in header.items():
            if name != "__metadata__":
                begin, end = said["data_offsets"]
                found[name] = Place(path.name, 8 + length + begin, end - begin, said["dtype"], tuple(said["shape"]))
    return found


def homes(base: Path, names: Iterable[str]) -> dict[str, Place]:
    """Where the weights lie that adapters change, by the name of the layer.

    Args:
        base: The folder of the base.
        names: Of the tensors of an adapter.

    Raises:
        RefusedError: The base has no such tensor, or none that one could add to.
    """
    there = tensors_of(base)
    found = {}
    for layer in sorted({layer_of(name) for name in names if _FIRST in name}):
        wanted = f"{layer}.weight"
        # Files of a model without its output, or within another one, have names that begin later or earlier.
        able = (
            [wanted] if wanted in there else [n for n in there if n.endswith(f".{wanted}") or wanted.endswith(f".{n}")]
        )
        if len(able) != 1 or there[able[0]].kind not in _TYPES:
            why = f"{able[0]} is of {there[able[0]].kind}" if len(able) == 1 else f"no file has {wanted}"
            raise RefusedError(
                f"{base}: the adapter cannot be merged into it: {why}\n\nhint: `merge: false` and no `gguf` below "
                "`register:`, or a base in bf16, fp16 or fp32 as safetensors"
            )
        found[layer] = there[able[0]]
    return found


def refuse_unmergeable(work: Work, names: Iterable[str]) -> None:
    """Refuse before the first step what could not be handed on after the last one.

    Args:
        work: The run.
        names: Of all that is trained.

    Raises:
        RefusedError: An adapter is to be merged, and the base has not the weights for it.
    """
    if work.adapter["kind"] != "none" and (work.merge or work.gguf):
        homes(Path(work.base), names)


def layer_of(name: str) -> str:
    """The layer that a tensor of an adapter belongs to, by the name that the base has for it."""
    return name.partition(_FIRST)[0].partition(_SECOND)[0].removeprefix(_BEFORE)


def merge(work: Work, adapter: Path, target: Path, pulse: Pulse) -> None:
    """Write the base with an adapter put into it.

    Raises:
        RefusedError: The two do not go together.
    """
    from safetensors import safe_open

    base = Path(work.base)
    target.mkdir(parents=True)
    for name in _COPIED:
        if (base / name).exists():
            shutil.copyfile(base / name, target / name)
    with safe_open(adapter / "adapter_model.safetensors", "pt") as opened:
        firsts = {layer_of(name): name for name in opened.keys() if _FIRST in name}  # noqa: SIM118 - no mapping
        for name in sorted({place.file for place in tensors_of(base).values()}):
            _copy(base / name, target / name, pulse)
        for layer, place in homes(base, firsts.values()).items():
            first = firsts[layer]
            pair = opened.get_tensor(first), opened.get_tensor(first.replace(_FIRST, _SECOND))
            with (target / place.file).open("r+b") as stream:
                _add(stream, place, pair, work.adapter)
            pulse.beat()
    sync(target)


def _copy(source: Path, target: Path, pulse: Pulse) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            writing.write(block)
            pulse.beat()


def _add(stream: BinaryIO, place: Place, pair: tuple[Any, Any], adapter: Mapping[str, Any]) -> None:
    """Add an adapter's two matrices to a tensor where it lies."""
    import torch

    first, second = (one.float() for one in pair)
    if place.shape != (second.shape[0], first.shape[1]):
        raise RefusedError(f"{stream.name} has a weight of {place.shape}, and its adapter is made for another")
    stream.seek(place.start)
    held = torch.frombuffer(bytearray(stream.read(place.size)), dtype=getattr(torch, _TYPES[place.kind]))
    added = (second @ first).mul_(adapter["alpha"] / adapter["rank"])
    whole = added.add_(held.view(place.shape)).to(held.dtype)
    stream.seek(place.start)
    stream.write(memoryview(whole.contiguous().view(torch.uint8).numpy()).cast("B"))
