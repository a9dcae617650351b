"""`aiops train`: hand in a job file, or go on with a job, and follow it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.controller.embedding import deciding, planned
from aiops.cli.counter import knock
from aiops.cli.exit import Exit
from aiops.cli.head import JOB_FILE, on_head
from aiops.cli.options import DryRunOption, InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import ConflictError, InputError

from .screen import follow

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen

_STDIN = "-"


def train(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="[JOB.yml]", help="The job file; `-` reads it from stdin.")
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
    nodes: Annotated[str | None, typer.Option("--nodes", metavar="N", help="On N nodes, or `2-4`.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", metavar="NAME", help="By `ssh` or `slurm`.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Instead of what the file says, e.g. `limits.time=2d`."),
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", metavar="P", help="0 to 100; more goes first.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", metavar="NAME", help="In this queue.")] = None,
    max_restarts: Annotated[
        int | None, typer.Option("--max-restarts", metavar="N", help="So many restarts for each cause of faults.")
    ] = None,
    dry_run: DryRunOption = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and do not follow.")] = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Start a job and follow it; Ctrl-C detaches, and the job goes on. 1 when it fails or is held.

    With `--resume` go on with one that is held, has failed or has ended; with a job file too, start a new one from what
    lies in the folder of its checkpoints. Where no controller runs, this is one as long as it follows the job.
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
    if file is None:
        passed = on_head(aiops, inventory)
        if passed is not None:
            return passed
        wish: tuple[str, dict[str, Any]] = ("resume", {"job": job, "step": step})
    else:
        said |= {"resume": True} if resume else {}
        name, folder, text = _read(aiops, file)
        passed = on_head(aiops, inventory, text=text, file=None if file == _STDIN else Path(file))
        if passed is not None:
            return passed
        wish = ("submit", {"text": text, "file": name, "folder": folder, "overrides": said})
    if dry_run:
        return _dry(aiops, screen, inventory, wish[1])
    if detach:
        _require_controller(aiops)
    asked: dict[str, Any] = {}
    try:
        with deciding(aiops, screen, inventory) as desk:
            asked = _ask(desk, wish)
            if detach:
                _detached(screen, asked["job"])
                return Exit.DONE
            return follow(desk, screen, aiops.clock, asked, resumed=file is None)
    except KeyboardInterrupt as cut:
        if asked:
            return _left(screen, _come_back(aiops, asked["job"]), cut)
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


def _ask(desk: "Counter", wish: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    asked: dict[str, Any] = desk.ask(wish[0], **wish[1])
    known = desk.ask("standing", job=asked["job"])["decisions"]
    return {**asked, "after": max((one["number"] for one in known), default=0) if wish[0] == "resume" else 0}


def _read(aiops: App, file: str) -> tuple[str, str, str]:
    """What a job file is called, where relative paths in it begin, and its text.

    Raises:
        InputError: It cannot be read.
    """
    from aiops.layers.l2_jobs.job_file import job_text

    if file == _STDIN:
        named = aiops.environment.get(JOB_FILE)
        folder = Path(named).parent if named else aiops.working_folder
        return Path(named).name if named else "stdin", str(folder), aiops.stdin.read()
    path = aiops.working_folder / Path(file).expanduser()
    return file, str(path.parent), job_text(path, file)


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


def _require_controller(aiops: App) -> None:
    """Refuse to leave a job to nobody.

    Raises:
        ConflictError: No controller runs.
    """
    door = knock(aiops)
    if door is None:
        raise ConflictError(
            "no controller runs that a job could be left to",
            code="controller.none",
            hints=["start one: `aiops controller run`", "or follow the job, without `--detach`"],
        )
    door.close()


def _detached(screen: "Screen", job: str) -> None:
    if screen.json:
        screen.document({"job": job})
        return
    screen.line(job)
    screen.hint(f"follow it: `aiops job logs -f {job}`")


def _left(screen: "Screen", words: list[str], cut: KeyboardInterrupt) -> Exit:
    """A job was left by Ctrl-C, as we say that one may: no error, unless somebody waits for a document of its end."""
    if screen.json:
        cut.__notes__ = words
        raise cut
    screen.note(f"detached: {words[0]}")
    for hint in words[1:]:
        screen.hint(hint)
    return Exit.INTERRUPTED


def _come_back(aiops: App, job: str) -> list[str]:
    """Where a job is found again that was left by Ctrl-C."""
    door = knock(aiops)
    if door is not None:
        door.close()
        return [f"{job} goes on; come back with `aiops job logs -f {job}`"]
    return [
        f"{job} goes on, but nobody decides about it now: if it fails it stays so",
        f"take it up again with `aiops job wait {job}`, or `aiops controller run`",
    ]
