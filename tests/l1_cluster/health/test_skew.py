"""Comparing checks: who differs from most of its equals is found, and nobody where there is no majority."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import FACTS, Case, gone, hung, read, subject
from tests.l1_cluster.health.cases.pace import answers as paces
from tests.l1_cluster.health.cases.skew import HEALTHY

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l1_cluster.health import pace, skew
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.pace import seconds_of
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.trait_reading import BOARD, CHIPS, CPU, OFED

CHECKS = (*skew.CHECKS, *pace.CHECKS)
Change = Callable[[Facts], Facts]


def node(name: str, change: Change | None = None, *answers: Answer, groups: tuple[str, ...] = ("workers",)) -> Subject:
    case = Case("", "", "warn", "none", answers={one.name: one for one in answers}, groups=groups)
    return subject(case if change is None else replace(case, facts=change), name)


def has(**changes: object) -> Change:
    return lambda facts: replace(facts, **changes)  # type: ignore[arg-type]


def found(nodes: Sequence[Subject], checks: Sequence[Check] = CHECKS) -> list[str]:
    """`node check verdict` of all findings, each as its check alone sees its own answers, as in a large fleet."""
    seen = []
    for check in checks:
        names = {ask.name for ask in check.asks}
        own = [replace(one, record=_only(one, names)) for one in nodes]
        seen += [f"{one.node} {one.check} {one.verdict}" for one in examine(own, (check,), Rules()).findings]
    return seen


def _only(one: Subject, names: set[str]) -> Record:
    return replace(one.record, answers={name: answer for name, answer in one.record.answers.items() if name in names})


def test_equal_nodes_alarm_nobody_though_no_check_sees_more_than_it_asked_for() -> None:
    assert found([node(f"n{number}") for number in range(5)]) == []


@pytest.mark.parametrize(
    "change",
    [
        has(os_version="11"),
        has(kernel="6.1.0-31-amd64"),
        has(cpu_model="AMD EPYC 9454"),
        has(threads=96),
        has(memory_mib=1_031_968),
        has(accelerators=FACTS.accelerators and FACTS.accelerators[:7]),
        has(accelerators=()),
    ],
)
def test_two_nodes_and_halves_have_no_majority(change: Change) -> None:
    assert found([node("n1"), node("n2", change)]) == []
    assert found([node("n1"), node("n2"), node("n3", change), node("n4", change)]) == []
    assert len(found([node("n1"), node("n2"), node("n3", change)])) >= 1


def test_a_point_release_is_no_other_system() -> None:
    assert found([node("n1"), node("n2"), node("n3", has(os_name="Debian GNU/Linux 12.11"))]) == []
    rolling = [node(f"n{number}", has(os_version=None)) for number in range(3)]
    assert found(rolling) == []
    other = node("n3", has(os_version=None, os_name="Debian GNU/Linux sid"))
    assert found([*rolling, other], [one for one in CHECKS if one.id == "os.skew"]) == ["n3 os.skew warn"]


def test_other_groups_are_others() -> None:
    odd = has(kernel="6.1.0-31-amd64", memory_mib=1_031_968)
    nodes = [node("n1"), node("n2"), node("n3", odd, groups=("workers", "old"))]
    assert found(nodes) == []


def test_machines_of_another_make_have_other_hardware() -> None:
    other = read(BOARD, {**HEALTHY[BOARD].files, "/sys/class/dmi/id/product_name": "PowerEdge XE9680\n"})
    odd = has(memory_mib=1_031_968, threads=96, cpu_model="x", accelerators=(Accelerator("nvidia", model="A100"),))
    assert found([node("n1"), node("n2"), node("n3", odd, other)]) == []


def test_a_little_memory_more_or_less_is_the_kernels() -> None:
    nodes = [node(f"n{number}", has(memory_mib=2_063_937 - 1000 * number)) for number in range(5)]
    assert found(nodes) == []
    assert found([*nodes, node("n5", has(memory_mib=1_934_941))]) == ["n5 mem.skew warn"]
    nothing = has(memory_mib=None)
    assert found([*nodes, node("n5", nothing)]) == ["n5 mem.skew unknown"]
    assert found([nodes[0], node("n5", nothing)]) == []


def test_the_limit_itself_is_within_the_limit() -> None:
    nodes = [node(f"n{number}", has(memory_mib=2_000_000)) for number in range(3)]
    assert found([*nodes, node("n3", has(memory_mib=1_900_000))]) == []
    assert found([*nodes, node("n3", has(memory_mib=1_899_999))]) == ["n3 mem.skew warn"]


def test_two_sizes_of_memory_in_halves_are_nobodys_fault() -> None:
    small = has(memory_mib=1_031_968)
    assert found([node(f"n{number}", small if number % 2 else None) for number in range(6)]) == []


def test_only_fewer_devices_are_told() -> None:
    def seven(facts: Facts) -> Facts:
        return replace(facts, accelerators=facts.accelerators and facts.accelerators[:7])

    assert found([node("n1"), node("n2", seven), node("n3", seven)]) == []
    assert found([node("n1"), node("n2"), node("n3", seven)]) == ["n3 gpu.count_skew warn"]
    some = has(accelerators=(), bus_accelerators=())
    assert found([node("n1"), node("n2", some), node("n3", some)]) == []


def test_parts_of_devices_are_as_somebody_has_set_them() -> None:
    parts = has(accelerators=tuple(replace(one, partitioned=True) for one in (FACTS.accelerators or ())[:2]))
    assert found([node("n1"), node("n2"), node("n3", parts)]) == []


def test_devices_that_cannot_be_read_are_told_by_others() -> None:
    broken = has(accelerators=None, bus_accelerators=(BusAccelerators("nvidia", 8),))
    assert found([node("n1"), node("n2"), node("n3"), node("n4", broken)]) == []


def test_what_a_tool_does_not_tell_is_no_other_version() -> None:
    def untold(facts: Facts) -> Facts:
        devices = facts.accelerators or ()
        return replace(facts, accelerators=(replace(devices[0], firmware=None, driver=None), *devices[1:]))

    assert found([node("n1"), node("n2"), node("n3", untold)]) == []
    nameless = has(accelerators=tuple(replace(one, model=None) for one in FACTS.accelerators or ()))
    assert found([node("n1"), node("n2"), node("n3", nameless)]) == ["n3 gpu.count_skew unknown"]


def test_nodes_without_a_fabric_need_no_ofed() -> None:
    without = has(rdma_ports=())
    bare = (gone(OFED, "ofed_info"), Answer(CHIPS, missing={"/sys/class/infiniband/*/board_id": "nothing matches"}))
    assert found([node("n1"), node("n2"), node("n3", without, *bare)]) == []


def test_what_a_machine_does_not_have_is_not_compared() -> None:
    """arm64 tells no microcode, a container no BIOS."""
    arm = read(CPU, {"/proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 50.00\n"})
    board = Answer(BOARD, missing=dict.fromkeys(HEALTHY[BOARD].files, "No such file or directory"))
    assert found([node("n1"), node("n2"), node("n3", None, arm, board)]) == []


@pytest.mark.parametrize(
    ("answer", "checks"),
    [
        (hung(OFED, 10.0), {"ofed.skew"}),
        (Answer(CPU, missing={"/proc/cpuinfo": "Input/output error"}), {"microcode.skew"}),
        (Answer(CHIPS, missing={"/sys/class/infiniband/mlx5_0/fw_ver": "Input/output error"}), {"ib.firmware_skew"}),
        (
            Answer(BOARD, missing=dict.fromkeys(HEALTHY[BOARD].files, "Input/output error")),
            {"bios.skew", "cpu.skew", "mem.skew", "gpu.count_skew"},
        ),
    ],
)
def test_what_cannot_be_read_is_unknown_where_others_can_be_compared(answer: Answer, checks: set[str]) -> None:
    odd = node("n3", None, answer)
    assert set(found([node("n1"), node("n2"), odd])) == {f"n3 {check} unknown" for check in checks}
    assert found([node("n1"), odd]) == []
    assert found([odd]) == []


@given(st.text(max_size=200), st.text(max_size=40))
def test_garbage_of_one_node_costs_nobody_else(text: str, reason: str) -> None:
    paths = {path: text for name in (BOARD, CHIPS, CPU) for path in HEALTHY[name].files}
    garbled = [Answer(name, 0, stdout=text, files=paths, missing={text: reason}) for name in (BOARD, CHIPS, CPU, OFED)]
    nodes = [node(f"n{number}") for number in range(4)]
    assert {one.partition(" ")[0] for one in found([*nodes, node("n4", None, *garbled)])} <= {"n4"}


def slow(name: str, seconds: float, **other: float) -> Subject:
    return node(name, None, *paces(seconds, **other).values())


def test_a_slow_node_among_equals() -> None:
    equals = [slow(f"n{number}", 0.02 + number / 1000) for number in range(3)]
    assert found([*equals, slow("n3", 0.9)]) == ["n3 node.slow warn"]
    assert found([*equals, slow("n3", 0.4)]) == []  # in all 1.6 s: it is busy
    assert found([equals[0], slow("n3", 0.9)]) == []  # of two nobody is the slow one
    assert found([slow("n0", 0.9), slow("n1", 0.9), slow("n2", 0.3)]) == []  # all of them are busy
    busy = [slow(f"n{number}", 0.3) for number in range(3)]
    assert found([*busy, slow("n3", 1.0)]) == []  # three times as long
    assert found([*busy, slow("n3", 1.6)]) == ["n3 node.slow warn"]


def test_how_slow_is_slow() -> None:
    equals = [slow("n0", 0.25), slow("n1", 0.25)]
    assert found([*equals, slow("n2", 1.25)]) == ["n2 node.slow warn"]  # five times as long, and three are enough
    assert found([*equals, slow("n2", 1.24)]) == []
    quick = [slow("n0", 0.05), slow("n1", 0.05)]
    assert found([*quick, slow("n2", 0.5)]) == []  # 2 s
    assert found([*quick, slow("n2", 0.51)]) == ["n2 node.slow warn"]


def test_one_question_that_hangs_makes_no_node_slow() -> None:
    equals = [slow(f"n{number}", 0.02) for number in range(3)]
    assert found([*equals, slow("n3", 0.02, packages_lock=4.0)]) == []
    assert found([*equals, slow("n3", 0.02, packages_lock=2.0, cpu_topology=2.0)]) == []
    assert found([*equals, slow("n3", 0.02, packages_lock=2.0, cpu_topology=2.0, os_kernel=2.0)]) == [
        "n3 node.slow warn"
    ]
    gone_there = replace(paces(0.9)["os.kernel"], exit_status=None)
    assert seconds_of(node("n3", None, gone_there).record) is None
    killed = replace(paces(0.9)["os.kernel"], timed_out=True)
    assert seconds_of(node("n3", None, killed).record) is None
    late = replace(paces(0.9)["os.kernel"], exit_status=None, timed_out=True)
    assert seconds_of(node("n3", None, late).record) is None
    assert found([*equals, node("n3", None, *{**paces(0.9), "os.kernel": late}.values())]) == []


def test_containers_have_the_pace_of_their_machine() -> None:
    equals = [slow(f"n{number}", 0.02) for number in range(3)]
    host = slow("n3", 0.9)
    assert found([*equals, replace(host, facts=replace(host.facts, container=True))]) == []
