"""What all vendors of accelerators do alike: their asks, what they make of nothing and of garbage, their simulation.

The simulation is run for real: its programs are put below a folder, the remote probe asks them as it asks a node, and
the vendor reads the answers.
"""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.captured_records import captured
from tests.support.false_ok import false_oks
from tests.support.garbling import Garbled, garbled
from tests.support.simulated_host import AT, COUNT, SimulatedHost

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.lab.fault import DEVICE_KINDS
from aiops.layers.l0_nodes.vendor import Reading, Resetting, Vendor, reset_of, vendors_of

VENDORS = {vendor.name: vendor for vendor in vendors_of(Plugins())}
SPOILT = 150
"""Outputs of each vendor; `make bench-health_fuzz` reads 10,000."""


@pytest.fixture(params=VENDORS.values(), ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def host(tmp_path: Path, vendor: Vendor) -> SimulatedHost:
    return SimulatedHost(tmp_path, vendor)


def test_names_and_ids(vendor: Vendor) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*", vendor.name)
    assert vendor.pci_vendor_ids
    assert all(re.fullmatch(r"[0-9a-f]{4}", one) for one in vendor.pci_vendor_ids)


def test_pci_ids_are_one_vendor_s_alone() -> None:
    ids = [one for vendor in VENDORS.values() for one in vendor.pci_vendor_ids]
    assert len(ids) == len(set(ids))


def test_asks_are_named_after_the_vendor_and_bounded(vendor: Vendor) -> None:
    names = [ask.name for ask in vendor.asks()]
    assert len(names) == len(set(names))
    for ask in vendor.asks():
        assert ask.name.startswith(f"{vendor.name}.")
        assert ask.timeout <= 10
        assert ask.max_bytes <= 1_048_576
        assert ask.argv or ask.paths


def test_nothing_is_unknown_and_no_device(vendor: Vendor) -> None:
    for record in (
        Record("n1", AT, {}),
        Record("n1", AT, {ask.name: Answer(ask.name, 0) for ask in vendor.asks()}),
        Record("n1", AT, {ask.name: Answer(ask.name, missing={"argv": "x: not found"}) for ask in vendor.asks()}),
        Record("n1", AT, {ask.name: Answer(ask.name, seconds=5, timed_out=True) for ask in vendor.asks()}),
        Record("n1", AT, {ask.name: Answer(ask.name, 1, stderr="boom") for ask in vendor.asks()}),
    ):
        reading = vendor.read(record)
        assert reading.accelerators == ()
        assert reading.unknown
        assert all(reading.unknown.values())


def test_its_simulation_is_read_whole(host: SimulatedHost) -> None:
    reading = host.read()
    assert not reading.unknown
    assert reading.mismatch is None
    assert len(reading.accelerators) == COUNT
    assert [one.index for one in reading.accelerators] == list(range(COUNT))
    buses = [one.bus for one in reading.accelerators]
    assert set(buses) <= set(host.tool.bus) or buses == [None] * COUNT
    for one in reading.accelerators:
        assert one.vendor == host.vendor.name
        assert one.model
        assert one.memory_total_mib
        assert one.memory_total_mib > 1000
        assert one.temperature_c is not None
        assert 10 < one.temperature_c < 80
        assert one.health in {None, "ok"}
        assert one.problems == ()
        assert not one.ecc.uncorrected_volatile
    for attributes in host.tool.bus.values():
        assert attributes["vendor"].removeprefix("0x") in host.vendor.pci_vendor_ids


def test_faults_can_be_seen(host: SimulatedHost) -> None:
    """Each kind of device fault changes what is read, in the way it says."""
    healthy = host.read().accelerators
    driver = healthy[0].driver
    for kind in DEVICE_KINDS:
        effect = host.tool.fault(host.tool.state, kind, 3, None)
        if effect is None:
            untold = kind == "firmware-skew" and all(one.firmware is None for one in healthy)
            if kind == "ecc-uncorrected":
                untold = all(one.ecc == Ecc() and one.health is None for one in healthy)
            assert kind == "xid" or untold or host.vendor.name == "nvidia", f"{kind} must be there"
            continue
        host.write(effect.state)
        reading = host.read(seconds=2.0 if kind == "tool-hang" else 20.0)
        device = next((one for one in reading.accelerators if one.index == 3), None)
        match kind:
            case "device-lost":
                assert effect.lost
                assert len(reading.accelerators) < COUNT or reading.unknown
            case "ecc-uncorrected":
                assert device is not None
                assert (
                    device.ecc.uncorrected_volatile or device.ecc.uncorrected_aggregate or device.health == "critical"
                )
            case "thermal-throttle":
                assert device is not None
                hottest = max(filter(None, (device.temperature_c, device.temperature_hotspot_c)))
                assert hottest >= 91
            case "tool-hang":
                assert reading.accelerators == ()
                assert any("did not answer" in reason for reason in (reading.unknown or {}).values())
            case "driver-skew":
                assert reading.accelerators[0].driver not in {None, driver} or driver is None
    assert host.tool.fault(host.tool.state, "device-lost", COUNT, None) is None
    host.write(host.tool.state)
    assert not host.read().unknown


def test_a_reset_is_commands_for_devices_that_its_tool_shows(host: SimulatedHost) -> None:
    """Where a vendor says how its devices are reset: as data, of at least the devices asked for, and of no guess."""
    devices = host.read().accelerators
    for several in (devices[:1], devices[1:3], devices):
        for switches in (0, 6):
            reset = reset_of(host.vendor, several, devices, switches)
            if reset is None:
                continue
            assert set(several) <= set(reset.devices) <= set(devices)
            assert reset.commands
            assert all(argv and all(isinstance(word, str) and word for word in argv) for argv in reset.commands)
            assert all(unit.endswith(".service") for unit in reset.holders)
            assert hash(reset)
    unseen = replace(devices[0], index=None)
    assert reset_of(host.vendor, [unseen], devices, 0) is None
    assert reset_of(host.vendor, [], [], 0) is None
    if reset_of(host.vendor, devices[:1], devices, 0) is None:
        return
    divided = replace(devices[0], partitioned=True)
    assert reset_of(host.vendor, [divided], [divided, *devices[1:]], 0) is None, "what is divided is left to a reboot"


def test_who_says_how_devices_are_reset() -> None:
    assert {name for name, vendor in VENDORS.items() if isinstance(vendor, Resetting)} == {"nvidia", "amd"}
    devices = [Accelerator("nvidia", index=number, model="H100") for number in range(8)]
    alone = reset_of(VENDORS["nvidia"], devices[3:4], devices, 0)
    together = reset_of(VENDORS["nvidia"], devices[3:4], devices, 6)
    assert alone is not None
    assert together is not None
    assert alone.commands == (("nvidia-smi", "--gpu-reset", "-i", "3"),)
    assert (together.commands, together.devices) == ((("nvidia-smi", "--gpu-reset"),), tuple(devices))
    assert "nvidia-fabricmanager.service" in set(together.holders) - set(alone.holders)
    instinct = [Accelerator("amd", index=2, model="AMD Instinct MI300X")]
    radeon = [Accelerator("amd", index=2, model="AMD Radeon RX 7900 XTX")]
    amd = reset_of(VENDORS["amd"], instinct, instinct, 0)
    assert amd is not None
    assert amd.commands == (("amd-smi", "reset", "--gpureset", "--gpu", "2"),)
    assert reset_of(VENDORS["amd"], radeon, radeon, 0) is None


def test_what_is_spoilt_is_never_a_traceback_nor_a_device_that_is_well(vendor: Vendor) -> None:
    originals = captured(vendor.name)
    others = [one.stdout for name in VENDORS for one in captured(name)[0].answers.values() if name != vendor.name]
    for number in range(SPOILT):
        dice = random.Random(f"{vendor.name} {number}")  # noqa: S311 - no secret
        original = originals[number % len(originals)]
        spoilt = garbled(dice, original.answers, others)
        right = vendor.read(Record("n1", AT, original.answers))
        assert list(false_oks(vendor, right, spoilt)) == [], f"{number}: {original.name}, {dict(spoilt.ways)}"


class Forgetful:
    """A reader that always tells the same."""

    name, pci_vendor_ids = "enflame", ("1e36",)

    def __init__(self, *devices: Accelerator) -> None:
        self.devices = devices

    def asks(self) -> tuple[Ask, ...]:
        return ()

    def read(self, _record: Record) -> Reading:
        return Reading(self.devices)

    def simulate(self, _count: int, _model: str | None) -> None:
        return None


def test_the_measure_of_a_false_ok_can_fail() -> None:
    original = next(one for one in captured("enflame") if one.name == "query-1.4.3.txt")
    right = VENDORS["enflame"].read(Record("n1", AT, original.answers))
    first, sick = right.accelerators
    spoilt = Garbled(original.answers, {}, structural=True)
    healed = replace(sick, health="ok", ecc=replace(sick.ecc, uncorrected_aggregate=0))
    assert len(list(false_oks(Forgetful(first, healed), right, spoilt))) == 2
    assert list(false_oks(Forgetful(first, replace(sick, temperature_c=999.0)), right, spoilt)) != []
    assert list(false_oks(Forgetful(first), right, spoilt)) == [], "what is missing is told beside the bus"
