"""What a node should have, as its inventory says, beside what the probe found: accelerators, system, network ports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import ROLES
from aiops.layers.l0_nodes.variables import ExpectedAccelerators, ExpectedNics, NodeVariables

from .finding import Severity

VIRTUAL_CARDS = (
    "docker",
    "virbr",
    "veth",
    "br-",
    "cni",
    "flannel",
    "cali",
    "kube",
    "tun",
    "tap",
    "lo",
    "dummy",
    "vxlan",
)
_DOWN = ("down", "lowerlayerdown", "notpresent", "dormant")
_LOOK = {"ethernet": "ip -brief link"}
_SAID = "what is expected is `{}` in the inventory"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One thing that is not as expected.

    Attributes:
        check: `accelerators`, `os` or `nics`.
        variable: The variable that says what is expected.
        found: What is there, in words that `expected` follows.
        expected: In words; None where nothing could be compared.
    """

    check: str
    severity: Severity
    variable: str
    found: str
    expected: str | None
    hint: str | None = None


def shortfalls(variables: NodeVariables, facts: Facts) -> Iterator[Shortfall]:
    """What a node has not of what is expected of it. Pure; what could not be read is a shortfall too."""
    if variables.aiops_accelerators is not None:
        yield from _accelerators(variables.aiops_accelerators, facts)
    if variables.aiops_expect is not None:
        yield from _system(variables.aiops_expect.os, facts)
        for wanted in variables.aiops_expect.nics:
            yield from _nics(wanted, facts)


def origin(node: Node, variable: str, everyone: Sequence[Node]) -> str:
    """Of whom the value of `variable` is expected, in words: ` of group `h100``, ` of all nodes`, or nothing.

    It is the largest group of the node in which all expect the same, which is where an operator writes it.
    """
    value = _value(node, variable)
    if len(everyone) > 1 and all(_value(other, variable) == value for other in everyone):
        return " of all nodes"
    sizes: dict[str, int] = {}
    for group in node.groups:
        members = [other for other in everyone if group in other.groups]
        if all(_value(other, variable) == value for other in members):
            sizes[group] = len(members)
    if not sizes:
        return ""
    name = max(sizes, key=lambda group: (sizes[group], group not in ROLES, group))
    return f" of group `{name}`"


def _value(node: Node, variable: str) -> Any:
    return node.aiops.get(variable)


def _accelerators(wanted: ExpectedAccelerators, facts: Facts) -> Iterator[Shortfall]:
    variable = "aiops_accelerators"
    if facts.bus_accelerators is None:
        yield Shortfall(
            "accelerators", "error", variable, f"its bus could not be read: {_why(facts, 'bus_accelerators')}", None
        )
        return
    count = sum(one.count for one in facts.bus_accelerators if one.vendor == wanted.vendor)
    if count != wanted.count:
        yield Shortfall(
            "accelerators",
            "error",
            variable,
            f"{count} {wanted.vendor} devices on the bus",
            str(wanted.count),
            f"look: `lspci -nn`; {_SAID.format(variable)}",
        )
    models = {one.model for one in facts.accelerators or () if one.model and one.vendor == wanted.vendor}
    wrong = sorted(model for model in models if wanted.model and wanted.model not in model)
    if wrong:
        yield Shortfall("accelerators", "warning", variable, f"its model is {', '.join(wrong)}", wanted.model)


def _system(wanted: str | None, facts: Facts) -> Iterator[Shortfall]:
    """Preflight says of every node whose system is unknown; it is not said twice."""
    if wanted is None or facts.os_id is None or facts.os_version is None:
        return
    found = f"{facts.os_id} {facts.os_version}"
    if found != wanted.lower() and not found.startswith((f"{wanted.lower()} ", f"{wanted.lower()}.")):
        hint = f"install {wanted} on it, or move it to another group; {_SAID.format('aiops_expect')}"
        yield Shortfall("os", "error", "aiops_expect", f"runs {found}", wanted, hint)


def _nics(wanted: ExpectedNics, facts: Facts) -> Iterator[Shortfall]:
    variable = "aiops_expect"
    ports = _ports(wanted, facts)
    if ports is None:
        subject = "interfaces" if wanted.kind == "ethernet" else "rdma_ports"
        found = f"its {_called(wanted)} could not be read: {_why(facts, subject)}"
        yield Shortfall("nics", "error", variable, found, None)
        return
    idle = [f"{port.name} is {port.state}" for port in ports if not port.active]
    active = [port for port in ports if port.active]
    if len(active) != wanted.count:
        more = len(active) > wanted.count
        yield Shortfall(
            "nics",
            "warning" if more else "error",
            variable,
            f"{len(active)} {_called(wanted)}" + (f" ({', '.join(idle)})" if idle else ""),
            str(wanted.count),
            f"look: `{_LOOK.get(wanted.kind, 'rdma link')}`; {_SAID.format(variable)}",
        )
    if wanted.speed_gbit is not None:
        slow = [port for port in active if port.gbit is None or port.gbit < wanted.speed_gbit]
        if slow:
            told = ", ".join(f"{port.name} {'?' if port.gbit is None else f'{port.gbit:g}'}" for port in slow)
            yield Shortfall(
                "nics", "warning", variable, f"slow {_called(wanted)}, in Gbit/s: {told}", str(wanted.speed_gbit)
            )


@dataclass(frozen=True, slots=True)
class _Port:
    name: str
    gbit: float | None
    active: bool
    state: str


def _ports(wanted: ExpectedNics, facts: Facts) -> list[_Port] | None:
    """The ports of the wanted kind and name, virtual ones left out; None where they are unknown."""
    if wanted.kind == "ethernet":
        if facts.interfaces is None:
            return None
        return [
            _Port(
                card.name,
                None if card.speed is None else card.speed / 1000,
                card.state not in _DOWN,
                card.state or "unknown",
            )
            for card in facts.interfaces
            if fnmatchcase(card.name, wanted.name) and not card.name.startswith(VIRTUAL_CARDS)
        ]
    if facts.rdma_ports is None:
        return None
    return [
        _Port(
            port.device if port.port == 1 else f"{port.device}/{port.port}",
            port.speed_gbit,
            port.state == "active",
            port.state or "unknown",
        )
        for port in facts.rdma_ports
        if port.kind == wanted.kind and fnmatchcase(port.device, wanted.name)
    ]


_KINDS: Mapping[str, str] = {"ethernet": "Ethernet", "infiniband": "InfiniBand", "roce": "RoCE"}


def _called(wanted: ExpectedNics) -> str:
    named = "" if wanted.name == "*" else f" `{wanted.name}`"
    return f"active {_KINDS[wanted.kind]} ports{named}"


def _why(facts: Facts, subject: str) -> str:
    return (facts.unknown or {}).get(subject, "the node did not say")
