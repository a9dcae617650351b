"""The JSON document in what a tool said, around which it may have said other things, and its leaves as cells."""

import json
import re
from typing import Any

from .answer_reading import UnreadableError

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


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number")
