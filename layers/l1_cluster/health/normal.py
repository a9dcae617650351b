"""What is normal in a group, learned from its healthy nodes. Pure: it makes the text of `health.yml`, and no file.

Only what a clear majority of a group has in common is written, each with how many nodes it is of. What differs stands
in a comment for a person to decide, and what the nodes do not tell is left out.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from aiops.layers.l0_nodes.answer_reading import GARBLED, UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.trait_reading import CHIPS, TRAIT_ASKS

from .check import Check, Subject
from .rate import UNITS

ASKS: tuple[Ask, ...] = tuple(one for one in TRAIT_ASKS if one.name == CHIPS)
"""What is asked of a node for it, beside its facts."""

_NVME = "/sys/class/nvme"
_PASSING = (
    *("br-", "cali", "cni", "docker", "dummy", "flannel", "ifb", "kube", "lxc", "lxd", "ovs", "podman"),
    *("sit", "tap", "tun", "veth", "virbr", "vnet", "vxlan", "wg"),
)
"""How interfaces begin that come and go with what runs on a node."""

_LOOPBACK = "lo"
_SMALLEST, _LARGEST = 68, 65_536
_NEAR, _NEAR_RATE = 0.05, 0.1
_DIGITS = 3  # of a rate: the rest is chance
_SHOWN = 4

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Specimen:
    """A healthy node.

    Attributes:
        record: Of the asks of its facts and `ASKS`.
        rates: What deep tests have measured, by name.
    """

    node: Node
    facts: Facts
    record: Record
    rates: Mapping[str, float] = field(default_factory=dict)


def learned(
    specimens: Sequence[Specimen],
    groups: Sequence[str] | None = None,
    before: Mapping[str, Mapping[str, Value]] | None = None,
) -> str:
    """The text of health.yml.

    Args:
        specimens: Healthy nodes.
        groups: Of which something is to be said; all that the nodes are in where None. The largest comes first, for a
            later one counts more.
        before: What was known until now, by group: of groups of which no node was asked all is kept, of the others
            those rates that were not measured this time.
    """
    members: dict[str, list[Specimen]] = {}
    for one in specimens:
        for group in one.node.groups:
            if groups is None or group in groups:
                members.setdefault(group, []).append(one)
    traits = {one.node.name: traits_of(one) for one in specimens}
    unasked = [group for group in before or {} if group not in members]
    lines = [_HEADER, "aiops: 1", "groups:" if members or unasked else "groups: {}"]
    for group in unasked:
        lines += ["", *_group(group, [], (before or {})[group])]
    same: dict[tuple[str, ...], str] = {}
    for group in sorted(members, key=lambda name: (-len(members[name]), name)):
        nodes = tuple(sorted(one.node.name for one in members[group]))
        if nodes in same:
            lines += ["", f"  # {_plain(group)}: the same nodes as {_plain(same[nodes])}"]
            continue
        same[nodes] = group
        kept = {trait: value for trait, value in (before or {}).get(group, {}).items() if trait.endswith(UNITS)}
        lines += ["", *_group(group, [traits[name] for name in nodes], kept)]
    return "\n".join(lines) + "\n"


_HEADER = """\
# What is normal here: what `aiops health` expects of the nodes of each group, beside what the inventory says.
# Written by `aiops health learn`: review it, mend it, and keep it in git. What is left out is expected of nobody.
# A node that is in several groups: what stands later in this file counts more."""


def traits_of(specimen: Specimen) -> dict[str, Value]:
    """What one node has, by the names that checks ask for; what it does not tell is not in it."""
    found: dict[str, Value] = {}
    for read in (_machine, _devices, _disks, _fabric, _network):
        try:
            found |= read(specimen)
        except UnreadableError:
            continue
        except GARBLED:
            continue
    return found | dict(specimen.rates)


def measured(subject: Subject, checks: Iterable[Check]) -> dict[str, float]:
    """The rates of a node by their names; of several of one name (one of each device) the worst. Pure."""
    found: dict[str, float] = {}
    for check in checks:
        try:
            rates = () if check.rates is None else tuple(check.rates(subject))
        except UnreadableError:
            continue
        for rate in rates:
            value = float(f"{rate.value:.{_DIGITS}g}")
            worse = max if rate.is_delay else min
            found[rate.trait] = worse(value, found.get(rate.trait, value))
    return found


def _machine(specimen: Specimen) -> dict[str, Value]:
    facts = specimen.facts
    values = {name: getattr(facts, name) for name in ("memory_mib", "threads", "kernel", "cgroup")}
    return {name: value for name, value in values.items() if value}


def _devices(specimen: Specimen) -> dict[str, Value]:
    devices = specimen.facts.accelerators
    if devices is None or (not devices and specimen.facts.bus_accelerators):
        return {}
    found: dict[str, Value] = {"gpu.count": len(devices)}
    for name in ("model", "driver", "firmware"):
        values = {getattr(one, name) for one in devices}
        if len(values) == 1 and (value := values.pop()):
            found[f"gpu.{name}"] = value
    modes, links = {one.ecc.enabled for one in devices}, {one.links.active for one in devices}
    if len(modes) == 1 and (mode := modes.pop()) is not None:
        found["gpu.ecc"] = "on" if mode else "off"
    if len(links) == 1 and (count := links.pop()):
        found["gpu.links"] = count
    return found


def _disks(specimen: Specimen) -> dict[str, Value]:
    answer = specimen.record.answer(CHIPS)
    pattern = f"{_NVME}/*/model"
    models = [path for path in answer.files if path.startswith(f"{_NVME}/") and path.endswith("/model")]
    return {"nvme.count": len(models)} if models or answer.missing.get(pattern) == "nothing matches" else {}


