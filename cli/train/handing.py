"""Handing in: what is done alike with a job file and with a recipe's job."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.counter import knock
from aiops.cli.exit import Exit
from aiops.cli.head import JOB_FILE
from aiops.layers.core.errors import ConflictError

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen

STDIN = "-"


def ask(desk: "Counter", wish: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Ask for something; the answer, with the number of the last decision that is known."""
    asked: dict[str, Any] = desk.ask(wish[0], **wish[1])
    known = desk.ask("standing", job=asked["job"])["decisions"]
    return {**asked, "after": max((one["number"] for one in known), default=0) if wish[0] == "resume" else 0}


def read_named(aiops: App, file: str) -> tuple[str, str, str]:
    """What a job file is called, where relative paths in it begin, and its text.

    Raises:
        InputError: It cannot be read.
    """
    from aiops.layers.l2_jobs.job_file import job_text

    if file == STDIN:
        named = aiops.environment.get(JOB_FILE)
        folder = Path(named).parent if named else aiops.working_folder
        return Path(named).name if named else "stdin", str(folder), aiops.stdin.read()
    path = aiops.working_folder / Path(file).expanduser()
    return file, str(path.parent), job_text(path, file)


def require_controller(aiops: App) -> None:
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


def tell_detached(screen: "Screen", job: str, *, about: dict[str, Any] | None = None, again: str | None = None) -> None:
    """Say that a job was handed in, and where it is found again.

    Args:
        screen: Where.
        job: Its id.
        about: What stands in the document too.
        again: What hands on what came of it; None for a job that is no recipe's.
    """
    if screen.json:
        screen.document({**(about or {}), "job": job})
        return
    screen.line(job)
    screen.hint(f"follow it: `aiops job logs -f {job}`")
    if again is not None:
        screen.hint(f"once it has ended, hand its model on: `{again}`")


def left(screen: "Screen", words: list[str], cut: KeyboardInterrupt) -> Exit:
    """A job was left by Ctrl-C, as we say that one may: no error, unless somebody waits for a document of its end."""
    if screen.json:
        cut.__notes__ = words
        raise cut
    screen.note(f"detached: {words[0]}")
    for hint in words[1:]:
        screen.hint(hint)
    return Exit.INTERRUPTED


def come_back(aiops: App, job: str, again: str | None = None) -> list[str]:
    """Where a job is found again that was left by Ctrl-C; `again` hands on what came of a recipe's."""
    end = [] if again is None else [f"once it has ended, hand its model on: `{again}`"]
    door = knock(aiops)
    if door is not None:
        door.close()
        return [f"{job} goes on; come back with `aiops job logs -f {job}`", *end]
    return [
        f"{job} goes on, but nobody decides about it now: if it fails it stays so",
        f"take it up again with `aiops job wait {job}`, or `aiops controller run`",
        *end,
    ]
