"""The gate before a run: whether its data is what its recipe and its base are for. Before anything is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import Path as Key

from .data.dataset import Manifest
from .recipe import LEARNS, DataPlan, Method, Recipe, learner
from .recipe_file import RecipeFile

Difference = tuple[Key, str]
"""The key of a recipe, and how prepared data differs from what it says."""

_ASKED = ("long", "duplicates", "mask", "held_out")
"""What a recipe may want done to its rows; where it wants nothing, it is as it was prepared."""


def require_fitting(method: Method, form: str) -> None:
    """Refuse data that a method cannot learn.

    Raises:
        InputError: Its rows are of another form (`data.form`).
    """
    if form not in LEARNS[method]:
        raise InputError(
            f"the rows are of the form {form}, and `method: {method}` learns {' or '.join(LEARNS[method])}",
            code="data.form",
            hints=[f"`method: {learner(form)}` learns them; or name other files in `data.train`"],
        )


def require_prepared_for(file: RecipeFile, recipe: Recipe, folder: Path, manifest: Manifest) -> None:
    """Refuse prepared data that was made for something else than a recipe's base and what its `data` says.

    Args:
        file: Where the recipe says it.
        recipe: The same, resolved.
        folder: Of the prepared data.
        manifest: What it says of itself.

    Raises:
        InputError: It differs; all differences together, each with the line of the recipe (`data.other`), or a file
            that the recipe names cannot be read.
    """
    found = list(_read_otherwise(recipe, manifest))
    found += [*_other_files(recipe.data, manifest), *_done_otherwise(recipe, manifest)]
    found += _in_spite_of(recipe.data, manifest)
    if not found:
        return
    count = len(found)
    raise InputError(
        f"{folder} was not prepared for {recipe.name}: {count} difference{'s' * (count != 1)}",
        code="data.other",
        problems=[file.chain.problem(key, words) for key, words in found],
        hints=[
            "name the files of rows in `data.train`: `aiops train` prepares them as the recipe says",
            f"or say in the recipe what it was prepared with: `aiops data show {folder}`",
        ],
    )


def _read_otherwise(recipe: Recipe, manifest: Manifest) -> Iterator[Difference]:
    """What decides how the samples are read: also where the recipe only has its defaults."""
    from .data.template import read_template
    from .data.tokenizer import read_tokenizer

    data = recipe.data
    tokenizer = read_tokenizer(Path(recipe.base))
    if manifest.inputs.get("tokenizer") != tokenizer.digest:
        yield ("base",), _other("the tokenizer of `base`", tokenizer.digest, manifest.inputs.get("tokenizer"))
    if manifest.form != "text":
        template = read_template(tokenizer, None if data.template is None else Path(data.template))
        digest = None if template is None else template.digest
        if manifest.inputs.get("template") != digest:
            key: Key = ("base",) if data.template is None else ("data", "template")
            whose = "of `base`" if data.template is None else "`data.template`"
            yield key, _other(f"the chat template {whose}", digest, manifest.inputs.get("template"))
    if manifest.form not in LEARNS[recipe.method]:
        words = f"`method: {recipe.method}` learns {' or '.join(LEARNS[recipe.method])}, its rows are {manifest.form}"
        yield ("method",), words
    elif data.form not in ("auto", manifest.form):
        yield ("data", "format"), f"`data.format` is `{data.form}`, its rows are {manifest.form}"
    if manifest.length != data.length:
        yield ("data", "length"), f"`data.length` is {data.length}, it was prepared with {manifest.length}"
    if manifest.packed != data.packing:
        state = "packed" if manifest.packed else "not packed"
        yield ("data", "packing"), f"`data.packing` is {str(data.packing).lower()}, it is {state}"
    loss = _done(manifest, "loss")
    if recipe.method == "sft" and manifest.form in LEARNS["sft"] and loss not in (None, data.loss):
        yield ("data", "loss"), f"`data.loss` is `{data.loss}`, it was prepared with `{loss}`"


def _other_files(data: DataPlan, manifest: Manifest) -> Iterator[Difference]:
    """Files that the recipe names beside."""
    from .data.preparation import listed, materials
    from .data.source import sources

    for key, paths in (("evaluation", data.evaluation), ("decontaminate", data.decontaminate)):
        if paths and listed(materials(sources(paths))) != manifest.inputs.get(key):
            yield ("data", key), f"`data.{key}` names other files than it was prepared with"


def _done_otherwise(recipe: Recipe, manifest: Manifest) -> Iterator[Difference]:
    """What the recipe wants done to the rows."""
    plain = DataPlan(recipe.data.train)
    for key in _ASKED:
        asked, done = getattr(recipe.data, key), _done(manifest, key)
        if key == "mask":
            left = sorted(set(asked) - set(done or ()))
            if left:
                yield ("data", key), f"`data.mask` names {', '.join(left)}, which was not masked in it"
        elif asked not in (getattr(plain, key), done):
            yield ("data", key), f"`data.{key}` is {asked}, it was prepared with {done}"


def _in_spite_of(data: DataPlan, manifest: Manifest) -> Iterator[Difference]:
    """Faults that were let pass for somebody else; of what is not said nothing is concluded."""
    from .data.tolerance import not_allowed

    met = not_allowed(manifest, data)
    if met is None:
        yield ("data", "train"), "it does not say which faults were allowed when it was prepared: prepare it again"
    elif met:
        said = ", ".join(f"{kind} ({count:,})" for kind, count in met.items())
        yield ("data", "allow"), f"`data.allow` does not name {said}, in spite of which it was prepared"


def _done(manifest: Manifest, key: str) -> Any:
    options = manifest.lineage.get("options")
    return options.get(key) if isinstance(options, dict) else None


def _other(what: str, asked: str | None, made: str | None) -> str:
    return f"{what} is {_short(asked)}, it was prepared with {_short(made)}"


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"
