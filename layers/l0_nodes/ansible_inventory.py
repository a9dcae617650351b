"""An inventory read afresh: Ansible's answers made into nodes, or all mistakes at once, with the outline's lines."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import Problem

from . import mistakes
from .ansible import Ansible, Answers, Listing
from .connection import VARIABLES, AnsibleSettings, WrongValueError, connection_of
from .inventory_files import inventory_files, variable_files
from .node import Connection, Node
from .outline import Outline
from .settings import ROLES, Settings
from .source import outline_of, read_source
from .template import is_lasting, is_templated, is_vaulted, plain
from .withheld import Variables, is_plain_secret
from .yaml_outline import compose

_RUNNING = frozenset({"script", "plugin", "vaulted", "toml"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        nodes: All nodes, in Ansible's order.
        groups: The nodes of each group, those of its children too.
        problems: Everything wrong with it; where there is anything, the nodes are not to be used.
        keepable: Whether it rests on nothing but plain files, so that it may be cached.
    """

    nodes: tuple[Node, ...]
    groups: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]
    keepable: bool


def read_afresh(
    path: Path, environment: Mapping[str, str], folder: Path, settings: Settings, *, thorough: bool = False
) -> Reading:
    """Read the inventory at `path` by asking Ansible.

    Args:
        path: An existing file or directory.
        environment: For Ansible; its ANSIBLE_* count.
        folder: The working folder, where Ansible looks for its files.
        settings: What aiops.toml says.
        thorough: Also see whether every vaulted value can be decrypted, needed or not.

    Raises:
        FailedError: ansible-core is missing, or does not answer.
    """
    return _Reader(path, environment, folder, settings).read(thorough=thorough)


