"""The folder of a run: made whole or not at all, found again, and changed only where a resume is told to.

What is made stands below a hidden name until all of it is on the disk; then it gets its own, in one rename. So a folder
with a run's name is whole, also after `kill -9`; what a killed process left goes with the next run that is made.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import ConflictError, FailedError, NotFoundError
from aiops.layers.core.file import sync_folder, sync_tree, write_atomic
from aiops.layers.core.lock_file import lock_file

from .run_document import Making, read_document
from .run_lock import held

RUN = "run.json"
RECIPE = "recipe.yml"
JOB = "job.yml"
JSON = "report.json"
HTML = "report.html"
_LOCK = ".aiops-runs"
_MAKING = re.compile(r"\.[a-z][a-z0-9-]*-\d+\.making")


@dataclass(frozen=True, slots=True)
class Contents:
    """What is put into the folder of a run.

    Attributes:
        document: run.json.
        recipe: recipe.yml, resolved.
        job: job.yml.
        files: What the trainer rendered, by path.
        code: The trainer's own code, by path below the folder: `worker/DIGEST/...`.
        data: Where the prepared data is.
        write: Writes what is too large to be held, into the folder that it is given; each file whole or not at all.
    """

    document: Mapping[str, Any] = field(hash=False)
    recipe: str
    job: str
    files: Mapping[str, bytes] = field(hash=False)
    code: Mapping[str, bytes] = field(hash=False)
    data: str
    write: Callable[[Path], None] = lambda _folder: None


def numbers(folder: Path, name: str) -> list[int]:
    """The numbers of a recipe's runs, sorted."""
    found = re.compile(re.escape(name) + r"-([1-9]\d{0,8})")
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match[1]) for one in names if (match := found.fullmatch(one)) and (folder / one / RUN).exists())


def newest(folder: Path, name: str, named: str = "RECIPE") -> Path:
    """The newest run of a recipe, which is ours or root's: what is in it runs as whoever has it go on.

    Args:
        folder: Where its runs are.
        name: The recipe's own.
        named: The recipe as a command line names it, for words about what to type.

    Raises:
        NotFoundError: There is none (`run.none`).
        ConflictError: It is another user's (`run.owner`).
    """
    found = numbers(folder, name)
    if not found:
        raise NotFoundError(
            f"there is no run of {name} in {folder} to go on with",
            code="run.none",
            hints=[f"begin one: `aiops train {named}`"],
        )
    place = folder / f"{name}-{found[-1]}"
    _require_ours(place, named)
    return place


def _require_ours(place: Path, named: str) -> None:
    """Refuse a run of somebody else's, also where a link of theirs leads to one of ours.

    Raises:
        ConflictError: It is one (`run.owner`).
    """
    owners = {place.lstat().st_uid, place.stat().st_uid} - {0, os.geteuid()}
    for owner in owners:
        raise ConflictError(
            f"{place} is user {owner}'s, and its own code would run as you",
            code="run.owner",
            hints=[
                f"whoever that is can have it go on; begin one of your own: `aiops train {named}`",
                "or keep runs in a folder that only you write to: `--set folder=FOLDER`",
            ],
        )


