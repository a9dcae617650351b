"""The outline of INI inventories."""

import re
import shlex

from .outline import Edge, Outline, Place, Setting

_SECTION = re.compile(r"^\[(?P<group>[^:\]\s]+)(?::(?P<kind>\w+))?\]\s*(?:#.*)?$")
_KINDS = ("hosts", "children", "vars")


def read_inventory_ini(text: str, file: str, outline: Outline) -> None:
    """Add what an INI inventory says, and its mistakes, to `outline`."""
    reader = _Reader(file, outline)
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and stripped[0] not in ";#":
            reader.line(stripped, Place(file, number))
    reader.end()


class _Reader:
    """The state between lines: which section we are in."""

    def __init__(self, file: str, outline: Outline) -> None:
        self._file = file
        self._outline = outline
        self._group = "ungrouped"
        self._kind = "hosts"
        self._written: dict[tuple[str, str], int] = {}
        self._declared: set[str] = {"all", "ungrouped"}
        self._mentioned: list[tuple[str, str, Place]] = []

    def line(self, line: str, place: Place) -> None:
        """One line that is neither empty nor a comment."""
        if match := _SECTION.match(line):
            self._section(match["group"], match["kind"] or "hosts", place)
        elif line.startswith("[") and line.endswith("]"):
            self._outline.complain(f"`{line}` is not a section", place, "write `[NAME]` without spaces", fatal=True)
        elif self._kind == "hosts":
            self._hosts(line, place)
        elif self._kind == "vars":
            self._variable(line, place)
        else:
            child = line.partition("#")[0].strip()
            self._mentioned.append((child, f"[{self._group}:children] includes", place))
            self._outline.edges.append(Edge(self._group, child, place))

    def end(self) -> None:
        """Complain of groups that are spoken of and never declared."""
        for group, words, place in self._mentioned:
            if group not in self._declared and group not in self._outline.groups:
                hint = f"add a section `[{group}]`, or correct the name"
                self._outline.complain(f"{words} `{group}`, a group that does not exist", place, hint, fatal=True)

    def _section(self, group: str, kind: str, place: Place) -> None:
        self._group, self._kind = group, kind
        if kind not in _KINDS:
            self._outline.complain(
                f"`[{group}:{kind}]` is none of [{group}], [{group}:children], [{group}:vars]",
                place,
                f"write `[{group}:vars]` or `[{group}:children]`",
                fatal=True,
            )
        elif kind == "vars":
            self._mentioned.append((group, f"[{group}:vars] is for", place))
        else:
            self._declared.add(group)
            self._outline.add_group(group, place)

    def _hosts(self, line: str, place: Place) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            self._outline.complain(f"the line cannot be split into words: {error}", place, fatal=True)
            return
        if not words:
            return
        names = self._outline.add_hosts(words[0], place, self._group)
        seen: set[str] = set()
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals:
                hint = "write variables as `name=value`, quoted where a value has spaces"
                self._outline.complain(f"`{word}` is not `name=value`", place, hint, fatal=True)
            elif name in seen:
                self._outline.complain(f"`{name}` is written twice in this line", place, f"remove one `{name}`")
            seen.add(name)
            self._outline.settings += [Setting("host", host, name, place, value) for host in names]

    def _variable(self, line: str, place: Place) -> None:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            self._outline.complain(f"`{line}` is not `name=value`", place, "write `name=value`", fatal=True)
            return
        first = self._written.setdefault((self._group, name), place.line or 0)
        if first != place.line:
            message = f"`{name}` of the group `{self._group}` is written twice, first in line {first}"
            self._outline.complain(f"{message}; only the last would count", place, f"remove one `{name}`")
        self._outline.settings.append(Setting("group", self._group, name, place, value))
