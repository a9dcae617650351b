"""What a node that has never answered is taken to be: as most nodes of its groups are. Pure.

Files that list all nodes (slurm.conf, /etc/hosts) then need no change on the others once it answers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .hosts_file import full_name

_SAME = (
    *("os_id", "os_version", "os_codename", "os_name", "architecture", "virtualization", "container", "cgroup"),
    *("sockets", "cores", "threads", "cpu_model", "simulated"),
)
"""What nodes of one kind have in common. Memory differs by a few MiB and is taken from the middle one."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A node that has never answered, and those that it is taken to be like.

    Attributes:
        facts: Of the majority, with its own name; what differs from node to node is not in them.
    """

    node: str
    like: tuple[str, ...]
    facts: Facts


def likenesses(nodes: Sequence[Node], facts: Mapping[str, Facts]) -> tuple[Likeness, ...]:
    """Those of `nodes` without facts for which more than half of the nodes with the same groups are alike.

    Args:
        nodes: All of the inventory.
        facts: By node, of now or of an earlier deploy.
    """
    silent = [node for node in nodes if node.name not in facts]
    peers: dict[tuple[str, ...], list[Facts]] = {node.groups: [] for node in silent}
    for node in nodes:
        if node.name in facts and node.groups in peers:
            peers[node.groups].append(facts[node.name])
    alike = {groups: _majority(members) for groups, members in peers.items()}
    return tuple(
        Likeness(node.name, tuple(one.node for one in alike[node.groups]), _facts(node.name, alike[node.groups]))
        for node in silent
        if alike[node.groups]
    )


def in_words(found: Sequence[Likeness]) -> tuple[str, ...]:
    """One line per set of nodes that others are taken to be like."""
    nodes: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        nodes.setdefault(one.like, []).append(one.node)
    return tuple(
        f"{fold(names)} {'has' if len(names) == 1 else 'have'} never answered: "
        f"files that list all nodes take {'it' if len(names) == 1 else 'them'} to be like {fold(like)}"
        for like, names in nodes.items()
    )


def _majority(members: Sequence[Facts]) -> tuple[Facts, ...]:
    """Those that are alike and more than half; none where there is no such majority."""
    shapes = [_shape(one) for one in members]
    for shape, count in Counter(shapes).most_common(1):
        if count * 2 > len(members):
            return tuple(one for one, its in zip(members, shapes, strict=True) if its == shape)
    return ()


def _facts(name: str, alike: Sequence[Facts]) -> Facts:
    first = alike[0]
    memory = [one.memory_mib for one in alike if one.memory_mib is not None]
    domains = Counter(_domain(one) for one in alike)
    domain, count = domains.most_common(1)[0]
    short = name.partition(".")[0]
    full = f"{short}.{domain}" if domain and count * 2 > len(alike) else short
    return Facts(
        name,
        first.at,
        **{field: getattr(first, field) for field in _SAME},
        memory_mib=median_low(memory) if memory else None,
        bus_accelerators=first.bus_accelerators,
        hostname=short,
        hosts=f"127.0.1.1 {full} {short}\n",
    )


def _shape(facts: Facts) -> tuple[Any, ...]:
    """What must be the same on nodes that are alike; compared, never shown."""
    devices = facts.bus_accelerators
    return (
        *(getattr(facts, field) for field in _SAME),
        None if devices is None else tuple((one.vendor, one.count, one.switches) for one in devices),
    )


def _domain(facts: Facts) -> str:
    """The domain that a node calls itself by; empty where it knows none."""
    return full_name(facts.hostname or facts.node, facts.hosts or "").partition(".")[2]