@contextmanager
def making(folder: Path, name: str, locks: ExitStack) -> Iterator[str]:
    """The name of a recipe's next run, which is ours from now on; in its hidden folder it can be made at leisure.

    Others wait only while a name is chosen, not while rows are written: that a hidden folder is being filled is told by
    the lock in it, which is the run's own and goes with it. What nobody locks was left by somebody who was killed.

    Args:
        folder: Where its runs are.
        name: The recipe's own.
        locks: Gets the lock of the run, which is held from before anybody can find it.

    Raises:
        FailedError: The folder cannot be made or written to, or locked (`run.folder`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_file(folder / _LOCK, "run.folder") as lock:
            lock.take(wait=True)
            for left in [one for one in folder.iterdir() if _MAKING.fullmatch(one.name)]:
                if _is_left(left):
                    shutil.rmtree(left, ignore_errors=True)
            found = numbers(folder, name)
            number = (found[-1] if found else 0) + 1
            # Something else of that name, a run that is being made, or a link of somebody's.
            while any(map(os.path.lexists, (folder / f"{name}-{number}", _hidden(folder / f"{name}-{number}")))):
                number += 1
            hidden = _hidden(folder / f"{name}-{number}")
            hidden.mkdir()
            locks.enter_context(held(hidden))
    except OSError as error:
        raise FailedError(
            f"no run can be kept in {folder}: {error.strerror}",
            code="run.folder",
            hints=["`folder:` is to be a folder that all nodes share and that you may write to"],
        ) from error
    try:
        yield f"{name}-{number}"
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # it was not made; else it has another name by now


def _hidden(place: Path) -> Path:
    """Where a run is made, or taken away."""
    return place.with_name(f".{place.name}.making")


def _is_left(hidden: Path) -> bool:
    """Whether nobody fills a hidden folder of ours any more. Only while names are chosen: none is begun meanwhile."""
    found = hidden.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        return False  # theirs to take away
    try:
        with held(hidden):
            return True
    except (ConflictError, FailedError):
        return False


def make(place: Path, contents: Contents) -> None:
    """Make the folder of a run; only while `making` holds its name.

    Args:
        place: Where.
        contents: What is put into it.

    Raises:
        OSError: The disk is full, or fails; no run is there then.
    """
    hidden = _hidden(place)
    hidden.mkdir(exist_ok=True)
    try:
        (hidden / "checkpoints").mkdir()
        (hidden / "data").symlink_to(contents.data)
        for path, content in {**contents.files, **contents.code}.items():
            _write(hidden / path, content)
        contents.write(hidden)
        _write(hidden / RECIPE, contents.recipe.encode())
        _write(hidden / JOB, contents.job.encode())
        _write(hidden / RUN, _json(contents.document))
        sync_tree(hidden)
        hidden.rename(place)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    sync_folder(place.parent)


def remake(place: Path, contents: Contents) -> None:
    """Bring the folder of a run that goes on up to date: what it is told by, and last what it is made of.

    What was reported of it goes: that is not of what it becomes.
    """
    for name in (HTML, JSON):
        (place / name).unlink(missing_ok=True)
    for path, content in {**contents.files, **contents.code}.items():
        target = place / path
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, content, 0o644)
    worker = place / "worker"
    for file in sorted(worker.rglob("*")) if worker.is_dir() else ():
        if file.is_file() and str(file.relative_to(place)) not in contents.code and "__pycache__" not in file.parts:
            file.unlink()  # of what the run was made with, or put there by somebody: nothing runs it any more
    if str((place / "data").readlink()) != contents.data:
        # Files of rows are of one data or the other; until all of them are, the link names neither, and a resume that
        # comes after a kill writes them again.
        _link(place, f"{contents.data}.making")
        contents.write(place)
        _link(place, contents.data)
    write_atomic(place / RECIPE, contents.recipe.encode(), 0o644)
    write_atomic(place / JOB, contents.job.encode(), 0o644)
    write_json(place / RUN, contents.document)


def _link(place: Path, data: str) -> None:
    """Have a run's data be there, in one move."""
    new = place / ".data.making"
    new.unlink(missing_ok=True)
    new.symlink_to(data)
    new.replace(place / "data")
    sync_folder(place)


def unmake(place: Path) -> None:
    """Take away a run that no job was taken for."""
    hidden = _hidden(place)
    place.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def read(place: Path, named: str = "RECIPE") -> tuple[dict[str, Any], Making]:
    """A run's run.json, and what it was made of.

    Args:
        place: Its folder.
        named: Its recipe as a command line names it, for words about what to type.

    Raises:
        FailedError: It cannot be read (`run.unreadable`).
    """
    path = place / RUN
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FailedError(
            f"{path} cannot be read: {error}",
            code="run.unreadable",
            hints=[f"begin a new run: `aiops train {named}`"],
        ) from error
    return found, read_document(found, str(path), named)


def kept_code(place: Path, digest: str) -> dict[str, bytes]:
    """The trainer's own code as a run keeps it, by name; empty where nothing is kept."""
    folder = place / "worker" / digest[:16]
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def written(place: Path, below: str) -> int:
    """Bytes that lie in a folder of a run's, as far as they can be seen."""
    found = 0
    for above, _, names in os.walk(place / below):
        for name in names:
            with suppress(OSError):  # pruned meanwhile
                found += Path(above, name).lstat().st_size
    return found


def has_checkpoints(place: Path, below: str) -> bool:
    """Whether a run has something to go on from."""
    folder = place / below
    return folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir())


def write_json(path: Path, document: Any) -> None:
    """Write a document of a run, whole or not at all."""
    write_atomic(path, _json(document), 0o644)


def _json(found: Any) -> bytes:
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o644)
