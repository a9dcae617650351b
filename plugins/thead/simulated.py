"""T-Head devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="thead",
    title="T-Head",
    pci_vendor="0x1ded",
    pci_class="0x030200",
    program="ppu-smi",
    places=("/usr/local/bin/ppu-smi",),
    package="aiops.plugins.thead.remote",
    module="ppu_smi",
    version="2.1.2-rd1dcd",
    other="1.4.1-816bc0",
    other_firmware="1.16.0",
    speaker="alixpu",
    products=(Product("PPU-ZW810E", "0x6001", 98304, 79.0, 400.0, "1.28.1", 5, 1),),
)
