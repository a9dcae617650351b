"""What a person sees who types the simulated tools of vendors on a lab host, and what faults do to it."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.test_vendor_contract import VENDORS
from tests.support.simulated_host import SimulatedHost

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.accelerator import Accelerator

NAMES = ("cambricon", "iluvatar", "metax", "mthreads")


class Typed(SimulatedHost):
    """A host whose tool is called as a person calls it."""

    @property
    def program(self) -> Path:
        return self.folder / "bin" / Path(next(iter(self.tool.links))).name

    def typed(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *words], capture_output=True, text=True, check=False, timeout=20, cwd=self.folder
        )


@pytest.fixture(params=NAMES)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    made = Typed(tmp_path, VENDORS[request.param])
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return made


def faulted(host: Typed, kind: str, value: str | None = None) -> Accelerator:
    """Device 3 once it has a fault."""
    effect = host.tool.fault(host.tool.state, kind, 3, value)
    assert effect is not None
    host.write(effect.state)
    return host.read().accelerators[3]


def test_the_table_is_whole_alone(host: Typed) -> None:
    table = host.typed()
    assert table.returncode == 0
    record = host.asked()
    only = {name: answer for name, answer in record.answers.items() if name.endswith(".table")}
    reading = host.vendor.read(replace(record, answers=only))
    assert len(reading.accelerators) == 8
    assert set(reading.unknown or {}) <= {"query"}
    one = reading.accelerators[3]
    assert (one.bus, one.temperature_c) == (list(host.tool.bus)[3], 37.0)
    assert max(len(line) for line in table.stdout.splitlines()) <= 84


def test_tables_are_straight(host: Typed) -> None:
    framed = [line for line in host.typed().stdout.splitlines() if line.startswith("|")]
    assert len({len(line) for line in framed}) <= 1


def test_help_and_table_say_that_they_are_simulated(host: Typed) -> None:
    assert "simulated" in host.typed().stdout
    told = host.typed("--help")
    assert (told.returncode, "simulated" in told.stdout) == (0, True)


def test_a_wrong_word_is_refused(host: Typed) -> None:
    assert host.typed("--nonsense").returncode != 0


def test_versions_that_differ_are_seen(host: Typed) -> None:
    before = host.read().accelerators[3]
    assert faulted(host, "firmware-skew").firmware not in {None, before.firmware}
    assert faulted(host, "firmware-skew", "9.9").firmware == "9.9"
    assert (faulted(host, "driver-skew", "9.8.7").driver or "").removeprefix("v") == "9.8.7"


def test_heat_is_seen_where_it_is_told(host: Typed) -> None:
    hot = faulted(host, "thermal-throttle", "97")
    assert max(filter(None, (hot.temperature_c, hot.temperature_hotspot_c))) >= 97
    if host.vendor.name == "metax":
        assert hot.throttle_reasons == ("chip_over_temperature",)


def test_a_lost_device_leaves_the_others_their_numbers(host: Typed) -> None:
    effect = host.tool.fault(host.tool.state, "device-lost", 3, None)
    assert effect is not None
    host.write(effect.state)
    assert effect.lost == (list(host.tool.bus)[3],)
    assert [one.index for one in host.read().accelerators] == [0, 1, 2, 4, 5, 6, 7]


def test_memory_errors_are_told_as_the_vendor_tells_them(host: Typed) -> None:
    device: Any = faulted(host, "ecc-uncorrected", "2")
    match host.vendor.name:
        case "cambricon":
            assert (device.health, device.health_codes) == ("critical", ("Device In Problem",))
        case "iluvatar":
            assert device.ecc.uncorrected_volatile == 2
        case "metax":
            assert (device.ecc.uncorrected_volatile, device.ecc.retired) == (2, 2)
        case "mthreads":
            assert (device.ecc.uncorrected_aggregate, device.ecc.retire_pending) == (2, True)


@pytest.mark.parametrize("name", NAMES)
def test_models_are_chosen_by_part_of_their_name(name: str) -> None:
    tool = VENDORS[name].simulate(1, None)
    assert tool is not None
    model = tool.state["cards"][0]["name"]
    assert VENDORS[name].simulate(1, model.lower()) is not None
    with pytest.raises(InputError, match="there is no simulated"):
        VENDORS[name].simulate(1, "H100")


@pytest.mark.parametrize(
    ("name", "words", "status", "part"),
    [
        ("cambricon", ("-c", "2"), 0, "0000:20:00.0"),
        ("cambricon", ("info", "-c", "9"), 1, "Card 9 not existed"),
        ("cambricon", ("info", "-j"), 0, ""),
        ("iluvatar", ("-L",), 0, "GPU 7: Iluvatar MR-V100 (UUID: GPU-"),
        ("iluvatar", ("--query-gpu=index,power.draw", "--format=csv"), 1, 'Field "power.draw" is not a valid field'),
        ("iluvatar", ("--query-gpu=index,memory.total", "--format=csv,noheader"), 0, "0, 32768 MiB"),
        ("metax", ("-L",), 0, "GPU#7    MXC500      0000:48:00.0   Available (UUID: GPU-"),
        ("metax", ("-i", "2", "--show-memory"), 0, "vis_vram used                             : 845824 KB"),
        ("metax", ("-i", "9"), 1, "No MetaX device is found"),
        ("mthreads", ("-q",), 0, "GPU7 00000000:48:00.0"),
    ],
)
def test_other_words(name: str, words: tuple[str, ...], status: int, part: str, tmp_path: Path) -> None:
    done = Typed(tmp_path, VENDORS[name]).typed(*words)
    assert done.returncode == status
    assert part in done.stdout
