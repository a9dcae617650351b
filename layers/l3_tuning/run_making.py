"""Making a run: recipe, base and prepared data become a Run; what its trainer renders, the contents of a folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

from aiops.layers.core.errors import InputError
from aiops.layers.core.file import replacing

from .compile import compile_run
from .data.dataset import EVALUATION
from .data.identity import row_of
from .data.prepared_rows import rows
from .data.store import load, whole
from .plan.layout import layout_of
from .plan.machine import Machine, simulated_upon
from .recipe import Recipe
from .recipe_text import digest_of, document_of, yaml_of
from .run import Base, Cause, Prepared, Run, environment_of
from .run_document import Making, document
from .run_folder import Contents
from .trainer import Rendered, Trainer, inside_run


def prepared_of(folder: Path) -> Prepared:
    """Prepared data as a run sees it.

    Raises:
        NotFoundError: There is none.
        FailedError: A file of it is missing or has another length.
    """
    manifest = whole(folder)
    held_out = any(name.startswith(f"{EVALUATION}/") for name in manifest.files)
    return Prepared(str(folder), manifest, load(folder / EVALUATION) if held_out else None)


def with_questions(recipe: Recipe) -> tuple[Recipe, str | None]:
    """A recipe with the digest of all that decides what is learnt, and the sha256 of its evaluation's questions.

    They are hashed by what stands in them: another path or time is the same, another answer is not.

    Raises:
        InputError: They cannot be read (`recipe.questions`).
    """
    asked = recipe.evaluation.questions
    if asked is None:
        return recipe, None
    try:
        with Path(asked).open("rb") as stream:
            found = file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"`evaluation.questions` names {asked}, which cannot be read: {error.strerror or error}",
            code="recipe.questions",
            hints=["a file of prompt/completion rows, or leave it out"],
        ) from error
    return replace(recipe, digest=digest_of(recipe, found)), found


def run_of(
    recipe: Recipe,
    name: str,
    *,
    base: Base,
    data: Prepared,
    code: str,
    trainer: Trainer,
    allowed: tuple[Cause, ...] = (),
    machines: Sequence[Machine] = (),
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
        machines: What nodes have said when it was planned.
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
        simulated=simulated_upon(recipe, machines),
    )


def contents_of(run: Run, making: Making, rendered: Rendered, code: dict[str, bytes]) -> Contents:
    """What is put into a run's folder; its `write` raises InputError for a row that the trainer cannot be handed.

    Args:
        run: The run.
        making: What it is made of.
        rendered: What its trainer made of it.
        code: The trainer's own code, by name.
    """
    places = [rendered.checkpoints, *([] if rendered.output is None else [rendered.output])]
    for path in (*rendered.files, *(one.file for one in rendered.exports), *places):
        if not inside_run(path):
            raise ValueError(f"the trainer {run.recipe.trainer} writes {path}, which is not its own to write")

    def write(folder: Path) -> None:
        for export in rendered.exports:
            source = Path(run.data.path)
            source = source / EVALUATION if export.part == "evaluation" else source
            target = folder / export.file
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target, 0o644) as stream:
                for one in rows(source):
                    row = row_of(one["row"])
                    words = None if export.refuse is None else export.refuse(row)
                    if words is not None:
                        raise _refused(f"{one['file']}:{one['line']} {words}")
                    stream.write((json.dumps(dict(export.write(row)), ensure_ascii=False) + "\n").encode())

    worker = run.worker.removeprefix(f"{run.folder}/")
    output = None
    if rendered.output is not None:
        output = {"path": rendered.output, "bare": rendered.bare, "own_template": rendered.own_template}
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
