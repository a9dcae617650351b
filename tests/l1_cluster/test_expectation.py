"""What groups of nodes should have beside what they have, and which releases of Slurm understand each other."""

from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators, Disk, Facts, Interface, RdmaPort
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.variables import NodeVariables
from aiops.layers.l1_cluster.expectation import origin, shortfalls
from aiops.layers.l1_cluster.preflight import Finding, Situation, excluded, preflight
from aiops.layers.l1_cluster.slurm_release import OF_SYSTEM, RELEASES, reach, understood

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def facts(name: str = "n", **changes: Any) -> Facts:
    known = Facts(
        name,
        NOW,
        hostname=name,
        os_id="debian",
        os_version="12",
        boot_id=f"boot-{name}",
        machine_id=f"machine-{name}",
        memory_mib=64_000,
        disks=(Disk("/", 100_000, 50_000),),
        interfaces=(
            Interface("lo", state="unknown"),
            Interface("ens1", speed=25_000, state="up"),
            Interface("ens2", speed=None, state="down"),
            Interface("docker0", state="up"),
        ),
        rdma_ports=(
            RdmaPort("mlx5_0", 1, "infiniband", "active", 400.0),
            RdmaPort("mlx5_1", 1, "infiniband", "down", 2.5),
            RdmaPort("mlx5_2", 1, "roce", "active", 100.0),
        ),
        bus_accelerators=(),
        python="3.11.2",
        package_lock_held=False,
    )
    return replace(known, **changes)


def expect(**values: Any) -> NodeVariables:
    return NodeVariables.model_validate({"aiops_expect": values})


def told(variables: NodeVariables, of: Facts) -> list[tuple[str, str, str, str | None]]:
    return [(one.check, one.severity, one.found, one.expected) for one in shortfalls(variables, of)]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [("debian 12", True), ("Debian", True), ("debian 13", False), ("debian 1", False), ("ubuntu 12", False)],
)
def test_systems(wanted: str, fits: bool) -> None:
    assert told(expect(os=wanted), facts()) == ([] if fits else [("os", "error", "runs debian 12", wanted)])


def test_a_point_release_is_of_its_release() -> None:
    ubuntu = facts(os_id="ubuntu", os_version="24.04")
    assert told(expect(os="ubuntu 24"), ubuntu) == []
    assert told(expect(os="ubuntu 24.04"), ubuntu) == []
    assert told(expect(os="ubuntu 24.1"), ubuntu) != []
    assert told(expect(os="ubuntu 24.04"), facts(os_id=None)) == []  # that it is unknown is told of every node


@pytest.mark.parametrize(
    ("wanted", "findings"),
    [
        ({"count": 1, "name": "ens*"}, []),
        ({"count": 1}, []),  # neither lo nor docker0 are ports
        ({"count": 2}, [("error", "1 active Ethernet ports (ens2 is down)", "2")]),
        ({"count": 1, "name": "eth*"}, [("error", "0 active Ethernet ports `eth*`", "1")]),
        ({"count": 1, "kind": "infiniband", "speed_gbit": 400}, []),
        ({"count": 8, "kind": "infiniband"}, [("error", "1 active InfiniBand ports (mlx5_1 is down)", "8")]),
        ({"count": 1, "kind": "roce", "name": "mlx5_2"}, []),
        (
            {"count": 1, "kind": "roce", "speed_gbit": 200},
            [("warning", "slow active RoCE ports, in Gbit/s: mlx5_2 100", "200")],
        ),
        ({"count": 1, "name": "ens1", "speed_gbit": 25}, []),
    ],
)
def test_network_ports(wanted: dict[str, Any], findings: list[tuple[str, str, str]]) -> None:
    assert [one[1:] for one in told(expect(nics=[wanted]), facts())] == findings


def test_more_ports_than_expected_keep_nobody_out() -> None:
    two = facts(interfaces=(Interface("ens1", state="up"), Interface("ens2", state="up")))
    assert told(expect(nics=[{"count": 1}]), two) == [("nics", "warning", "2 active Ethernet ports", "1")]


