"""AMD devices for the lab."""

from aiops.layers.l0_nodes.simulated_device import Product, Simulation

_MI300 = {"architecture": "gfx942", "units": 304}
_MI350 = {"architecture": "gfx950", "units": 256}

SIMULATION = Simulation(
    vendor="amd",
    title="AMD",
    pci_vendor="0x1002",
    pci_class="0x120000",
    program="amd-smi",
    places=("/opt/rocm/bin/amd-smi",),
    package="aiops.plugins.amd.remote",
    module="amd_smi",
    version="6.14.14",
    other="6.12.12",
    other_firmware="022.040.003.039.000001",
    speaker="amdgpu",
    products=(
        Product("AMD Instinct MI300X", "0x74a1", 196592, 133.0, 750.0, "022.040.003.041.000001", 5, 283, _MI300),
        Product("AMD Instinct MI325X", "0x74a5", 262128, 135.0, 1000.0, "022.040.003.042.000001", 5, 284, _MI300),
        Product("AMD Instinct MI350X", "0x75a0", 294896, 160.0, 1000.0, "022.050.003.015.000001", 5, 286, _MI350),
    ),
)
