"""Production: a prepared folder is made once, appears whole, and is found again by its digest."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from aiops.layers.core.errors import ConflictError, FailedError, InputError
from aiops.layers.core.file import sync_folder
from aiops.layers.core.lock_file import lock_file

from .assembly import WHOLE
from .data_engine import DataEngine, LocalEngine
from .dataset import Manifest
from .precheck import precheck, ways_out
from .preparation import Preparation
from .report import Report
from .store import prepared
from .tolerance import not_allowed, only_allowed
from .work import STEPS, Work


class Emit(Protocol):
    """`EventStream.emit`, of whoever wants to hear."""

    def __call__(self, kind: str, message: str = "", /, **data: Any) -> object:
        """Say that something happened."""
        ...


def produce(
    preparation: Preparation,
    into: Path,
    *,
    engine: DataEngine | None = None,
    shares: int = 1,
    checked: Iterable[Report] | None = None,
    emit: Emit | None = None,
) -> Manifest:
    """Make the folder that `preparation` asks for, `into / digest`; where it is already, nothing is done.

    Args:
        preparation: What is made of which files.
        into: The folder of all prepared data; made when absent.
        engine: Who does the work; this machine's processes by default.
        shares: How many do it at once.
        checked: What `precheck` found, of whoever has asked it already; None to ask it here. What cannot be read or
            rendered is refused whatever it found.
        emit: Told of steps as they begin and end, and of rows.

    Raises:
        InputError: A file is wrong; a row cannot be read or is too long; no row is left; or what is there was made in
            spite of faults that are not allowed now.
        ConflictError: Somebody else makes the same at this moment.
        FailedError: A file changed meanwhile, or what is there was damaged.
    """
    tell = emit or _nobody
    digest = preparation.digest
    there = made_before(preparation, into)
    work = into / f".{digest}"
    if there is not None:
        tell("data_found", "", digest=digest)
        if work.exists():  # whoever made it was killed right after
            with _alone(into, digest):
                shutil.rmtree(work, ignore_errors=True)
        return there
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{into} cannot be made: {error.strerror}", code="data.into") from error
    with _alone(into, digest):
        there = made_before(preparation, into)
        if there is not None:
            return there
        if checked is None:
            tell("data_step_started", "", step="check", shares=1)
            checked = precheck(preparation, _counting(tell, "data_rows_done", "rows", step="check"))
            tell("data_step_ended", "", step="check")
        Work.begin(work, preparation, only_allowed(checked, preparation.plan))
        for step, shared in STEPS:
            tell("data_step_started", "", step=step, shares=shares if shared else 1)
            (engine or LocalEngine()).carry_out(
                work, step, shares if shared else 1, _counting(tell, "data_rows_done", "rows", step=step)
            )
            tell("data_step_ended", "", step=step, **({"rows": Work(work).rows()} if step == "examine" else {}))
        return _published(work, into, digest)


def made_before(preparation: Preparation, into: Path) -> Manifest | None:
    """What is at `into / digest` already; None for nothing.

    Raises:
        InputError: It was made in spite of faults that are not allowed now (`data.refused`).
        FailedError: It was damaged since, or does not say what it was made in spite of.
    """
    there = prepared(into, preparation.digest)
    if there is None:
        return None
    folder, wrong = into / preparation.digest, not_allowed(there, preparation.plan)
    if wrong is None:
        raise FailedError(
            f"{folder} does not say which faults were allowed when it was prepared",
            code="data.damaged",
            hints=[f"make it anew: `rm -r {folder}`, and prepare it again"],
        )
    if wrong:
        raise InputError(
            f"{folder} was prepared where faults were allowed that are not allowed here: {', '.join(wrong)}",
            code="data.refused",
            hints=[*ways_out(wrong, wrong), "see where they are: `aiops data check PATH --base DIR`"],
        )
    return there


def _counting(tell: Emit, kind: str, what: str, **data: str) -> Callable[[int], None]:
    def told(count: int) -> None:
        tell(kind, "", **{what: count}, **data)

    return told


def _published(work: Path, into: Path, digest: str) -> Manifest:
    """Give the folder its name. What it holds is on the disk before."""
    whole = work / WHOLE
    if prepared(work, WHOLE) is None:  # a power cut took it from whoever was killed before
        raise FailedError(
            f"{whole} has no manifest", code="data.work", hints=[f"type the same again after `rm -r {work}`"]
        )
    for folder, _, _ in os.walk(whole):
        sync_folder(Path(folder))
    whole.rename(into / digest)
    sync_folder(into)
    shutil.rmtree(work)
    made = prepared(into, digest)
    if made is None:
        raise FailedError(f"{into / digest} was removed while it was made", code="data.removed")
    return made


@contextmanager
def _alone(into: Path, digest: str) -> Iterator[None]:
    """Hold what only one may make.

    Raises:
        ConflictError: Somebody else holds it.
        FailedError: There can be no lock in that folder (`data.lock`).
    """
    path = into / f".{digest}.lock"
    with ExitStack() as opened:
        while True:
            lock = opened.enter_context(lock_file(path, "data.lock"))
            if not lock.take():
                raise ConflictError(
                    f"{into / digest} is being made by somebody else",
                    code="data.busy",
                    hints=["wait for them; whoever comes after finds it there"],
                )
            if lock.stands():
                break
            opened.close()  # who held it has removed it: what we hold is nobody's any more
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _nobody(_kind: str, _message: str = "", /, **_data: Any) -> None:
    return
