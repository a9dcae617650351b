"""A recipe.yml and those that it extends: one tree of values, each with the file and line that says it. Pure."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiops.layers.core.errors import Problem
from aiops.layers.core.placed import Placed
from aiops.layers.core.places import Path, Places

from .recipe_document import PATHS

_INSTEAD: Mapping[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    ("train", "epochs"): (("train", "steps"),),
    ("train", "steps"): (("train", "epochs"),),
    ("data", "evaluation"): (("data", "held_out"),),
    ("data", "held_out"): (("data", "evaluation"),),
}
"""Of two keys that exclude each other the one that is said nearer counts."""

_OWN = ("extends", "about", "name")
"""What is said of one file, and not of those that extend it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Files, each extending the next; what an earlier one says counts more.

    Attributes:
        links: The file that was named first, with what the command line says; then those that it extends.
        tree: All of them as one.
    """

    links: tuple[Places, ...]
    tree: Mapping[str, Placed]

    def problem(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A mistake in the value at `path`, in the file that says it."""
        return self.home(path).problem(path, message, hint, key=key)

    def home(self, path: Path) -> Places:
        """The file that says what is at `path`, or the nearest above it; the first one where none does."""
        best, depth = self.links[0], 0
        for link in self.links:
            if link.depth(path) > depth:
                best, depth = link, link.depth(path)
        return best

    def origin(self, path: Path) -> str | None:
        """Where the value at `path` comes from: an option, `file:line`, or a shipped recipe; None for a default."""
        home = self.home(path)
        if home.depth(path) < len(path):
            return None
        return home.problem(path, "").where

    def plain(self) -> dict[str, object]:
        """The values, without keys that nothing stands behind."""
        spelled = replace(self.links[0], tree=Placed(dict(self.tree), 1))
        return _without_null(spelled.plain())


def _without_null(values: Mapping[str, object]) -> dict[str, object]:
    found = {key: _without_null(one) if isinstance(one, dict) else one for key, one in values.items()}
    return {key: one for key, one in found.items() if one is not None}


def absolute(places: Places, folder: str, here: str) -> Places:
    """The same file with its relative paths begun at its `folder`; those from the command line at `here`."""
    tree = places.tree
    for path in PATHS:
        typed = any(path[:end] in places.options for end in range(1, len(path) + 1))
        tree = _absolute(tree, path, here if typed else folder)
    return replace(places, tree=tree)


def _absolute(tree: Placed, path: tuple[str, ...], folder: str) -> Placed:
    if path:
        if not isinstance(tree.value, dict) or path[0] not in tree.value:
            return tree
        inner = _absolute(tree.value[path[0]], path[1:], folder)
        return replace(tree, value={**tree.value, path[0]: inner})
    if isinstance(tree.value, list):
        return replace(tree, value=[_absolute(one, (), folder) for one in tree.value])
    if not isinstance(tree.value, str) or not tree.value or tree.value.startswith(("/", "~")):
        return tree
    if "@" in tree.value and "/" not in tree.value:  # a name and a version, for a registry
        return tree
    return replace(tree, value=posixpath.normpath(posixpath.join(folder, tree.value)), text=None)


def chain(links: Sequence[Places]) -> Chain:
    """Files as one; the first counts most."""
    tree: dict[str, Placed] = {}
    for number, link in enumerate(reversed(links)):
        last = number == len(links) - 1
        said = {key: one for key, one in link.tree.value.items() if last or key not in _OWN}
        tree = _merged(_room(tree, link.tree), Placed(said, link.tree.line)).value
    return Chain(tuple(links), tree)


def _merged(under: Mapping[str, Placed], over: Placed) -> Placed:
    found = dict(under)
    for key, one in over.value.items():
        below = found.get(key)
        both = below is not None and isinstance(below.value, dict) and isinstance(one.value, dict)
        found[key] = _merged(below.value, one) if both and below is not None else one
    return Placed(found, over.line)


def _room(tree: Mapping[str, Placed], over: Placed) -> dict[str, Placed]:
    """What is below, without what `over` says otherwise: another length, or that no adapter is trained."""
    found = dict(tree)
    for path, others in _INSTEAD.items():
        if _at(over, path) is not None:
            for other in others:
                found = _without(found, other)
    kind = _at(over, ("adapter", "type"))
    if kind is not None and kind.value == "none":
        found.pop("adapter", None)
    return found


def _at(tree: Placed, path: Sequence[str]) -> Placed | None:
    node = tree
    for part in path:
        if not isinstance(node.value, dict) or part not in node.value:
            return None
        node = node.value[part]
    return node if node.value is not None else None


def _without(tree: dict[str, Placed], path: Sequence[str]) -> dict[str, Placed]:
    section, key = path
    inner = tree.get(section)
    if inner is None or not isinstance(inner.value, dict) or key not in inner.value:
        return tree
    left = {name: one for name, one in inner.value.items() if name != key}
    return {**tree, section: Placed(left, inner.line, inner.keys)}
