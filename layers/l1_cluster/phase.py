"""A phase: one step of a deployment, read from `playbooks/PHASE/phase.yml`.

Reading checks everything that can be checked without a node: keys, kinds, templates that exist, the syntax of every
expression. A mistake is told with its file and line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.core.placed import Placed, load_placed

FILE_NAME = "phase.yml"
PLACES = ("all", "head", "workers", "storage", "login")
MENDS = ("clock", "driver")
PROVIDES = ("metrics", "slurm", "environments")
_PHASE_KEYS = ("phase", "title", "after", "on", "needs", "before", "mends", "provides", "resources")
_COMMON_KEYS = ("when", "each")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "package": ("version", "held", "absent"),
    "file": (
        *("template", "content", "secret", "folder", "absent"),
        *("mode", "owner", "group", "restarts", "validate", "reboots"),
    ),
    "tree": ("digests", "bytes"),
    "service": ("enabled", "running"),
    "sysctl": ("value",),
    "mount": ("source", "type", "options"),
    "user": ("uid", "gid", "group", "home", "shell"),
    "reboot": ("when_changed",),
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "tree": ("digests",),
    "sysctl": ("value",),
    "mount": ("source", "type"),
    "user": ("uid",),
    "reboot": ("when_changed",),
}
_BODIES = ("template", "content", "secret", "folder", "absent")


@dataclass(frozen=True, slots=True)
class Want:
    """One entry under `resources`, before it is rendered for a node.

    Attributes:
        kind: `package`, `file`, `tree`, `service`, `sysctl`, `mount`, `user` or `reboot`.
        name: What follows the kind; a template like every other string.
        line: Where it stands in the phase file.
    """

    kind: str
    name: str
    fields: Mapping[str, Any] = field(hash=False)
    when: str | None
    each: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a deployment.

    Attributes:
        after: Phases that come before it.
        on: The role groups it is for; `all` for every node.
        needs: Role groups that must have a node where this phase is deployed.
        before: Its own Ansible tasks, run before the resources on nodes where the phase differs; rare.
        mends: What preflight would refuse and this phase sets right: a wrong `clock`, a `driver` that does not fit.
        provides: What may be asked for once it is deployed: `metrics`, a Prometheus on the head; `slurm`, its
            controller there; `environments` on the nodes.
        folder: Where its templates are.
    """

    name: str
    title: str
    after: tuple[str, ...]
    on: tuple[str, ...]
    needs: tuple[str, ...]
    before: Path | None
    wants: tuple[Want, ...]
    folder: Path
    mends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The phase file."""
        return self.folder / FILE_NAME

    def covers(self, roles: Iterable[str]) -> bool:
        """Whether a node that plays `roles` has a part in this phase."""
        return "all" in self.on or not set(self.on).isdisjoint(roles)


def shipped_phases() -> Path:
    """The folder of the phases that come with aiops."""
    from importlib.resources import files

    return Path(str(files("aiops") / "playbooks"))


def providers(capability: str) -> frozenset[str]:
    """The names of the phases that come with aiops and provide something: `metrics`, `slurm`."""
    return frozenset(phase.name for phase in read_phases(shipped_phases()) if capability in phase.provides)


def read_phases(folder: Path) -> tuple[Phase, ...]:
    """All phases in `folder`, in the order they are to be run.

    Raises:
        InputError: Phase files with mistakes, all of them together (`phase.wrong`).
    """
    problems: list[Problem] = []
    phases = [phase for path in sorted(folder.glob(f"*/{FILE_NAME}")) if (phase := _read(path, problems)) is not None]
    if not phases and not problems:
        raise InputError(
            f"{folder} has no phases", code="phase.none", hints=[f"a phase is a folder with a {FILE_NAME} in it"]
        )
    ordered = _ordered(phases, problems) if not problems else ()
    if problems:
        raise InputError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)} in the phases under {folder}",
            code="phase.wrong",
            problems=problems,
            hints=["the format is in docs/phases.md"],
        )
    return tuple(ordered)


def choose(phases: Sequence[Phase], only: str | None, start: str | None) -> tuple[Phase, ...]:
    """The phases of `--only` (several by commas) or from `--from` on; all by default.

    Raises:
        InputError: There is no such phase, or none is chosen.
    """
    names = [phase.name for phase in phases]
    known = f"the phases are {', '.join(names)}"
    wanted = [word.strip() for word in (only or "").split(",") if word.strip()]
    for option, missing in (("--only", only is not None and not wanted), ("--from", start == "")):
        if missing:
            raise InputError(f"`{option}` names no phase", code="phase.nothing", hints=[known])
    for name in [*wanted, *([start] if start else [])]:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hints = [*([f"did you mean `{near[0]}`?"] if near else []), known]
            raise InputError(f"there is no phase `{name}`", code="phase.unknown", hints=hints)
    later = phases[names.index(start) :] if start else phases
    chosen = tuple(phase for phase in later if not wanted or phase.name in wanted)
    if not chosen:
        raise InputError(
            f"nothing is left to do: `--only {only}` comes before `--from {start}`",
            code="phase.nothing",
            hints=["leave one of them out", known],
        )
    return chosen


def _read(path: Path, problems: list[Problem]) -> Phase | None:
    """The phase in `path`, or None when it has mistakes, which are added to `problems`."""
    known = len(problems)
    document = load_placed(path, problems)
    if document is None:
        return None
    reader = _Reader(path, problems)
    top = reader.mapping(document, "a phase")
    reader.keys(top, _PHASE_KEYS)
    name = reader.text(top, "phase", required=True, at=document.line)
    if name and name != path.parent.name:
        reader.wrong(f"`phase: {name}` does not name its folder `{path.parent.name}`", top["phase"].line)
    places = reader.words(top, "on") or ("all",)
    needs = reader.words(top, "needs")
    mends, provides = reader.words(top, "mends"), reader.words(top, "provides")
    for key, words, allowed, what in (
        ("on", places, PLACES, "the role groups are"),
        ("needs", needs, PLACES, "the role groups are"),
        ("mends", mends, MENDS, "what it can mend is"),
        ("provides", provides, PROVIDES, "what it can provide is"),
    ):
        for word in words:
            if word not in allowed:
                reader.wrong(f"`{key}` has `{word}`; {what} {', '.join(allowed)}", top[key].line)
    before = reader.text(top, "before")
    if before and not (path.parent / before).is_file():
        reader.wrong(f"there is no {before} beside it", top["before"].line)
    wants = tuple(
        want
        for entry in (reader.items(top["resources"]) if "resources" in top else ())
        if (want := reader.want(entry)) is not None
    )
    if len(problems) > known:
        return None
    return Phase(
        name=name,
        title=reader.text(top, "title") or name,
        after=reader.words(top, "after"),
        on=places,
        needs=needs,
        before=path.parent / before if before else None,
        wants=wants,
        folder=path.parent,
        mends=mends,
        provides=provides,
    )


class _Reader:
    """Checks the parsed file against the format and says what is wrong, with lines."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self._path = path
        self._problems = problems

    def wrong(self, message: str, line: int) -> None:
        self._problems.append(Problem(message, str(self._path), line))

    def mapping(self, placed: Placed, what: str) -> dict[str, Placed]:
        if not isinstance(placed.value, dict):
            self.wrong(f"{what} is a mapping", placed.line)
            return {}
        return placed.value

    def items(self, placed: Placed) -> list[Placed]:
        if not isinstance(placed.value, list):
            self.wrong("`resources` is a list", placed.line)
            return []
        return placed.value

    def keys(self, mapping: Mapping[str, Placed], allowed: Sequence[str]) -> None:
        for key, placed in mapping.items():
            if key not in allowed:
                near = get_close_matches(key, allowed, n=1)
                hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(allowed)}"
                self.wrong(f"unknown key `{key}`{hint}", placed.line)

    def text(self, mapping: Mapping[str, Placed], key: str, *, required: bool = False, at: int = 1) -> str:
        if key not in mapping:
            if required:
                self.wrong(f"`{key}` is missing", at)
            return ""
        value = mapping[key].value
        if not isinstance(value, str):
            self.wrong(f"`{key}` is text", mapping[key].line)
            return ""
        return value

    def words(self, mapping: Mapping[str, Placed], key: str) -> tuple[str, ...]:
        if key not in mapping:
            return ()
        value = mapping[key].plain()
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            self.wrong(f"`{key}` is a word or a list of words", mapping[key].line)
            return ()
        return tuple(words)

    def want(self, placed: Placed) -> Want | None:
        known = len(self._problems)
        entry = self.mapping(placed, "a resource")
        kinds = [kind for kind in _FIELDS if kind in entry]
        if len(kinds) != 1:
            said = "is one of" if not kinds else "is only one of"
            self.wrong(f"a resource {said} {', '.join(_FIELDS)}", placed.line)
            return None
        kind = kinds[0]
        self.keys(entry, (kind, *_FIELDS[kind], *_COMMON_KEYS))
        for key in _REQUIRED.get(kind, ()):
            if key not in entry:
                self.wrong(f"`{kind}` needs `{key}`", placed.line)
        fields = {key: value.plain() for key, value in entry.items() if key in _FIELDS[kind]}
        if kind == "file":
            self._file(entry, placed.line)
        self._syntax(entry)
        name = self.text(entry, kind, required=True, at=placed.line)
        when, each = self.text(entry, "when"), self.text(entry, "each")
        if len(self._problems) > known:
            return None
        return Want(kind, name, fields, when or None, each or None, placed.line)

    def _file(self, entry: Mapping[str, Placed], line: int) -> None:
        bodies = [key for key in _BODIES if key in entry]
        if len(bodies) != 1:
            self.wrong(f"`file` needs exactly one of {', '.join(_BODIES)}", line)
        template = entry.get("template")
        if template is None or not isinstance(template.value, str) or "{{" in template.value:
            return
        if not (self._path.parent / template.value).is_file():
            self.wrong(f"there is no template `{template.value}` beside it", template.line)
            return
        from .template import Templates, TemplateTroubleError

        try:
            Templates(self._path.parent).check_file(template.value)
        except TemplateTroubleError as error:
            file = str(self._path.parent / template.value)
            self._problems.append(Problem(error.reason, file, error.line))

    def _syntax(self, entry: Mapping[str, Placed]) -> None:
        from .template import Templates, TemplateTroubleError

        templates = Templates(self._path.parent)
        for key, placed in entry.items():
            if not isinstance(placed.value, str):
                continue
            try:
                if key in _COMMON_KEYS:
                    templates.check_expression(placed.value)
                else:
                    templates.check_text(placed.value)
            except TemplateTroubleError as error:
                self.wrong(f"`{key}`: {error.reason}", placed.line)


def _ordered(phases: Sequence[Phase], problems: list[Problem]) -> list[Phase]:
    """Topological order; ties in the order of their names, so that it is the same everywhere."""
    from graphlib import CycleError, TopologicalSorter

    by_name = {phase.name: phase for phase in phases}
    for phase in phases:
        for name in phase.after:
            if name not in by_name:
                near = get_close_matches(name, by_name, n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                problems.append(Problem(f"`after` names `{name}`, which is no phase{hint}", str(phase.file)))
    if problems:
        return []
    sorter = TopologicalSorter({phase.name: phase.after for phase in phases})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        problems.append(Problem(f"phases wait for each other: {circle}", str(by_name[error.args[1][0]].file)))
        return []
    ordered: list[Phase] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.extend(by_name[name] for name in ready)
        sorter.done(*ready)
    return ordered
