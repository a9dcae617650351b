"""Preflight: what stands in a deploy's way, found on all nodes before anything is touched.

Pure judges over one probe of every node. A finding of severity `error` keeps its nodes out of the deploy and leaves
the others in; a `warning` keeps nobody out. What could not be read is a finding too: unknown is never fine. Mistakes
of the whole inventory are not findings: reading it, and `require`, refuse them before any node is asked. Machines of
a system that aiops does not know are none either: `require_supported` refuses the whole deploy.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .finding import Finding, Limits, Severity, Situation
from .judges import JUDGES

__all__ = ["Finding", "Limits", "Severity", "Situation", "excluded", "preflight", "require", "require_supported"]

SUPPORTED = {
    ("debian", "12"): "Debian 12",
    ("debian", "13"): "Debian 13",
    ("ubuntu", "22.04"): "Ubuntu 22.04",
    ("ubuntu", "24.04"): "Ubuntu 24.04",
}


def require(inventory: Inventory, needs: Mapping[str, Iterable[str]]) -> None:
    """Refuse an inventory that the chosen phases cannot be run on, before any node is asked.

    Args:
        inventory: The inventory.
        needs: By phase, the role groups that must not be empty.

    Raises:
        InputError: A role that a phase needs is played by nobody; all such as problems, with the phases' names.
    """
    wanting = defaultdict(list)
    for phase, roles in needs.items():
        for role in roles:
            if not inventory.role(role):
                wanting[role].append(f"`{phase}`")
    problems = [
        Problem(
            f"no node plays the role `{role}`, and it is needed by {', '.join(phases)}",
            file=str(inventory.path),
            hint=f"put a node into the group `{'` or `'.join(inventory.settings.groups_of(role))}`",
        )
        for role, phases in wanting.items()
    ]
    if problems:
        raise InputError(
            f"{inventory.path} does not fit what is to be deployed",
            code="preflight.roles",
            hints=["deploy only what does not need it: `--only PHASE`"],
            problems=problems,
        )


def require_supported(inventory: Path, nodes: Sequence[Node], facts: Mapping[str, Facts]) -> None:
    """Refuse nodes whose operating system aiops does not know, before anything is changed on any.

    Args:
        inventory: Where the nodes are listed, for the message.
        nodes: The chosen ones.
        facts: By node; what a node does not tell is a finding of `preflight`.

    Raises:
        InputError: All such nodes, by their system (`preflight.os`).
    """
    refused: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        known = facts.get(node.name)
        if known is None or known.os_id is None or known.os_version is None:
            continue
        if (known.os_id, known.os_version) not in SUPPORTED:
            refused[known.os_name or f"{known.os_id} {known.os_version}"].append(node.name)
    if refused:
        names = [name for members in refused.values() for name in members]
        raise InputError(
            f"{len(names)} of {len(nodes)} nodes run an operating system that is not supported; nothing was changed",
            code="preflight.os",
            hints=[
                f"install one of: {', '.join(sorted(SUPPORTED.values()))}",
                f"or leave them out with `--on`, as in `--on '!{names[0]}'`",
            ],
            problems=[
                Problem(f"{fold(members)}: {name} is not supported", file=str(inventory))
                for name, members in refused.items()
            ],
        )


def preflight(situation: Situation) -> tuple[Finding, ...]:
    """All findings, errors first, equal ones folded, in the order of the checks."""
    found = [finding for judge in JUDGES for finding in judge(situation)]
    return tuple(sorted(_folded(found, situation.nodes), key=lambda finding: finding.severity != "error"))


def excluded(findings: Iterable[Finding]) -> frozenset[str]:
    """The nodes that an error keeps out of the deploy."""
    return frozenset(name for finding in findings if finding.severity == "error" for name in finding.nodes)


def _folded(found: Iterable[Finding], nodes: Sequence[Node]) -> Iterator[Finding]:
    """Findings that say the same, their node's name and address aside, as one."""
    order = {node.name: place for place, node in enumerate(nodes)}
    addresses = {node.name: node.connection.address for node in nodes}
    groups: dict[tuple[str, str, str, str | None], list[Finding]] = defaultdict(list)
    for finding in found:
        said, hint = finding.message, finding.hint
        if len(finding.nodes) == 1:
            name = finding.nodes[0]
            said = _neutral(said, name, addresses[name])
            hint = None if hint is None else _neutral(hint, name, addresses[name])
        groups[finding.check, finding.severity, said, hint].append(finding)
    for (_, _, said, hint), members in groups.items():
        names = sorted({name for finding in members for name in finding.nodes}, key=order.__getitem__)
        if len(members) == 1:
            yield members[0]
        else:
            message = said.replace(f"`{_NAME}`", "it").replace(_NAME, "it").replace(_ADDRESS, "its address")
            plain = None if hint is None else hint.replace(_NAME, "NODE").replace(_ADDRESS, "ADDRESS")
            yield replace(members[0], nodes=tuple(names), message=message, hint=plain)


_NAME, _ADDRESS = "\0name\0", "\0address\0"


def _neutral(text: str, name: str, address: str) -> str:
    text = text.replace(f"`{name}`", f"`{_NAME}`")
    text = text.removeprefix(f"{name}: ").replace(f" {name} ", f" {_NAME} ")
    return text.replace(address, _ADDRESS) if address and address != name else text
