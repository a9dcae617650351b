"""The place of a bundle: one build at a time, the old bundle or the new one, and room for it all."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aiops.layers.core.errors import ConflictError, FailedError, InputError
from aiops.layers.core.file import sync_folder
from aiops.layers.core.home import ensure_folder
from aiops.layers.l1_cluster.remote.tree import switch, sync

from .bundle import MANIFEST

_MARGIN = 200 * 1024 * 1024


def require_output(output: Path) -> None:
    """Refuse a folder that is something else than a bundle.

    Raises:
        InputError: `bundle.output`.
    """
    if output.exists() and not (output.is_dir() and ((output / MANIFEST).exists() or not any(output.iterdir()))):
        raise InputError(
            f"{output} exists and is not a bundle",
            code="bundle.output",
            hints=["name another folder with `--output`, or remove it"],
        )


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Hold the cache; a killed build holds it no more.

    Raises:
        ConflictError: `bundle.busy`: another build of this AIOPS_HOME is running.
    """
    with (cache / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                "another bundle is being built with this AIOPS_HOME",
                code="bundle.busy",
                hints=["wait for it, then run this again: what it fetched is shared"],
            ) from error
        yield


@contextlib.contextmanager
def workshop(output: Path) -> Iterator[Path]:
    """A folder beside `output` for a new bundle, gone at the end; what killed builds have left is removed first."""
    ensure_folder(output.parent)
    prefix = f".{output.name}.build-"
    leftovers = sorted(output.parent.glob(f"{prefix}*"))
    old = next((one for one in leftovers if one.name.endswith(".old")), None)
    if old is not None and not output.exists():
        old.rename(output)  # where two bundles cannot change places in one step
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(dir=output.parent, prefix=prefix))
    try:
        yield work
    finally:
        for path in (work, Path(f"{work}.old")):
            shutil.rmtree(path, ignore_errors=True)


def put_in_place(work: Path, output: Path) -> None:
    """Have the finished bundle in `work` at `output`, in one step; the old one is in `work` then.

    Everything is on the disk before: after a power cut, too, there is the old bundle or the whole new one.
    """
    work.chmod(0o755)
    sync(str(work))
    switch(str(work), str(output))
    sync_folder(output.parent)


def need_space(folder: Path, needed: int, what: str) -> None:
    """Make sure that `needed` bytes and a margin are free.

    Raises:
        FailedError: `bundle.disk`.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _MARGIN:
        raise FailedError(
            f"too little space at {folder} for {what}:"
            f" {(needed + _MARGIN) // 2**20} MiB needed, {free // 2**20} MiB free",
            code="bundle.disk",
            hints=["free some space, or put the cache and the bundle elsewhere with AIOPS_HOME and `--output`"],
        )
