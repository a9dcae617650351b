"""Facts of a node that was not asked for its devices again."""

from dataclasses import replace

from tests.l0_nodes.test_facts import record
from tests.l1_cluster.health.case import FACTS

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.vendor import vendors_of
from aiops.layers.l1_cluster.prober import FleetProber

PROBER = FleetProber(Fleet(Connector({})), vendors_of(Plugins()), SystemClock())
NODE = Node("gpu01")


def test_without_devices_no_vendor_s_tool_is_asked() -> None:
    whole = {ask.name for ask in PROBER.fact_asks(NODE)}
    light = {ask.name for ask in PROBER.fact_asks(NODE, devices=False)}
    assert light < whole
    assert "nvidia.query" in whole - light
    assert "bus" in light


def test_devices_are_those_of_before_and_all_else_is_new() -> None:
    before = replace(FACTS, swaps=("/old",), unknown={"accelerators.nvidia.x": "cut", "hosts": "gone by now"})
    found = PROBER.facts(record(), before)
    assert found.accelerators == FACTS.accelerators
    assert found.swaps == ("/dev/sda2",)
    assert found.unknown["accelerators.nvidia.x"] == "cut"
    assert "hosts" not in found.unknown
    assert not any(name.startswith("accelerators") for name in found.unknown if name != "accelerators.nvidia.x")


def test_without_earlier_facts_devices_that_were_not_asked_for_are_unknown() -> None:
    found = PROBER.facts(record())
    assert found.accelerators is None
    assert "accelerators" in found.unknown
