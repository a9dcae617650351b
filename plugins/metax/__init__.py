"""MetaX: what to ask `mx-smi`, and how to read what it says.

Tried on captured output only: of `mx-smi` 2.1.12 to 2.3.1. Several questions in one call are composed: of each alone,
and of some of them together, there are originals.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class MetaX:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "metax"
    pci_vendor_ids: tuple[str, ...] = ("9999",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, MetaX devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `mx-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return MetaX()
