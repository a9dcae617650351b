"""What is wrong with an inventory, each with file and line. Pure, but for looking at key files."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from aiops.layers.core.errors import Problem

from .key_file import key_trouble
from .node import Node
from .nodeset import fold
from .outline import Outline, Place
from .settings import ROLES, Settings
from .variables import mistakes_in

_VAULT_HINT = (
    "give the vault's password: `export ANSIBLE_VAULT_PASSWORD_FILE=FILE`, or `vault_password_file` in ansible.cfg"
)


@dataclass(slots=True)
class Findings:
    """Mistakes of single nodes, so that equal ones of many nodes become one problem."""

    _nodes: dict[tuple[str, Place | None, str | None], list[str]] = field(default_factory=dict)

    def add(self, node: str, message: str, place: Place | None, hint: str | None = None) -> None:
        """Note that `node` has a mistake."""
        self._nodes.setdefault((message, place, hint), []).append(node)

    def problems(self) -> Iterator[Problem]:
        """One problem for each distinct mistake, naming its nodes."""
        for (message, place, hint), nodes in self._nodes.items():
            where = place or Place("", None)
            yield Problem(f"{message} (on {fold(nodes)})", where.file or None, where.line, hint)


def variable_place(outline: Outline, node: Node, name: str | None, fallback: str) -> Place:
    """Where the value of a variable of `node` was written; the node's own line where that is not known."""
    setting = outline.variable(node.name, ranked(outline, node.groups), name) if name else None
    if setting is not None:
        return setting.place
    return outline.host(node.name) or Place(fallback, None)


def ranked(outline: Outline, groups: Iterable[str]) -> tuple[str, ...]:
    """Groups as Ansible ranks them: by depth below `all`, then by name; the last counts most."""
    parents: dict[str, list[str]] = {}
    for edge in outline.edges:
        parents.setdefault(edge.child, []).append(edge.parent)

    def depth(group: str, path: frozenset[str]) -> int:
        above = [parent for parent in parents.get(group, []) if parent not in path]
        return 1 + max((depth(parent, path | {group}) for parent in above), default=0)

    return tuple(sorted(groups, key=lambda group: (depth(group, frozenset()), group)))


def cycles(outline: Outline) -> Iterator[Problem]:
    """Groups that contain themselves."""
    for edges in outline.cycles():
        names = [edges[0].parent, *(edge.child for edge in edges)]
        place = edges[0].place
        yield Problem(
            f"groups contain each other: {' > '.join(names)}",
            place.file,
            place.line,
            f"remove `{edges[0].child}` from the children of `{edges[0].parent}`",
        )


def unparsed(warnings: Sequence[str], outline: Outline, path: Path) -> Iterator[Problem]:
    """Files that Ansible could not read, in its words, where the outline has not already said why."""
    words = ""
    for warning in warnings:
        if match := re.match(r"Failed to parse inventory with '?(\w+)'? plugin: (.*)", warning.strip(" *")):
            words = match[2] if match[1] != "auto" or not words else words
        elif match := re.match(r"Unable to parse (.*) as an inventory source", warning.strip(" *")):
            file = match[1]
            if file not in outline.unread and not (Path(file).is_dir() and file == str(path.absolute())):
                yield Problem(
                    f"Ansible cannot read it: {words or 'it gives no reason'}",
                    file,
                    None,
                    f"`ansible-inventory -i {file} --list`",
                )
            words = ""


def vaulted_files(outline: Outline, failure: str) -> Iterator[Problem]:
    """Files encrypted as a whole that Ansible could not decrypt."""
    for file in outline.vaulted:
        yield Problem(f"cannot be decrypted: {failure}", file, 1, _VAULT_HINT)


def empty(nodes: Sequence[Node], path: Path) -> Iterator[Problem]:
    """An inventory without nodes."""
    if nodes:
        return
    if path.is_dir():
        message, hint = "the directory holds no inventory with a node", "put an inventory in it, e.g. `inventory.yml`"
    else:
        message, hint = "there is no node in it", "add one below `hosts:` of a group"
    yield Problem(message, str(path), None, hint)


def two_heads(nodes: Sequence[Node], outline: Outline, settings: Settings, path: Path) -> Iterator[Problem]:
    """More than one head."""
    heads = [node.name for node in nodes if "head" in node.roles]
    if len(heads) > 1:
        groups = settings.groups_of("head")
        places = [place for group in groups for name, place in outline.members.get(group, {}).items() if name in heads]
        place = places[1] if len(places) > 1 else outline.host(heads[1]) or Place(str(path), None)
        yield Problem(
            f"a cluster has one head, here are {len(heads)}: {', '.join(heads)} (group {', '.join(groups)})",
            place.file,
            place.line,
            f'leave one of them in `{groups[0]}`, or name the right group in aiops.toml: `[roles]`, `head = ["..."]`',
        )


