"""What all vendors of accelerators do alike: their asks, what they make of nothing and of garbage, their simulation.

The simulation is run for real: its programs are put below a folder, the remote probe asks them as it asks a node, and
the vendor reads the answers.
"""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.accelerator import Ecc
from aiops.layers.l0_nodes.ask import Answer, Record, answer_of
from aiops.layers.l0_nodes.lab.fault import DEVICE_KINDS
from aiops.layers.l0_nodes.remote import probe as remote
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor, vendors_of

VENDORS = {vendor.name: vendor for vendor in vendors_of(Plugins())}
AT = datetime(2026, 11, 21, tzinfo=UTC)
COUNT = 8
DRIVERS = {"nvidia": "580.95.05"}
"""The driver that comes with a host, of vendors whose tool comes with packages alone."""

EXAMPLES = 100


class Host:
    """A host with a vendor's simulated tool, below a folder."""

    def __init__(self, folder: Path, vendor: Vendor, count: int = COUNT) -> None:
        self.vendor = vendor
        self.folder = folder
        tool = vendor.simulate(count, None)
        assert tool is not None, f"{vendor.name} has no simulation"
        self.tool: SimulatedTool = tool
        for path, content in tool.files.items():
            self._put(path, content)
        for path, target in tool.links.items():
            link = folder / "bin" / Path(path).name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(self._at(target))
        self.write(tool.state)

    def _at(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def _put(self, path: str, content: str) -> None:
        for root in ("/usr/lib/aiops-lab", "/run/"):
            content = content.replace(root, f"{self.folder}{root}")
        place = self._at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(0o755)

    def write(self, state: Mapping[str, Any]) -> None:
        """Set the state that the tool reads."""
        own = {**state, "devices": {}, "driver": state.get("driver") or DRIVERS.get(self.vendor.name)}
        place = self._at(self.tool.state_path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(own))

    def asked(self, seconds: float = 20.0) -> Record:
        """The record of the vendor's asks, asked as the probe does."""
        asks = [
            {
                "name": ask.name,
                "argv": list(ask.argv),
                "paths": list(ask.paths),
                "timeout": min(ask.timeout, seconds),
                "max_bytes": ask.max_bytes,
                "scratch": ask.scratch,
                "environment": dict(ask.environment),
            }
            for ask in self.vendor.asks()
        ]
        end = time.monotonic() + 2 * seconds
        answers = remote.answered({"asks": asks, "max_bytes": 1 << 23}, end)  # type: ignore[no-untyped-call]
        return Record("n1", AT, {one["name"]: answer_of(one) for one in answers})

    def read(self, seconds: float = 20.0) -> Reading:
        """What the vendor makes of it."""
        return self.vendor.read(self.asked(seconds))


@pytest.fixture(params=VENDORS.values(), ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def host(tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, vendor)
    monkeypatch.setattr(remote, "FOLDERS", (str(tmp_path / "bin"), "/usr/bin", "/bin"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return made


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


def test_its_simulation_is_read_whole(host: Host) -> None:
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


def test_faults_can_be_seen(host: Host) -> None:
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


def recorded(vendor: Vendor, folder: Path) -> Record:
    """The answers of a healthy simulated host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "FOLDERS", (str(folder / "bin"), "/usr/bin", "/bin"))
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        return Host(folder, vendor).asked()


@pytest.mark.parametrize("name", VENDORS)
def test_garbage_is_never_a_traceback_nor_a_device_that_is_well(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = recorded(VENDORS[name], tmp_path_factory.mktemp(name))
    garbled(VENDORS[name], record, len(VENDORS[name].read(record).accelerators))


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def garbled(vendor: Vendor, record: Record, whole: int, data: st.DataObject) -> None:
    answers = dict(record.answers)
    for name, answer in record.answers.items():
        match data.draw(st.sampled_from(["keep", "cut", "drop", "swap", "noise", "foreign"]), label=name):
            case "cut":
                answers[name] = _with(answer, lambda text: text[: data.draw(st.integers(0, max(len(text) - 1, 0)))])
            case "drop":
                del answers[name]
            case "swap":
                word = data.draw(st.sampled_from(["N/A", "-", "", "Unknown Error", "9" * 30, "-1", "nan", "℃"]))
                answers[name] = _with(answer, lambda text, word=word: re.sub(r"\d+", word, text))
            case "noise":
                answers[name] = _with(answer, lambda _: data.draw(st.text(max_size=300)))
            case "foreign":
                answers[name] = _with(answer, lambda _: "bash: tool: command not found\n<html>502</html>\n{}[]")
    reading = vendor.read(Record("n1", AT, answers))
    assert len(reading.accelerators) <= whole + 8
    if len(reading.accelerators) < whole and not reading.accelerators:
        assert reading.unknown, "no device and nothing unknown"


def _with(answer: Answer, change: Any) -> Answer:
    return replace(
        answer, stdout=change(answer.stdout), files={path: change(text) for path, text in answer.files.items()}
    )
