"""Enflame devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="enflame",
    title="Enflame",
    pci_vendor="0x1e36",
    pci_class="0x120000",
    program="efsmi",
    places=("/usr/bin/efsmi",),
    package="aiops.plugins.enflame.remote",
    module="efsmi",
    version="1.7.2.14",
    other="1.4.3.4",
    other_firmware="31.5.3",
    speaker="enflame",
    products=(  # the S60's PCI id is real, the L300's is ours
        Product("S60", "0xc035", 42976, 98.0, 300.0, "33.6.2", 5),
        Product("L300", "0xc045", 147456, 68.0, 300.0, "40.2.8.3", 5),
    ),
)
