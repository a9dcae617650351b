"""The JSON document in what a tool said, around which it may have said other things, and its leaves as cells."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from . import cell
from .answer_reading import UnreadableError

T = TypeVar("T")

_START = re.compile(r'^[ \t]*(?:\{[ \t]*(?:"|\}|\r?$)|\[[ \t]*(?:[\[{"\]]|\r?$))', re.MULTILINE)


def document(text: str) -> Any:
    """The first JSON object or array that begins a line; tools put warnings before theirs.

    Only that one is tried: a whole part of a document that was cut is not the document.

    Raises:
        UnreadableError: There is none, or it is not whole.
    """
    start = _START.search(text)
    if start is None:
        raise UnreadableError("it holds no JSON document")
    try:
        found, _ = json.JSONDecoder(parse_constant=_refused).raw_decode(text, start.end() - len(start[0].lstrip()))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"its JSON is not whole: {error}") from error
    return found


def leaf(value: Any) -> str:
    """A JSON value as a cell: `{"value": 133, "unit": "W"}` -> `133 W`, `45.0` -> `45.0`, null and structures -> ``."""
    if isinstance(value, dict) and "value" in value:
        amount, unit = leaf(value["value"]), value.get("unit")
        return f"{amount} {unit}" if amount[-1:].isdigit() and isinstance(unit, str) else amount
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, bool | int | float) else ""


def at(tree: Any, *path: str) -> Any:
    """What stands at a path of keys; None when there is no such place."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


@dataclass(frozen=True, slots=True)
class Branch:
    """What a document says of one device.

    Attributes:
        tree: The device's own part.
        name: How the device is called in `unknown`.
        unknown: Gets a reason for each value that is told and cannot be understood.
    """

    tree: Any
    name: str
    unknown: dict[str, str]

    def take(self, parse: Callable[[str], T | None], *paths: str) -> T | None:
        """The first of several dotted paths (they differ by version) that holds a value that `parse` understands."""
        garbled: tuple[str, str] | None = None
        for path in paths:
            told = leaf(at(self.tree, *path.split(".")))
            value = parse(told)
            if value is not None:
                return value
            if garbled is None and cell.text(told) is not None:
                garbled = (path, told)
        if garbled is not None:
            self.unknown[f"{self.name}.{garbled[0]}"] = f"it says `{garbled[1][:60]}`"
        return None


def entries(found: Any, *names: str) -> list[Mapping[str, Any]]:
    """The objects of a list, or of the list that stands below one of `names` in an object."""
    if isinstance(found, dict):
        found = next((found[name] for name in names if isinstance(found.get(name), list)), None)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number")
