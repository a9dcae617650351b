"""What is judged of Slurm's view of a node, and where: never elsewhere, and never of a node that somebody drained."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.l1_cluster.health.case import Case, hung, subject
from tests.l1_cluster.health.cases.slurm import failed, node, row

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.plugins.slurm.health import CHECKS
from aiops.plugins.slurm.view import MUNGE, NODE, PARTITIONS, PING

UNCONFIGURED = """scontrol: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
scontrol: error: fetch_config: DNS SRV lookup failed
scontrol: error: _establish_config_source: failed to fetch config
scontrol: fatal: Could not establish a configuration source
"""


def found(case: Case | None = None, facts: Callable[[Facts], Facts] | None = None, **answers: Answer) -> list[str]:
    """Findings of Slurm's checks as `check verdict`, on one node."""
    case = case or Case("", "", "warn", "none", answers={one.name: one for one in answers.values()})
    case = case if facts is None else replace(case, facts=facts)
    return [f"{one.check} {one.verdict}" for one in examine([subject(case)], CHECKS, Rules()).findings]


def judged(**changes: object) -> set[str]:
    """The checks that have something to judge on a node that differs by `changes`."""
    case = replace(Case("", "", "warn", "none"), **changes)  # type: ignore[arg-type]
    return set(examine([subject(case)], CHECKS, Rules()).judged["gpu01"])


def test_a_node_in_no_partition_is_in_nobodys_service() -> None:
    assert found(node=node("")) == []


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("idle", "none", False),
        ("allocated", "none", False),
        ("mixed+planned", "none", False),
        ("idle+reserved", "none", False),
        ("idle+cloud+power", "none", False),  # 20.11
        ("idle+cloud+powered_down", "none", False),
        ("down+maintenance", "new fans", False),
        ("down+not_responding+reboot_issued", "Reboot ASAP : reboot issued", False),
        ("idle+drain", "bob: fans", False),
        ("mixed+drain", "Kill task failed", False),
        ("idle+drain", "aiops: gpu.ecc", False),
        ("down+drain+not_responding", "bob took it home", False),  # it is his
        ("down+drain+not_responding", "aiops: gpu.ecc", True),  # it is ours, and is to come back
        ("idle+drain+invalid_reg", "Low RealMemory", True),
        ("down+not_responding", "Not responding", True),
        ("down", "Node unexpectedly rebooted", True),
        ("error", "none", True),
        ("unknown+not_responding", "none", True),
        ("idle+fail", "bob: smoke", True),
        ("mixed+not_responding", "none", True),
    ],
)
def test_states(state: str, reason: str, expected: bool) -> None:
    assert found(node=node(row(state, reason=reason))) == (["slurm.node_state critical"] if expected else [])


def devices(tool: int | None, bus: int, *, vendor: str = "nvidia") -> Callable[[Facts], Facts]:
    shown = None if tool is None else tuple(Accelerator(vendor, index=number) for number in range(tool))
    return lambda facts: replace(facts, accelerators=shown, bus_accelerators=(BusAccelerators(vendor, bus),))


@pytest.mark.parametrize(
    ("tool", "bus", "expected"),
    [
        (8, 8, []),
        (7, 8, ["slurm.gres_match critical"]),
        (None, 8, []),  # its driver does not answer, which others tell
        (None, 7, ["slurm.gres_match critical"]),
        (0, 8, []),  # likewise
        (0, 7, ["slurm.gres_match critical"]),
        (9, 9, ["slurm.gres_match warn"]),
        (64, 8, []),  # a tool that shows eight parts of each
    ],
)
def test_devices_that_are_there(tool: int | None, bus: int, expected: list[str]) -> None:
    assert found(facts=devices(tool, bus)) == expected


def test_a_display_adapter_beside_the_devices_is_none_too_many() -> None:
    def displayed(facts: Facts) -> Facts:
        bus = (BusAccelerators("huawei", 8), BusAccelerators("nvidia", 1))
        return replace(facts, accelerators=tuple(Accelerator("huawei") for _ in range(8)), bus_accelerators=bus)

    assert found(facts=displayed) == []


def test_none_that_are_seen_may_be_of_a_vendor_that_nobody_knows_here() -> None:
    none = Case("", "", "warn", "none", facts=devices(0, 0))
    bought = {"aiops_accelerators": {"vendor": "nvidia", "count": 8}}
    assert found(none) == []
    assert found(replace(none, variables=bought)) == ["slurm.gres_match critical"]
    assert found(replace(none, expected=Expected({"gpu.count": 8}))) == ["slurm.gres_match critical"]