class _Reader:
    def __init__(self, path: Path, environment: Mapping[str, str], folder: Path, settings: Settings) -> None:
        self._path = path
        self._environment = environment
        self._folder = folder
        self._settings = settings
        self._ansible = Ansible(environment, folder)
        self._problems: list[Problem] = []
        self._findings = mistakes.Findings()
        self._own = AnsibleSettings()
        self._outline = Outline()
        self._secrets: frozenset[str] = frozenset()

    def read(self, *, thorough: bool) -> Reading:
        sources = [read_source(file) for file in inventory_files(self._path)]
        self._outline = outline_of(sources, list(variable_files(self._path, self._folder)))
        listing, self._own = self._listing_and_settings()
        groups, raw = listing.groups(), listing.variables()
        self._judge_listing(listing)
        self._secrets = self._secret_names() if raw else frozenset()
        answers = self._answers(raw, thorough=thorough)
        self._judge_answers(answers, raw)
        memberships = memberships_of(groups)
        nodes = tuple(self._node(name, raw[name], memberships[name], answers) for name in raw)
        self._judge_nodes(nodes, groups)
        keepable = (
            not any(source.kind in _RUNNING for source in sources)
            and "VARIABLE_PLUGINS_ENABLED" not in self._own.base
            and self._lasting(raw)
        )
        return Reading(nodes, groups, tuple(dict.fromkeys(self._problems)), keepable)

    def _listing_and_settings(self) -> tuple[Listing, AnsibleSettings]:
        """Both at once: each is seconds of waiting for Ansible, which Ctrl-C or a failure of the other cuts short."""
        pool = ThreadPoolExecutor(max_workers=2)
        try:
            listing, own = pool.submit(self._listing), pool.submit(self._own_settings)
            return listing.result(), own.result()
        except BaseException:
            self._ansible.stop()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _listing(self) -> Listing:
        """What Ansible says; it is not asked about a file that it cannot read anyway."""
        return Listing({}) if str(self._path) in self._outline.unread else self._ansible.list(self._path)

    def _own_settings(self) -> AnsibleSettings:
        """Ansible's own settings for reaching nodes."""
        base = self._ansible.settings("base")
        method = str(base.get("DEFAULT_BECOME_METHOD", "sudo"))
        ssh, become = self._ansible.settings("connection", "ssh"), self._ansible.settings("become", method)
        return AnsibleSettings(base, ssh, {method: become})

    def _judge_listing(self, listing: Listing) -> None:
        outline = self._outline
        self._problems += outline.problems
        self._problems += mistakes.cycles(outline)
        if listing.failure is not None:
            found = list(mistakes.vaulted_files(outline, listing.failure))
            self._problems += found or [Problem(f"Ansible cannot read it: {listing.failure}", str(self._path))]
        elif not outline.unread and not any(True for _ in outline.cycles()):
            self._problems += mistakes.unparsed(listing.warnings, outline, self._path)

    def _answers(self, raw: Mapping[str, Mapping[str, Any]], *, thorough: bool) -> Answers:
        """Ansible's values for what is templated or vaulted among the variables that matter here."""
        wanted = {
            node: [
                name
                for name, value in variables.items()
                if is_templated(value) and (_matters(name) or (thorough and is_vaulted(value)))
            ]
            for node, variables in raw.items()
        }
        return self._ansible.values(self._path, {node: names for node, names in wanted.items() if names})

    def _judge_answers(self, answers: Answers, raw: Mapping[str, Mapping[str, Any]]) -> None:
        for node, words in answers.failures.items():
            place, message, hint = mistakes.spoiled(node, raw[node], words, self._outline, str(self._path))
            self._findings.add(node, message, place, hint)

    def _secret_names(self) -> frozenset[str]:
        """Names of the variables in files that are vaulted as a whole: Ansible lists them decrypted."""
        names: set[str] = set()
        for file in self._outline.vaulted:
            text = self._ansible.decrypted(Path(file))
            root = compose(text) if text else None
            if root is not None and root.id == "mapping":
                names |= {str(key.value) for key, _ in root.value}
        return frozenset(names)

    def _node(self, name: str, variables: Mapping[str, Any], groups: tuple[str, ...], answers: Answers) -> Node:
        answered = answers.values.get(name, {})
        clear = {
            key: answered.get(key, plain(value))
            for key, value in variables.items()
            if _matters(key) and (key in answered or not is_templated(value))
        }
        withheld = frozenset(
            key for key, value in variables.items() if key in self._secrets or is_plain_secret(key, value)
        )
        known = {key: value for key, value in variables.items() if key not in withheld}
        return Node(
            name,
            groups,
            roles_of(groups, self._settings),
            self._connection(name, groups, clear),
            Variables(known, withheld, self._ansible.revealer(self._path, name)),
            {**self._settings.variables, **{key: value for key, value in clear.items() if key.startswith("aiops_")}},
        )

    def _connection(self, name: str, groups: tuple[str, ...], clear: Mapping[str, Any]) -> Connection:
        """The node's connection; a wrong value is noted, and the node goes on with a bare one."""
        home = Path(self._environment.get("HOME", "~")).expanduser()
        try:
            return connection_of(name, clear, self._own, folder=self._folder, home=home)
        except WrongValueError as error:
            place = mistakes.variable_place(self._outline, Node(name, groups), error.variable, str(self._path))
            self._findings.add(name, str(error), place)
            return Connection(address=name)

    def _judge_nodes(self, nodes: tuple[Node, ...], groups: Mapping[str, tuple[str, ...]]) -> None:
        outline, path = self._outline, self._path
        self._problems += self._findings.problems()
        if not self._problems:
            self._problems += mistakes.empty(nodes, path)
        self._problems += mistakes.two_heads(nodes, outline, self._settings, path)
        self._problems += mistakes.wrong_variables(nodes, outline, self._settings, path)
        self._problems += mistakes.key_files(nodes, outline, path)
        self._problems += mistakes.same_address(nodes, outline, path)
        if nodes:
            self._problems += mistakes.unknown_groups(groups, outline, self._settings)

    def _lasting(self, raw: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether nothing that is kept of any node rests on a secret or on something that passes."""
        secrets = self._secrets
        others = not secrets and all(
            is_lasting(value, variables, secrets=secrets, others_lasting=True)
            for variables in raw.values()
            for value in variables.values()
        )
        return all(
            name not in secrets and is_lasting(value, variables, secrets=secrets, others_lasting=others)
            for variables in raw.values()
            for name, value in variables.items()
            if _matters(name)
        )


def _matters(name: str) -> bool:
    """Whether a variable decides how a node is reached or what aiops does with it."""
    return name in VARIABLES or name.startswith("aiops_")


def memberships_of(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The groups of each node, sorted, without those every node is in."""
    found: dict[str, list[str]] = {name: [] for name in groups.get("all", ())}
    for group in sorted(set(groups) - {"all", "ungrouped"}):
        for name in groups[group]:
            found[name].append(group)
    return {name: tuple(names) for name, names in found.items()}


def roles_of(groups: tuple[str, ...], settings: Settings) -> frozenset[str]:
    """The roles that a node in `groups` plays."""
    return frozenset(role for role in ROLES if any(group in groups for group in settings.groups_of(role)))