def _fabric(specimen: Specimen) -> dict[str, Value]:
    """The rate of a device whose ports all have the same."""
    rates: dict[str, set[float | None]] = {}
    for port in specimen.facts.rdma_ports or ():
        if port.state == "active":
            rates.setdefault(port.device, set()).add(port.speed_gbit)
    alike = {device: next(iter(found)) for device, found in rates.items() if len(found) == 1}
    return {f"ib.{device}.gbit": rate for device, rate in alike.items() if rate}


def _network(specimen: Specimen) -> dict[str, Value]:
    up = [one for one in specimen.facts.interfaces or () if one.state == "up" and _stays(one.name)]
    found: dict[str, Value] = {f"eth.{one.name}.mbit": one.speed for one in up if one.speed}
    names = {one.name for one in up}
    for link in json.loads(said(specimen.record.answer("network"))):
        if link.get("ifname") in names and _SMALLEST <= int(link["mtu"]) <= _LARGEST:
            found[f"eth.{link['ifname']}.mtu"] = int(link["mtu"])
    return found


def _stays(name: str) -> bool:
    return bool(name) and name != _LOOPBACK and not name.startswith(_PASSING)


@dataclass(frozen=True, slots=True)
class _Agreement:
    """What the nodes of a group say of one trait.

    Attributes:
        value: What a clear majority has; None where there is none.
    """

    value: Value | None
    agreeing: int
    telling: int
    counts: Mapping[Value, int]


def _agreement(values: Sequence[Value], nodes: int, near: float | None) -> _Agreement:
    """Two of three agree, among at least half of the nodes."""
    if near is not None:
        middle = median_low([value for value in values if not isinstance(value, str)])
        agreeing = sum(abs(float(value) - middle) <= near * middle for value in values)
        value: Value = middle
    else:
        value, agreeing = Counter(values).most_common(1)[0]
    clear = 3 * agreeing >= 2 * len(values) and 2 * len(values) >= nodes
    return _Agreement(value if clear else None, agreeing, len(values), Counter(values))


def _group(name: str, nodes: Sequence[Mapping[str, Value]], kept: Mapping[str, Value]) -> Iterator[str]:
    """The lines of one group."""
    count = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}" if nodes else "none of its nodes was asked"
    yield f"  {_key(name)}:  # {count}"
    found = {}
    for trait in dict.fromkeys(trait for node in nodes for trait in node):
        values = [node[trait] for node in nodes if trait in node]
        near = _NEAR_RATE if trait.endswith(UNITS) else _NEAR if trait == "memory_mib" else None
        found[trait] = _agreement(values, len(nodes), near)
    agreed = {trait: one for trait, one in found.items() if one.value is not None}
    agreed |= {trait: _Agreement(value, 0, 0, {}) for trait, value in kept.items() if trait not in found}
    if not agreed:
        yield "    {}"
    told: list[tuple[str, ...]] = []
    for trait in sorted(agreed, key=_order):
        path = _path(trait)
        for depth in range(1, len(path)):
            if path[:depth] not in told:
                told.append(path[:depth])
                yield f"{'  ' * (depth + 1)}{_key(path[depth - 1])}:"
        one = agreed[trait]
        yield f"{'  ' * (len(path) + 1)}{_key(path[-1])}: {_value(one.value)}  # {_of(one, len(nodes))}"
    for trait in sorted(found.keys() - agreed.keys(), key=_order):
        yield f"    # {_plain(trait)} differs: {_differing(found[trait], len(nodes))}"


def _of(one: _Agreement, nodes: int) -> str:
    if not one.telling:
        return "as it was, not measured this time"
    silent = nodes - one.telling
    return f"{one.agreeing} of {one.telling}" + (f", {silent} did not say" if silent else "")


def _differing(one: _Agreement, nodes: int) -> str:
    ranking = sorted(one.counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    words = [f"{_plain(str(value))} ({count})" for value, count in ranking[:_SHOWN]]
    more = len(ranking) - _SHOWN
    silent = nodes - one.telling
    return ", ".join(
        [*words, *([f"and {more} more"] if more > 0 else []), *([f"{silent} did not say"] if silent else [])]
    )


_KINDS = ("memory_mib", "memory_gbs", "threads", "kernel", "cgroup", "gpu", "nvme", "disk", "pcie", "ib", "eth")


def _order(trait: str) -> tuple[int, list[str | int]]:
    """As in `_KINDS`; within one, `eth2` comes before `eth10`."""
    parts = re.split(r"(\d+)", trait)
    return _KINDS.index(_path(trait)[0]), [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _path(trait: str) -> tuple[str, ...]:
    """`eth.eth0.100.mtu` in the three steps of the file: a name in the middle may have dots."""
    kind, _, rest = trait.partition(".")
    name, _, last = rest.rpartition(".")
    return tuple(word for word in (kind, name, last) if word)


def _key(name: str) -> str:
    """A key as YAML reads it back."""
    import yaml

    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) is not None and yaml.safe_load(name) == name
    return name if plain else _quoted(name)


def _value(value: Value | None) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _quoted(text: str) -> str:
    """In quotes, for a version such as `570.10` is no number."""
    import yaml

    written: str = yaml.safe_dump(text, default_style='"', width=float("inf"))
    return written.strip()


def _plain(text: str) -> str:
    """A text of a node's in a comment: one line of printable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))[:120]
