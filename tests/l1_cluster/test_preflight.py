"""Preflight: every judge, one case to each side of its line, and the folding of what they find."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators, ClockReading, Disk, Facts, Interface
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.preflight import Finding, Situation, excluded, preflight, require, require_supported

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EIGHT = {"aiops_accelerators": {"vendor": "nvidia", "count": 8, "model": "H100"}}


def node(name: str, **variables: Any) -> Node:
    number = sum(name.encode()) % 250
    connection = Connection(address=f"10.0.0.{number}")
    return Node(name, roles=frozenset({"workers"}), connection=connection, aiops=variables)


def healthy(name: str) -> Facts:
    """A node nothing is to be said about."""
    number = sum(name.encode()) % 250
    return Facts(
        name,
        NOW,
        hostname=name,
        os_id="debian",
        os_version="12",
        os_name="Debian GNU/Linux 12 (bookworm)",
        boot_id=f"boot-{name}",
        machine_id=f"machine-{name}",
        memory_mib=64_000,
        disks=(Disk("/", 100_000, 50_000), Disk("/var", 100_000, 50_000)),
        interfaces=(
            Interface("lo", "00:00:00:00:00:00", ("127.0.0.1/8",)),
            Interface("eth0", f"52:54:00:00:00:{number:02x}", (f"10.0.0.{number}/24",)),
            Interface("docker0", "02:42:00:00:00:01", ("172.17.0.1/16",)),
        ),
        bus_accelerators=(BusAccelerators("nvidia", 8),),
        accelerators=(Accelerator("nvidia", model="NVIDIA H100 80GB HBM3"),) * 8,
        clock=ClockReading(1_000.0, 1_000.0),
        python="3.11.2",
        package_lock_held=False,
    )


def judge(*facts: Facts, errors: Mapping[str, AiopsError] | None = None, **more: Any) -> tuple[Finding, ...]:
    errors = errors or {}
    names = [*(one.node for one in facts), *errors]
    nodes = [node(name, **EIGHT) for name in names]
    return preflight(Situation(nodes, {one.node: one for one in facts}, errors, **more))


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.check, one.severity, one.nodes) for one in findings]


def test_healthy_nodes_are_not_mentioned() -> None:
    assert judge(healthy("gpu01"), healthy("gpu02"), healthy("gpu03")) == ()


@pytest.mark.parametrize(
    ("change", "check", "severity", "words"),
    [
        ({"os_id": None, "unknown": {"os_id": "no such file"}}, "os", "error", "no such file"),
        ({"python": "3.6.8"}, "python", "error", "python 3.6.8 is older than 3.9"),
        ({"python": None}, "python", "error", "unknown"),
        ({"disks": (Disk("/", 9_000, 511),)}, "disk", "error", "511 MiB free on /"),
        ({"disks": (Disk("/", 9_000, 9_000), Disk("/var", 9_000, 3))}, "disk", "error", "3 MiB free on /var"),
        ({"disks": (Disk("/", 9_000, 2_047),)}, "disk", "warning", "less than 2048 MiB free on /"),
        ({"disks": None}, "disk", "warning", "unknown"),
        ({"memory_mib": 479}, "memory", "error", "479 MiB of memory"),
        ({"memory_mib": None}, "memory", "warning", "unknown"),
        ({"clock": ClockReading(1_002.5, 1_000.0)}, "clock", "warning", "2 s ahead of the others'"),
        ({"clock": ClockReading(700.0, 1_000.0)}, "clock", "error", "5 min behind the others'"),
        ({"clock": None}, "clock", "warning", "unknown"),
        ({"hostname": "ubuntu"}, "hostname", "warning", "calls itself `ubuntu`"),
        ({"hostname": None}, "hostname", "warning", "unknown"),
        ({"bus_accelerators": (BusAccelerators("nvidia", 7),)}, "accelerators", "error", "7 nvidia devices"),
        ({"bus_accelerators": (BusAccelerators("amd", 8),)}, "accelerators", "error", "0 nvidia devices"),
        ({"bus_accelerators": None}, "accelerators", "error", "could not be read"),
        (
            {"accelerators": (Accelerator("nvidia", model="A100"),)},
            "accelerators",
            "warning",
            "its model is A100, H100 expected of all nodes",
        ),
        ({"package_lock_held": True}, "packages", "error", "another program is installing packages"),
        ({"package_lock_held": None}, "packages", "warning", "unknown"),
    ],
)
def test_one_node_among_three(change: dict[str, Any], check: str, severity: str, words: str) -> None:
    findings = judge(healthy("gpu01"), replace(healthy("gpu02"), **change), healthy("gpu03"))
    assert told(findings) == [(check, severity, ("gpu02",))]
    assert words in findings[0].message
    assert excluded(findings) == ({"gpu02"} if severity == "error" else set())


def test_another_installer_keeps_nobody_out_of_a_plan() -> None:
    findings = judge(replace(healthy("gpu01"), package_lock_held=True), installs=False)
    assert told(findings) == [("packages", "warning", ("gpu01",))]


@pytest.mark.parametrize(
    "change",
    [
        {"os_id": "ubuntu", "os_version": "22.04"},
        {"os_id": "ubuntu", "os_version": "24.04"},
        {"python": "3.9.2"},
        {"disks": (Disk("/", 9_000, 2_048),)},
        {"clock": ClockReading(1_001.9, 1_000.0)},
        {"hostname": "gpu02.example.org"},
        {"hostname": "GPU02"},
        {"accelerators": None},
        {"accelerators": ()},
    ],
)
def test_what_is_fine(change: dict[str, Any]) -> None:
    assert judge(healthy("gpu01"), replace(healthy("gpu02"), **change), healthy("gpu03")) == ()


def test_systems_that_are_not_supported_are_refused_all_at_once() -> None:
    names = [f"gpu0{number}" for number in range(1, 6)]
    facts = {name: healthy(name) for name in names}
    nodes = [node(name) for name in names]
    require_supported(Path("i.yml"), nodes, facts)
    for name in ("gpu02", "gpu03"):
        facts[name] = replace(facts[name], os_version="11", os_name="Debian GNU/Linux 11 (bullseye)")
    facts["gpu04"] = replace(facts["gpu04"], os_id="rocky", os_version="9.4", os_name=None)
    facts["gpu05"] = replace(facts["gpu05"], os_id=None)  # unknown: a finding of preflight
    with pytest.raises(InputError, match="3 of 5 nodes run") as refused:
        require_supported(Path("i.yml"), nodes, facts)
    assert refused.value.code == "preflight.os"
    assert [str(problem) for problem in refused.value.problems] == [
        "i.yml: gpu[02-03]: Debian GNU/Linux 11 (bullseye) is not supported",
        "i.yml: gpu04: rocky 9.4 is not supported",
    ]
    require_supported(Path("i.yml"), [nodes[0], nodes[4]], facts)  # the others were not chosen


@pytest.mark.parametrize(
    ("error", "check"),
    [
        (UnreachableError("gpu02: no answer", code="ssh.timeout"), "reachable"),
        (UnreachableError("gpu02: the host key changed", code="ssh.host_key"), "reachable"),
        (FailedError("gpu02: sudo wants a password", code="become.no_password"), "root"),
        (FailedError("gpu02: no `python3`", code="probe.no_python"), "probe"),
    ],
)
def test_a_node_that_does_not_answer_stops_no_other(error: AiopsError, check: str) -> None:
    findings = judge(healthy("gpu01"), errors={"gpu02": error})
    assert told(findings) == [(check, "error", ("gpu02",))]
    assert excluded(findings) == {"gpu02"}


def test_a_node_of_which_nothing_is_known_is_not_fine() -> None:
    assert told(preflight(Situation([node("gpu01")], {}, {}))) == [("reachable", "error", ("gpu01",))]


def test_the_same_trouble_is_told_once_for_all_nodes() -> None:
    errors = {
        name: UnreachableError(f"{name}: no answer from {node(name).connection.address}:22", code="ssh.timeout")
        for name in ("gpu03", "gpu01", "gpu02")
    }
    (finding,) = judge(errors=errors)
    assert finding.nodes == ("gpu03", "gpu01", "gpu02")
    assert finding.message == "no answer from its address:22"
    assert str(finding) == "gpu[01-03]: no answer from its address:22"


def test_errors_come_first() -> None:
    one = replace(healthy("gpu01"), hostname="x", package_lock_held=True)
    assert [finding.severity for finding in judge(one)] == ["error", "warning"]


def test_one_machine_under_two_names() -> None:
    same = replace(healthy("gpu01"), node="gpu02")
    findings = judge(healthy("gpu01"), same)
    assert ("machine", "error", ("gpu01", "gpu02")) in told(findings)
    assert not [finding for finding in findings if finding.check == "twins"]


def test_cloned_machines() -> None:
    clone = replace(healthy("gpu02"), machine_id="machine-gpu01")
    (finding,) = judge(healthy("gpu01"), clone)
    assert (finding.check, finding.severity) == ("machine", "warning")
    assert "systemd-machine-id-setup" in (finding.hint or "")


def test_host_names_addresses_and_cards_that_two_have() -> None:
    named = replace(healthy("gpu02"), hostname="gpu01")
    assert ("twins", "error", ("gpu01", "gpu02")) in told(judge(healthy("gpu01"), named))
    address = node("gpu01").connection.address
    wired = replace(healthy("gpu02"), interfaces=(Interface("eth0", "52:54:00:ff:00:01", (f"{address}/24",)),))
    (finding,) = judge(healthy("gpu01"), wired)
    assert (finding.severity, finding.message) == ("error", f"have the same address, {address}")
    mac = next(card.mac for card in healthy("gpu01").interfaces or () if card.name == "eth0")
    carded = replace(healthy("gpu02"), interfaces=(Interface("eth0", mac, ("10.0.1.9/24",)),))
    assert told(judge(healthy("gpu01"), carded)) == [("twins", "warning", ("gpu01", "gpu02"))]


def test_a_twin_outside_the_chosen_nodes_is_named() -> None:
    facts = {"gpu01": healthy("gpu01"), "gpu02": replace(healthy("gpu02"), hostname="gpu01")}
    findings = preflight(Situation([node("gpu01")], facts, {}))
    assert [(one.nodes, one.message) for one in findings] == [
        (("gpu01",), "have the same host name, gpu01 (with gpu02)"),
    ]


def test_nodes_behind_forwarded_ports_of_this_machine_are_not_twins() -> None:
    nodes = [replace(node(name), connection=Connection(address="127.0.0.1")) for name in ("gpu01", "gpu02")]
    assert preflight(Situation(nodes, {one.name: healthy(one.name) for one in nodes}, {})) == ()


def test_a_wrong_clock_here_blames_nobody() -> None:
    late = ClockReading(5_000.0, 1_000.0)
    assert judge(*(replace(healthy(f"gpu0{number}"), clock=late) for number in (1, 2, 3))) == ()


def test_clocks_are_only_worth_a_warning_when_the_deploy_sets_them() -> None:
    wrong = replace(healthy("gpu02"), clock=ClockReading(90_000.0, 1_000.0))
    (finding,) = judge(healthy("gpu01"), wrong, healthy("gpu03"), clock_phase="time")
    assert (finding.severity, finding.message) == (
        "warning",
        "its clock is 25 h ahead of the others'; phase `time` sets it",
    )


def test_the_machine_aiops_runs_on_is_named() -> None:
    (finding,) = judge(healthy("gpu01"), here=("machine-gpu01", "boot-gpu01"))
    assert (finding.check, finding.severity) == ("controller", "warning")
    assert judge(healthy("gpu01"), here=("machine-gpu01", "another")) == ()


def test_a_driver_pair_that_does_not_fit() -> None:
    findings = judge(healthy("gpu01"), pair_mismatch=lambda facts: f"pair of {facts.node}")
    assert told(findings) == [("accelerators", "error", ("gpu01",))]


def test_roles_that_phases_need() -> None:
    inventory = Inventory(Path("/etc/inventory.yml"), "lab-a", (node("gpu01"),), {"workers": ("gpu01",)})
    require(inventory, {"base": (), "scheduler": ("workers",)})
    with pytest.raises(InputError) as refused:
        require(inventory, {"scheduler": ("head", "workers"), "monitoring": ("head",), "x": ("storage",)})
    messages = [problem.message for problem in refused.value.problems]
    assert messages == [
        "no node plays the role `head`, and it is needed by `scheduler`, `monitoring`",
        "no node plays the role `storage`, and it is needed by `x`",
    ]
    assert all(problem.hint and problem.file for problem in refused.value.problems)


_MAYBE = st.sampled_from(
    [
        {"hostname": None},
        {"hostname": "same"},
        {"machine_id": "same"},
        {"machine_id": None, "boot_id": None},
        {"disks": ()},
        {"interfaces": None},
        {"clock": None},
        {"clock": ClockReading(0.0, 1e9)},
        {"bus_accelerators": None},
        {"python": "garbage"},
        {"os_version": None},
        {},
    ]
)


@given(st.lists(st.tuples(st.integers(1, 9), _MAYBE, st.booleans()), max_size=9, unique_by=lambda one: one[0]))
def test_whatever_nodes_say_is_judged(told_by: list[tuple[int, dict[str, Any], bool]]) -> None:
    """No answer breaks a judge, only chosen nodes are named, and each unreachable one is."""
    facts, errors, nodes = {}, {}, []
    for number, change, reached in told_by:
        name = f"gpu0{number}"
        nodes.append(node(name, **EIGHT))
        if reached:
            facts[name] = replace(healthy(name), **change)
        else:
            errors[name] = UnreachableError(f"{name}: away", code="ssh.timeout")
    chosen = nodes[: len(nodes) // 2 + 1]
    findings = preflight(Situation(chosen, facts, {name: errors[name] for name in errors}))
    names = {one.name for one in chosen}
    assert {name for finding in findings for name in finding.nodes} <= names
    assert names & set(errors) <= excluded(findings)
    assert all(finding.nodes and finding.message for finding in findings)
