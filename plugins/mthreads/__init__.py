"""Moore Threads: what to ask `mthreads-gmi`, and how to read what it says.

Tried on captured output only: documents of driver 3.3, tables of `mthreads-gmi` 1.6 to 2.4.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class MooreThreads:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "mthreads"
    pci_vendor_ids: tuple[str, ...] = ("1ed5",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Moore Threads devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `mthreads-gmi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return MooreThreads()
