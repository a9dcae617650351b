"""Accelerators: nodes on which nothing is wrong are told nothing of, and what makes a device known again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, BOOT_ID, Case, h100, subject
from tests.l1_cluster.health.cases.accelerators import (
    BUS,
    FROM_DEVICES,
    SICK,
    WELL,
    before,
    beside,
    device,
    every,
    gb10,
    mute,
)

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l1_cluster.health.accelerators import CHECKS
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.devices import has_devices, named, unread, vendors
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rules import Rules

ALL = tuple(check for check in checks_of(Plugins()) if check.id.startswith("gpu.") and check.compare is None)


def found(facts: Callable[[Facts], Facts], checks: tuple[object, ...] = CHECKS, **more: object) -> tuple[Finding, ...]:
    """What is found on one node with these facts."""
    case = Case("", "", "warn", "none", facts=facts, **more)  # type: ignore[arg-type]
    return examine([subject(case)], checks, Rules()).findings  # type: ignore[arg-type]


@pytest.mark.parametrize("special", WELL)
def test_nothing_is_found_where_nothing_is_wrong(special: str) -> None:
    past = Past(
        {
            f"gpu.{counter}.{whose}": (Sample(AT - timedelta(hours=2), value, BOOT_ID),)
            for index in range(8)
            for counter, whose, value in (
                ("link_errors", f"GPU {index}", 0),
                ("pcie_replays", f"GPU {index}", 0),
                ("ecc_corrected", h100(index).uuid, 0),
                ("ecc_uncorrected", h100(index).uuid, 5),
            )
        }
    )
    assert found(WELL[special], ALL, past=past) == ()


def test_a_device_that_shares_the_hosts_memory_is_well() -> None:
    assert found(gb10, ALL) == ()


def test_a_node_without_accelerators_is_not_judged() -> None:
    def none(facts: Facts) -> Facts:
        return replace(facts, bus_accelerators=(), accelerators=())

    case = Case("", "", "warn", "none", facts=none)
    judged = examine([subject(case)], ALL, Rules()).judged["gpu01"]
    assert [check for check in judged if check.startswith("gpu.")] == []


@pytest.mark.parametrize(("groups", "count"), [(("workers",), 1 + len(FROM_DEVICES)), (("head",), 0), (("login",), 0)])
def test_a_card_without_a_driver_matters_where_work_is_done(groups: tuple[str, ...], count: int) -> None:
    findings = found(mute("nvidia-smi: not found (no driver is installed)"), groups=groups)
    critical = [one for one in findings if one.verdict == "critical"]
    assert [one.check for one in critical] == (["gpu.tool_responds"] if count else [])
    assert len({one.check for one in findings} - {"gpu.count"}) == count
    assert {one.message for one in findings if one.verdict == "unknown"} == (
        {"nvidia-smi: not found (no driver is installed)"} if count else set()
    )


def test_cards_of_another_vendor_count_where_the_inventory_says_so() -> None:
    facts = beside("amd", "amd-smi did not answer in 5 s")
    assert found(facts) == ()
    case = Case("", "", "warn", "none", facts=facts, variables={"aiops_accelerators": {"vendor": "amd", "count": 1}})
    assert vendors(subject(case)) == {"amd", "nvidia"}


def test_nothing_on_the_bus_is_less_than_was_bought() -> None:
    def empty(facts: Facts) -> Facts:
        return replace(facts, bus_accelerators=(), accelerators=())

    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": 8}}
    [finding] = found(empty, variables=wanted)
    assert (finding.check, finding.verdict) == ("gpu.count", "critical")
    assert finding.message == "0 on the bus, expected 8 (aiops_accelerators)"
    [learned] = found(empty, expected=Expected({"gpu.count": 4.0}, "health.yml"), groups=("head",))
    assert learned.message == "0 on the bus, expected 4 (health.yml)"


def test_a_tool_is_unknown_where_neither_it_nor_the_bus_tells() -> None:
    def dark(facts: Facts) -> Facts:
        unknown = {"accelerators": "nvidia-smi: not found", "bus_accelerators": "it hangs"}
        return replace(facts, bus_accelerators=None, accelerators=None, unknown=unknown)

    findings = {one.check: (one.verdict, one.message) for one in found(dark)}
    assert findings["gpu.tool_responds"] == ("unknown", "it hangs")
    assert {verdict for verdict, _ in findings.values()} == {"unknown"}


def test_a_device_without_a_model_is_of_none() -> None:
    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": 8, "model": "H100"}}
    assert found(every(model=None), variables=wanted) == ()


def test_two_vendors_without_drivers_are_both_told() -> None:
    both = (BusAccelerators("amd", 1, ("0000:c1:00.0",)), BusAccelerators("nvidia", 8, BUS))
    unknown = {"accelerators": "x", "accelerators.amd.tool": "amd-smi: not found"}

    def facts(nvidia: str) -> Callable[[Facts], Facts]:
        told = {**unknown, "accelerators.nvidia.query": nvidia}
        return lambda one: replace(one, accelerators=None, bus_accelerators=both, unknown=told)

    def told(nvidia: str) -> list[str]:
        return [str(one.evidence["vendor"]) for one in found(facts(nvidia)) if one.check == "gpu.tool_responds"]

    assert told("nvidia-smi: not found") == ["amd", "nvidia"]
    assert told("nvidia-smi did not answer in 10 s") == ["nvidia"], "the graphics of a processor need no driver"


def test_a_count_is_kept_where_the_rest_cannot_be_read() -> None:
    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": 8}}
    findings = found(mute("nvidia-smi exit 15: GPU is lost", buses=BUS[1:]), variables=wanted)
    [count] = [one for one in findings if one.check == "gpu.count"]
    assert (count.verdict, count.action) == ("critical", "service")


def test_a_bus_that_shows_nothing_is_no_loss_where_the_tool_shows_all() -> None:
    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": 8}}
    assert found(lambda facts: replace(facts, bus_accelerators=()), variables=wanted) == ()


def test_addresses_in_another_notation_are_not_compared() -> None:
    def facts(facts: Facts) -> Facts:
        return replace(facts, accelerators=tuple(replace(h100(n), bus=f"{n}") for n in range(8)))

    assert found(facts) == ()


def test_what_a_device_is_called() -> None:
    def names(*devices: Accelerator) -> list[str]:
        case = Case("", "", "warn", "none", facts=lambda facts: replace(facts, accelerators=devices))
        return [name for name, _ in named(subject(case))]

    assert names(Accelerator("ascend", 0), Accelerator("ascend", 1)) == ["GPU 0", "GPU 1"]
    assert names(Accelerator("ascend", 0, bus="0000:c1:00.0"), Accelerator("ascend", 0, bus="0000:c2:00.0")) == [
        "GPU at 0000:c1:00.0",
        "GPU at 0000:c2:00.0",
    ]
    assert names(Accelerator("ascend", bus="0000:c1:00.0"), Accelerator("ascend")) == ["GPU at 0000:c1:00.0", "GPU"]


def test_why_a_value_is_missing() -> None:
    def reason(unknown: dict[str, str], *words: str, whole: bool = True) -> str | None:
        case = Case("", "", "warn", "none", facts=lambda facts: replace(facts, unknown=unknown))
        return unread(subject(case), h100(SICK), *words, whole=whole)

    assert reason({"accelerators.nvidia.3.temperature.gpu": "ERR!"}, "temp") == "ERR!"
    assert reason({"accelerators.nvidia.3.temperature.gpu": "ERR!"}, "power") is None
    assert reason({"accelerators.nvidia.4.temperature.gpu": "ERR!"}, "temp") is None
    assert reason({"accelerators.amd.3.temperature.gpu": "ERR!"}, "temp") is None
    assert reason({"accelerators.nvidia.details": "cut"}, "temp") == "cut"
    assert reason({"accelerators.nvidia.details": "cut"}, "temp", whole=False) is None
    assert reason({"accelerators.nvidia.links": "hung"}, "temp") is None
    assert reason({"accelerators.nvidia.links": "hung"}, "link") == "hung"


def test_counters_are_remembered_under_what_they_are_compared_with() -> None:
    case = Case("", "", "warn", "none", facts=device(pcie={"replays": 7}, links={"errors": 2}))
    counters = examine([subject(case)], CHECKS, Rules()).counters["gpu01"]
    assert counters[f"gpu.pcie_replays.GPU {SICK}"] == 7
    assert counters[f"gpu.link_errors.GPU {SICK}"] == 2
    assert counters[f"gpu.ecc_corrected.{h100(SICK).uuid}"] == 0
    assert "gpu.pcie_replays.GPU 0" not in counters, "what is not told is not remembered as 0"


def test_half_of_a_pair_of_values_is_not_judged() -> None:
    assert found(device(links={"total": None})) == ()
    assert found(device(utilization=99.0, pcie={"max_width": None})) == ()
    assert found(device(utilization=99.0, pcie={"max_generation": None})) == ()


def test_pages_that_are_told_are_known_whatever_else_was_cut() -> None:
    told = {"remap_pending": None, "retire_pending": False, "remap_failed": False, "retired": 0}
    facts = every(ecc=told, pcie={"replays": 0})
    assert found(lambda one: replace(facts(one), unknown={"accelerators.nvidia.details": "cut"})) == ()


def test_counters_that_are_not_told_are_not_remembered() -> None:
    case = Case("", "", "warn", "none", facts=every(ecc=Ecc(), links=Links()))
    assert examine([subject(case)], CHECKS, Rules()).counters["gpu01"] == {}


def test_memory_is_compared_with_devices_of_the_same_model() -> None:
    def mixed(facts: Facts) -> Facts:
        facts = every(memory_used_mib=3420, processes=0, model="A")(facts)
        return device(memory_used_mib=4, processes=0, model="B")(facts)

    assert {one.check for one in found(mixed)} == {"gpu.model_uniform"}


def test_old_errors_do_not_count_as_new_ones() -> None:
    assert found(device(links={"errors": 6}), past=before("gpu.link_errors", 6, 60)) == ()
    assert found(device(links={"errors": 6})) == (), "and nothing is known the first time"


def test_limits_are_the_sites() -> None:
    case = Case("", "", "warn", "none", facts=device(temperature_c=80.0))
    rules = Rules(thresholds={"gpu.temp": {"warn": 75.0}})
    [finding] = examine([subject(case)], CHECKS, rules).findings
    assert finding.words == f"GPU {SICK}: 80 °C, limit 75 °C"


def test_links_of_cards_without_bridges_are_well() -> None:
    def bare(facts: Facts) -> Facts:
        return replace(every(links={"active": 0})(facts), bus_accelerators=(BusAccelerators("nvidia", 8, BUS),))

    assert found(bare) == ()
    [first, *_] = found(every(links={"active": 0}))
    assert first.check == "gpu.links", "beside switches all links are to be up"


NUMBER = st.one_of(st.none(), st.integers(-(2**40), 2**40))
SIZE = st.one_of(st.none(), st.floats(allow_nan=False, width=32))
FLAG = st.one_of(st.none(), st.booleans())
DEVICE = st.builds(
    Accelerator,
    vendor=st.sampled_from(["nvidia", "ascend"]),
    index=st.one_of(st.none(), st.integers(0, 3)),
    bus=st.one_of(st.none(), st.sampled_from(BUS), st.text(max_size=8)),
    model=st.one_of(st.none(), st.text(max_size=8)),
    firmware=st.one_of(st.none(), st.text(max_size=8)),
    memory_total_mib=NUMBER,
    memory_used_mib=NUMBER,
    utilization=SIZE,
    temperature_c=SIZE,
    power_w=SIZE,
    power_cap_w=SIZE,
    pcie=st.builds(Pcie, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER),
    ecc=st.builds(Ecc, FLAG, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, FLAG, FLAG, NUMBER, FLAG),
    links=st.builds(Links, NUMBER, NUMBER, NUMBER),
    partitioned=FLAG,
    processes=NUMBER,
    throttle_reasons=st.one_of(st.none(), st.tuples(st.text(max_size=8))),
)


@given(st.lists(DEVICE, max_size=5), st.one_of(st.none(), st.just(())), FLAG)
def test_no_judge_fails_whatever_a_parser_makes_of_a_device(
    devices: list[Accelerator], bus: tuple[BusAccelerators, ...] | None, simulated: bool | None
) -> None:
    def facts(facts: Facts) -> Facts:
        return replace(facts, accelerators=tuple(devices), bus_accelerators=bus, simulated=bool(simulated))

    for finding in found(facts):
        assert "failed" not in finding.message, finding.message
    if devices:
        case = Case("", "", "warn", "none", facts=facts)
        assert has_devices(subject(case))
