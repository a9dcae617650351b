"""Biren devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="biren",
    title="Biren",
    pci_vendor="0x1ee0",
    pci_class="0x120000",
    program="brsmi",
    places=("/usr/bin/brsmi",),
    package="aiops.plugins.biren.remote",
    module="brsmi",
    version="1.11.0",
    other="1.10.0",
    other_firmware=None,
    speaker="biren",
    products=(  # PCI ids are ours: no capture shows them
        Product("Biren106M", "0x0106", 32512, 62.0, 400.0, None, 5),
        Product("Biren166M", "0x0166", 65024, 80.0, 550.0, None, 5),
    ),
)
