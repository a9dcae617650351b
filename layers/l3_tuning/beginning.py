"""Beginning: the text of a recipe.yml that says what has to be said and leaves the rest to a shipped one. Pure."""

import json
from pathlib import Path

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import nearest

from .shipped import shipped, shipped_text


def beginning(name: str | None, base: Path | None) -> str:
    """A commented recipe.yml.

    Args:
        name: The shipped recipe that it extends; None for none.
        base: The model; None where the user is to fill it in.

    Raises:
        InputError: There is no such recipe (`recipe.unknown`).
    """
    if name is not None and name not in shipped():
        near = nearest(name, shipped())
        hint = f"did you mean `{near}`?" if near else "those that are shipped: `aiops recipe list`"
        raise InputError(f"there is no shipped recipe `{name}`", code="recipe.unknown", hints=[hint])
    lines = [
        "# Every key with an example is in docs/reference/recipe.yml; what is not said here has its default.",
        "# `aiops recipe show` on this file tells each value and where it comes from.",
        "aiops: 1",
        "kind: recipe",
        "",
        "# Its runs are numbered behind this.",
        "name: my-model",
        "",
    ]
    if name is not None:
        lines += ["# Says the rest; keys that stand here count more.", f"extends: {name}", ""]
    model = "/shared/models/CHANGE-ME" if base is None else str(base)
    lines += [
        "# The model, a folder as Hugging Face lays it out, the same on all nodes.",
        f"base: {json.dumps(model, ensure_ascii=False)}",
        "",
        "# Files or folders of rows; `aiops recipe plan` and `aiops train` say what is wrong with them.",
        "data:",
        "  train: [/shared/data/CHANGE-ME]",
        "",
        "# Where runs are kept: a folder that is the same one on all nodes.",
        "folder: /shared/runs/my-model",
    ]
    if name is None:
        lines += ["", "train:", "  epochs: 3"]
    else:
        body = shipped_text(name).partition("\nabout:")[2].partition("\n\n")[2].strip()
        lines += ["", f"# What {name} says itself, to be changed here:", *(f"# {line}" for line in body.splitlines())]
    return "\n".join(lines) + "\n"
