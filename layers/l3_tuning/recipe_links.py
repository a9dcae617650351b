"""The files that a recipe.yml extends, one after the other: shipped ones by name, others beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aiops.layers.core.errors import Problem
from aiops.layers.core.file import why_unreadable
from aiops.layers.core.places import Override, Places, nearest, read_places

from .recipe_chain import absolute
from .recipe_grammar import SPELLING
from .shipped import shipped, shipped_text

_DEEPEST = 8
"""Files that extend each other; a longer chain is a mistake that nobody could follow."""

Reader = Callable[[str], str]
"""The text of a file, by its absolute path."""


class _WrongLinkError(ValueError):
    """What is named cannot be extended."""

    def __init__(self, words: str, hint: str | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.hint = hint


def like_file(what: str) -> bool:
    """Whether a name is a file's, and not a shipped recipe's."""
    return "/" in what or what.endswith((".yml", ".yaml"))


def linked(
    text: str,
    name: str,
    folders: tuple[str, str],
    *,
    overrides: Sequence[Override],
    problems: list[Problem],
    reader: Reader,
) -> list[Places] | None:
    """A recipe.yml and those that it extends, each with absolute paths; None where it is none itself.

    Args:
        text: What it says.
        name: What it is called, for words about it.
        folders: Where its relative paths begin, and those of the command line.
        overrides: What the command line says instead.
        problems: Where mistakes are added.
        reader: Reads the others.
    """
    folder, here = folders
    places = read_places(text, name, overrides, problems, SPELLING)
    if places is None:
        return None
    found = [absolute(places, folder, here)]
    seen = [str(Path(folder, name)) if like_file(name) else name]
    while True:
        said = found[-1].tree.value.get("extends")
        parent = said.value if said is not None else None
        if not isinstance(parent, str) or not parent:
            return found
        try:
            whole = _whole(parent, folder, seen)
            inner = _text(parent, whole, reader)
        except _WrongLinkError as error:
            problems.append(found[-1].problem(("extends",), error.words, error.hint))
            return found
        folder = str(Path(whole).parent) if like_file(parent) else folder
        above = read_places(inner, parent, (), problems, SPELLING)
        if above is None:
            return found
        seen.append(whole)
        found.append(absolute(above, folder, here))


def _whole(parent: str, folder: str, seen: Sequence[str]) -> str:
    whole = str(Path(folder, parent)) if like_file(parent) else parent
    if whole in seen:
        names = [one.rpartition("/")[2] for one in (*seen, whole)]
        raise _WrongLinkError(f"`extends` goes round in a circle: {' -> '.join(names)}")
    if len(seen) > _DEEPEST:
        raise _WrongLinkError(f"`extends` leads through more than {_DEEPEST} files")
    return whole


def _text(parent: str, whole: str, reader: Reader) -> str:
    if like_file(parent):
        try:
            return reader(whole)
        except (OSError, UnicodeDecodeError) as error:
            raise _WrongLinkError(f"`extends` names {parent}, which cannot be read: {why_unreadable(error)}") from error
    if parent not in shipped():
        near = nearest(parent, shipped())
        hint = f"did you mean `{near}`?" if near else "`aiops recipe list`; a file beside is named with its `.yml`"
        raise _WrongLinkError(f"`extends` is `{parent}`, and there is no shipped recipe of that name", hint)
    return shipped_text(parent)
