"""aiops itself as a Debian package for the head: a private Python environment under /opt/aiops, made of wheels.

The environment is an ordinary venv (a link to the system's Python and a `pyvenv.cfg`), so that programs of the
dependencies (`ansible-playbook`) lie beside their interpreter and nothing on the head's own Python changes.
"""

import configparser
import hashlib
import os
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from .deb import Control, build_deb
from .target import Target

PACKAGE = "aiops"
_KEPT = 6
_PRERM = """#!/bin/sh
set -e
find /opt/aiops -path /opt/aiops/env -prune -o -name __pycache__ -prune -exec rm -rf {} +
"""


def can_run_on(target: Target) -> bool:
    """Whether the target's Python is new enough for aiops itself; nodes need far less."""
    return target.release.python >= (3, 11)


def application_deb(
    target: Target, wheels: Sequence[Path], version: str, *, cache: Path, scratch: Path, at: datetime
) -> tuple[Path, str]:
    """The deb of aiops for a target, from `cache` when the same wheels were packed before.

    Its version is aiops' own, the minute of its first build and a digest of the wheels, so that a later build
    with other content is a newer version.

    Args:
        target: For which release and architecture.
        wheels: aiops' own and all it depends on.
        version: The version of aiops.
        cache: Where finished debs are kept; must exist.
        scratch: An empty folder for unpacking.
        at: Now.

    Returns:
        The deb and its version.
    """
    digest = _digest_of(wheels)
    for known in cache.glob(f"{PACKAGE}_*.{digest}_{target.architecture}.deb"):
        return known, known.name.split("_")[1]
    full = f"{version}+{at:%Y%m%d.%H%M}.{digest}"
    low, high = target.release.python[1], target.release.python[1] + 1
    control = Control(
        PACKAGE,
        full,
        target.architecture,
        "Run a private AI compute cluster over SSH",
        "The aiops command line with all it depends on, in an environment of its own under /opt/aiops.",
        relations={"Depends": f"python3 (>= 3.{low}~), python3 (<< 3.{high}~), openssh-client"},
        scripts={"prerm": _PRERM},
    )
    lay_out(wheels, scratch, target.python)
    temporary = cache / f".{control.file}"
    build_deb(scratch, control, temporary, licence="Apache-2.0")
    finished = temporary.rename(cache / control.file)
    _forget_oldest(cache)
    return finished, full


def _forget_oldest(cache: Path) -> None:
    """Some finished debs are kept, one per target and a few back; each is tens of megabytes."""
    debs = sorted(cache.glob(f"{PACKAGE}_*.deb"), key=lambda path: path.stat().st_mtime, reverse=True)
    for deb in debs[_KEPT:]:
        deb.unlink()


def lay_out(wheels: Iterable[Path], root: Path, python: str) -> None:
    """Unpack wheels into a venv under `root`/opt/aiops, with its console scripts and /usr/bin/aiops."""
    home = root / "opt/aiops"
    packages = home / f"lib/python{python}/site-packages"
    programs = home / "bin"
    for folder in (packages, programs, root / "usr/bin"):
        folder.mkdir(parents=True)
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n")
    (programs / "python3").symlink_to(f"/usr/bin/python{python}")
    (programs / "python").symlink_to("python3")
    for wheel in wheels:
        _unpack(wheel, packages)
    for name, target in _console_scripts(packages):
        module, _, attribute = target.partition(":")
        program = programs / name
        program.write_text(
            f"#!/opt/aiops/bin/python3\nimport sys\n\nfrom {module} import {attribute}\n\nsys.exit({attribute}())\n"
        )
        program.chmod(0o755)
    (root / "usr/bin/aiops").symlink_to("/opt/aiops/bin/aiops")
    for place, folders, files in os.walk(root):
        for name in folders:
            Path(place, name).chmod(0o755)
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.parent == programs else 0o644)


def _unpack(wheel: Path, packages: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = Path(member.filename).parts
            if member.is_dir() or ".." in parts or Path(member.filename).is_absolute():
                continue
            if parts[0].endswith(".data"):
                if parts[1] not in {"purelib", "platlib"}:
                    continue  # scripts come from entry points; headers and data are not needed to run
                path = packages.joinpath(*parts[2:])
            else:
                path = packages.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))


def _console_scripts(packages: Path) -> Iterable[tuple[str, str]]:
    for file in sorted(packages.glob("*.dist-info/entry_points.txt")):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(file.read_text())
        if parser.has_section("console_scripts"):
            for name, value in parser.items("console_scripts"):
                yield name, value.split("[")[0].strip()


def _digest_of(wheels: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for wheel in sorted(wheels, key=lambda path: path.name):
        digest.update(wheel.name.encode() + b"\0" + hashlib.sha256(wheel.read_bytes()).digest())
    return digest.hexdigest()[:10]
