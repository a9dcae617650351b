"""Where each value of a file of the user's stands, and what was said in its place on the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from .errors import Problem
from .placed import Placed, read_placed

_LARGEST = 256 * 1024
"""Bytes of such a file; a larger one is something else."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a kind of file may be written.

    Attributes:
        first: A key with a value, as an example of what such a file says.
        short: Keys that may be a number instead of a mapping, and what the number says.
        as_written: Keys whose values are text whatever YAML would make of them: `OMP_NUM_THREADS: 08` is `08`.
    """

    first: str
    short: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    as_written: tuple[str, ...] = ()


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
    """A file as a tree with lines, overrides applied.

    Attributes:
        file: Its name, for words about it.
        options: The overrides, by path: what they say stands in no line.
        spelling: How it may be written.
    """

    file: str
    tree: Placed
    options: Mapping[tuple[str, ...], str] = field(default_factory=dict, hash=False)
    spelling: Spelling = field(default_factory=lambda: Spelling(""), repr=False)

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

    def depth(self, path: Path) -> int:
        """How many parts of `path` are there."""
        node = self.tree
        for number, part in enumerate(path):
            inner = node.value
            if isinstance(inner, dict) and str(part) in inner:
                node = inner[str(part)]
            elif isinstance(inner, list) and isinstance(part, int) and part < len(inner):
                node = inner[part]
            else:
                return number
        return len(path)

    def plain(self) -> dict[str, object]:
        """The values; text where text is meant, and no keys that nothing stands behind."""
        found = {}
        for name, placed in self.tree.value.items():
            value = _as_written(placed) if name in self.spelling.as_written else placed.plain()
            if value is not None:
                found[name] = value
        return found


def _as_written(placed: Placed) -> object:
    if isinstance(placed.value, dict):
        return {key: _as_written(inner) for key, inner in placed.value.items()}
    if isinstance(placed.value, list):
        return [_as_written(inner) for inner in placed.value]
    return None if placed.value is None else placed.text


def read_places(
    text: str, file: str, overrides: Sequence[Override], problems: list[Problem], spelling: Spelling
) -> Places | None:
    """The tree of a file; None when there is none, with the reason added to `problems`.

    Args:
        text: All of it.
        file: Its name, for words about it.
        overrides: What the command line says instead.
        problems: Where mistakes are added.
        spelling: How it may be written.
    """
    if len(text.encode("utf-8", "surrogatepass")) > _LARGEST:
        problems.append(Problem(f"is larger than {_LARGEST // 1024} KiB", file))
        return None
    tree = read_placed(text, file, problems)
    if tree is None:
        return None
    if not isinstance(tree.value, dict):
        problems.append(Problem(f"must be a mapping of keys, like `{spelling.first}`", file, tree.line))
        return None
    options: dict[tuple[str, ...], str] = {}
    for override in overrides:
        found: list[Problem] = []
        value = read_placed(override.text, override.option, found)
        if value is None:
            problems.extend(Problem(one.message, override.option, None, one.hint) for one in found)
            continue
        changed = _replaced(tree, override.path, value, spelling)
        if changed is None:
            words = f"`{'.'.join(override.path[:-1])}` has no keys"
            problems.append(Problem(words, override.option, None, f"set it as a whole: `--set {override.path[0]}=...`"))
            continue
        tree = changed
        options[override.path] = override.option
    return Places(file, tree, options, spelling)


def _replaced(tree: Placed, path: tuple[str, ...], value: Placed, spelling: Spelling) -> Placed | None:
    """The tree with `value` at `path`; None where something above it has no keys."""
    name, *rest = path
    if not isinstance(tree.value, dict):
        return None
    inner = tree.value.get(name)
    if rest:
        if inner is None or inner.value is None:
            inner = Placed({}, tree.line)
        elif name in spelling.short and not isinstance(inner.value, dict):
            inner = Placed(dict.fromkeys(spelling.short[name], inner), inner.line)
        changed = _replaced(inner, tuple(rest), value, spelling)
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
