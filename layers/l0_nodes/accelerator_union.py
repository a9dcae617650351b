"""Devices of which several answers of a tool tell, each of them a part."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from .accelerator import Accelerator

T = TypeVar("T")


def united(*sources: Iterable[Accelerator]) -> tuple[Accelerator, ...]:
    """The devices of all sources, each once: an earlier source is believed before a later one, which fills gaps.

    The same device is the one at the same address, or of the same index where one of the two has no address.
    """
    found: list[Accelerator] = []
    for source in sources:
        known = list(found)
        for device in source:
            same = next((one for one in known if _same(one, device)), None)
            if same is None:
                found.append(device)
            else:
                known.remove(same)
                found[found.index(same)] = filled(same, device)
    return tuple(sorted(found, key=lambda one: (one.index is None, one.index or 0)))


def filled(one: T, other: T) -> T:
    """A record with what only the other knows."""
    values: dict[str, Any] = {}
    for field in fields(one):  # type: ignore[arg-type]
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(mine):
            values[field.name] = filled(mine, theirs)
        elif mine is None or (mine == () and theirs):
            values[field.name] = theirs
    return replace(one, **values)  # type: ignore[type-var]


def _same(one: Accelerator, other: Accelerator) -> bool:
    if one.bus is not None and other.bus is not None:
        return one.bus == other.bus
    return one.index is not None and one.index == other.index
