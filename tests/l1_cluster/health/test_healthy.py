"""Healthy nodes alarm nobody; `make bench-health_healthy` draws many more of them."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.l1_cluster.health.healthy import Group, alarms, examined
from tests.l1_cluster.health.healthy_devices import healthy
from tests.l1_cluster.health.suite import ALL
from tests.support.captured_records import captured

from aiops.layers.core.plugin import Plugins
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.vendor import Vendor, vendors_of

VENDORS = vendors_of(Plugins())


@pytest.mark.parametrize("vendor", [*VENDORS, None], ids=lambda one: "none" if one is None else one.name)
def test_a_healthy_node_never_alarms(vendor: Vendor | None, tmp_path: Path) -> None:
    dice = random.Random(f"20261128 {vendor and vendor.name}")  # noqa: S311 - no secret
    devices = None if vendor is None else healthy(vendor, dice.choice(captured(vendor.name)))
    with Store.open(tmp_path, {}) as store:
        group = Group.draw(dice, devices, nodes=2)
        for report in examined(group, store, VENDORS, "c", looks=2):
            assert list(alarms(group, report)) == []
            assert report.checks > len(ALL) / 5


def test_what_is_drawn_follows_its_seed_and_moves() -> None:
    vendor = next(one for one in VENDORS if one.name == "ascend")
    devices = healthy(vendor, captured("ascend")[6])
    dice = [random.Random(seed) for seed in (1, 1, 2)]  # noqa: S311 - no secret
    one, same, other = (Group.draw(die, devices) for die in dice)
    now, later = (dict(one.answers("n01")) for _ in range(2))
    assert now["ascend.info"] != later["ascend.info"]
    assert dict(same.answers("n01")) == now
    assert dict(other.answers("n01")) != now


def test_a_captured_fault_that_is_not_mended_is_told(tmp_path: Path) -> None:
    vendor = next(one for one in VENDORS if one.name == "kunlunxin")
    sick = next(one for one in captured("kunlunxin") if one.name == "table-5.0.21.txt")
    dice = random.Random(1)  # noqa: S311 - no secret
    group = Group.draw(dice, replace(healthy(vendor, sick), answers=sick.answers), nodes=1)
    with Store.open(tmp_path, {}) as store:
        [report] = examined(group, store, VENDORS, "c", looks=1)
    assert "gpu.ecc_uncorrected" in {one.check for one in report.findings if one.verdict == "critical"}
