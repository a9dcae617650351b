"""Healthy nodes, drawn by a seed: what they answer at several moments, with everything moving as on real ones.

Groups of equal nodes are drawn (vendor and layout, release of the system, bare or virtual, network, storage, services);
each node of a group is looked at every five minutes, its counters advance, its log grows, and it may boot between two
looks. `examined` takes them through all that `aiops health` does: probe, facts, judges, settling, history.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from tests.l1_cluster.health.healthy_answers import answers
from tests.l1_cluster.health.healthy_devices import Devices
from tests.l1_cluster.health.healthy_host import Host, Kind
from tests.l1_cluster.health.suite import ALL
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.vendor import Vendor
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.history import HealthHistory
from aiops.layers.l1_cluster.health.round import Report, Round
from aiops.layers.l1_cluster.health.rules import Rules

BEGIN = datetime.fromisoformat("2026-11-21T19:30:05+00:00")
EVERY = timedelta(minutes=5)
NODES, LOOKS = 4, 5
"""Of one group: so many equal nodes, each looked at so often."""


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    at: datetime = BEGIN

    def now(self) -> datetime:
        """The time it was set to."""
        return self.at

    def monotonic(self) -> float:
        """Likewise, in seconds."""
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """Set it on."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Group:
    """Equal nodes.

    Attributes:
        hosts: By name.
    """

    dice: random.Random
    devices: Devices | None
    hosts: dict[str, Host] = field(default_factory=dict)

    @classmethod
    def draw(cls, dice: random.Random, devices: Devices | None, nodes: int = NODES) -> "Group":
        """Nodes with these devices, or none."""
        kind = Kind.draw(dice, devices)
        names = [f"n{number:02d}" for number in range(1, nodes + 1)]
        return cls(dice, devices, {name: Host.draw(dice, kind, name) for name in names})

    def step(self) -> None:
        """Five minutes go by on each of them."""
        for host in self.hosts.values():
            host.step(self.dice, EVERY.total_seconds())

    def answers(self, name: str) -> Mapping[str, Answer]:
        """What one of them answers now."""
        told = dict(answers(self.hosts[name], self.dice))
        if self.devices is not None:
            told |= self.devices.look(self.dice)
        return told


def examined(
    group: Group,
    store: Store,
    vendors: Sequence[Vendor],
    cluster: str,
    *,
    looks: int = LOOKS,
    checks: Sequence[Check] = ALL,
) -> Iterator[Report]:
    """What each look at a group finds, everything remembered in between."""
    clock = SetClock()
    nodes = [
        Node(name, groups=("workers",), roles=frozenset({"workers"} if host.kind.slurm else ()))
        for name, host in group.hosts.items()
    ]

    def connect(node: Node) -> FakeTransport:
        def probe(_command: Command) -> tuple[int, bytes, bytes]:
            return 0, _printed(group.answers(node.name), clock.at).encode(), b""

        return FakeTransport(node, {"python3": probe})

    history = HealthHistory(store, cluster)
    for _ in range(looks):
        with Fleet(connect, width=1) as fleet:
            yield Round(fleet, vendors, checks, Rules(), clock, history=history).make(nodes)
        clock.sleep(EVERY.total_seconds())
        group.step()


def alarms(group: Group, report: Report) -> Iterator[str]:
    """What a look has found although nothing is wrong.

    Where a version of a vendor's tool does not answer all that is asked, its checks may say so.
    """
    partly = group.devices is not None and bool(group.devices.known)
    for finding in report.findings:
        if finding.verdict != "unknown" or not partly or not finding.check.startswith("gpu."):
            what = f"{finding.check} {finding.about}: {finding.verdict}, {finding.message} ({finding.standing})"
            name = "no accelerator" if group.devices is None else f"{group.devices.vendor.name} {group.devices.name}"
            kind = group.hosts[finding.node].kind
            yield f"{what}: {name}, {kind.virtual}, {kind.release[3]}"
    yield from (f"{node}: {error}" for node, error in report.errors.items())


def _printed(answers: Mapping[str, Answer], at: datetime) -> str:
    """As the remote probe prints it."""
    plain = [asdict(replace(answer, name=name)) for name, answer in answers.items()]
    head = f'{{"aiops_probe": 1, "clock": {at.timestamp()}, "python": "3.11.2", "answers": '
    return head + json.dumps(plain) + "}\n"
