"""The catalogue of signs, read from YAML: aiops' own beside this module, and those of plugins of the kind `faults`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError, Problem
from aiops.layers.core.plugin import Plugins, hookspec
from aiops.layers.l0_nodes.yaml_outline import compose

from .fault_class import CAUSERS, FAULT_CLASSES
from .literals import literals
from .signature import Level, Signature, compiled

FILES = (
    "accelerators.yml",
    "cuda.yml",
    "kernel.yml",
    "storage.yml",
    "links.yml",
    "nodes.yml",
    "memory.yml",
    "checkpoints.yml",
    "numbers.yml",
    "access.yml",
    "data.yml",
    "serving.yml",
    "meeting.yml",
    "collectives.yml",
    "settings.yml",
    "endings.yml",
    "programs.yml",
)
"""In this order; of two signs in one line at one level the earlier counts."""

_FOLDER = Path(__file__).with_name("signatures")
_TEXT = frozenset({"id", "class", "level", "pattern", "unless", "causer"})
_LISTS = frozenset({"needs", "without", "cleared_by"})
_NUMBERS = frozenset({"at_least"})
_SWITCHES = frozenset({"silences", "live", "retryable", "bad_node", "counts"})
_KEYS = sorted(_TEXT | _LISTS | _NUMBERS | _SWITCHES)
_REQUIRED = ("id", "class", "level", "pattern")
_LEVELS = {level.name.lower(): level for level in Level}
_CLASSES = {one.name for one in FAULT_CLASSES}


class FaultHooks:
    """What a plugin of the kind `faults` gives."""

    @hookspec
    def fault_signatures(self) -> Iterable[Path]:
        """YAML files of signs, in the form of aiops' own; see docs/faults.md."""
        return ()


@lru_cache(maxsize=1)
def shipped_signatures() -> tuple[Signature, ...]:
    """The signs that aiops itself knows, in their order."""
    return read_signatures(_FOLDER / name for name in FILES)


def signatures_of(plugins: Plugins) -> tuple[Signature, ...]:
    """All signs: those of plugins first, since they know their site best.

    Raises:
        FailedError: A plugin's file has mistakes, or an identity twice; all of them together.
        PluginError: A plugin cannot be used.
    """
    files = [Path(one) for _, given in plugins.answers("faults", FaultHooks, "fault_signatures") for one in given]
    if not files:
        return shipped_signatures()
    return read_signatures(files, known=shipped_signatures()) + shipped_signatures()


def read_signatures(files: Iterable[Path], known: Sequence[Signature] = ()) -> tuple[Signature, ...]:
    """The signs in `files`.

    Args:
        files: Each with `macros` (names for parts of patterns, used as `<<name>>`) and `signatures` (a list).
        known: Others, whose identities may be referred to and must not be used again.

    Raises:
        FailedError: Something in them is wrong; all of it, with file and line.
    """
    problems: list[Problem] = []
    read: list[tuple[Signature, str, int]] = []
    for file in files:
        read += _File(file, problems).signatures()
    problems += _identities(read, {one.id for one in known})
    if problems:
        raise FailedError(
            "the catalogue of faults has mistakes",
            code="fault.catalogue",
            hints=["correct the file, or remove the plugin that brings it: `aiops plugin list`"],
            problems=problems,
        )
    return tuple(one for one, _, _ in read)


def _identities(read: Iterable[tuple[Signature, str, int]], known: set[str]) -> Iterable[Problem]:
    """Identities that are given twice, and references to none."""
    read = list(read)
    seen = set(known)
    for one, file, line in read:
        if one.id in seen:
            yield Problem(f"the identity `{one.id}` is given twice", file, line, "rename one of them")
        seen.add(one.id)
    for one, file, line in read:
        for other in (*one.needs, *one.without, *one.cleared_by):
            if other not in seen:
                near = get_close_matches(other, seen, n=1)
                hint = f"did you mean `{near[0]}`?" if near else None
                yield Problem(f"`{one.id}` refers to `{other}`, which is not there", file, line, hint)


