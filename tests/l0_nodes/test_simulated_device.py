"""The state of simulated devices, and what their tools have in common."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.remote import simulated_tool
from aiops.layers.l0_nodes.simulated_device import Product, Simulation, whole

SIMULATION = Simulation(
    vendor="acme",
    title="ACME",
    pci_vendor="0x1acd",
    pci_class="0x120000",
    program="acme-info",
    places=("/usr/bin/acme-info",),
    package="aiops.plugins.kunlunxin.remote",
    module="xpu_smi",
    version="2.0",
    other="1.0",
    other_firmware="9",
    speaker="acme",
    products=(Product("A10", "0x0001", 1000, 10.0, 20.0, "10"), Product("A20", "0x0002", 2000, 10.0, 20.0, "20", 5)),
)


def test_a_host_has_the_devices_of_one_product() -> None:
    tool = SIMULATION.tool(16, "a20")
    assert [card["name"] for card in tool.state["cards"]] == ["A20"] * 16
    assert sorted(tool.bus) == [card["bus"] for card in tool.state["cards"]]
    assert len(tool.bus) == 16
    assert tool.bus["0000:10:00.0"]["max_link_speed"] == "32.0 GT/s PCIe"
    assert tool.links == {"/usr/bin/acme-info": "/usr/lib/aiops-lab/acme-info"}
    assert not tool.packaged
    with pytest.raises(InputError, match="there is no simulated ACME `A30`"):
        SIMULATION.tool(1, "A30")


def test_a_fault_changes_one_device_and_leaves_the_state_it_came_from_alone() -> None:
    tool = SIMULATION.tool(2, None)
    before = json.dumps(tool.state)
    hot = tool.fault(tool.state, "thermal-throttle", 1, "97")
    assert hot is not None
    assert [card["temperature"] for card in hot.state["cards"]] == [34, 97]
    assert hot.kernel == ((4, "acme 0000:18:00.0: clocks are lowered at 97 C (simulated)"),)
    lost = tool.fault(hot.state, "device-lost", 0, None)
    assert lost is not None
    assert lost.lost == ("0000:10:00.0",)
    assert lost.state["cards"][1]["temperature"] == 97
    skewed = tool.fault(tool.state, "firmware-skew", 0, None)
    assert skewed is not None
    assert skewed.state["cards"][0]["firmware"] == "9"
    assert json.dumps(tool.state) == before
    assert tool.fault(tool.state, "xid", 0, None) is None
    assert tool.fault(tool.state, "device-lost", 2, None) is None
    assert tool.fault(tool.state, "device-lost", -1, None) is None


@pytest.mark.parametrize("value", ["", "-1", "1.5", "x", "123456", "٣"])
def test_a_wrong_value_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="is not a whole number"):
        whole(value, 1)


def host(tmp_path: Path, **state: object) -> Any:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({**SIMULATION.tool(2, None).state, **state}))
    return simulated_tool.read(str(path))  # type: ignore[no-untyped-call]


def test_a_device_has_its_own_identity_on_every_host(tmp_path: Path) -> None:
    one = host(tmp_path)
    one.machine_id = "a"
    first, second = (card.identity("uuid", 12) for card in one.cards)
    assert first != second
    assert first == one.cards[0].identity("uuid", 12)
    one.machine_id = "b"
    assert first != one.cards[0].identity("uuid", 12)


def test_a_host_tells_the_driver_that_it_was_given(tmp_path: Path) -> None:
    assert host(tmp_path).driver == "2.0"
    assert host(tmp_path, driver="3.0").driver == "3.0"
    assert host(tmp_path, driver="3.0", reported_driver="4.0").driver == "4.0"
    assert simulated_tool.read(str(tmp_path / "nothing")).cards == []  # type: ignore[no-untyped-call]


def test_a_device_is_called_by_its_index_or_address(tmp_path: Path) -> None:
    one = host(tmp_path)
    for word in ("1", "0000:18:00.0", "00000000:18:00.0"):
        assert [card.index for card in one.called(word)] == [1]
    assert one.called("7") == []


def test_csv_is_as_asked_for(tmp_path: Path) -> None:
    one = host(tmp_path)

    def values(card: Any) -> dict[str, tuple[object, str]]:
        return {"index": (card.index, ""), "memory": (card["memory"], "MiB")}

    assert one.csv(values, ["index", "memory"], ["csv"]) == "index, memory [MiB]\n0, 1000 MiB\n1, 1000 MiB\n"
    assert one.csv(values, ["memory"], ["csv", "noheader", "nounits"]) == "1000\n1000\n"
    assert one.csv(values, ["memory", "speed"], ["csv"]) is None
    assert one.csv(values, ["memory"], ["table"]) is None


def test_a_closed_pipe_ends_a_tool_quietly(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(simulated_tool.__file__).parent)!r}); import simulated_tool; "
        "simulated_tool.run(lambda host, words: (0, 'x' * 200000), '/nothing')"
    )
    source, sink = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=sink, stderr=subprocess.PIPE)
    os.close(sink)
    os.close(source)
    _, errors = process.communicate(timeout=30)
    assert errors == b""
    assert process.returncode == 1
