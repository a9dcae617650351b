"""Two clusters that the phases are rendered for: hosts of the lab, and real machines with eight H100 each."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l0_nodes.variables import NodeVariables
from aiops.layers.l1_cluster.context import ClusterContext, NodeContext
from aiops.layers.l1_cluster.desired import Desired
from aiops.layers.l1_cluster.phase import Phase, read_phases, shipped_phases
from aiops.layers.l1_cluster.resource import File, Resource

LAB_HOST = Facts(
    node="",
    at=datetime(2026, 1, 1, tzinfo=UTC),
    os_id="debian",
    os_version="12",
    os_codename="bookworm",
    virtualization="systemd-nspawn",
    container=True,
    cgroup="v1",
    sockets=1,
    cores=2,
    threads=2,
    memory_mib=24046,
    swaps=(),
    hosts="127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n",
    bus_accelerators=(),
    kernel_packages=(),
    simulated=True,
)
MACHINE = replace(
    LAB_HOST,
    os_id="ubuntu",
    os_version="24.04",
    os_codename="noble",
    virtualization="none",
    container=False,
    cgroup="v2",
    sockets=2,
    cores=96,
    threads=192,
    memory_mib=2063937,
    swaps=("/swap-file.img",),
    hosts="127.0.0.1 localhost\n127.0.1.1 {name}.example.org {name}\n203.0.113.9 licences # Monday's\n",
    kernel_packages=("linux-image-6.8.0-88-generic", "linux-image-generic"),
    simulated=False,
)
EIGHT = (BusAccelerators("nvidia", 8, tuple(f"0000:{bus:02x}:00.0" for bus in range(8))),)


def a_node(name: str, role: str, facts: Facts | None, address: str, **variables: Any) -> NodeContext:
    """A node as templates see it; `{name}` in its hosts file is its name."""
    if facts is not None:
        facts = replace(facts, node=name, hostname=name, hosts=(facts.hosts or "").replace("{name}", name))
        if role == "workers" and facts.bus_accelerators == ():
            facts = replace(facts, bus_accelerators=EIGHT)
    values = {f"aiops_{key}": value for key, value in variables.items()}
    return NodeContext(name, address, frozenset({role}), (role,), NodeVariables(**values), facts)


def a_cluster(kind: Facts, *more: NodeContext, **variables: Any) -> ClusterContext:
    """A head and two workers of one kind, and what else is given; `variables` are everybody's."""
    nodes = (
        a_node("head", "head", kind, "10.0.0.1", **variables),
        a_node("gpu01", "workers", kind, "10.0.0.11", **variables),
        a_node("gpu02", "workers", kind, "10.0.0.12", **variables),
    )
    return ClusterContext("lab-a", (*nodes, *more))


class FixedSecrets:
    """Secrets that are the same in every test."""

    def get(self, name: str) -> bytes:
        return f"secret {name}".encode()


PHASES: Mapping[str, Phase] = {phase.name: phase for phase in read_phases(shipped_phases())}


def wanted(phase: str, cluster: ClusterContext, node: str) -> dict[str, Resource]:
    """What a shipped phase wants of a node, by key."""
    resources = Desired(PHASES[phase], FixedSecrets()).of(cluster.node(node), cluster)
    return {resource.key: resource for resource in resources}


def text(resources: Mapping[str, Resource], path: str) -> str:
    """The content of a file among `resources`."""
    file = resources[f"file:{path}"]
    assert isinstance(file, File)
    assert file.content is not None
    return file.content.decode()
