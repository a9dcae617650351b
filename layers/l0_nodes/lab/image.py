"""The base image: built once from its recipe, kept in AIOPS_HOME/cache, mounted read-only under every host."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.core.home import ensure_folder

from .machine import require_fit, run
from .recipe import DEFAULT_RELEASE, Recipe, recipe_for

BUILD_SECONDS = 900.0
IMAGE_MIB = 400


def machine_recipe(release: str = DEFAULT_RELEASE) -> Recipe:
    """The recipe of `release` for this machine: its own apt sources and proxy."""
    try:
        proxy = run(["apt-config", "shell", "PROXY", "Acquire::http::Proxy"]).strip()
    except (FailedError, ValueError):
        proxy = ""
    return recipe_for(Path("/etc/apt"), proxy.removeprefix("PROXY=").strip("'"), release)


def image_path(home: Path, recipe: Recipe) -> Path:
    """Where the image of `recipe` is kept, built or not."""
    return home / "cache" / f"lab-image-{recipe.digest}"


def build_image(home: Path, recipe: Recipe) -> Path:
    """Build the image unless it is there; return its path. Two builders at once build it once.

    Raises:
        InputError: This machine cannot build it.
        FailedError: mmdebstrap failed (no network, no room); nothing half-built is left in the cache's name.
    """
    path = image_path(home, recipe)
    if path.is_dir():
        return path
    require_fit(building=True)
    cache = ensure_folder(path.parent)
    with locked(cache / ".lab-image.lock", wait=BUILD_SECONDS, busy="another aiops builds the lab image"):
        if path.is_dir():
            return path
        for stale in cache.glob(".lab-image-*.part"):  # a killed builder's; the lock says that it is dead
            shutil.rmtree(stale)
        work = Path(tempfile.mkdtemp(dir=cache, prefix=".lab-image-", suffix=".part"))
        try:
            root = work / "root"
            run(mmdebstrap(recipe, work, root), timeout=BUILD_SECONDS)
            _finish(recipe, root)
            os.sync()
            root.rename(path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return path


def mmdebstrap(recipe: Recipe, work: Path, root: Path) -> list[str]:
    """Write the sources into `work` and give the command that builds the image in `root`."""
    sources = work / recipe.sources_name
    sources.write_text(recipe.sources, encoding="utf-8")
    # Packages unpack into a folder that is thrown away when anything fails: no need to wait for the disk.
    options = ["--variant=minbase", "--mode=root", "--quiet", f"--include={','.join(recipe.packages)}"]
    options += ["--dpkgopt=force-unsafe-io"]
    if recipe.proxy:
        options.append(f'--aptopt=Acquire::http::Proxy "{recipe.proxy}"')
    return ["mmdebstrap", *options, recipe.suite, str(root), str(sources)]


def _finish(recipe: Recipe, root: Path) -> None:
    """Make the image anonymous (no keys, no machine id) and quiet (no units that disturb hosts in containers)."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("", encoding="ascii")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    for name in (
        "etc/hostname",
        "etc/resolv.conf",
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    ):
        (root / name).unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("# a lab host has no way out, so there is nobody to ask\n", encoding="ascii")
    units = root / "etc/systemd/system"
    for unit in recipe.masked:
        link = units / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    run(["chroot", str(root), "dpkg-divert", "--quiet", "--local", "--rename", "--add", "/usr/bin/dmesg"])
    dmesg = root / "usr/bin/dmesg"
    dmesg.write_text(recipe.dmesg, encoding="utf-8")
    dmesg.chmod(0o755)


@contextmanager
def locked(path: Path, *, wait: float, busy: str) -> Iterator[None]:
    """Hold the file lock at `path`; a killed holder's lock is free at once.

    Args:
        path: The lock file; it stays.
        wait: Seconds to wait for another holder to finish.
        busy: What to say when refusing.

    Raises:
        ConflictError: Another process still holds it.
    """
    deadline = time.monotonic() + wait
    with path.open("a", encoding="utf-8") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    hints = ["wait for it to finish, then try again"]
                    raise ConflictError(busy, code="lab.busy", hints=hints) from error
                time.sleep(0.05)
        yield
