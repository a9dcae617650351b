"""The folder of a model: config.json, and the headers of its safetensors."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError

from .architecture import model_of
from .model import Model

_LONGEST_HEADER = 100_000_000
"""Bytes: safetensors refuses longer headers (https://github.com/huggingface/safetensors, `MAX_HEADER_SIZE`)."""

_LONGEST_CONFIG = 10_000_000


def read_model(folder: Path) -> Model:
    """What is known of the model in `folder`; its weights count where they are there.

    Raises:
        InputError: There is no config.json, it or a file of weights cannot be read, or is not what its name says.
    """
    path = folder / "config.json"
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_LONGEST_CONFIG)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no config.json in {folder}",
            code="plan.base",
            hints=["`base` names the folder of a model as Hugging Face lays it out"],
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise InputError(f"{path} cannot be read: {why}", code="plan.base") from error
    model = config_model(text, str(path))
    files = sorted(folder.glob("*.safetensors"))
    if not files or model.packed:
        return model  # packed weights have other shapes than the parameters
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        shapes |= header(file)
    return model.measured(shapes, sum(file.stat().st_size for file in files))


def config_model(text: str, path: str) -> Model:
    """The model that the text of a config.json tells of.

    Raises:
        InputError: It is none.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: it is no JSON", code="plan.base") from error
    if not isinstance(config, Mapping):
        raise InputError(f"{path} holds no object", code="plan.base", hints=["is it the one that came with the model?"])
    return model_of(config)


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
