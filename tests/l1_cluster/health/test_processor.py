"""Processors: what the cases do not show."""

import pytest
from tests.l1_cluster.health.cases.processor import cpus, governors
from tests.l1_cluster.health.host import judged, told

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health import processor


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (cpus("0-7", "0-7"), []),
        (cpus("0-7", "0-3", "off"), []),
        (cpus("0-7", "0-2", "forceoff"), []),
        (cpus("0-7", "0-2", "1"), []),  # as many siblings as are wanted
        (cpus("0-7", "0,2,4,6", None), []),
        (cpus("0-7", "0-2,4-7", "notsupported"), ["cpu.count"]),
        (cpus("0-1023", "0-1000", "on"), ["cpu.count"]),
        (cpus("0", "0", "notimplemented"), []),
    ],
)
def test_processors_that_are_offline(answer: Answer, found: list[str]) -> None:
    assert [one[0] for one in told({processor.CPU_SET: answer})] == found


def test_of_very_many_that_are_offline_the_first_are_named() -> None:
    for online, end in (("8-191", "0, 1, 2, 3, 4, 5, 6, 7"), ("9-191", "0, 1, 2, 3, 4, 5, 6, 7 ...")):
        outcome = judged({processor.CPU_SET: cpus(online=online)})
        assert outcome.findings[0].message.endswith(f"not in use: {end}")


@pytest.mark.parametrize("text", ["", "0-", "0-99999999", "0-3;5", "3-x", "0 1"])
def test_numbers_in_riddles(text: str) -> None:
    assert told({processor.CPU_SET: cpus(online=text)}) == [("cpu.count", "unknown", "")]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (governors("powersave", "performance"), []),
        (governors("performance", "balance_performance"), []),
        (governors("powersave", "balance_power", count=1), ["cpu.governor"]),
        (governors("ondemand"), ["cpu.governor"]),
        (governors("userspace"), ["cpu.governor"]),
    ],
)
def test_governors(answer: Answer, found: list[str]) -> None:
    assert [one[0] for one in told({processor.GOVERNOR: answer})] == found
