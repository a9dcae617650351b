"""Kunlunxin devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="kunlunxin",
    title="Kunlunxin",
    pci_vendor="0x2057",
    pci_class="0x120000",
    program="xpu-smi",
    places=("/usr/local/bin/xpu-smi", "/usr/local/bin/xpu_smi"),
    package="aiops.plugins.kunlunxin.remote",
    module="xpu_smi",
    version="5.0.21.47",
    other="5.0.21.26",
    other_firmware="1.0.2.6.1.39",
    speaker="kunlun",
    products=(  # the id of the PCIe card is real
        Product("P800 OAM", "0x3686", 98304, 86.0, 400.0, "1.0.2.43.1.86", 5),
        Product("P800 PCIe", "0x3686", 98304, 76.0, 350.0, "1.0.2.14.1.54", 4),
    ),
)
