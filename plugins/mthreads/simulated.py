"""Moore Threads devices for the lab: the simulated `mthreads-gmi`, what the bus shows, and what faults look like."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="mthreads",
    title="Moore Threads",
    pci_vendor="0x1ed5",
    pci_class="0x030200",
    program="mthreads-gmi",
    places=("/usr/bin/mthreads-gmi",),
    package="aiops.plugins.mthreads.remote",
    module="mthreads_gmi",
    version="5.1.0-server",
    other="3.3.5-server",
    other_firmware="4.2.12",
    speaker="mtgpu",
    products=(Product("MTT S5000", "0x0400", 81920, 96.66, 950, "4.3.41", generation=5),),
)
