"""What a host's hardware looks like: a PCI bus of its own, and the vendor's simulated tool with its state."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.core.file import write_atomic
from aiops.layers.l0_nodes.vendor import SimulatedTool, Vendor

from .specification import Simulated

UNIT = "aiops-lab-driver.service"

_ORDINARY_BUS: Mapping[str, Mapping[str, str]] = {
    "0000:00:00.0": {"vendor": "0x8086", "device": "0x1237", "class": "0x060000"},
    "0000:00:03.0": {"vendor": "0x1af4", "device": "0x1041", "class": "0x020000"},
}
"""A host bridge and a network card: what every host has, so that the machine's own devices are not seen."""


def simulated_tool(vendors: Iterable[Vendor], wanted: Simulated) -> SimulatedTool:
    """The simulation of what is wanted.

    Raises:
        InputError: No plugin knows the vendor, or it has no simulation.
    """
    known = {vendor.name: vendor for vendor in vendors}
    tool = known[wanted.vendor].simulate(wanted.count, wanted.model) if wanted.vendor in known else None
    if tool is None:
        able = sorted(name for name, vendor in known.items() if vendor.simulate(1, None) is not None)
        raise InputError(
            f"accelerators of `{wanted.vendor}` cannot be simulated",
            code="lab.unknown_vendor",
            hints=[f"these can: {', '.join(able) or 'none; `aiops plugin list` shows the plugins'}"],
        )
    return tool


def tool_files(tool: SimulatedTool) -> dict[str, tuple[str, int]]:
    """What the simulation puts on a host, by path below its root, as (content, mode). Pure.

    A tool that is packaged is nowhere in PATH: such a host has devices on its bus and nothing that knows them until a
    driver comes.
    """
    files = {path.lstrip("/"): (content, 0o755) for path, content in tool.files.items()}
    if tool.boot:
        unit = (
            "[Unit]\nDescription=Load the simulated accelerator driver\nDefaultDependencies=no\n"
            "After=local-fs.target\nBefore=sysinit.target\n"
            f"[Service]\nType=oneshot\nExecStart={' '.join(tool.boot)}\n"
        )
        files[f"usr/lib/systemd/system/{UNIT}"] = (unit, 0o644)
    return files


def tool_links(tool: SimulatedTool, *, with_driver: bool) -> dict[str, str]:
    """Links below the root: what the vendor's installer leaves when there is a driver, and the boot unit. Pure."""
    there = with_driver or not tool.packaged
    links = {path.lstrip("/"): target for path, target in tool.links.items()} if there else {}
    if tool.boot:
        links[f"etc/systemd/system/sysinit.target.wants/{UNIT}"] = f"/usr/lib/systemd/system/{UNIT}"
    return links


def write_bus(folder: Path, tool: SimulatedTool | None, lost: Iterable[str] = ()) -> None:
    """Make `folder` show the bus without the `lost` addresses; devices that stay are not touched."""
    gone = set(lost)
    bus = {**_ORDINARY_BUS, **(tool.bus if tool else {})}
    folder.mkdir(exist_ok=True)
    for address, attributes in bus.items():
        if address in gone:
            shutil.rmtree(folder / address, ignore_errors=True)
            continue
        device = folder / address
        device.mkdir(exist_ok=True)
        for name, value in attributes.items():
            if not (device / name).exists():
                (device / name).write_text(value + "\n", encoding="ascii")
        if not (device / "config").exists():
            (device / "config").write_bytes(_configuration(attributes))


def _configuration(attributes: Mapping[str, str]) -> bytes:
    """The first 64 bytes of the device's configuration space, which is where lspci looks."""
    content = bytearray(64)
    content[0:2] = int(attributes["vendor"], 16).to_bytes(2, "little")
    content[2:4] = int(attributes["device"], 16).to_bytes(2, "little")
    content[9:12] = int(attributes["class"], 16).to_bytes(3, "little")
    return bytes(content)


def write_tool_state(folder: Path, tool: SimulatedTool, state: Mapping[str, Any]) -> None:
    """Write the state that the tool reads at its next call; `folder` is what the host sees as its state folder."""
    write_atomic(folder / Path(tool.state_path).name, json.dumps(state, indent=1).encode() + b"\n", mode=0o644)