@pytest.mark.parametrize(("kind", "subject"), [("ethernet", "interfaces"), ("infiniband", "rdma_ports")])
def test_ports_that_could_not_be_read_are_not_fine(kind: str, subject: str) -> None:
    blind = replace(facts(unknown={subject: "ip is missing"}), **{subject: None})  # type: ignore[arg-type]
    ((_, severity, found, expected),) = told(expect(nics=[{"count": 1, "kind": kind}]), blind)
    assert (severity, expected) == ("error", None)
    assert found.endswith("could not be read: ip is missing")


PORTS = st.lists(
    st.builds(
        RdmaPort,
        st.sampled_from([f"mlx5_{number}" for number in range(6)] + ["bnxt_re0"]),
        st.just(1),
        st.sampled_from(["infiniband", "roce"]),
        st.sampled_from(["active", "down", "init", None]),
        st.sampled_from([None, 100.0, 200.0, 400.0]),
    ),
    unique_by=lambda port: port.device,
)


@given(PORTS, st.sampled_from(["infiniband", "roce"]), st.sampled_from(["*", "mlx5_*"]), st.integers(1, 5))
def test_ports_are_counted_by_kind_name_and_link(ports: list[RdmaPort], kind: str, name: str, count: int) -> None:
    mine = [port for port in ports if port.kind == kind and fnmatchcase(port.device, name)]
    active = [port for port in mine if port.state == "active"]
    wanted = expect(nics=[{"count": count, "kind": kind, "name": name, "speed_gbit": 200}])
    found = told(wanted, facts(rdma_ports=tuple(ports)))
    errors = [one for one in found if one[1] == "error"]
    assert bool(errors) == (len(active) < count)
    slow = [port for port in active if port.speed_gbit is None or port.speed_gbit < 200]
    assert len(found) == (len(active) != count) + bool(slow)
    for one in found:
        assert not [port.device for port in ports if port not in mine and f"{port.device} " in one[2]]


# ---------------------------------------------------------------- groups


def node(name: str, *groups: str, **aiops: Any) -> Node:
    number = sum(name.encode()) % 250
    known = {f"aiops_{key}": value for key, value in aiops.items()}
    roles = frozenset(groups) & {"head", "workers", "login"}
    return Node(name, tuple(sorted(groups)), roles, Connection(address=f"10.0.0.{number}"), aiops=known)


EIGHT = {"vendor": "nvidia", "count": 8, "model": "H100"}
FOUR = {"vendor": "nvidia", "count": 4, "model": "L40S"}
FLEET = (
    node("head", "head"),
    node("h1", "workers", "h100", "row1", accelerators=EIGHT, expect={"os": "debian 12"}),
    node("h2", "workers", "h100", "row2", accelerators=EIGHT, expect={"os": "debian 12"}),
    node("l1", "workers", "l40s", "row1", accelerators=FOUR, expect={"os": "debian 13"}),
    node("c1", "workers", "cpu", "row2"),
    node("c2", "workers", "cpu", "row2", expect={"os": "ubuntu 24.04"}),
)


@pytest.mark.parametrize(
    ("name", "variable", "words"),
    [
        ("h1", "aiops_accelerators", " of group `h100`"),
        ("l1", "aiops_accelerators", " of group `l40s`"),
        ("c2", "aiops_expect", ""),  # its own: no group of its is of one mind
    ],
)
def test_the_group_of_which_something_is_expected(name: str, variable: str, words: str) -> None:
    (one,) = (one for one in FLEET if one.name == name)
    assert origin(one, variable, FLEET) == words


def test_what_all_are_expected_to_have() -> None:
    everyone = [node(name, "workers", accelerators=EIGHT) for name in ("a", "b")]
    assert origin(everyone[0], "aiops_accelerators", everyone) == " of all nodes"


def healthy(one: Node) -> Facts:
    wanted = one.aiops.get("aiops_accelerators")
    system = (one.aiops.get("aiops_expect") or {"os": "debian 12"})["os"].split()
    return facts(
        one.name,
        interfaces=(),
        os_id=system[0],
        os_version=system[1],
        bus_accelerators=(BusAccelerators("nvidia", wanted["count"]),) if wanted else (),
        accelerators=(Accelerator("nvidia", model=f"NVIDIA {wanted['model']}"),) * wanted["count"] if wanted else (),
        clock=None,
        unknown={"clock": "not asked"},
    )


def judged(changes: dict[str, dict[str, Any]]) -> list[Finding]:
    said = {one.name: replace(healthy(one), **changes.get(one.name, {})) for one in FLEET}
    found = preflight(Situation(FLEET, said, {}, everyone=FLEET))
    return [one for one in found if one.check != "clock"]


