"""`aiops train`: hand in a job file, or go on with a job, and follow it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.controller.embedding import deciding, planned
from aiops.cli.counter import knock
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import DryRunOption, InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import InputError

from .asked import overrides_for
from .handing import STDIN, ask, come_back, left, require_controller, tell_detached
from .options import AllowChangedOption, DetachOption, EngineOption, NodesOption, PriorityOption, QueueOption
from .running import asked_of, named, tune
from .screen import follow

if TYPE_CHECKING:
    from aiops.cli.screen import Screen


def train(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB.yml|RECIPE]", help="A job file, a recipe.yml or a shipped recipe; `-` reads it from stdin."
        ),
    ] = None,
    *,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a job, or begin a new one, from the newest verified checkpoint that is there."
        ),
    ] = False,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="With --resume and no file: this job. [your newest]")
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", metavar="N", min=0, help="With --resume: from the checkpoint of step N.")
    ] = None,
    nodes: NodesOption = None,
    engine: EngineOption = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Instead of what the file says, e.g. `limits.time=2d`."),
    ] = None,
    priority: PriorityOption = None,
    queue: QueueOption = None,
    max_restarts: Annotated[
        int | None, typer.Option("--max-restarts", metavar="N", help="So many restarts for each cause of faults.")
    ] = None,
    allow_changed: AllowChangedOption = None,
    dry_run: DryRunOption = False,
    detach: DetachOption = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Start a job and follow it; Ctrl-C detaches, and the job goes on. 1 when it fails or is held.

    A recipe is run: its data is checked and prepared, the plan judged, and it becomes a job; then the tuned model is
    handed on. With `--resume` go on with a job that is held, has failed or has ended; with a job file too, start a new
    one from what lies in the folder of its checkpoints; with a recipe its newest run goes on. Where no controller runs,
    this is one as long as it follows the job.
    """
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    overrides = {
        "sets": list(sets or ()),
        "nodes": nodes,
        "engine": engine,
        "priority": priority,
        "queue": queue,
        "max_restarts": max_restarts,
    }
    said = {name: value for name, value in overrides.items() if value not in (None, [])}
    _require_sense(file, resume=resume, job=job, step=step, dry_run=dry_run, said=said)
    read = None if file is None else named(aiops, file)
    if read is not None and read.recipe:
        wishes = overrides_for(
            sets or (), nodes=nodes, engine=engine, priority=priority, queue=queue, max_restarts=max_restarts
        )
        wanted = asked_of(read, wishes, allow_changed or (), resume=resume)
        return tune(aiops, screen, wanted, inventory, dry_run=dry_run, detach=detach)
    if allow_changed:
        raise InputError(
            "`--allow-changed` is for a recipe's run that goes on",
            code="usage.recipe",
            hints=["`aiops train --resume recipe.yml --allow-changed data`"],
        )
    if file is None or read is None:
        passed = on_head(aiops, inventory)
        if passed is not None:
            return passed
        wish: tuple[str, dict[str, Any]] = ("resume", {"job": job, "step": step})
    else:
        said |= {"resume": True} if resume else {}
        passed = on_head(aiops, inventory, text=read.text, file=None if file == STDIN else Path(file))
        if passed is not None:
            return passed
        wish = ("submit", {"text": read.text, "file": read.name, "folder": read.folder, "overrides": said})
    return _run(aiops, screen, inventory, wish, dry_run=dry_run, detach=detach)


def _run(
    aiops: App,
    screen: "Screen",
    inventory: Path | None,
    wish: tuple[str, dict[str, Any]],
    *,
    dry_run: bool,
    detach: bool,
) -> int:
    if dry_run:
        return _dry(aiops, screen, inventory, wish[1])
    if detach:
        require_controller(aiops)
    asked: dict[str, Any] = {}
    try:
        with deciding(aiops, screen, inventory) as desk:
            asked = ask(desk, wish)
            if detach:
                tell_detached(screen, asked["job"])
                return Exit.DONE
            code, document = follow(desk, screen, aiops.clock, asked, resumed=wish[0] == "resume")
            if screen.json:
                screen.document(document)
            return code
    except KeyboardInterrupt as cut:
        if asked:
            return left(screen, come_back(aiops, asked["job"]), cut)
        raise


def _dry(aiops: App, screen: "Screen", inventory: Path | None, words: dict[str, Any]) -> int:
    """Say what would run; nothing is changed."""
    door = knock(aiops)
    if door is not None:
        plan = door.ask("plan", **words)
        door.close()
    else:
        plan = planned(aiops, screen, inventory, words)
    if screen.json:
        screen.document(plan["document"])
    else:
        for line in plan["lines"]:
            screen.line(line)
    return Exit.DONE


def _require_sense(
    file: str | None, *, resume: bool, job: str | None, step: int | None, dry_run: bool, said: dict[str, Any]
) -> None:
    """Refuse options that do not go together.

    Raises:
        InputError: Some do not, with what would.
    """
    if resume and file is not None and (job is not None or step is not None):
        raise InputError(
            f"`--job` and `--step` go on with a job as it was submitted, and {file} is named too",
            code="usage.resume",
            hints=[
                "`aiops train --resume --job JOB` for that job",
                f"`aiops train --resume {file}` for a new one from the newest checkpoint that is there",
            ],
        )
    if resume and file is None and dry_run:
        raise InputError(
            "`--dry-run` shows what a job file would do, and `--resume` names none",
            code="usage.resume",
            hints=["what there is to go on with: `aiops job list --all`, `aiops job show JOB`"],
        )
    if resume and file is None and said:
        raise InputError(
            "`--resume` changes nothing of a job",
            code="usage.resume",
            hints=["only `--job` and `--step` go with it; start a new job to change one"],
        )
    if not resume and (job is not None or step is not None):
        raise InputError(
            "`--job` and `--step` go with `--resume`", code="usage.resume", hints=["`aiops train --resume --job JOB`"]
        )
    if not resume and file is None:
        raise InputError(
            "nothing is named that could be run",
            code="usage.job",
            hints=["start a job: `aiops train job.yml`", "go on with your newest: `aiops train --resume`"],
        )
