"""Recipes that come with aiops: files beside this module, by name."""

from functools import cache
from importlib.resources import files

_FOLDER = "layers/l3_tuning/recipes"


@cache
def shipped() -> tuple[str, ...]:
    """Their names, sorted."""
    names = (one.name for one in files("aiops").joinpath(_FOLDER).iterdir())
    return tuple(sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml")))


@cache
def shipped_text(name: str) -> str:
    """What one of them says."""
    return files("aiops").joinpath(_FOLDER, f"{name}.yml").read_text("utf-8")


def reference_text() -> str:
    """docs/reference/recipe.yml: every key with an example."""
    return files("aiops").joinpath("reference", "recipe.yml").read_text("utf-8")
