"""Where things stand in the files of an inventory: a second reading, which keeps lines.

Ansible alone says what an inventory means. The outline says where each host, group and variable was written, so that a
mistake can be shown with its file and line, and it finds the mistakes Ansible only warns of or does not see.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from aiops.layers.core.errors import Problem

from .hostpattern import expand_pattern
from .inventory_files import Scope


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; lines count from 1."""

    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable as it was written: of what, where, and the text of a simple value."""

    scope: Scope
    owner: str
    name: str
    place: Place
    text: str | None = None
    vaulted: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`child` was written as a child of `parent`."""

    parent: str
    child: str
    place: Place


@dataclass(slots=True)
class Outline:
    """What was written where, collected file by file.

    Attributes:
        hosts: Every place a host was named at, ranges expanded.
        groups: Every place a group was named at.
        members: For a group, the hosts written in it and where.
        vaulted: Files that are encrypted as a whole, which only Ansible can look into.
        unread: Files whose mistakes keep Ansible from reading them at all.
    """

    hosts: dict[str, list[Place]] = field(default_factory=dict)
    groups: dict[str, list[Place]] = field(default_factory=dict)
    members: dict[str, dict[str, Place]] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    vaulted: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def add_hosts(self, pattern: str, place: Place, group: str) -> tuple[str, ...]:
        """Note the hosts a pattern stands for, in a group; a wrong pattern becomes a problem."""
        try:
            names, _ = expand_pattern(pattern)
        except ValueError as error:
            self.complain(str(error), place, fatal=True)
            return ()
        for name in names:
            self.hosts.setdefault(name, []).append(place)
            self.members.setdefault(group, {}).setdefault(name, place)
        return names

    def add_group(self, name: str, place: Place) -> None:
        """Note that a group was named."""
        self.groups.setdefault(name, []).append(place)

    def complain(self, message: str, place: Place, hint: str | None = None, *, fatal: bool = False) -> None:
        """Note a mistake; a fatal one keeps Ansible from reading the file."""
        self.problems.append(Problem(message, place.file, place.line, hint))
        if fatal:
            self.unread.add(place.file)

    def host(self, name: str) -> Place | None:
        """Where a host is first named."""
        places = self.hosts.get(name)
        return places[0] if places else None

    def group(self, name: str) -> Place | None:
        """Where a group is first named."""
        places = self.groups.get(name)
        return places[0] if places else None

    def variable(self, node: str, groups: tuple[str, ...], name: str) -> Setting | None:
        """The writing of a variable that counts for `node`: the host's own before its groups', the last one of each.

        Args:
            node: The node's name.
            groups: All its groups, deepest last, as Ansible ranks them.
            name: The variable's.
        """
        owners: list[tuple[Scope, str]] = [("host", node), *(("group", group) for group in reversed(groups))]
        for scope, owner in (*owners, ("group", "all")):
            for setting in reversed(self.settings):
                if (setting.scope, setting.owner, setting.name) == (scope, owner, name):
                    return setting
        return None

    def cycles(self) -> Iterator[tuple[Edge, ...]]:
        """Circles of groups, each once, beginning with the edge that closes it."""
        children: dict[str, list[Edge]] = {}
        for edge in self.edges:
            yield from self._closed_by(edge, children)
            children.setdefault(edge.parent, []).append(edge)

    @staticmethod
    def _closed_by(edge: Edge, children: dict[str, list[Edge]]) -> Iterator[tuple[Edge, ...]]:
        """The circle that `edge` closes over earlier ones, if any: a walk from its child back to its parent."""
        paths: list[tuple[str, tuple[Edge, ...]]] = [(edge.child, (edge,))]
        seen: set[str] = set()
        while paths:
            group, path = paths.pop()
            if group == edge.parent:
                yield path
                return
            if group not in seen:
                seen.add(group)
                paths += [(step.child, (*path, step)) for step in children.get(group, [])]
