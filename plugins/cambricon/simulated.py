"""Cambricon devices for the lab: the simulated `cnmon`, what the bus shows, and what faults look like."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="cambricon",
    title="Cambricon",
    pci_vendor="0xcabc",
    pci_class="0x120000",
    program="cnmon",
    places=("/usr/bin/cnmon",),
    package="aiops.plugins.cambricon.remote",
    module="cnmon",
    version="5.10.22",
    other="5.10.13",
    other_firmware="v1.1.4",
    speaker="cambricon",
    products=(Product("MLU370-X8", "0x0370", 20638, 107, 250, "v1.1.6"),),
)
