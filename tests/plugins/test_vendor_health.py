"""A simulated host of any vendor is well by all checks of accelerators, and its faults are found by them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.l1_cluster.health.case import AT, FACTS, Case, subject
from tests.plugins.test_vendor_contract import VENDORS
from tests.support.simulated_host import SimulatedHost

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.layers.l0_nodes.remote import probe as remote
from aiops.layers.l0_nodes.vendor import Vendor
from aiops.layers.l1_cluster.health.accelerators import CHECKS
from aiops.layers.l1_cluster.health.check import Subject
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rules import Rules

OTHERS = [vendor for vendor in VENDORS.values() if vendor.name != "nvidia" and vendor.simulate(8, None) is not None]
"""NVIDIA's host has a test of its own, with the checks that only NVIDIA has."""


@pytest.fixture(params=OTHERS, ids=lambda vendor: vendor.name)
def host(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimulatedHost:
    vendor: Vendor = request.param
    monkeypatch.setattr(remote, "FOLDERS", (str(tmp_path / "bin"), "/usr/bin", "/bin"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return SimulatedHost(tmp_path, vendor)


def told(host: SimulatedHost, lost: tuple[str, ...] = ()) -> Subject:
    """The host as checks see it: its bus, and what its tool says."""
    files: dict[str, str] = {}
    for address, attributes in host.tool.bus.items():
        if address not in lost:
            files |= {f"/sys/bus/pci/devices/{address}/{name}": attributes[name] for name in ("vendor", "class")}
    answers = {**host.asked().answers, "bus": Answer("bus", files=files)}
    record = Record("gpu01", AT, answers)
    facts = facts_of(record, (host.vendor,))
    changed = {name: getattr(facts, name) for name in ("accelerators", "bus_accelerators", "driver_mismatch")}
    unknown = {name: reason for name, reason in facts.unknown.items() if name.startswith("accelerators")}
    wanted = {"aiops_accelerators": {"vendor": host.vendor.name, "count": 8}}
    one = subject(Case("", "", "warn", "none", variables=wanted))
    return replace(one, record=record, facts=replace(FACTS, **changed, unknown=unknown, simulated=True))


def found(one: Subject) -> tuple[Finding, ...]:
    return examine([one], CHECKS, Rules()).findings


def test_it_is_well(host: SimulatedHost) -> None:
    one = told(host)
    assert len(one.facts.accelerators or ()) == 8
    assert [finding.words for finding in found(one)] == []


@pytest.mark.parametrize(
    ("kind", "checks"),
    [
        ("device-lost", {"gpu.count"}),
        ("ecc-uncorrected", {"gpu.ecc_uncorrected", "gpu.health", "gpu.remap_pending"}),  # as far as a tool tells
        ("thermal-throttle", {"gpu.temp"}),
        ("firmware-skew", {"gpu.firmware_uniform"}),
    ],
)
def test_its_faults_are_found(host: SimulatedHost, kind: str, checks: set[str]) -> None:
    effect = host.tool.fault(host.tool.state, kind, 3, None)
    if effect is None:
        pytest.skip(f"{host.vendor.name} has no {kind}")
    before = examine([told(host)], CHECKS, Rules()).counters["gpu01"]
    past = Past({name: (Sample(AT - timedelta(minutes=5), value),) for name, value in before.items()})
    host.write(effect.state)
    findings = found(replace(told(host, effect.lost), past=past))
    assert checks & {finding.check for finding in findings if finding.verdict in ("warn", "critical")}
    if kind != "device-lost":
        assert {finding.about for finding in findings} <= {"GPU 3", ""}
