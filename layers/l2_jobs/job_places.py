"""Where each value of a job.yml stands, and what was said in its place on the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from aiops.layers.core.errors import Problem
from aiops.layers.core.placed import Placed, read_placed

_LARGEST = 256 * 1024
"""Bytes of a job.yml; a larger one is something else."""

Path = tuple[str | int, ...]
_SHORT = {"nodes": ("min", "max"), "devices": ("count",)}
"""Keys that may be a number instead of a mapping, and what the number says."""

_AS_WRITTEN = ("command", "env", "name")
"""Keys whose values are text whatever YAML would make of them: `OMP_NUM_THREADS: 08` is `08`."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value from the command line.

    Attributes:
        path: The key and those above it.
        text: The value, as YAML.
        option: As it was typed, for words about it.
    """

    path: tuple[str, ...]
    text: str
    option: str


@dataclass(frozen=True, slots=True)
class Places:
    """A job.yml as a tree with lines, overrides applied.

    Attributes:
        file: Its name, for words about it.
        options: The overrides, by path: what they say stands in no line.
    """

    file: str
    tree: Placed
    options: Mapping[tuple[str, ...], str] = field(default_factory=dict, hash=False)

    def problem(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A mistake in the value at `path`, or the nearest above it that is there.

        Args:
            path: Keys, and numbers of items in lists.
            message: What is wrong.
            hint: What would fit.
            key: Whether the mistake is the key itself.
        """
        for end in range(len(path), 0, -1):
            option = self.options.get(tuple(str(part) for part in path[:end]))
            if option is not None:
                return Problem(message, option, None, hint)
        node, line = self.tree, self.tree.line
        for number, part in enumerate(path):
            inner = node.value
            if isinstance(inner, dict) and str(part) in inner:
                line = node.keys.get(str(part), node.line)
                node = inner[str(part)]
                if node.text is not None and not (key and number == len(path) - 1):
                    line = node.line
            elif isinstance(inner, list) and isinstance(part, int) and part < len(inner):
                node = inner[part]
                line = node.line
            else:
                break
        return Problem(message, self.file, line, hint)

    def plain(self) -> dict[str, object]:
        """The values; text where text is meant, and no keys that nothing stands behind."""
        found = {}
        for name, placed in self.tree.value.items():
            value = _as_written(placed) if name in _AS_WRITTEN else placed.plain()
            if value is not None:
                found[name] = value
        return found


def _as_written(placed: Placed) -> object:
    if isinstance(placed.value, dict):
        return {key: _as_written(inner) for key, inner in placed.value.items()}
    if isinstance(placed.value, list):
        return [_as_written(inner) for inner in placed.value]
    return None if placed.value is None else placed.text


def read_places(text: str, file: str, overrides: Sequence[Override], problems: list[Problem]) -> Places | None:
    """The tree of a job.yml; None when there is none, with the reason added to `problems`."""
    if len(text.encode("utf-8", "surrogatepass")) > _LARGEST:
        problems.append(Problem(f"is larger than {_LARGEST // 1024} KiB", file))
        return None
    tree = read_placed(text, file, problems)
    if tree is None:
        return None
    if not isinstance(tree.value, dict):
        problems.append(Problem("must be a mapping of keys, like `name: sft`", file, tree.line))
        return None
    options: dict[tuple[str, ...], str] = {}
    for override in overrides:
        found: list[Problem] = []
        value = read_placed(override.text, override.option, found)
        if value is None:
            problems.extend(Problem(one.message, override.option, None, one.hint) for one in found)
            continue
        changed = _replaced(tree, override.path, value)
        if changed is None:
            words = f"`{'.'.join(override.path[:-1])}` has no keys"
            problems.append(Problem(words, override.option, None, f"set it as a whole: `--set {override.path[0]}=...`"))
            continue
        tree = changed
        options[override.path] = override.option
    return Places(file, tree, options)


def _replaced(tree: Placed, path: tuple[str, ...], value: Placed) -> Placed | None:
    """The tree with `value` at `path`; None where something above it has no keys."""
    name, *rest = path
    if not isinstance(tree.value, dict):
        return None
    inner = tree.value.get(name)
    if rest:
        if inner is None or inner.value is None:
            inner = Placed({}, tree.line)
        elif name in _SHORT and not isinstance(inner.value, dict):
            inner = Placed(dict.fromkeys(_SHORT[name], inner), inner.line)
        changed = _replaced(inner, tuple(rest), value)
        if changed is None:
            return None
    else:
        changed = value
    return Placed({**tree.value, name: changed}, tree.line, {name: tree.line, **tree.keys})


def nearest(word: str, known: Sequence[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The known word that was surely meant."""
    meant = (synonyms or {}).get(word.lower().replace("-", "_"))
    if meant in known:
        return meant
    near = get_close_matches(word.lower().replace("-", "_"), known, n=1)
    return near[0] if near else None