def test_parts_of_devices_are_not_counted() -> None:
    access = Answer(PARTITIONS, files={"/proc/driver/nvidia/capabilities/gpu0/mig/gi1/access": "DeviceFileMinor: 3\n"})
    assert found(node=node(row(gres="gpu:56")), mig=access) == []
    assert found(node=node(row(gres="gpu:1g.10gb:56"))) == []
    parts = tuple(Accelerator("amd", index=number, partitioned=True) for number in range(8))
    assert found(node=node(row(gres="gpu:64")), facts=lambda facts: replace(facts, accelerators=parts)) == []
    assert found(mig=Answer(PARTITIONS, missing={"/proc/driver": "Input/output error"})) == ["slurm.gres_match unknown"]


def test_a_node_whose_devices_slurm_does_not_count_may_have_some() -> None:
    assert found(node=node(row(gres="(null)"))) == []
    assert found(node=node(row(gres="nic:2"))) == []


@pytest.mark.parametrize(
    ("state", "parameters", "memory", "expected"),
    [
        ("idle", "(null)", 2063937, []),
        ("idle", "(null)", 2063938, ["slurm.memory_cpus_match critical"]),
        ("idle", "idle_on_node_suspend,node_reg_mem_percent=95", 2100000, []),
        ("idle", "node_reg_mem_percent=95", 2200000, ["slurm.memory_cpus_match critical"]),
        ("idle+cloud", "(null)", 2200000, []),
        ("idle+cloud", "node_reg_mem_percent=100", 2200000, ["slurm.memory_cpus_match critical"]),
        ("idle", "node_reg_mem_percent=most", 2063937, ["slurm.memory_cpus_match unknown"]),
    ],
)
def test_memory_by_slurms_own_measure(state: str, parameters: str, memory: int, expected: list[str]) -> None:
    assert found(node=node(row(state, memory=memory), slurmctld=parameters)) == expected


def test_a_configuration_that_slurm_takes_for_true_is_not_judged() -> None:
    """Hosts in containers are told to have more than they see."""
    case = {"answers": {NODE: node(row(cpus=999, memory=9_999_999), slurmd="config_overrides")}}
    assert "slurm.memory_cpus_match" not in judged(**case)


def test_what_the_facts_do_not_tell_is_unknown() -> None:
    assert found(facts=lambda facts: replace(facts, memory_mib=None)) == ["slurm.memory_cpus_match unknown"]
    assert found(facts=lambda facts: replace(facts, accelerators=None, bus_accelerators=None)) == [
        "slurm.gres_match unknown"
    ]


def test_what_nobody_says_is_unknown() -> None:
    assert found(node=hung(NODE), munge=hung(MUNGE), ping=hung(PING)) == [
        "slurm.node_state unknown",
        "slurm.gres_match unknown",
        "slurm.memory_cpus_match unknown",
        "slurm.ctld unknown",
        "munge.roundtrip unknown",
    ]


def test_what_is_judged_where() -> None:
    workers = {"slurm.node_state", "slurm.gres_match", "slurm.memory_cpus_match", "munge.roundtrip"}
    assert judged() == {*workers, "slurm.ctld"}
    assert judged(answers={PING: Answer(PING, 127)}) == workers  # it is no controller
    assert judged(groups=("head",)) == {"slurm.ctld", "munge.roundtrip"}
    assert judged(groups=("login",)) == set()
    assert judged(groups=("storage",)) == set()
    assert judged(variables={"aiops_engine": "ssh"}) == set()
    nowhere = {
        NODE: failed(NODE, "", 127),
        PING: failed(PING, "", 127),
        MUNGE: failed(MUNGE, "sh: 1: munge: not found\nsh: 1: unmunge: not found\n", 127),
    }
    assert judged(answers=nowhere) == set()
    unconfigured = {NODE: failed(NODE, UNCONFIGURED), PING: failed(PING, UNCONFIGURED)}
    assert judged(answers=unconfigured) == {"munge.roundtrip"}


def test_a_check_asks_for_what_it_reads() -> None:
    assert {check.id: {ask.name for ask in check.asks} for check in CHECKS} == {
        "slurm.node_state": {NODE},
        "slurm.gres_match": {NODE, PARTITIONS},
        "slurm.memory_cpus_match": {NODE},
        "slurm.ctld": {PING},
        "munge.roundtrip": {MUNGE},
    }
