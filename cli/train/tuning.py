"""`aiops train RECIPE`: data check, prepare, plan, and the run as a job, each a line; then what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.layers.core.errors import ConflictError, FailedError, InputError

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.core.places import Override
    from aiops.layers.l3_tuning.data.preparation import Preparation
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.recipe_file import RecipeFile
    from aiops.layers.l3_tuning.run import Cause, Run
    from aiops.layers.l3_tuning.run_document import Making
    from aiops.layers.l3_tuning.trainer import Rendered, Trainer

BASES = "bases.json"
"""Below AIOPS_HOME: digests of files of bases."""


@dataclass(frozen=True)
class Asked:
    """A recipe as a command line asks for it.

    Attributes:
        what: A file, or a shipped recipe's name.
        text: What stands in the file; None for a shipped one.
        folder: Where relative paths in it begin.
        overrides: What the command line says instead.
        resume: Whether its newest run goes on.
        allowed: What may have changed since.
        stdin: Whether it came on stdin, so that the command line names no file.
    """

    what: str
    text: str | None
    folder: str
    overrides: "tuple[Override, ...]" = ()
    resume: bool = False
    allowed: "tuple[Cause, ...]" = ()
    stdin: bool = False


@dataclass(frozen=True)
class Ready:
    """A run whose folder is whole.

    Attributes:
        again: Whether it goes on.
        done: Whether nothing is left but to hand on what came of it.
    """

    run: "Run"
    rendered: "Rendered"
    place: Path
    job: str = field(repr=False)
    again: bool
    done: bool = False


def read(aiops: App, asked: Asked, *, partial: bool = False) -> "tuple[RecipeFile, Recipe]":
    """The recipe.

    Raises:
        InputError: It is wrong; all mistakes together, with lines.
    """
    from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe, read_recipe

    here = aiops.working_folder
    if asked.text is None:
        file = load_recipe(asked.what, here, asked.overrides, partial=partial)
    else:
        file = read_recipe(
            asked.text, asked.what, folder=asked.folder, overrides=asked.overrides, partial=partial, here=str(here)
        )
    return file, compile_recipe(file)


def trainer_for(aiops: App, file: "RecipeFile", recipe: "Recipe") -> "Trainer":
    """Who trains it.

    Raises:
        InputError: There is no such trainer, or it cannot do what the recipe asks; all of it together, with lines.
    """
    from aiops.layers.l2_jobs.mistake import dotted
    from aiops.layers.l3_tuning.base_digest import known_config
    from aiops.layers.l3_tuning.recipe_file import wrong_recipe
    from aiops.layers.l3_tuning.trainer import refusals, trainer_named, trainers_of

    trainer = trainer_named(trainers_of(aiops.plugins), recipe.trainer)
    wrong = refusals(recipe, trainer, known_config(recipe.base))
    if wrong:
        problems = [file.chain.problem(one.path, f"`{dotted(one.path)}` {one.words}", one.hint) for one in wrong]
        raise wrong_recipe(problems, file.chain.links[0].file)
    return trainer


@dataclass(frozen=True)
class _Source:
    """The data that a recipe asks for, before it is prepared.

    Attributes:
        preparation: What is to be made; None where `data.train` names a folder that `aiops data prepare` made.
        inputs: By name the digest of each thing that it is made of.
    """

    folder: Path
    digest: str
    inputs: "Mapping[str, str]"
    preparation: "Preparation | None"


def ready(aiops: App, screen: "Screen", asked: Asked, inventory: Path | None) -> Ready:
    """All that comes before the job: data is checked and prepared, the plan judged, the run's folder made.

    Raises:
        InputError: The recipe, its data or its base is wrong.
        ConflictError: A run that is to go on was made of something else (`run.changed`).
        FailedError: It does not fit, or the run cannot be made.
    """
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.base_digest import read_base
    from aiops.layers.l3_tuning.data_gate import require_fitting
    from aiops.layers.l3_tuning.recipe_file import origins_of
    from aiops.layers.l3_tuning.run_document import Making, code_digest
    from aiops.layers.l3_tuning.run_making import contents_of, prepared_of, run_of

    file, recipe = read(aiops, asked)
    trainer = trainer_for(aiops, file, recipe)
    folder = Path(recipe.folder)
    old = run_folder.newest(folder, recipe.name) if asked.resume else None
    with screen.step("base") as step:

        def told(done: int, whole: int) -> None:
            step.summary = f"{done / 2**30:.1f}/{whole / 2**30:.1f} GiB"

        base, base_files = read_base(recipe.base, aiops.home / BASES, told)
        step.summary = f"{base.config.get('model_type', 'a model')}, {base.digest[:12]}"
    source = _source(recipe)
    code = dict(trainer.code())
    digest, code_files = code_digest(code, trainer.name)
    digests: dict[Cause, str] = {"base": base.digest, "data": source.digest, "recipe": recipe.digest, "code": digest}
    making = Making(digests, recipe, base_files, dict(source.inputs), code_files, origins=origins_of(file, recipe))
    if old is not None:
        making, code = _going_on(aiops, asked, old, making, code)
    data = prepared_of(_prepared(screen, recipe, source))
    require_fitting(recipe.method, data.manifest.form)
    _plan(aiops, screen, recipe, data.path, inventory)

    def rendered_as(name: str) -> "tuple[Run, Rendered, run_folder.Contents]":
        run = run_of(
            making.recipe,
            name,
            base=base,
            data=data,
            code=making.digests["code"],
            trainer=trainer,
            allowed=making.allowed,
        )
        rendered = trainer.render(run)
        return run, rendered, contents_of(run, making, rendered, code)

    if old is None:
        with run_folder.making(folder, recipe.name) as name:
            run, rendered, contents = rendered_as(name)
            run_folder.make(folder / name, contents)
        return Ready(run, rendered, folder / name, contents.job, again=False)
    run, rendered, contents = rendered_as(old.name)
    done = (old / "artefact" / "lineage.json").exists() and not asked.allowed
    if not done:
        run_folder.remake(old, contents)
    return Ready(run, rendered, old, contents.job, again=True, done=done)


def _going_on(
    aiops: App, asked: Asked, place: Path, new: "Making", code: dict[str, bytes]
) -> "tuple[Making, dict[str, bytes]]":
    """What a run that goes on is made of from now on, and its code.

    Raises:
        ConflictError: Something that it was made of changed, and is not allowed to (`run.changed`).
    """
    from dataclasses import replace

    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.resume import changes, going_on, refused
    from aiops.layers.l3_tuning.run_document import code_digest

    _, old = run_folder.read(place)
    if "code" not in asked.allowed:
        # A run keeps its code: it goes on with that, not with what an upgrade has brought, unless that is asked for.
        code = run_folder.kept_code(place, old.digests["code"])
        digest, files = code_digest(code, new.recipe.trainer)
        new = replace(new, digests={**new.digests, "code": digest}, code_files=files)
    found = changes(old, new)
    wrong = refused(found, asked.allowed, place.name)
    if wrong is not None:
        raise wrong
    at = aiops.clock.now().isoformat(timespec="seconds")
    return going_on(old, new, found, asked.allowed, at), code


def _source(recipe: "Recipe") -> _Source:
    """The data of a recipe; its files are read to be hashed, and nothing is written."""
    from aiops.layers.l3_tuning.data.preparation import preparation_of
    from aiops.layers.l3_tuning.plan.data_folder import prepared

    whole = prepared(recipe.data.train)
    if whole is not None:
        return _Source(Path(recipe.data.train[0]), whole.digest, whole.inputs, None)
    preparation = preparation_of(recipe.data, recipe.base)
    folder = Path(recipe.folder) / "data" / preparation.digest
    return _Source(folder, preparation.digest, preparation.inputs, preparation)


def _prepared(screen: "Screen", recipe: "Recipe", source: _Source) -> Path:
    """The folder of prepared data, checked and made where it is not there yet."""
    from aiops.layers.l3_tuning.data.production import produce
    from aiops.layers.l3_tuning.data.store import prepared
    from aiops.layers.l3_tuning.data_gate import checked

    if source.preparation is None:
        return source.folder
    with screen.step("data check") as step:

        def told(rows: int, _bytes: int) -> None:
            step.summary = f"{rows:,} rows"

        there = prepared(source.folder.parent, source.digest)
        if there is None:
            report = checked(recipe.data, recipe.base, told)
            noted = sum(report.counts[kind] for kind in report.kinds)
            step.summary = f"{report.rows:,} rows of {report.form}" + (f", {noted:,} remarks" if noted else "")
        else:
            step.summary = f"{there.rows:,} rows of {there.form}, checked before"
    with screen.step("prepare") as step:
        manifest = there or produce(source.preparation, source.folder.parent)
        step.summary = f"{manifest.samples:,} samples, {manifest.tokens:,} tokens, {source.digest[:12]}"
    return source.folder


def _plan(aiops: App, screen: "Screen", recipe: "Recipe", data: str, inventory: Path | None) -> None:
    """Judge whether it fits; nothing starts that surely does not.

    Raises:
        FailedError: It does not fit, or nodes do not agree (`plan.refused`).
    """
    from dataclasses import replace

    from aiops.cli.recipe.planning import planned

    seen = replace(recipe, data=replace(recipe.data, train=(data,)))
    plan = planned(aiops, screen, seen, None, inventory)
    with screen.step("plan") as step:
        limit = "" if plan.room.limit is None else f" of {plan.room.limit / 2**30:.1f}"
        step.summary = f"{plan.verdict}: {plan.estimate.total.likely / 2**30:.1f}{limit} GiB each"
    wrong = [f"{one.subject}: {one.words}" for one in plan.bad]
    if plan.verdict == "does not fit" or wrong:
        raise FailedError(
            "; ".join(["it does not fit"] * (plan.verdict == "does not fit") + wrong) + "; nothing was started",
            code="plan.refused",
            hints=["see why, and what to change: `aiops recipe plan` with the same recipe and options"],
        )


def wish_of(found: Ready) -> dict[str, Any]:
    """What is handed in of a run: its job.yml."""
    from aiops.layers.l3_tuning import run_folder

    overrides = {}
    if found.again and run_folder.has_checkpoints(found.place, found.rendered.checkpoints):
        overrides["resume"] = True
    name = str(found.place / run_folder.JOB)
    return {"text": found.job, "file": name, "folder": str(found.place), "overrides": overrides}


def require_free(desk: Any, found: Ready) -> None:
    """Refuse to run what a job runs already.

    Raises:
        ConflictError: One does.
    """
    from aiops.cli.job.following import AT_REST
    from aiops.layers.core.errors import NotFoundError
    from aiops.layers.l3_tuning import run_folder

    for job in run_folder.jobs(found.place)[-1:]:
        try:
            state = desk.ask("standing", job=job)["state"]
        except NotFoundError:
            continue  # of another store, or forgotten
        if state not in AT_REST:
            raise ConflictError(
                f"{found.run.name} goes on already: {job} is {state}",
                code="run.alive",
                hints=[f"follow it: `aiops job logs -f {job}`", f"or end it first: `aiops job cancel {job}`"],
            )


def finish(aiops: App, screen: "Screen", place: Path, *, succeeded: bool) -> int:
    """What came of a run: its curve, its report, and the tuned model handed on; the exit code.

    Raises:
        FailedError: The tuned model did not pass its evaluation, or is not whole.
    """
    from aiops.layers.l3_tuning.artefact import hand_on
    from aiops.layers.l3_tuning.report import plot, read_curve, speed
    from aiops.layers.l3_tuning.reporting import write_report
    from aiops.layers.l3_tuning.sealing import sealed

    curve = read_curve(place / "metrics.jsonl")
    if not screen.json:
        for line in plot(curve):
            screen.note(f"  {line}")
        if curve:
            pace = speed(curve)
            fast = "" if pace is None else f", {pace:,.0f} tokens/s"
            screen.note(f"  loss {curve[0].loss:.4g} to {curve[-1].loss:.4g} in {curve[-1].step:,} steps{fast}")
    artefact = sealed(place, aiops.clock.now()) if succeeded else None
    report = write_report(place, curve, artefact)
    screen.note(f"  report: {aiops.nickname(str(report))}")
    if not succeeded:
        return Exit.FAILED
    if artefact is None:
        raise FailedError(
            f"{place.name} has ended without a tuned model: there is no {place}/artefact/lineage.json",
            code="artefact.missing",
            hints=[f"see what it has said: `aiops recipe show {place}`"],
        )
    told = hand_on(artefact, aiops.plugins)
    screen.note(f"  tuned model: {artefact.folder}")
    for words in told:
        screen.note(f"  {words}")
    return Exit.DONE


def flattened(file: "RecipeFile", recipe: "Recipe") -> str:
    """A recipe as text that stands alone, for another machine."""
    from aiops.layers.l3_tuning.recipe_text import document_of, yaml_of

    return file.text if len(file.chain.links) == 1 else yaml_of(document_of(recipe))


def causes_of(words: Sequence[str]) -> "tuple[Cause, ...]":
    """What `--allow-changed` names.

    Raises:
        InputError: It names something else.
    """
    from aiops.layers.core.places import nearest
    from aiops.layers.l3_tuning.run import CAUSES

    for word in words:
        if word not in CAUSES:
            near = nearest(word, CAUSES)
            raise InputError(
                f"`--allow-changed {word}`: what may change is {', '.join(CAUSES)}",
                code="usage.recipe",
                hints=[f"did you mean `{near}`?"] if near else (),
            )
    return tuple(one for one in CAUSES if one in words)


def overrides_for(
    sets: Sequence[str],
    *,
    nodes: str | None,
    engine: str | None,
    priority: int | None,
    queue: str | None,
    max_restarts: int | None,
) -> "tuple[Override, ...]":
    """The options of `aiops train` as overrides of a recipe.

    Raises:
        InputError: One of them makes no sense for a recipe.
    """
    from aiops.layers.core.places import Override
    from aiops.layers.l2_jobs.job_override import overrides_of

    if max_restarts is not None:
        raise InputError(
            "`--max-restarts` is of job files, and a recipe is named",
            code="usage.recipe",
            hints=["a recipe's job follows aiops' own budget: leave it out"],
        )
    found = list(overrides_of(sets))
    given = (("nodes", nodes), ("engine", engine), ("priority", priority), ("queue", queue))
    found += [Override(("placement", key), str(value), f"--{key} {value}") for key, value in given if value is not None]
    return tuple(found)