def unknown_groups(groups: Mapping[str, object], outline: Outline, settings: Settings) -> Iterator[Problem]:
    """Roles mapped in aiops.toml to groups that do not exist."""
    for role in ROLES:
        for group in settings.roles.get(role, ()):
            if group not in groups and group not in outline.groups:
                near = get_close_matches(group, groups, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"the groups are {', '.join(sorted(groups))}"
                line = settings.lines.get(role)
                yield Problem(f"role `{role}`: there is no group `{group}`", str(settings.path), line, hint)


def same_address(nodes: Sequence[Node], outline: Outline, path: Path) -> Iterator[Problem]:
    """Two nodes behind one address and port, reached the same way."""
    seen: dict[tuple[object, ...], Node] = {}
    for node in nodes:
        to = node.connection
        way = ("local",) if to.kind == "local" else (to.address, to.port or 22, to.ssh_arguments)
        first = seen.setdefault(way, node)
        if first is not node:
            place = variable_place(outline, node, "ansible_host", str(path))
            target = "this machine itself" if to.kind == "local" else f"{to.address}:{to.port or 22}"
            yield Problem(
                f"`{first.name}` and `{node.name}` have the same address, {target}",
                place.file,
                place.line,
                f"give `{node.name}` its own `ansible_host` or `ansible_port`",
            )


def key_files(nodes: Sequence[Node], outline: Outline, path: Path) -> Iterator[Problem]:
    """Private keys that ssh could not use."""
    findings = Findings()
    reasons: dict[str, tuple[str, str] | None] = {}
    for node in nodes:
        key = node.connection.key_file
        if key is None or node.connection.kind == "local":
            continue
        if key not in reasons:
            reasons[key] = key_trouble(key)
        if (trouble := reasons[key]) is not None:
            places = (
                outline.variable(node.name, ranked(outline, node.groups), name)
                for name in ("ansible_ssh_private_key_file", "ansible_private_key_file")
            )
            setting = next((setting for setting in places if setting is not None), None)
            place = setting.place if setting else Place(str(path), None)
            findings.add(node.name, f"the private key {key} {trouble[0]}", place, trouble[1])
    yield from findings.problems()


def wrong_variables(nodes: Sequence[Node], outline: Outline, settings: Settings, path: Path) -> Iterator[Problem]:
    """`aiops_*` variables that are unknown or of the wrong type, and disagreement on the cluster's name."""
    findings = Findings()
    known: dict[str, list[tuple[str, str, str | None]]] = {}
    for node in nodes:
        text = repr(sorted(node.aiops.items()))
        if text not in known:
            known[text] = [(found.variable, found.message, found.hint) for found in mistakes_in(node.aiops)]
        for name, message, hint in known[text]:
            if name not in node.variables and settings.path is not None:
                findings.add(node.name, message, Place(str(settings.path), settings.lines.get(name)), hint)
            else:
                findings.add(node.name, message, variable_place(outline, node, name, str(path)), hint)
    yield from findings.problems()
    named = {str(node.aiops["aiops_cluster"]): node for node in nodes if node.aiops.get("aiops_cluster") is not None}
    if len(named) > 1:
        place = variable_place(outline, list(named.values())[1], "aiops_cluster", str(path))
        yield Problem(
            f"`aiops_cluster` must be the same on all nodes, here it is {' and '.join(f'`{name}`' for name in named)}",
            place.file,
            place.line,
            "set it once, in `vars:` of the group `all`",
        )


def spoiled(
    node: str, variables: Mapping[str, object], words: str, outline: Outline, path: str
) -> tuple[Place, str, str | None]:
    """The place, words and hint for a template or vault that Ansible could not make a value of."""
    vault = "vault" in words.lower() or "decrypt" in words.lower()
    missing = re.search(r"'(\w+)' is undefined", words)
    for setting in reversed([setting for setting in outline.settings if setting.name in variables]):
        if vault and setting.vaulted:
            return setting.place, f"`{setting.name}` cannot be decrypted: {_cause(words)}", _VAULT_HINT
        if missing and setting.text and "{" in setting.text and re.search(rf"\b{missing[1]}\b", setting.text):
            hint = f"define `{missing[1]}`, or correct its name"
            return setting.place, f"`{setting.name}` needs `{missing[1]}`, which is not defined", hint
    place = outline.host(node) or Place(path, None)
    return place, f"Ansible cannot make a value of a variable: {_cause(words)}", _VAULT_HINT if vault else None


def _cause(words: str) -> str:
    """The innermost of the causes that Ansible strings together."""
    return words.rsplit(": ", 1)[-1].strip().rstrip(".")
