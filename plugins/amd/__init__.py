"""AMD: what to ask `amd-smi` (or the older `rocm-smi`), and how to read what they say.

Tried on captured output only: `amd-smi` of ROCm 6 (a bare list) and ROCm 7 (`gpu_data`) of Radeon cards, `rocm-smi` of
ROCm 5 and 6 of MI250 and Radeon; the keys that only an MI300 has are from the documented output.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Amd:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "amd"
    pci_vendor_ids: tuple[str, ...] = ("1002",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, AMD devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `amd-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Amd()
