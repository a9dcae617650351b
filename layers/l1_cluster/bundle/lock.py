"""Lock files of environments, and the seam by which plugins hand them in: plugins of the kind `environment`.

A lock is what `pip install --require-hashes` reads: one exact version of each package, with the SHA-256 of each file
that may be taken for it, and nothing else. It must name all that is needed, for nothing is resolved later.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.layers.core.errors import FailedError, InputError, Problem
from aiops.layers.core.plugin import Plugins, hookspec

if TYPE_CHECKING:
    from .target import Target

KIND = "environment"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_IMPORT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SAYS = re.compile(r"^#[ \t]*(?P<key>imports|python):[ \t]*(?P<value>\S.*?)[ \t]*$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)")


@dataclass(frozen=True, slots=True)
class Lock:
    """What an environment is made of.

    Attributes:
        name: Of the environment: lower-case letters, digits and `-`.
        text: The lock file.
        origin: What the lock file is called in words about it.
        imports: Modules whose real import proves that it works.
        python: Which Pythons it is for, as `>=3.10,<3.14`; empty for any.
        file: What the inventory calls it, where it is a file of the operator's; empty for that of a plugin.
    """

    name: str
    text: str = field(repr=False)
    origin: str
    imports: tuple[str, ...]
    python: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class EnvironmentWish:
    """An environment that nodes name.

    Attributes:
        by: Who names it.
        file: The lock file that `aiops_environment_locks` says for it; empty for that of a plugin.
    """

    name: str
    by: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock.

    Attributes:
        hashes: SHA-256 of the files that may be taken, in hex.
        marker: Where it counts, `sys_platform == "linux"`; empty for everywhere.
        line: Where it stands, from 1.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str
    line: int

    @property
    def words(self) -> str:
        """As pip reads it, without its marker: whoever asks has judged that."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{one}" for one in self.hashes)])


class EnvironmentHooks:
    """Hooks of the kind `environment`."""

    @hookspec
    def environments(self) -> tuple[Lock, ...]:  # type: ignore[empty-body]
        """The environments that this plugin knows."""


def locks_of(plugins: Plugins) -> dict[str, Lock]:
    """All that plugins hand in, by name.

    Raises:
        PluginError: A plugin is broken.
        FailedError: Two plugins have one of the same name, or one is not what it must be (`environment.plugin`).
    """
    found: dict[str, Lock] = {}
    owners: dict[str, str] = {}
    for plugin, locks in plugins.answers(KIND, EnvironmentHooks, "environments"):
        for lock in locks:
            if lock.name in found:
                words = f"both `{owners[lock.name]}` and `{plugin}` have an environment `{lock.name}`"
            elif not _NAME.fullmatch(lock.name):
                words = (
                    f"the environment `{lock.name}` of `{plugin}` is not called by lower-case letters, digits and `-`"
                )
            elif not lock.imports or not all(map(_IMPORT.fullmatch, lock.imports)):
                words = f"the environment `{lock.name}` of `{plugin}` names no module whose import would prove it"
            else:
                found[lock.name], owners[lock.name] = lock, plugin
                continue
            raise FailedError(words, code="environment.plugin", hints=["`aiops plugin list` shows where each is from"])
    return found


def chosen_locks(locks: Mapping[str, Lock], wishes: Sequence[EnvironmentWish], folder: Path) -> tuple[Lock, ...]:
    """The locks of some environments.

    Args:
        locks: All that plugins have.
        wishes: Which are wanted.
        folder: What the names of the operator's own files are relative to.

    Raises:
        InputError: There is none of that name (`environment.unknown`), all such together; or a file of the operator's
            is no lock (`environment.lock`).
    """
    problems = []
    for one in wishes:
        if one.name not in locks and not one.file:
            near = get_close_matches(one.name, locks, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(locks)) or 'none'}"
            problems.append(Problem(f"there is no environment `{one.name}`, which {one.by} names", hint=hint))
    if problems:
        raise InputError(
            "some environments are not known",
            code="environment.unknown",
            problems=problems,
            hints=[
                "plugins of the kind `environment` bring them: `aiops plugin list`",
                "or name a lock file of your own in `aiops_environment_locks`",
            ],
        )
    return tuple(lock_of_file(one, folder, locks.get(one.name)) if one.file else locks[one.name] for one in wishes)


