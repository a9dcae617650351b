"""run.json: what a run is made of, as its folder keeps it and a resume reads it (docs/decisions/tuning.md). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from aiops.layers.core.errors import FailedError, InputError

from .recipe import Recipe
from .recipe_file import compile_recipe, read_recipe
from .recipe_text import document_of, yaml_of
from .run import CAUSES, Cause, Run

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Making:
    """What a run was made of.

    Attributes:
        digests: Of the base, the data, the recipe and the code; of the environment where nodes have said it.
        recipe: Resolved, as it was.
        base_files: sha256 of each file of the base.
        data_inputs: By name the digest of each thing that the data was made of.
        code_files: sha256 of each file of the trainer's own code.
        allowed: What may differ from what a checkpoint was written with.
        changes: What was let pass, and when: `{"at", "what", "old", "new", "keys"}`.
        origins: Where each value of the recipe came from, by dotted key; those that are not here are defaults.
        questions: sha256 of the file of its evaluation's questions; None where it asks none.
        packages: The versions of all packages of the environment, by name; empty where they are not known.
    """

    digests: Mapping[Cause, str] = field(hash=False)
    recipe: Recipe
    base_files: Mapping[str, str] = field(default_factory=dict, hash=False)
    data_inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    code_files: Mapping[str, str] = field(default_factory=dict, hash=False)
    allowed: tuple[Cause, ...] = ()
    changes: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    origins: Mapping[str, str] = field(default_factory=dict, hash=False)
    questions: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)


def code_digest(files: Mapping[str, bytes], trainer: str) -> tuple[str, dict[str, str]]:
    """The digest of a trainer's own code, and those of its files."""
    found = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    whole = sha256(trainer.encode() + b"\0")
    for name, digest in found.items():
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest(), found


Parts = tuple[str, Mapping[str, str]]
"""Of one cause: its digest, and by name those of what it is made of."""


def making_of(recipe: Recipe, base: Parts, data: Parts, code: Parts) -> Making:
    """What a run of a recipe is made of, as it is now."""
    digests: dict[Cause, str] = {"base": base[0], "data": data[0], "recipe": recipe.digest, "code": code[0]}
    return Making(digests, recipe, dict(base[1]), dict(data[1]), dict(code[1]))


def document(run: Run, making: Making) -> dict[str, Any]:
    """run.json."""
    return {
        "v": _VERSION,
        "run": run.name,
        "recipe": document_of(making.recipe),
        "base": {"path": run.base.path, "digest": making.digests["base"], "files": dict(making.base_files)},
        "data": {"path": run.data.path, "digest": making.digests["data"], "inputs": dict(making.data_inputs)},
        "code": {"digest": making.digests["code"], "files": dict(making.code_files)},
        "recipe_digest": making.digests["recipe"],
        "steps": run.steps,
        "total_tokens": run.total_tokens,
        "world": run.world,
        "folder": run.folder,
        "environment": run.environment,
        "environment_digest": making.digests.get("environment"),
        "packages": dict(making.packages),
        "simulated": run.simulated,
        "allowed": list(making.allowed),
        "changes": [dict(one) for one in making.changes],
        "origins": dict(making.origins),
        "questions": making.questions,
    }


def read_document(found: Any, where: str, named: str = "RECIPE") -> Making:
    """What a run.json says the run is made of.

    Args:
        found: What stands in it.
        where: Its path.
        named: Its recipe as a command line names it, for words about what to type.

    Raises:
        FailedError: It is none of this version (`run.unreadable`).
    """
    try:
        if found["v"] != _VERSION:
            raise ValueError(f"version {found['v']}")  # noqa: TRY301 - told as whatever else is wrong with it
        recipe = compile_recipe(read_recipe(yaml_of(found["recipe"]), where, folder="/"))
        digests: dict[Cause, str] = {
            "base": str(found["base"]["digest"]),
            "data": str(found["data"]["digest"]),
            "recipe": str(found["recipe_digest"]),
            "code": str(found["code"]["digest"]),
        }
        if found.get("environment_digest") is not None:  # nobody asked for it before, and nodes may not have said it
            digests["environment"] = str(found["environment_digest"])
        return Making(
            digests,
            replace(recipe, digest=digests["recipe"]),
            dict(found["base"]["files"]),
            dict(found["data"]["inputs"]),
            dict(found["code"]["files"]),
            tuple(one for one in CAUSES if one in found["allowed"]),
            tuple(found["changes"]),
            dict(found["origins"]),
            None if found.get("questions") is None else str(found["questions"]),
            dict(found.get("packages") or {}),
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FailedError(
            f"{where} cannot be read as what a run was made of: {error}",
            code="run.unreadable",
            hints=[f"begin a new run: `aiops train {named}`"],
        ) from error
