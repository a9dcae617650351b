"""Hygon DCU: what to ask `hy-smi`, and how to read what it says.

Tried on captured output only: `hy-smi` of K100 and BW cards (DTK 24 and 25, labels with `DCU` and with `HCU`). Memory
errors are not told: `hy-smi --showrasinfo` has no public output, and the table it descends from has its two columns
the other way round than their headings.
"""

from collections.abc import Mapping
from typing import Any

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedFault, SimulatedTool, Vendor


class Hygon:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "hygon"
    pci_vendor_ids: tuple[str, ...] = ("1d94",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Hygon devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `hy-smi` for a lab host with `count` devices."""
        from dataclasses import replace

        from .simulated import SIMULATION

        tool = SIMULATION.tool(count, model)

        def fault(state: Mapping[str, Any], kind: str, device: int, value: str | None) -> SimulatedFault | None:
            return tool.fault(state, kind, device, value) if kind != "ecc-uncorrected" else None

        return replace(tool, fault=fault)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Hygon()