def test_each_group_is_judged_by_its_own_expectations() -> None:
    assert judged({}) == []


def test_all_problems_are_told_together_and_keep_out_only_their_nodes() -> None:
    found = judged(
        {
            "h1": {"bus_accelerators": (BusAccelerators("nvidia", 7),), "os_version": "13"},
            "h2": {"bus_accelerators": (BusAccelerators("nvidia", 7),)},
            "l1": {"accelerators": (Accelerator("nvidia", model="NVIDIA L4"),)},
        }
    )
    assert [(one.severity, str(one)) for one in found] == [
        ("error", "h[1-2]: 7 nvidia devices on the bus, 8 expected of group `h100`"),
        ("error", "h1: runs debian 13, debian 12 expected of group `h100`"),
        ("warning", "l1: its model is NVIDIA L4, L40S expected of group `l40s`"),
    ]
    assert excluded(found) == {"h1", "h2"}


@given(st.sets(st.sampled_from(["h1", "h2", "l1", "c1", "c2"])), st.integers(0, 9))
def test_what_one_group_lacks_is_no_other_groups_trouble(broken: set[str], count: int) -> None:
    found = judged({name: {"bus_accelerators": (BusAccelerators("nvidia", count),)} for name in broken})
    wanted = {one.name: one.aiops.get("aiops_accelerators") for one in FLEET}
    wrong = {name for name in broken if (mine := wanted[name]) and mine["count"] != count}
    assert excluded(found) == wrong


# ---------------------------------------------------------------- Slurm


@pytest.mark.parametrize(
    ("controller", "other", "fits"),
    [
        ("22.05", "22.05", True),
        ("22.05", "21.08", True),
        ("22.05", "24.11", False),
        ("23.11", "22.05", True),
        ("23.11", "21.08", False),
        ("24.11", "23.11", True),
        ("24.11", "23.02", True),
        ("24.11", "22.05", False),
        ("24.11", "99.05", None),
        ("99.05", "99.05", True),
    ],
)
def test_releases_of_slurm(controller: str, other: str, fits: bool | None) -> None:
    assert understood(controller, other) is fits


@given(st.sampled_from(RELEASES), st.sampled_from(RELEASES))
def test_a_controller_never_understands_what_is_newer(controller: str, other: str) -> None:
    back = RELEASES.index(controller) - RELEASES.index(other)
    assert understood(controller, other) is (0 <= back <= reach(controller))


def test_every_supported_system_has_a_known_release() -> None:
    from aiops.layers.l1_cluster.preflight import SUPPORTED

    assert set(OF_SYSTEM) == set(SUPPORTED)
    assert set(OF_SYSTEM.values()) <= set(RELEASES)


def slurm_findings(releases: dict[str, str | None], *more: Node) -> list[Finding]:
    nodes = [node("head", "head"), node("w1", "workers"), node("w2", "workers"), *more]
    said = {one.name: facts(one.name, interfaces=()) for one in nodes}
    found = preflight(Situation(nodes, said, {}, everyone=nodes, slurm=lambda name: releases.get(name, "22.05")))
    return [one for one in found if one.check == "slurm"]


def test_a_worker_whose_slurm_the_head_does_not_understand_is_kept_out() -> None:
    assert slurm_findings({}) == []
    (finding,) = slurm_findings({"w2": "24.11"})
    assert (finding.severity, finding.nodes) == ("error", ("w2",))
    assert finding.message == (
        "the head's Slurm 22.05 does not understand its Slurm 24.11, only its own release and the 2 before"
    )
    assert "aiops_engine: ssh" in (finding.hint or "")


def test_nodes_that_slurm_has_no_part_in_are_not_compared() -> None:
    assert slurm_findings({"x": "24.11"}, node("x", "workers", engine="ssh"), node("y", "storage")) == []
    (finding,) = slurm_findings({"x": "24.11"}, node("x", "login"))
    assert (finding.severity, finding.nodes) == ("warning", ("x",))


def test_a_release_that_is_unknown_is_not_fine() -> None:
    assert [one.severity for one in slurm_findings({"w1": None, "w2": "31.05"})] == ["warning"]
    assert slurm_findings({"head": None}) == []  # the deploy ends when the head does not answer
