"""`aiops recipe show`: all that a recipe says, and where each value comes from; or a run, and what came of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import InputError

from .planning import SetOption

if TYPE_CHECKING:
    from aiops.cli.screen import Screen

WhatArgument = Annotated[
    str, typer.Argument(metavar="NAME|FILE|RUN", help="A shipped recipe, a recipe.yml, or the folder of a run.")
]


def show(
    context: typer.Context,
    what: WhatArgument,
    *,
    sets: SetOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show all that a recipe says, and where each value comes from; of a run also where its tuned model is.

    An absolute path that is not here is looked for on the head.
    """
    from aiops.layers.l3_tuning.run_folder import RUN

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    place = Path(os.path.normpath(aiops.working_folder / Path(what).expanduser()))
    if (place / RUN).is_file():
        if sets:
            raise InputError(
                f"`--set` changes nothing of {what}, which is a run",
                code="usage.recipe",
                hints=["show its recipe changed: `aiops recipe show FILE --set KEY=VALUE`"],
            )
        return _run(screen, place)
    if Path(what).is_absolute() and not place.exists():
        passed = on_head(aiops, inventory)
        if passed is not None:
            return passed
    return _recipe(aiops, screen, what, sets or [])


def _recipe(aiops: App, screen: "Screen", what: str, sets: list[str]) -> int:
    from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe, origins_of
    from aiops.layers.l3_tuning.recipe_override import recipe_overrides
    from aiops.layers.l3_tuning.recipe_text import document_of

    file = load_recipe(what, aiops.working_folder, recipe_overrides(sets), partial=True)
    recipe = compile_recipe(file)
    found, origins, about = document_of(recipe), origins_of(file, recipe), file.document.about
    missing = [one.message for one in file.partial]
    if screen.json:
        screen.document(
            {
                "recipe": found,
                "digest": recipe.digest,
                "origins": origins,
                "about": None if about is None else about.model_dump(),
                "missing": missing,
            }
        )
        return Exit.DONE
    if about is not None:
        screen.note(f"{about.family} {about.size} · {about.proof}: {about.source}")
        if about.link:
            screen.note(about.link)
        screen.note("")
    _values(screen, found, origins)
    for words in missing:
        screen.note(f"{words}: `--set`, or a recipe.yml with `extends: {recipe.name}`")
    return Exit.DONE


def _values(screen: "Screen", found: dict[str, Any], origins: dict[str, str]) -> None:
    """Each value with where it comes from; what nobody says is a default."""
    from aiops.layers.l3_tuning.recipe_text import flat

    rows = []
    for key, one in flat(found):
        shown = ", ".join(map(str, one)) if isinstance(one, list) else str(one)
        if shown:
            rows.append((key, shown, origins.get(key, "default")))
    screen.table(("key", "value", "from"), rows)


def _run(screen: "Screen", place: Path) -> int:
    from aiops.layers.l3_tuning import run_folder, run_jobs
    from aiops.layers.l3_tuning.artefact import read_artefact
    from aiops.layers.l3_tuning.recipe_text import document_of
    from aiops.layers.l3_tuning.report import plot, read_curve, speed
    from aiops.layers.l3_tuning.run import METRICS

    written, making = run_folder.read(place)
    artefact, curve, jobs = read_artefact(place), read_curve(place / METRICS), run_jobs.jobs(place)
    if screen.json:
        screen.document(
            {
                "run": written["run"],
                "recipe": document_of(making.recipe),
                "digests": dict(making.digests),
                "origins": dict(making.origins),
                "allowed": list(making.allowed),
                "changes": [dict(one) for one in making.changes],
                "jobs": jobs,
                "steps": written["steps"],
                "step": curve[-1].step if curve else None,
                "loss": curve[-1].loss if curve else None,
                "tokens_per_second": speed(curve),
                "artefact": None
                if artefact is None
                else {"folder": str(artefact.folder), "passed": artefact.passed, "lineage": dict(artefact.lineage)},
            }
        )
        return Exit.DONE
    rows: list[tuple[str, Any]] = [
        ("run", written["run"]),
        ("folder", str(place)),
        ("jobs", ", ".join(jobs) or None),
        ("steps", f"{curve[-1].step if curve else 0:,} of {written['steps']:,}"),
        ("loss", f"{curve[0].loss:.4g} to {curve[-1].loss:.4g}" if curve else None),
        *((f"{cause} digest", digest[:16]) for cause, digest in making.digests.items()),
        *((f"changed: {one.get('what')}", "; ".join(one.get("details", ()))) for one in making.changes),
        ("tuned model", "none yet" if artefact is None else str(artefact.folder)),
    ]
    if artefact is not None:
        rows.append(("evaluation", artefact.verdict))
    screen.table(("", ""), [row for row in rows if row[1] is not None])
    for line in plot(curve) if screen.terminal else ():
        screen.line(line)
    screen.line("")
    _values(screen, document_of(making.recipe), dict(making.origins))
    if jobs:
        screen.hint(f"what its job has said: `aiops job logs {jobs[-1]}`")
    return Exit.DONE
