"""One value in a table, as a person or as a program reads it."""

from datetime import datetime

from aiops.layers.core.clock import rfc3339

from .duration import ago

Cell = str | int | float | datetime | None

_TABLE_OF_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), " ")


def clean(text: str) -> str:
    """`text` on one line and without control characters: what a node sends must not drive the terminal."""
    return text.translate(_TABLE_OF_CONTROLS)


def for_program(value: Cell) -> str:
    """Whole and exact; what is missing is empty."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return rfc3339(value)
    return clean(str(value))


def for_person(value: Cell, now: datetime) -> str:
    """Short and relative; what is missing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return ago(value, now)
    return clean(str(value))
