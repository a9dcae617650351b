"""The folder of a model: config.json, and the headers of its safetensors."""

import json
import struct
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.base_config import read_config

from .architecture import model_of
from .model import Model

_LONGEST_HEADER = 100_000_000
"""Bytes: safetensors refuses longer headers (https://github.com/huggingface/safetensors, `MAX_HEADER_SIZE`)."""


def read_model(folder: Path) -> Model:
    """What is known of the model in `folder`; its weights count where they are there.

    Raises:
        InputError: There is no config.json, it or a file of weights cannot be read, or is not what its name says.
    """
    model = model_of(read_config(folder))
    files = sorted(folder.glob("*.safetensors"))
    if not files or model.packed:
        return model  # packed weights have other shapes than the parameters
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        shapes |= header(file)
    return model.measured(shapes, sum(file.stat().st_size for file in files))


def header(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by name of tensor, from the first bytes of a safetensors file.

    Raises:
        InputError: It is none, or it is cut off.
    """
    try:
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            document: Any = json.loads(stream.read(min(size, _LONGEST_HEADER)))
        return {
            str(name): tuple(_dimension(one) for one in value["shape"])
            for name, value in document.items()
            if name != "__metadata__"
        }
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}", code="plan.base") from error
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{file} is no safetensors file, or was cut off",
            code="plan.base",
            hints=["compare its length with where it came from, and fetch it again"],
        ) from error


def _dimension(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value
