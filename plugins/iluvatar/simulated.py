"""Iluvatar devices for the lab: the simulated `ixsmi`, what the bus shows, and what faults look like."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="iluvatar",
    title="Iluvatar",
    pci_vendor="0x1e3e",
    pci_class="0x120000",
    program="ixsmi",
    places=("/usr/local/corex/bin/ixsmi",),
    package="aiops.plugins.iluvatar.remote",
    module="ixsmi",
    version="4.2.0",
    other="4.1.0",
    other_firmware="1.9.4",
    speaker="iluvatar",
    products=(Product("Iluvatar MR-V100", "0x0002", 32768, 37, 150, "2.0.17", reserved=114),),
)
