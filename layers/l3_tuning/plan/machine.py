"""Machine: what a plan knows of a node. None is unknown, and never counts as good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiops.layers.l2_jobs.torch_build import TorchBuild
from aiops.layers.l3_tuning.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Machine:
    """A node, or one that is only imagined.

    Attributes:
        devices: Bytes of memory of each of its accelerators; None where they could not be read.
        vendor: Their maker; `model` what they are.
        memory: Bytes of the node's own memory.
        free: Bytes that are free where runs are kept, to those who are not root.
        shared: Bytes of /dev/shm in all.
        ports: TCP ports that somebody listens on.
        base: The base's outline: digest over the names and sizes of its files, and over the content of the small ones.
        data: The digest of prepared data, as its manifest says.
        environment: Which the trainer would run in: the digest of its manifest, which is that of its lock; of one that
            somebody has made without, of the names and versions of its packages.
        packages: The versions of all its packages, by name.
        versions: Of what trains there, by name (`python`, `torch`, `driver` ...).
        torch: Its build; None where there is none, or it could not be read.
        simulated: Whether it is a host of the lab.
        silent: Why it has not answered; empty where it has.
        nameless: Whether its name is made up: nobody could say which nodes there are.
        imagined: Whether there is no such node: it was described on the command line.
    """

    name: str
    devices: tuple[int, ...] | None = None
    vendor: str | None = None
    model: str | None = None
    memory: int | None = None
    free: int | None = None
    shared: int | None = None
    ports: tuple[int, ...] | None = None
    base: str | None = None
    data: str | None = None
    environment: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    torch: TorchBuild | None = None
    simulated: bool = False
    silent: str = ""
    nameless: bool = False
    imagined: bool = False


def imagined(nodes: int, devices: int, memory: int) -> tuple[Machine, ...]:
    """Nodes that one does not have.

    Args:
        nodes: How many.
        devices: Accelerators of each; 0 for none.
        memory: Bytes of each accelerator; of the node's own memory where it has none.
    """
    width = len(str(nodes))
    return tuple(
        Machine(
            f"node{number:0{width}}",
            devices=(memory,) * devices,
            memory=None if devices else memory,
            imagined=True,
        )
        for number in range(1, nodes + 1)
    )


def able(recipe: Recipe, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """Those that the recipe may be placed on, as far as is known: what has not said what it has is none of them."""
    place = recipe.placement
    return tuple(
        one
        for one in machines
        if (not place.only or one.name in place.only)
        and (not place.devices or (one.devices is not None and len(one.devices) >= place.devices))
        and (place.vendor is None or one.imagined or one.vendor == place.vendor)
    )


def environment_upon(recipe: Recipe, machines: Sequence[Machine]) -> Machine | None:
    """A node whose environment is that of all which may be chosen and have said theirs; None where it is not known.

    Args:
        recipe: Which nodes may be chosen.
        machines: What nodes have said.
    """
    known = {one.environment: one for one in able(recipe, machines) if one.environment is not None}
    return next(iter(known.values())) if len(known) == 1 else None


def simulated_upon(recipe: Recipe, machines: Sequence[Machine]) -> bool | None:
    """Whether the nodes that may be chosen are hosts of the lab; None where only some are, or none has said.

    Args:
        recipe: Which nodes may be chosen.
        machines: What nodes have said.
    """
    found = {one.simulated for one in able(recipe, machines) if not one.silent and not one.imagined}
    return found.pop() if len(found) == 1 else None


def limit_of(recipe: Recipe, machine: Machine) -> int | None:
    """Bytes that one process may have there; None where that is unknown.

    On accelerators the smallest counts, divided where several processes share it; on processors the node's memory is
    divided among its processes, and a twentieth, at least half a GiB, is the system's.
    """
    place = recipe.placement
    processes = place.processes or max(place.devices, 1)
    if place.devices:
        if not machine.devices:
            return None
        sharing = -(-processes // place.devices)
        return min(machine.devices) // sharing
    own = own_memory(machine)
    return None if own is None else own // processes


def own_memory(machine: Machine) -> int | None:
    """Bytes of a node's own memory that a run may have; None where it is unknown."""
    return None if machine.memory is None else max(machine.memory - max(machine.memory // 20, 1 << 29), 0)
