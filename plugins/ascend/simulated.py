"""Ascend devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

SIMULATION = Simulation(
    vendor="ascend",
    title="Ascend",
    pci_vendor="0x19e5",
    pci_class="0x120000",
    program="npu-smi",
    places=("/usr/local/bin/npu-smi",),
    package="aiops.plugins.ascend.remote",
    module="npu_smi",
    version="25.2.0",
    other="24.1.rc3",
    other_firmware="7.5.0.1.129",
    speaker="ascend",
    products=(  # `chips` of one card; the tool calls those of a 910C by the family's name
        Product(
            "Ascend 910B3",
            "0xd802",
            65536,
            90.0,
            400.0,
            "7.7.0.3.220",
            4,
            3394,
            {"chip": "910B3", "chips": 1, "links": 7},
        ),
        Product(
            "Ascend 910C",
            "0xd803",
            65536,
            165.0,
            800.0,
            "7.7.0.6.236",
            5,
            2887,
            {"chip": "Ascend910", "chips": 2, "links": 7},
        ),
    ),
)
