"""Cambricon: what to ask `cnmon`, and how to read what it says.

Tried on captured output only: tables of cnmon 4.20 and 5.10. Experimental: the JSON document and the long text
are composed from documented keys and from parts that are public; no whole original of them is.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Cambricon:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "cambricon"
    pci_vendor_ids: tuple[str, ...] = ("cabc",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Cambricon devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `cnmon` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Cambricon()
