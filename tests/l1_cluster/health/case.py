"""Cases of the health suite: one thing that is wrong with an otherwise healthy node, and what has to be found.

Each domain of checks has a module in `cases` with `HEALTHY`, the answers of a healthy node to its asks, and `CASES`.
`test_cases.py` judges every case by ALL checks on a node on which everything else is healthy, so that a case shows
that its check finds it and that no other check is alarmed by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Literal

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import BusAccelerators, ClockReading, Disk, Facts, Interface, RdmaPort
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import NodeVariables
from aiops.layers.l1_cluster.health.check import Subject
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past
from aiops.layers.l1_cluster.health.series import TARGETS, NodeMetrics, Reading
from aiops.layers.l1_cluster.health.verdict import Action, Owner

AT = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)
BOOT_ID = "9a3c0b0e-1111-4222-8333-444455556666"
PEERS = 4
"""Healthy nodes beside the one of a case, so that there is a majority to differ from."""


def said(name: str, text: str, exit_status: int = 0, **more: object) -> Answer:
    """The answer of a command."""
    return Answer(name, exit_status, stdout=text, **more)  # type: ignore[arg-type]


def read(name: str, files: Mapping[str, str], **missing: str) -> Answer:
    """The answer of an ask that reads files."""
    return Answer(name, files=dict(files), missing=dict(missing))


def gone(name: str, program: str) -> Answer:
    """The answer where a program is not installed."""
    return Answer(name, missing={"argv": f"{program}: not found"})


def hung(name: str, seconds: float = 5.0) -> Answer:
    """The answer of a command that was killed at its timeout."""
    return Answer(name, seconds=seconds, timed_out=True)


def h100(index: int) -> Accelerator:
    """A healthy device."""
    return Accelerator(
        "nvidia",
        index=index,
        uuid=f"GPU-00000000-0000-4000-8000-{index:012d}",
        serial=f"165092300000{index}",
        bus=f"0000:{0x18 + index:02x}:00.0",
        model="NVIDIA H100 80GB HBM3",
        driver="580.95.05",
        firmware="96.00.A5.00.01",
        memory_total_mib=81559,
        memory_used_mib=0,
        utilization=0.0,
        temperature_c=31.0,
        temperature_memory_c=40.0,
        power_w=71.5,
        power_cap_w=700.0,
        pcie=Pcie(5, 16, 5, 16, with_slot=True),
        ecc=Ecc(
            enabled=True,
            corrected_volatile=0,
            uncorrected_volatile=0,
            corrected_aggregate=0,
            uncorrected_aggregate=0,
            remapped_correctable=0,
            remapped_uncorrectable=0,
            remap_pending=False,
            remap_failed=False,
        ),
        links=Links(active=18, total=18, errors=0),
        persistence=True,
        fabric_state="completed",
        throttle_reasons=(),
    )


FACTS = Facts(
    node="gpu01",
    at=AT,
    hostname="gpu01",
    os_id="debian",
    os_version="12",
    os_codename="bookworm",
    os_name="Debian GNU/Linux 12",
    kernel="6.1.0-28-amd64",
    architecture="x86_64",
    boot_id=BOOT_ID,
    machine_id="0123456789abcdef0123456789abcdef",
    virtualization="none",
    container=False,
    cgroup="v2",
    sockets=2,
    cores=96,
    threads=192,
    cpu_model="AMD EPYC 9554",
    memory_mib=2063937,
    swap_mib=0,
    swaps=(),
    disks=(Disk("/", 500_000, 400_000), Disk("/var", 500_000, 400_000)),
    hosts="127.0.0.1 localhost\n",
    interfaces=(
        Interface("lo", None, ("127.0.0.1/8",), None, "unknown"),
        Interface("eth0", "02:00:00:00:00:01", ("10.0.0.11/24",), 25000, "up"),
    ),
    rdma_ports=tuple(RdmaPort(f"mlx5_{number}", 1, "infiniband", "active", 400.0) for number in range(8)),
    bus_accelerators=(BusAccelerators("nvidia", 8, tuple(f"0000:{0x18 + number:02x}:00.0" for number in range(8)), 4),),
    accelerators=tuple(h100(index) for index in range(8)),
    clock=ClockReading(AT.timestamp() + 0.001, AT.timestamp()),
    python="3.11.2",
    kernel_packages=("linux-image-6.1.0-28-amd64",),
    package_lock_held=False,
)
"""A healthy worker: a real machine with eight H100 and eight InfiniBand ports."""


METRICS = NodeMetrics(
    {
        TARGETS.name: (
            Reading({"job": "node", "instance": "10.0.0.11:9100"}, 1.0),
            Reading({"job": "dcgm", "instance": "10.0.0.11:9400"}, 1.0),
        )
    },
    home=True,
)
"""What Prometheus tells of it."""


def same(facts: Facts) -> Facts:
    """The facts as they are."""
    return facts


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    Attributes:
        name: In a few words, unique.
        check: The one that must find it, and no other but those in `also`.
        about: What the finding must be about.
        severity: What it must say; `unknown` where it could not be read; `ok` where nobody may be alarmed, though
            `check` could think so.
        words: Must stand in its message.
        answers: In place of the healthy ones, by ask; None: the ask was not answered at all.
        facts: What is different in the facts.
        also: Other checks that rightly see it too.
        metrics: What Prometheus tells of it.
        unlike_peers: Whether there are other nodes, which are healthy (a case of a check that compares), or none.
        everywhere: Whether the other nodes have it too; they are found as this one is.
        peers: How many other nodes there are, where there are any.
        sharing: How many of them have it too, where they are else healthy.
    """

    name: str
    check: str
    severity: Literal["warn", "critical", "unknown", "ok"]
    action: Action
    owner: Owner = "node"
    about: str = ""
    words: str = ""
    answers: Mapping[str, Answer | None] = field(default_factory=dict)
    facts: Callable[[Facts], Facts] = same
    past: Past = field(default_factory=Past)
    expected: Expected = field(default_factory=Expected)
    groups: tuple[str, ...] = ("workers",)
    variables: Mapping[str, object] = field(default_factory=dict)
    metrics: NodeMetrics = METRICS
    also: tuple[str, ...] = ()
    unlike_peers: bool = False
    everywhere: bool = False
    peers: int = PEERS
    sharing: int = 0

    @property
    def others(self) -> tuple[bool, ...]:
        """Of each other node, whether it has it too."""
        if self.everywhere:
            return (True,) * self.peers
        return tuple(number < self.sharing for number in range(self.peers)) if self.unlike_peers else ()


@cache
def healthy_answers() -> Mapping[str, Answer]:
    """The answers of all domains."""
    from tests.l1_cluster.health.cases import MODULES

    return {name: answer for module in MODULES for name, answer in module.HEALTHY.items()}


def subject(case: Case | None = None, name: str = "gpu01") -> Subject:
    """A node with what is wrong in `case`; healthy in every way without one."""
    answers: dict[str, Answer | None] = {**healthy_answers(), **(case.answers if case else {})}
    facts = replace(case.facts(FACTS) if case else FACTS, node=name, hostname=name)
    groups = case.groups if case else ("workers",)
    variables = NodeVariables.model_validate(dict(case.variables) if case else {})
    record = Record(name, AT, {key: one for key, one in answers.items() if one is not None})
    node = Node(name, groups=groups, roles=frozenset(groups))
    return Subject(
        node,
        record,
        facts,
        variables,
        AT,
        case.past if case else Past(),
        case.expected if case else Expected(),
        case.metrics if case else METRICS,
    )
