"""Hygon devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="hygon",
    title="Hygon",
    pci_vendor="0x1d94",
    pci_class="0x0b4000",
    program="hy-smi",
    places=("/opt/hyhal/bin/hy-smi",),
    package="aiops.plugins.hygon.remote",
    module="hy_smi",
    version="6.3.8",
    other="6.2.22",
    other_firmware="6.309.002300Q.971103",
    speaker="hydcu",
    products=(
        Product("K100_AI", "0x6210", 65520, 80.0, 400.0, "6.312.002400Q.984920", 4, 2),
        Product("BW1000", "0x6320", 65520, 157.0, 800.0, "6.312.002400Q.984920", 4, 3),
    ),
)
