"""The long answers of vendors' tools: `key : value` in sections that are set apart by indentation, device by device."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import cell


@dataclass(frozen=True, slots=True)
class Log:
    """What was said before the first device, or of one device.

    Attributes:
        head: The groups of the line that began it; None for what stands before the first.
        entries: Values by the titles above them and their own key, in their order; a path may come more than once.
    """

    head: tuple[str, ...] | None = None
    entries: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def value(self, *path: str) -> str:
        """The first value at exactly this path; empty when there is none."""
        return next((value for found, value in self.entries if found == path), "")

    def find(self, section: str, *keys: str) -> str:
        """The first value below a section, however deep, under one of these keys; empty when there is none."""
        return next((value for path, value in self.entries if path[0] == section and path[-1] in keys), "")

    def below(self, *section: str) -> list[tuple[tuple[str, ...], str]]:
        """The entries of a section, by the rest of their paths."""
        size = len(section)
        return [(path[size:], value) for path, value in self.entries if path[:size] == section and len(path) > size]

    def active(self, *section: str) -> tuple[str, ...] | None:
        """The names of a section's entries that are on, as `hw_slowdown`; None when it tells of none."""
        found = [(path[-1], cell.flag(value)) for path, value in self.below(*section)]
        known = [(name, on) for name, on in found if on is not None]
        return tuple("_".join(name.lower().split()) for name, on in known if on) if known else None


def logs(text: str, head: re.Pattern[str]) -> tuple[Log, list[Log]]:
    """What stands before the first device, and one log per device.

    A value may stand on the line below its key, behind a colon of its own.

    Args:
        text: The tool's answer.
        head: Matches the whole line that begins a device.
    """
    before = Log()
    devices: list[Log] = []
    titles: list[tuple[int, str]] = []
    for depth, line in _lines(text):
        begun = head.fullmatch(line) if not depth else None
        if begun is not None:
            devices.append(Log(begun.groups(default="")))
            titles = []
            continue
        while titles and titles[-1][0] >= depth:
            titles.pop()
        key, colon, value = line.partition(":")
        if not colon:
            titles.append((depth, line))
            continue
        path = tuple(title for _, title in titles) + ((key.strip(),) if key.strip() else ())
        if path:
            (devices[-1] if devices else before).entries.append((path, value.strip()))
    return before, devices


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for line in text.splitlines():
        words = line.strip()
        if words:
            yield len(line.expandtabs()) - len(line.expandtabs().lstrip()), words
