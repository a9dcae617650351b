"""The wheels that aiops depends on, for another machine's Python: resolved by pip, kept by their digests.

What to take is asked of the package index at every build, so that a newer release is seen; what was fetched once is
not fetched again.
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiops.layers.core.errors import FailedError, Problem, UnreachableError
from aiops.layers.core.home import ensure_folder

from .lock import Lock, pins_for
from .manifest import sha256_of
from .program import Ended, run_program
from .target import Target
from .wheels import MACHINES, closure_gaps

_TIMEOUT = 900.0
_GLIBC = {"bookworm": 36, "trixie": 41, "jammy": 35, "noble": 39}
_ROUNDS = 4
_SCRATCH = "fetch-"
_OWN = "that aiops on the head needs"
_UNREACHABLE = re.compile(r"Failed to establish a new connection|NameResolutionError|Read timed out|ProxyError")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that pip chose.

    Attributes:
        file: Its name, which says for what it is.
    """

    name: str
    version: str
    address: str
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """The wheels of a target.

    Attributes:
        paths: All of them, where they are kept.
        new: How many had to be fetched.
        bytes: How much that was.
    """

    paths: tuple[Path, ...]
    new: int
    bytes: int


class Wheelhouse:
    """Wheels in a folder, `DIGEST/NAME.whl`; nobody else uses the folder meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open it, and remove what killed builds have left there."""
        self._folder = ensure_folder(folder)
        for leftover in folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def fetch(self, target: Target, wanted: Sequence[str]) -> Fetched:
        """`wanted` and all they depend on, for the target's Python.

        pip judges environment markers by its own interpreter, so the closure is checked against the target's
        afterwards and what is missing is resolved in further rounds.

        Raises:
            UnreachableError: The package index did not answer (`bundle.no_network`).
            FailedError: `bundle.missing_wheel`: a dependency has no wheel for the target; it is named.
        """
        chosen: dict[str, Wheel] = {}
        gaps = tuple(wanted)
        new, size = 0, 0
        for _round in range(_ROUNDS):
            with self._scratch() as scratch:
                chosen |= {wheel.name.lower(): wheel for wheel in resolve(target, gaps, Path(scratch))}
            absent = [wheel for wheel in chosen.values() if not self._is_here(wheel)]
            self._download(target, absent)
            new, size = new + len(absent), size + sum(self._path(wheel).stat().st_size for wheel in absent)
            paths = tuple(sorted((self._path(wheel) for wheel in chosen.values()), key=lambda path: path.name))
            gaps = closure_gaps(paths, wanted, target)
            if not gaps:
                return Fetched(paths, new, size)
        raise _missing(target, [f"nothing satisfies `{gap}`" for gap in gaps])

    def locked(self, target: Target, lock: Lock) -> Fetched:
        """The wheels of a lock for the target's Python: the versions and files that it names, and no others.

        Raises:
            InputError: The lock is wrong, or not for the target's Python.
            UnreachableError: The package index did not answer (`bundle.no_network`).
            FailedError: `bundle.missing_wheel`: there is no wheel of a digest that it names for the target, or a
                package that another one needs is not in it.
        """
        pins, what = pins_for(lock, target), f"that the environment `{lock.name}` needs"
        with self._scratch() as name:
            scratch = Path(name)
            file = scratch / "lock.txt"
            file.write_text("".join(f"{pin.words}\n" for pin in pins), encoding="utf-8")
            wheels = resolve(target, ("--no-deps", "--require-hashes", "-r", str(file)), scratch, what)
        absent = [wheel for wheel in wheels if not self._is_here(wheel)]
        self._download(target, absent, what)
        paths = tuple(sorted((self._path(wheel) for wheel in wheels), key=lambda path: path.name))
        gaps = closure_gaps(paths, [f"{pin.name}=={pin.version}" for pin in pins], target)
        if gaps:
            raise _missing(target, [f"its lock has nothing that satisfies `{gap}`" for gap in gaps], what)
        return Fetched(paths, len(absent), sum(self._path(wheel).stat().st_size for wheel in absent))

    def _path(self, wheel: Wheel) -> Path:
        return self._folder / wheel.sha256 / wheel.file

    def _is_here(self, wheel: Wheel) -> bool:
        path = self._path(wheel)
        return path.is_file() and sha256_of(path) == wheel.sha256

    def _download(self, target: Target, wheels: Sequence[Wheel], what: str = _OWN) -> None:
        if not wheels:
            return
        with self._scratch() as name:
            words = [f"{wheel.address}#sha256={wheel.sha256}" for wheel in wheels]
            ended = _pip("download", target, "--no-deps", "--dest", name, *words)
            if ended.exit_status != 0:
                raise _refusal(target, ended, what)
            for wheel in wheels:
                path = Path(name, wheel.file)
                if not path.is_file() or sha256_of(path) != wheel.sha256:
                    raise _missing(target, [f"{wheel.file} is not what the index promises"], what)
                path.rename(ensure_folder(self._folder / wheel.sha256) / wheel.file)

    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(dir=self._folder, prefix=_SCRATCH)


