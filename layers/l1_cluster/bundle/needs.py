"""What a bundle must hold for an inventory: its nodes' releases, what their variables add, their drivers. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.variables import NodeVariables, variables_of

from .lock import EnvironmentWish
from .names import packages_of_playbooks
from .target import ARCHITECTURES, MACHINES, RELEASES, Target
from .workspace import Wanted

_SHARED_VARIABLES = ("aiops_packages", "aiops_hold")


@dataclass(frozen=True, slots=True)
class Needs:
    """What the nodes of an inventory need of a bundle.

    Attributes:
        wanted: Packages by target, each with who wants it.
        environments: Python environments by target.
        dummies: Vendor and driver (None: the lab's usual one) of simulated packages.
        assumed: Nodes whose release nobody has told, neither they nor the inventory.
        left_out: Nodes whose release is not among the targets that were asked for.
    """

    wanted: Mapping[Target, tuple[Wanted, ...]]
    environments: Mapping[Target, tuple[EnvironmentWish, ...]]
    dummies: tuple[tuple[str, str | None], ...]
    assumed: tuple[str, ...]
    left_out: tuple[str, ...]


def needs_of(
    inventory: Inventory, facts: Mapping[str, Facts], targets: Sequence[Target], default: Target, *, vendor: bool
) -> Needs:
    """What the nodes that install from the bundle need, and those that have environments.

    A node's release is what it said when it was last looked at, else `aiops_expect.os`. A node of which neither is
    known may run any of the targets.

    Args:
        inventory: The inventory.
        facts: What nodes have said earlier, as far as they have.
        targets: The only ones, where some were asked for; else they are those of the nodes.
        default: The target where nothing is known of any node.
        vendor: Whether the packages of accelerator vendors are wanted whatever the inventory says.

    Raises:
        InputError: A lock file is named for an environment that no node has (`environment.unknown`).
    """
    nodes = {node.name: variables_of(node) for node in inventory.nodes}
    bundled = {name: variables for name, variables in nodes.items() if variables.aiops_repository == "bundle"}
    # Whatever a node's packages come from, its environments are made of the bundle's wheels.
    served = {name: variables for name, variables in nodes.items() if name in bundled or variables.aiops_environments}
    _require_wished(nodes)
    told = {
        name: target for name, variables in served.items() if (target := _told(facts.get(name), variables)) is not None
    }
    chosen = tuple(dict.fromkeys(targets or sorted(told.values()) or [default]))
    wanted, environments = {}, {}
    for target in chosen:
        here = {name: variables for name, variables in served.items() if told.get(name, target) == target}
        packaged = {name: variables for name, variables in here.items() if name in bundled}
        wanted[target] = _wanted(target, packaged, facts, vendor=vendor)
        environments[target] = _environments(here)
    return Needs(
        wanted,
        environments,
        _dummies(bundled, facts),
        tuple(name for name in served if name not in told),
        tuple(name for name, target in told.items() if target not in chosen),
    )


def _told(facts: Facts | None, variables: NodeVariables) -> Target | None:
    """The target of a node, from its own words or the operator's; None where it is no known one."""
    architecture = MACHINES.get(facts.architecture or "", facts.architecture) if facts is not None else None
    codename = facts.os_codename if facts is not None else None
    if codename is None and variables.aiops_expect is not None and variables.aiops_expect.os is not None:
        name, _, version = variables.aiops_expect.os.lower().partition(" ")
        known = [one for one in RELEASES.values() if (one.distribution, one.version) == (name, version)]
        codename = known[0].codename if known else None
    architecture = architecture or "amd64"
    return Target(codename, architecture) if codename in RELEASES and architecture in ARCHITECTURES else None


def _wanted(
    target: Target, nodes: Mapping[str, NodeVariables], facts: Mapping[str, Facts], *, vendor: bool
) -> tuple[Wanted, ...]:
    """What the phases name, what the variables add, and the vendors' drivers: each once, at each exact version."""
    equipped = [
        name for name in nodes if nodes[name].aiops_accelerator_packages == "vendor" and _has(name, nodes, facts)
    ]
    found = list(packages_of_playbooks(target, vendor=vendor or bool(equipped)))
    for variable in _SHARED_VARIABLES:
        by_package: dict[str, list[str]] = {}
        for name, variables in nodes.items():
            for package in getattr(variables, variable):
                by_package.setdefault(package, []).append(name)
        found += [Wanted(package, f"{variable} of {fold(names)}") for package, names in sorted(by_package.items())]
    drivers: dict[str, list[str]] = {}
    for name in equipped:
        version = nodes[name].aiops_driver_version
        if version is not None:
            drivers.setdefault(version, []).append(name)
    for version, names in sorted(drivers.items()):
        both = packages_of_playbooks(target, vendor=True, driver=version)
        found += [Wanted(one.name, f"{one.by} of {fold(names)}", one.version) for one in both if one.version]
    distinct: dict[tuple[str, str | None], Wanted] = {}
    for one in found:
        distinct.setdefault((one.name, one.version), one)
    return tuple(distinct.values())


def _environments(nodes: Mapping[str, NodeVariables]) -> tuple[EnvironmentWish, ...]:
    wishes: dict[tuple[str, str], list[str]] = {}
    for node, variables in nodes.items():
        for name in dict.fromkeys(variables.aiops_environments):
            wishes.setdefault((name, variables.aiops_environment_locks.get(name, "")), []).append(node)
    return tuple(
        EnvironmentWish(name, f"aiops_environments of {fold(names)}", file)
        for (name, file), names in sorted(wishes.items())
    )


def _require_wished(nodes: Mapping[str, NodeVariables]) -> None:
    """A name that is written wrongly would give nodes the shipped lock without a word."""
    wished = {name for variables in nodes.values() for name in variables.aiops_environments}
    idle: dict[str, list[str]] = {}
    for node, variables in nodes.items():
        for name in variables.aiops_environment_locks:
            if name not in wished:
                idle.setdefault(name, []).append(node)
    if idle:
        raise InputError(
            "a lock file is named for what no node has",
            code="environment.unknown",
            problems=[
                Problem(f"`aiops_environment_locks` of {fold(names)} names `{name}`, and no `aiops_environments` does")
                for name, names in sorted(idle.items())
            ],
        )


def _has(name: str, nodes: Mapping[str, NodeVariables], facts: Mapping[str, Facts]) -> bool:
    """Whether a node has accelerators: as it said, or as the operator expects, or since their driver is named."""
    variables, known = nodes[name], facts.get(name)
    return bool(
        variables.aiops_accelerators or variables.aiops_driver_version or (known is not None and known.bus_accelerators)
    )


def _dummies(nodes: Mapping[str, NodeVariables], facts: Mapping[str, Facts]) -> tuple[tuple[str, str | None], ...]:
    found: dict[tuple[str, str | None], None] = {}
    for name, variables in nodes.items():
        if variables.aiops_accelerator_packages == "simulated":
            for vendor in _vendors(variables, facts.get(name)):
                found[vendor, variables.aiops_driver_version] = None
    return tuple(found)


def _vendors(variables: NodeVariables, facts: Facts | None) -> Collection[str]:
    if variables.aiops_accelerators is not None:
        return (variables.aiops_accelerators.vendor,)
    shown: Iterable[str] = (one.vendor for one in (facts.bus_accelerators or ())) if facts is not None else ()
    return tuple(dict.fromkeys(shown))
