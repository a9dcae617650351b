"""T-Head PPU (experimental): what to ask `ppu-smi`, and how to read what it says.

Tables were tried on captured output of PPU-SMI 1.17 and 1.28. The csv query and `-q` are composed from the vendor's
manual, which prints them in parts.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class THead:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "thead"
    pci_vendor_ids: tuple[str, ...] = ("1ded",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, T-Head devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `ppu-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return THead()
