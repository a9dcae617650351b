"""Making a run: recipe, base and prepared data become a Run; what its trainer renders, the contents of a folder."""

import json
from pathlib import Path

from aiops.layers.core.errors import InputError

from .compile import compile_run
from .data.dataset import EVALUATION, MANIFEST
from .data.identity import row_of
from .data.store import load, rows
from .plan.layout import layout_of
from .recipe import Recipe
from .recipe_text import document_of, yaml_of
from .run import Base, Cause, Prepared, Run, environment_of
from .run_document import Making, document
from .run_folder import Contents
from .trainer import Rendered, Trainer, inside_run


def prepared_of(folder: Path) -> Prepared:
    """Prepared data as a run sees it."""
    held_out = folder / EVALUATION
    return Prepared(str(folder), load(folder), load(held_out) if (held_out / MANIFEST).exists() else None)


def run_of(
    recipe: Recipe,
    name: str,
    *,
    base: Base,
    data: Prepared,
    code: str,
    trainer: Trainer,
    allowed: tuple[Cause, ...] = (),
) -> Run:
    """A run of a recipe. Pure.

    Args:
        recipe: Resolved.
        name: The recipe's and a number.
        base: What is tuned.
        data: What is learnt from.
        code: The digest of the trainer's code.
        trainer: Who trains.
        allowed: What may differ from what a checkpoint was written with.
    """
    layout = layout_of(recipe, data.manifest)
    return Run(
        name=name,
        folder=f"{recipe.folder.rstrip('/')}/{name}",
        recipe=recipe,
        base=base,
        data=data,
        code=code,
        steps=layout.steps or 1,
        total_tokens=layout.total_tokens or 0,
        world=layout.world,
        environment=environment_of(recipe, trainer.environment),
        allowed=allowed,
    )


def contents_of(run: Run, making: Making, rendered: Rendered, code: dict[str, bytes]) -> Contents:
    """What is put into a run's folder; its `write` raises InputError for a row that the trainer cannot be handed.

    Args:
        run: The run.
        making: What it is made of.
        rendered: What its trainer made of it.
        code: The trainer's own code, by name.
    """
    for path in (*rendered.files, *(one.file for one in rendered.exports)):
        if not inside_run(path):
            raise ValueError(f"the trainer {run.recipe.trainer} writes {path}, which is not its own to write")

    def write(folder: Path) -> None:
        for export in rendered.exports:
            source = Path(run.data.path)
            source = source / EVALUATION if export.part == "evaluation" else source
            target = folder / export.file
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("w", encoding="utf-8") as stream:
                for one in rows(source):
                    row = row_of(one["row"])
                    words = None if export.refuse is None else export.refuse(row)
                    if words is not None:
                        raise _refused(f"{one['file']}:{one['line']} {words}")
                    stream.write(json.dumps(dict(export.write(row)), ensure_ascii=False) + "\n")

    worker = run.worker.removeprefix(f"{run.folder}/")
    output = None if rendered.output is None else {"path": rendered.output, "bare": rendered.bare}
    return Contents(
        {**document(run, making), "output": output},
        yaml_of(document_of(run.recipe), f"{run.name}: all that it says, with what it extends and its defaults."),
        compile_run(run, rendered),
        rendered.files,
        {f"{worker}/{name}": content for name, content in code.items()},
        run.data.path,
        write,
    )


def _refused(words: str) -> InputError:
    return InputError(words, code="recipe.rows", hints=["leave such rows out, or train with another: `trainer: aiops`"])
