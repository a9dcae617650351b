"""Memory: what the cases do not show."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.l1_cluster.health.case import AT, BOOT_ID, read
from tests.l1_cluster.health.cases.memory import edac, meminfo
from tests.l1_cluster.health.host import judged, told

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health import memory
from aiops.layers.l1_cluster.health.past import Past, Sample


@pytest.mark.parametrize(
    ("available", "total", "huge", "low"),
    [
        (50_000_000, 2_113_471_488, 0, False),
        (42_000_000, 2_113_471_488, 0, True),
        (30_000_000, 2_113_471_488, 2_000_000_000, False),  # most of it is set aside as huge pages
        (1_100_000, 16_000_000, 0, False),
        (300_000, 2_000_000, 0, False),
        (190_000, 2_000_000, 0, True),
    ],
)
def test_room_for_more(available: int, total: int, huge: int, low: bool) -> None:
    assert bool(told({memory.MEMORY_ASK.name: meminfo(available, total, huge)})) is low


def test_it_is_asked_for_with_the_facts() -> None:
    assert "/proc/meminfo" in memory.MEMORY_ASK.paths


def test_a_number_that_was_cut_is_no_number() -> None:
    cut = read(memory.MEMORY_ASK.name, {"/proc/meminfo": "MemTotal: 2113471488 kB\nMemAvailable: 20"})
    assert told({memory.MEMORY_ASK.name: cut}) == [("mem.available", "unknown", "")]


def test_corrected_errors_count_by_how_many_have_come_within_a_day() -> None:
    def past(*samples: tuple[float, int]) -> Past:
        times = tuple(Sample(AT - timedelta(hours=hours), value, BOOT_ID) for hours, value in samples)
        return Past({"edac.mc0/dimm0.corrected": times})

    many = {memory.EDAC: edac(corrected=5000)}
    assert told(many) == []
    assert told(many, past=past((20, 4001))) == []
    assert told(many, past=past((20, 4000))) == [("mem.dimm_errors", "warn", "mc0/dimm0")]
    assert told(many, past=past((50, 1000), (25, 4500))) == []
    assert judged(many).counters["gpu01"]["edac.mc0/dimm0.corrected"] == 5000
    assert judged(many).counters["gpu01"]["edac.mc0.corrected"] == 0


def test_controllers_that_do_not_tell_their_modules_apart() -> None:
    folder = "/sys/devices/system/edac/mc/mc0"
    answer = read(memory.EDAC, {f"{folder}/ue_count": "1\n", f"{folder}/ce_count": "7\n"})
    assert told({memory.EDAC: answer}) == [("mem.dimm_errors", "critical", "mc0")]
    labels = {f"{folder}/dimm0/dimm_label": "CPU1_DIMM_A1\n"}  # older kernels know no more of them
    assert told({memory.EDAC: replace(answer, files={**answer.files, **labels})}) == [
        ("mem.dimm_errors", "critical", "mc0")
    ]
    broken = read(memory.EDAC, {f"{folder}/ue_count": "0\n"}, **{f"{folder}/ce_count": "Input/output error"})
    assert told({memory.EDAC: broken}) == [("mem.dimm_errors", "unknown", "")]


def test_swap_is_judged_where_a_worker_is_to_have_none() -> None:
    def swapping(facts: Facts) -> Facts:
        return replace(facts, swaps=("/dev/zram0",))

    assert told({}, swapping) == [("swap.off", "warn", "")]
    assert told({}, swapping, variables={"aiops_swap_off": False}) == []
    assert told({}, swapping, groups=("head",)) == []
