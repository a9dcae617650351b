"""MetaX devices for the lab: the simulated `mx-smi`, what the bus shows, and what faults look like."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="metax",
    title="MetaX",
    pci_vendor="0x9999",
    pci_class="0x038000",
    program="mx-smi",
    places=("/opt/mxdriver/bin/mx-smi",),
    package="aiops.plugins.metax.remote",
    module="mx_smi",
    version="3.8.30",
    other="3.0.11",
    other_firmware="1.27.5.0",
    speaker="metax",
    products=(Product("C500", "0x4040", 65536, 37, 350, "1.33.5.0", generation=5, reserved=826),),
)
