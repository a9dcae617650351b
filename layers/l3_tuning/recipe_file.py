"""recipe.yml: read with all its mistakes told at once, with lines, and compiled to a Recipe. Pure but for the reading.

The format is `RecipeDocument`; docs/reference/recipe.yml is its commented example.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.core.file import why_unreadable
from aiops.layers.core.places import Override, nearest
from aiops.layers.l2_jobs.mistake import mistakes

from .recipe import Adapter, CheckpointPlan, DataPlan, Evaluation, Handing, Placement, Recipe, Sharding, TrainPlan
from .recipe_chain import Chain, chain
from .recipe_conflicts import conflicts, missing
from .recipe_document import RecipeDocument
from .recipe_grammar import GRAMMAR
from .recipe_links import Reader, like_file, linked
from .recipe_text import digest_of, document_of, flat
from .shipped import shipped, shipped_text


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe.yml that is right, with those that it extends.

    Attributes:
        text: As it was written, without what the command line has changed.
        document: All of it as one.
        chain: Where each value stands.
        partial: What is missing before it can run; empty unless it was read with `partial`.
    """

    text: str = field(repr=False)
    document: RecipeDocument
    chain: Chain = field(repr=False)
    partial: tuple[Problem, ...] = ()


def recipe_text(path: Path, name: str) -> str:
    """The text of a recipe file.

    Raises:
        InputError: It cannot be read (`recipe.unreadable`).
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} cannot be read: {why_unreadable(error)}",
            code="recipe.unreadable",
            hints=["a commented example: `aiops recipe init`", "those that are shipped: `aiops recipe list`"],
        ) from error


def read_recipe(
    text: str,
    name: str,
    *,
    folder: str,
    overrides: Sequence[Override] = (),
    partial: bool = False,
    reader: Reader = lambda path: Path(path).read_text("utf-8"),
    called: str | None = None,
    here: str | None = None,
) -> RecipeFile:
    """The recipe that a text says.

    Args:
        text: A recipe.yml.
        name: The file's, for words about it.
        folder: Where relative paths in it begin.
        overrides: What the command line says instead.
        partial: Whether it may leave out what is needed to run, as shipped ones do.
        reader: Reads the files that it extends.
        called: The recipe's name where it says none.
        here: Where relative paths of the command line begin; as `folder` if none.

    Raises:
        InputError: It says something wrong; all mistakes together, with lines (`recipe.wrong`).
    """
    problems: list[Problem] = []
    links = linked(text, name, (folder, here or folder), overrides=overrides, problems=problems, reader=reader)
    if links is None:
        raise wrong_recipe(problems, name)
    whole = chain(links)
    document, spoiled = _document(whole, problems)
    if called is not None and document.name is None:
        document = document.model_copy(update={"name": called})
    gaps = [whole.problem(path, words, hint) for path, words, hint in missing(document) if path[0] not in spoiled]
    if not partial:
        problems += gaps
    if problems:
        raise wrong_recipe(problems, name)
    return RecipeFile(text, document, whole, tuple(gaps))


def load_recipe(what: str, folder: Path, overrides: Sequence[Override] = (), *, partial: bool = False) -> RecipeFile:
    """The recipe in a file, or a shipped one by its name.

    Raises:
        InputError: It cannot be read (`recipe.unreadable`), or says something wrong (`recipe.wrong`).
    """
    if what in shipped():
        return read_recipe(
            shipped_text(what), what, folder=str(folder), overrides=overrides, partial=partial, called=what
        )
    path = folder / Path(what).expanduser()
    if not path.exists() and not like_file(what):
        near = nearest(what, shipped())
        raise InputError(
            f"there is no file {what} and no shipped recipe of that name",
            code="recipe.unreadable",
            hints=[f"did you mean `{near}`?" if near else "those that are shipped: `aiops recipe list`"],
        )
    text = recipe_text(path, what)
    own = str(path.absolute().parent)
    return read_recipe(text, what, folder=own, overrides=overrides, partial=partial, here=str(folder))


def wrong_recipe(problems: Sequence[Problem], name: str) -> InputError:
    """The error that tells `problems` of a recipe."""
    count = len(problems)
    return InputError(
        f"{count} mistake{'s' * (count != 1)} in {name}",
        code="recipe.wrong",
        problems=sorted(problems, key=lambda one: (one.file != name, one.file or "", one.line or 0)),
        hints=["every key with an example is in docs/reference/recipe.yml, or `aiops recipe init`"],
    )


def _document(whole: Chain, problems: list[Problem]) -> tuple[RecipeDocument, frozenset[str]]:
    plain = whole.plain()
    spoiled: frozenset[str] = frozenset()
    try:
        document = RecipeDocument.model_validate(plain)
    except ValidationError as error:
        details = [dict(detail) for detail in error.errors(include_url=False)]
        problems.extend(mistakes(details, whole, GRAMMAR))
        spoiled = frozenset(str(detail["loc"][0]) for detail in error.errors(include_url=False))
        sound: dict[str, Any] = {key: value for key, value in plain.items() if key not in spoiled}
        document = RecipeDocument.model_validate({"aiops": 1, **sound})
    problems.extend(whole.problem(path, words, hint) for path, words, hint in conflicts(document, spoiled))
    return document, spoiled


def compile_recipe(file: RecipeFile) -> Recipe:
    """The recipe that a file describes; what is not said has its default. Pure."""
    document = file.document
    data, train, placement = document.data, document.train, document.placement
    handing, evaluation = document.register_, document.evaluation
    pretrain, cpu = document.method == "pretrain", placement.devices == 0
    ranks = placement.nodes * (placement.processes or max(placement.devices, 1))
    shared: Sharding = "ddp" if document.adapter.type != "none" or cpu else "fsdp"
    recipe = Recipe(
        name=document.name or "",
        base=document.base or "",
        method=document.method,
        data=DataPlan(
            train=tuple(data.train),
            evaluation=tuple(data.evaluation),
            held_out=data.held_out,
            form=data.format,
            template=data.template,
            length=data.length,
            long=data.long,
            packing=data.packing,
            loss=data.loss or ("all" if pretrain else "answer"),
            duplicates=data.duplicates,
            mask=tuple(dict.fromkeys(data.mask)),
            decontaminate=tuple(data.decontaminate),
            allow=tuple(dict.fromkeys(data.allow)),
        ),
        folder=document.folder or "",
        adapter=Adapter(
            document.adapter.type,
            document.adapter.rank,
            document.adapter.alpha,
            document.adapter.dropout,
            tuple(document.adapter.targets),
            document.adapter.layers,
        ),
        train=TrainPlan(
            **train.model_dump(exclude={"precision", "beta"}),
            precision=train.precision or ("fp32" if cpu else "bf16"),
            beta=0.1 if train.beta is None else train.beta,
        ),
        placement=Placement(
            **placement.model_dump(exclude={"sharding"}),
            sharding=placement.sharding or (shared if ranks > 1 else "none"),
        ),
        checkpoint=CheckpointPlan(document.checkpoint.every, document.checkpoint.keep),
        evaluation=Evaluation(evaluation.questions, evaluation.right or 0.0, evaluation.loss, evaluation.tokens),
        handing=Handing(handing.name, handing.alias, handing.merge, tuple(handing.gguf)),
        trainer=document.trainer,
        environment=document.environment,
        options=dict(document.options),
    )
    return replace(recipe, digest=digest_of(recipe))


def origins_of(file: RecipeFile, recipe: Recipe) -> dict[str, str]:
    """Where each value of a recipe comes from, by dotted key; defaults are left out."""
    found = {}
    for key, _ in flat(document_of(recipe)):
        origin = file.chain.origin(tuple(key.split(".")))
        if origin is not None:
            found[key] = origin
    return found
