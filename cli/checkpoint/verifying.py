"""`aiops checkpoint verify`: which are good, as closely as is asked."""

import shlex
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption, YesOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError

from .place import FormatOption, NodeOption, Place, WhereArgument, found, named_job, place
from .table import nothing, show, spelled, verdict

if TYPE_CHECKING:
    from aiops.cli.step import Step
    from aiops.layers.l2_jobs.checkpoint.reader import Seen, Told

_MOST = 3
LevelOption = Annotated[
    int,
    typer.Option(
        "--level", metavar="N", help="0 marker, 1 structure, 2 manifest, 3 loaded by the job's Python too (`--python`)."
    ),
]
StepOption = Annotated[int | None, typer.Option("--step", metavar="N", help="Only the one of this step.")]
PythonOption = Annotated[
    str, typer.Option("--python", metavar="COMMAND", help="The job's Python, with torch, for level 3.")
]
AsideOption = Annotated[
    bool, typer.Option("--set-aside", help="Rename bad ones to NAME.bad-TIME, with the reason beside; asks before.")
]


def verify(
    context: typer.Context,
    where: WhereArgument,
    *,
    level: LevelOption = 2,
    step: StepOption = None,
    python: PythonOption = "python3",
    aside: AsideOption = False,
    on: NodeOption = None,
    format_: FormatOption = "auto",
    inventory: InventoryOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Verify checkpoints, the newest first. Ends with 4 when one is bad, with 3 when one could not be read."""
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Level, age_key, newest

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory) if named_job(where) else None
    if passed is not None:
        return passed
    if not 0 <= level <= _MOST:
        raise InputError(f"there is no level {level}", code="checkpoint.level", hints=["levels are 0, 1, 2 and 3"])
    counter = _Counter()
    with place(aiops, found(aiops, where, format_, on), inventory, counter.add) as there:
        with screen.step("verify") as shown:
            counter.step = shown
            seen = _looked(there, counter, min(Level(level), Level.MANIFEST), step)
            checkpoints = {id(one): one.checkpoint for one in seen}
            if level == Level.TRIAL:
                from aiops.layers.l2_jobs.checkpoint.trial import tried

                shown.summary = "loading"
                checkpoints = {id(one): tried(there.transport, shlex.split(python), one) for one in seen}
        if not seen:
            if step is None:
                raise nothing(there.where.path)
            raise InputError(
                f"there is no checkpoint of step {step:,} at {there.where.path}",
                code="checkpoint.none",
                hints=[f"see which there are: `aiops checkpoint list {where}{f' --on {on}' if on else ''}`"],
            )
        told = sorted(checkpoints.values(), key=age_key, reverse=True)
        show(screen, there.where.path, told)
        best = newest(told)
        if level >= Level.STRUCTURE:
            screen.note("no good one" if best is None else f"newest good: {best.path}")
        if aside:
            _set_aside(aiops, screen, there, [one for one in seen if one.checkpoint.state == "bad"], yes=yes)
        elif any(one.state == "bad" for one in told):
            screen.hint(
                f"rename bad ones, so that nobody goes on from them: `aiops checkpoint verify {where} --set-aside`"
            )
    return verdict(told)


class _Counter:
    """What is hashed, told on a step; from several threads."""

    def __init__(self) -> None:
        self.step: Step | None = None
        self._bytes = 0
        self._where = ""
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """So many more bytes."""
        with self._lock:
            self._bytes += size
            self._tell()

    def next(self, told: "Told") -> None:
        """Another checkpoint is begun."""
        with self._lock:
            self._where = f"{told.number} of {told.of}"
            self._tell()

    def _tell(self) -> None:
        if self.step is not None:
            self.step.summary = f"{self._where}, {spelled(self._bytes)} hashed" if self._bytes else self._where


def _looked(there: Place, counter: _Counter, level: "int", step: int | None) -> "list[Seen]":
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
    from aiops.layers.l2_jobs.checkpoint.reader import Reader

    reader = Reader(there.surveyor, there.formats, progress=counter.next)
    return list(reader.each(there.where.path, Level(level), step))


def _set_aside(aiops: App, screen: Screen, there: Place, bad: "list[Seen]", *, yes: bool) -> None:
    from aiops.layers.l2_jobs.checkpoint.keeper import set_aside

    if not bad:
        screen.note("nothing is to be set aside")
        return
    names = ", ".join(one.checkpoint.path for one in bad)
    if not screen.confirm(f"Set {names} aside?", yes=yes):
        screen.note("nothing was changed")
        return
    for one in bad:
        done = set_aside(there.surveyor, one, aiops.clock.now())
        if done is not None:
            screen.note(f"{one.checkpoint.path} is now {done.path}")
