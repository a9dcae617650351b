"""The outline of YAML files: inventories, and variable files in group_vars and host_vars."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from .inventory_files import Scope
from .outline import Edge, Outline, Place, Setting

_SECTIONS = ("hosts", "vars", "children")
_STRING = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_KINDS = {"mapping": "a mapping", "sequence": "a list", "scalar": "a plain value"}


def compose(text: str) -> Any:
    """The document as nodes with their marks; None where it is empty.

    Raises:
        yaml.YAMLError: It is not YAML, or more than one document.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.compose(text, Loader=loader)


def read_inventory_yaml(text: str, file: str, outline: Outline) -> None:
    """Add what a YAML inventory says, and its mistakes, to `outline`."""
    root = _root(text, file, outline)
    if root is None:
        return
    writer = _Writer(file, outline)
    for key, value in writer.pairs(root):
        writer.group(key, value)


def read_variables_yaml(text: str, file: str, scope: Scope, owner: str, outline: Outline) -> None:
    """Add the variables of a file in group_vars or host_vars to `outline`."""
    root = _root(text, file, outline, empty=True)
    if root is not None:
        _Writer(file, outline).variables(scope, owner, root)


def _root(text: str, file: str, outline: Outline, *, empty: bool = False) -> Any:
    """The top mapping, its repeated keys complained of; None where there is none."""
    import yaml

    try:
        root = compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or str(error).replace("\n", " ")
        place = Place(file, mark.line + 1 if mark else None)
        outline.complain(f"is not YAML: {words}", place, fatal=True)
        return None
    if root is None or (root.tag == _NULL and root.id == "scalar"):
        if not empty:
            outline.complain("is empty", Place(file, None), "`aiops cluster init` writes a commented one", fatal=True)
        return None
    if root.id != "mapping":
        place = Place(file, root.start_mark.line + 1)
        hint = "write groups as `workers:` with `hosts:` below, as `aiops cluster init` does"
        outline.complain(f"must be a mapping, is {_KINDS[root.id]}", place, hint, fatal=True)
        return None
    _repeated(root, file, outline, set())
    return root


def _repeated(node: Any, file: str, outline: Outline, seen: set[int]) -> None:
    """Complain of every key written twice in one mapping, at any depth; anchors are visited once."""
    if id(node) in seen or node.id == "scalar":
        return
    seen.add(id(node))
    if node.id == "sequence":
        for part in node.value:
            _repeated(part, file, outline, seen)
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        word = (key.tag, key.value)
        if key.id == "scalar" and key.tag != _MERGE and word in lines:
            outline.complain(
                f"the key `{key.value}` is written twice, first in line {lines[word]}; only the last would count",
                Place(file, key.start_mark.line + 1),
                f"remove or rename one `{key.value}`",
            )
        elif key.id == "scalar":
            lines[word] = key.start_mark.line + 1
        _repeated(value, file, outline, seen)


class _Writer:
    """Walks the groups of one file."""

    def __init__(self, file: str, outline: Outline) -> None:
        self._file = file
        self._outline = outline

    def pairs(self, mapping: Any) -> Iterator[tuple[Any, Any]]:
        """Keys and values of a mapping, those it merges with `<<` first, as they rank lower."""
        for key, value in mapping.value:
            if key.tag == _MERGE:
                for source in value.value if value.id == "sequence" else [value]:
                    if source.id == "mapping":
                        yield from self.pairs(source)
        for key, value in mapping.value:
            if key.tag != _MERGE:
                yield key, value

    def group(self, key: Any, body: Any) -> str | None:
        """Note a group and everything below it; gives its name."""
        name = self._name(key, "group")
        if name is None:
            return None
        self._outline.add_group(name, self._place(key))
        if not self._mapping(body, f"the group `{name}`"):
            return name
        for section, content in self.pairs(body):
            self._section(name, section, content)
        return name

    def _section(self, group: str, key: Any, content: Any) -> None:
        if key.value not in _SECTIONS:
            near = get_close_matches(str(key.value), _SECTIONS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"put the group below `children:` of `{group}`"
            self._outline.complain(
                f"`{key.value}` in the group `{group}` is none of hosts, vars, children; Ansible skips it",
                self._place(key),
                hint,
            )
        elif content.id == "scalar" and content.tag == _STRING and key.value != "vars":
            self._entry(group, key.value, content, None)
        elif self._mapping(content, f"`{key.value}` of the group `{group}`", "write `NAME:` instead of `- NAME`"):
            if key.value == "vars":
                self.variables("group", group, content)
                return
            for name, body in self.pairs(content):
                self._entry(group, key.value, name, body)

    def _entry(self, group: str, section: str, key: Any, body: Any) -> None:
        if section == "children":
            child = self._name(key, "group") if body is None else self.group(key, body)
            if child is not None:
                if body is None:
                    self._outline.add_group(child, self._place(key))
                self._outline.edges.append(Edge(group, child, self._place(key)))
            return
        pattern = self._name(key, "host")
        if pattern is None:
            return
        names = self._outline.add_hosts(pattern, self._place(key), group)
        if body is not None and self._mapping(body, f"the host `{pattern}`"):
            for name in names:
                self.variables("host", name, body)

    def variables(self, scope: Scope, owner: str, mapping: Any) -> None:
        """Note the variables of a host or a group."""
        for key, value in self.pairs(mapping):
            text = value.value if value.id == "scalar" else None
            self._outline.settings.append(
                Setting(scope, owner, str(key.value), self._place(key), text, vaulted=value.tag == "!vault")
            )

    def _name(self, key: Any, kind: str) -> str | None:
        if key.id == "scalar" and key.tag == _STRING:
            return str(key.value)
        self._outline.complain(
            f"the name of a {kind} must be text, is `{key.value}`" if key.id == "scalar" else f"a {kind} needs a name",
            self._place(key),
            f'quote it: "{key.value}"' if key.id == "scalar" else None,
            fatal=True,
        )
        return None

    def _mapping(self, node: Any, what: str, hint: str | None = None) -> bool:
        """Whether `node` is a mapping; anything but a mapping or nothing is a mistake."""
        if node.id == "scalar" and node.tag == _NULL:
            return False
        if node.id != "mapping":
            kind = _KINDS[node.id]
            self._outline.complain(f"{what} must be a mapping, is {kind}", self._place(node), hint, fatal=True)
        return bool(node.id == "mapping")

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1)