def resolve(target: Target, wanted: Iterable[str], scratch: Path, what: str = _OWN) -> tuple[Wheel, ...]:
    """What pip would install of `wanted` and all they depend on; nothing is installed. `scratch` is an empty folder.

    Raises:
        UnreachableError, FailedError: As for `Wheelhouse.fetch`.
    """
    report = scratch / "report.json"
    words = ("--dry-run", "--ignore-installed", "--target", str(scratch / "none"), "--report", str(report))
    ended = _pip("install", target, *words, *wanted)
    if ended.exit_status != 0:
        raise _refusal(target, ended, what)
    return parse_report(report.read_bytes(), target)


def parse_report(content: bytes, target: Target) -> tuple[Wheel, ...]:
    """Read pip's installation report.

    Raises:
        FailedError: A wheel has no SHA-256, so that what is fetched could not be checked.
    """
    wheels = []
    for item in json.loads(content)["install"]:
        address = item["download_info"]["url"]
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if not digest:
            raise _missing(target, [f"the index gives no sha256 of {name} {version}"])
        wheels.append(Wheel(name, version, address, digest, unquote(urlsplit(address).path.rpartition("/")[2])))
    return tuple(wheels)


def _pip(command: str, target: Target, *words: str) -> Ended:
    machine = MACHINES[target.architecture]
    newest = _GLIBC[target.codename]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    argv = [sys.executable, "-m", "pip", command, "--quiet", "--no-input", "--disable-pip-version-check"]
    argv += ["--only-binary=:all:", "--implementation", "cp", "--python-version", target.python]
    argv += [word for platform in platforms for word in ("--platform", platform)]
    return run_program([*argv, *words], timeout=_TIMEOUT)


def _refusal(target: Target, ended: Ended, what: str = _OWN) -> FailedError | UnreachableError:
    said = [line.removeprefix("ERROR: ") for line in ended.stderr.splitlines() if line.startswith("ERROR")]
    if "No module named pip" in ended.stderr:
        return FailedError(
            "the Python that runs aiops has no pip, which fetches the wheels",
            code="bundle.no_pip",
            hints=[f"`{sys.executable} -m ensurepip` brings it"],
        )
    if _UNREACHABLE.search(ended.stderr):
        return UnreachableError(
            "the Python package index did not answer",
            code="bundle.no_network",
            problems=[Problem(line) for line in said[:5]],
            hints=["a mirror or proxy of your own is set with `pip config set global.index-url URL`"],
        )
    return _missing(target, said[:5], what)


def _missing(target: Target, reasons: Iterable[str], what: str = _OWN) -> FailedError:
    return FailedError(
        f"not every Python package {what} can be had for {target} (Python {target.python})",
        code="bundle.missing_wheel",
        problems=[Problem(reason) for reason in reasons],
    )