class _File:
    """One file, read leniently so that all its mistakes are told at once."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self._path = path
        self._problems = problems
        self._macros: dict[str, str] = {}

    def signatures(self) -> list[tuple[Signature, str, int]]:
        import yaml

        try:
            root = compose(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            self._complain(f"cannot be read: {error}", None)
            return []
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self._complain(f"is not YAML: {getattr(error, 'problem', error)}", mark.line + 1 if mark else None)
            return []
        parts = self._mapping(root, ("macros", "signatures"))
        for name, node in self._mapping(parts["macros"]).items() if "macros" in parts else ():
            self._macros[name] = self._expanded(str(node.value))
        listed = parts.get("signatures")
        if listed is None or listed.id != "sequence":
            self._complain("has no list `signatures`", None)
            return []
        read = ((self._signature(node), node.start_mark.line + 1) for node in listed.value)
        return [(one, str(self._path), line) for one, line in read if one is not None]

    def _signature(self, node: Any) -> Signature | None:
        before = len(self._problems)
        given = {key: self._value(key, value) for key, value in self._mapping(node, _KEYS).items()}
        line = node.start_mark.line + 1
        for key in _REQUIRED:
            if key not in given:
                self._complain(f"a signature needs `{key}`", line)
        self._one_of(given, "class", _CLASSES, line)
        self._one_of(given, "level", _LEVELS, line)
        self._one_of(given, "causer", CAUSERS, line)
        for key in ("pattern", "unless"):
            self._check_pattern(str(given.get(key, "")), line)
        if len(self._problems) > before:
            return None
        kind, level = given.pop("class"), _LEVELS[given.pop("level")]
        return Signature(kind=kind, level=level, **given)

    def _value(self, key: str, node: Any) -> Any:
        line = node.start_mark.line + 1
        if key in _LISTS:
            if node.id != "sequence" or any(part.id != "scalar" for part in node.value):
                self._complain(f"`{key}` must be a list of words", line)
                return ()
            return tuple(str(part.value) for part in node.value)
        text = str(node.value)
        if node.id != "scalar":
            self._complain(f"`{key}` must be a plain value", line)
        elif key in _NUMBERS and not (text.isdecimal() and int(text) > 0):
            self._complain(f"`{key}` must be a number above 0, is `{text}`", line)
        elif key in _SWITCHES and text not in ("true", "false"):
            self._complain(f"`{key}` must be true or false, is `{text}`", line)
        elif key in _NUMBERS:
            return int(text)
        elif key in _SWITCHES:
            return text == "true"
        elif key in ("pattern", "unless"):
            return self._expanded(text)
        return text

    def _expanded(self, pattern: str) -> str:
        """`pattern` with its macros written out."""
        return re.sub(r"<<(\w+)>>", lambda name: self._macros.get(name[1], name[0]), pattern)

    def _check_pattern(self, pattern: str, line: int) -> None:
        # aiops' own are compiled by the tests, when first needed here: a log meets few of them.
        if self._path.parent == _FOLDER:
            return
        try:
            compiled(pattern)
        except re.error as error:
            self._complain(f"`{pattern}` is no regular expression: {error}", line)
            return
        if pattern and not literals(pattern):
            hint = "a match must have one of a few words in it, so that lines without them need not be searched"
            self._complain(f"`{pattern}` may match a line without any certain word", line, hint)

    def _one_of(self, given: Mapping[str, Any], key: str, words: Iterable[str], line: int) -> None:
        if key in given and given[key] not in words:
            near = get_close_matches(str(given[key]), list(words), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(words))}"
            self._complain(f"`{key}` cannot be `{given[key]}`", line, hint)

    def _mapping(self, node: Any, keys: Sequence[str] = ()) -> dict[str, Any]:
        """The pairs of a mapping; keys that are not in `keys` are complained of."""
        if node is None or node.id != "mapping":
            self._complain("must be a mapping", node.start_mark.line + 1 if node is not None else None)
            return {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if keys and name not in keys:
                near = get_close_matches(name, keys, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(keys)}"
                self._complain(f"`{name}` is not known", key.start_mark.line + 1, hint)
                continue
            found[name] = value
        return found

    def _complain(self, message: str, line: int | None, hint: str | None = None) -> None:
        self._problems.append(Problem(message, str(self._path), line, hint))
