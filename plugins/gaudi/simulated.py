"""Intel Gaudi devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="gaudi",
    title="Gaudi",
    pci_vendor="0x1da3",
    pci_class="0x120000",
    program="hl-smi",
    places=("/usr/bin/hl-smi",),
    package="aiops.plugins.gaudi.remote",
    module="hl_smi",
    version="1.23.0-2eae87a",
    other="1.20.0-bd87f71",
    other_firmware="hl-gaudi2-1.18.0-fw-53.1.1-sec-9",
    speaker="habanalabs",
    products=(
        Product(
            "HL-225",
            "0x1020",
            98304,
            88.0,
            600.0,
            "hl-gaudi2-1.20.0-fw-58.0.0-sec-9",
            4,
            768,
            {"uuid": "01P0-HL2080A0"},
        ),
        Product(
            "HL-325L",
            "0x1060",
            131072,
            226.0,
            900.0,
            "hl-gaudi3-1.22.0-fw-61.3.2-sec-3",
            5,
            672,
            {"uuid": "01P4-HL3090A0"},
        ),
    ),
)
