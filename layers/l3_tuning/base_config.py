"""What a model's config.json says: read by whoever digests a base, plans for it, or looks for a recipe that fits it."""

import json
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.core.file import why_unreadable

FILE = "config.json"
_LONGEST = 10_000_000
_HINTS = ("`base` names the folder of a model as Hugging Face lays it out, the same on all nodes",)


def read_config(folder: Path) -> dict[str, Any]:
    """What the config.json in `folder` says.

    Raises:
        InputError: There is none, it cannot be read, or is no object (`recipe.base`).
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_LONGEST)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} is no model: there is no {FILE}" if folder.is_dir() else f"there is no folder {folder}",
            code="recipe.base",
            hints=_HINTS,
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = why_unreadable(error)
        raise InputError(f"{path} cannot be read: {why}", code="recipe.base", hints=_HINTS) from error
    return config_of(text, str(path))


def config_of(text: str, path: str) -> dict[str, Any]:
    """What the text of a config.json says. Pure.

    Raises:
        InputError: It is no JSON, or no object (`recipe.base`).
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: it is no JSON", code="recipe.base", hints=_HINTS) from error
    if not isinstance(config, dict):
        raise InputError(
            f"{path} holds no object", code="recipe.base", hints=["is it the one that came with the model?"]
        )
    return config