def lock_of_file(wish: EnvironmentWish, folder: Path, shipped: Lock | None) -> Lock:
    """The lock in a file of the operator's, in place of a plugin's or beside all.

    Which modules prove it and which Pythons it is for, its comments may say: `# imports: torch, numpy` and
    `# python: >=3.11`. Without the former it is what proves the plugin's of that name.

    Raises:
        InputError: It cannot be read, or nothing says what proves it (`environment.lock`).
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    def wrong(words: str, hint: str) -> InputError:
        return InputError(
            f"the lock of the environment `{wish.name}` cannot be taken",
            code="environment.lock",
            problems=[Problem(words, wish.file, hint=hint)],
        )

    try:
        text = (folder / wish.file).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise wrong(f"cannot be read: {reason}", f"`aiops_environment_locks` names it, seen from {folder}") from error
    said = {one["key"]: one["value"] for one in _SAYS.finditer(text)}
    imports = tuple(said["imports"].replace(",", " ").split()) if "imports" in said else ()
    imports = imports or (shipped.imports if shipped is not None else ())
    if not imports or not all(map(_IMPORT.fullmatch, imports)):
        raise wrong(
            "it names no module whose import would prove it", "add a line like `# imports: torch, transformers`"
        )
    try:
        SpecifierSet(said.get("python", ""))
    except InvalidSpecifier as error:
        raise wrong(f"`{said['python']}` says no Pythons", "for example `# python: >=3.11,<3.13`") from error
    return Lock(wish.name, text, wish.file, imports, said.get("python", ""), wish.file)


def read_lock(lock: Lock) -> tuple[Pin, ...]:
    """The packages of a lock, in its order.

    Raises:
        InputError: It says something else, or a package without version or digest (`environment.lock`).
    """
    problems: list[Problem] = []
    pins: list[Pin] = []
    seen: dict[tuple[str, str], int] = {}
    for line, text in _logical_lines(lock.text):
        pin = _pin(text, line)
        if isinstance(pin, str):
            problems.append(Problem(pin, lock.origin, line))
            continue
        key = (re.sub(r"[-_.]+", "-", pin.name).lower(), pin.marker)
        if key in seen:
            problems.append(Problem(f"`{pin.name}` stands in line {seen[key]} already", lock.origin, line))
        seen[key] = line
        pins.append(pin)
    if not pins and not problems:
        problems.append(Problem("it names no package", lock.origin))
    if problems:
        raise InputError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)} in the lock of the environment `{lock.name}`",
            code="environment.lock",
            problems=problems,
            hints=["each line is `NAME==VERSION --hash=sha256:DIGEST`, as `pip-compile --generate-hashes` writes it"],
        )
    return tuple(pins)


def pins_for(lock: Lock, target: "Target") -> tuple[Pin, ...]:
    """The packages of a lock that count for a target.

    Raises:
        InputError: The lock is wrong, or not for the target's Python (`environment.python`).
    """
    from packaging.markers import InvalidMarker, Marker
    from packaging.specifiers import SpecifierSet

    from .wheels import marker_environment

    if not SpecifierSet(lock.python).contains(f"{target.python}.0"):
        raise InputError(
            f"the environment `{lock.name}` is for Python {lock.python}, and {target} has {target.python}",
            code="environment.python",
            hints=["take it out of `aiops_environments` of these nodes, or give them another release"],
        )
    environment = marker_environment(target)
    found = []
    for pin in read_lock(lock):
        try:
            counts = not pin.marker or Marker(pin.marker).evaluate(environment)
        except InvalidMarker as error:
            problem = Problem(f"`{pin.marker}` is no marker: {error}".splitlines()[0], lock.origin, pin.line)
            raise InputError(
                f"a mistake in the lock of the environment `{lock.name}`", code="environment.lock", problems=[problem]
            ) from error
        if counts:
            found.append(pin)
    return tuple(found)


def _logical_lines(text: str) -> Sequence[tuple[int, str]]:
    r"""Lines with what `\` joins, without comments and empty ones; each with the number of its first."""
    found: list[tuple[int, str]] = []
    begun, parts = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        bare = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        begun = begun if parts else number
        parts.append(bare.removesuffix("\\").strip())
        if not bare.endswith("\\"):
            whole = " ".join(part for part in parts if part)
            if whole:
                found.append((begun, whole))
            parts = []
    return found


def _pin(text: str, line: int) -> Pin | str:
    """A package, or what is wrong with its line."""
    hashes = tuple(_HASH.findall(text))
    rest = _HASH.sub("", text).strip()
    named, _, marker = rest.partition(";")
    if rest.startswith("-"):
        return f"`{rest.split()[0]}` is an option: a lock has packages only"
    if "--" in rest:
        return f"`{rest[rest.index('--') :].split()[0]}` is not a SHA-256 digest in hex"
    found = _PIN.fullmatch(named.strip())
    if found is None:
        return f"`{named.strip()}` is no exact version: say `NAME==VERSION`"
    if not hashes:
        return f"`{found['name']}` has no `--hash=sha256:...`"
    return Pin(found["name"], found["version"], hashes, marker.strip(), line)
