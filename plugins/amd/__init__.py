"""AMD: what to ask `amd-smi` (or the older `rocm-smi`), and how to read what they say.

Tried on captured output only: `amd-smi` of ROCm 6 (a bare list) and ROCm 7 (`gpu_data`) of Radeon cards, `rocm-smi` of
ROCm 5 and 6 of MI250 and Radeon; the keys that only an MI300 has are from the documented output.
"""

from collections.abc import Sequence

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, Reset, SimulatedTool, Vendor

SCREENS = (
    *("4752", "515e"),  # Rage XL and ES1000, once the screen of servers
    *("15dd", "15d8", "15e7", "1636", "1638", "164c"),  # in Ryzen 2000 to 5000: Raven to Barcelo
    *("1681", "15bf", "15c8", "1900", "1901"),  # Rembrandt, Phoenix, Hawk Point
    *("164e", "13c0"),  # in Ryzen 7000 and 9000, EPYC 4004 and 4005: Raphael, Granite Ridge
)
"""Device ids of graphics that are a part of the processor or board, by the PCI id database; ROCm supports none of them.

Their class is that of a Radeon card. Larger ones that people do compute with (Strix, Strix Halo) are not among them.
"""


class Amd:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "amd"
    pci_vendor_ids: tuple[str, ...] = ("1002",)
    pci_screens: frozenset[str] = frozenset(SCREENS)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, AMD devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def reset(self, devices: Sequence[Accelerator], all_devices: Sequence[Accelerator], switches: int) -> Reset | None:
        """How `devices` are reset, by `amd-smi`. Pure."""
        del all_devices, switches
        from .reset import reset

        return reset(devices)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `amd-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Amd()
