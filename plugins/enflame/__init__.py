"""Enflame: what to ask `efsmi`, and how to read what it says.

Tried on captured output only: `efsmi -q` of the drivers 1.2 and 1.4, the tables of 1.2, 1.6 and 1.7. Of the JSON form
only some sections are published; it is read as the same sections by the same keys.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Enflame:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "enflame"
    pci_vendor_ids: tuple[str, ...] = ("1e36",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Enflame devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `efsmi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Enflame()
