"""Kunlunxin: what to ask its `xpu-smi`, and how to read what it says.

Tried on captured output only: `xpu-smi -m` and the tables of the drivers 5.0 and 5.19, `-q` of 5.0.21. Intel's tool for
its own GPUs has the same name; what it says is never read here.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Kunlunxin:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "kunlunxin"
    pci_vendor_ids: tuple[str, ...] = ("1d22", "2057")

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Kunlunxin devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `xpu-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Kunlunxin()
