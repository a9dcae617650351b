"""NVIDIA devices for the lab: the simulated `nvidia-smi`, what the bus shows, and what faults look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.vendor import SimulatedFault, SimulatedTool

LIBRARY = "/usr/lib/aiops-lab"
TOOL = f"{LIBRARY}/nvidia-smi"
STATE_PATH = "/run/aiops-lab/state/nvidia.json"
NVIDIA_MAJOR = 195

DCGMI = f"{LIBRARY}/dcgmi"

_ENTRY = """\
#!/usr/bin/python3 -sB
# {program} of a lab host: everything it says is simulated.
import os
import sys

from nvidia_smi.{module} import main

try:
    sys.exit(main(sys.argv[1:]))
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(1)
"""

_BUSES = ("18", "2a", "3a", "5d", "9a", "ab", "ba", "db", "1c", "2e", "3e", "61", "9e", "af", "be", "df")


@dataclass(frozen=True, slots=True)
class _Model:
    """A product: what of its answers differs from the others'.

    Attributes:
        device: PCI device id.
        memory: MiB. `power` in W, `speed` of one of its `links` in GB/s.
    """

    name: str
    architecture: str
    device: str
    subsystem: str
    memory: int
    power: float
    vbios: str
    capability: str
    links: int
    speed: str
    memory_clock: int = 2619
    generation: int = 5


_MODELS = (
    _Model("NVIDIA H100 80GB HBM3", "Hopper", "0x2330", "0x16c1", 81559, 700.0, "96.00.89.00.01", "9.0", 18, "26.562"),
    _Model("NVIDIA H200", "Hopper", "0x2335", "0x18be", 143771, 700.0, "96.00.bc.00.02", "9.0", 18, "26.562", 3201),
    _Model(
        "NVIDIA B200", "Blackwell", "0x2901", "0x1999", 183359, 1000.0, "97.00.82.00.30", "10.0", 18, "53.125", 3996
    ),
    _Model(
        "NVIDIA A100-SXM4-80GB", "Ampere", "0x20b2", "0x1463", 81920, 400.0, "92.00.45.00.03", "8.0", 12, "25", 1593, 4
    ),
    _Model("NVIDIA L40S", "Ada Lovelace", "0x26b9", "0x1851", 46068, 350.0, "95.02.66.00.02", "8.9", 0, "0", 9001, 4),
)

_XID = {
    13: "Graphics SM Warp Exception on (GPC 0, TPC 0, SM 0): Out Of Range Address",
    31: (
        "MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f2c_40000000. "
        "Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ"
    ),
    43: "Ch 00000008",
    45: "Ch 00000008",
    48: (
        "An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer "
        "at partition 3, subpartition 0."
    ),
    61: "00000b5e(00003020) 00000000 00000000",
    62: "00000a81(00003020) 00000000 00000000",
    63: "Row Remapper: New row marked for remapping, reset gpu to activate.",
    64: "Row Remapper Error: (0x0000000001eb4c00) - All reserved rows for bank are remapped",
    74: "NVLink: fatal error detected on link 3(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)",
    79: "GPU has fallen off the bus.",
    92: "High single-bit ECC error rate",
    94: "Ch 00000008",
    95: "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No",
    119: "Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL).",
    120: "GSP task exception: load page fault @ pc:0x1000000, partition:4#0, task:1",
    154: "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
    149: "NETIR_LINK_DOWN Nonfatal XC0 i0 Link 03 (0x004505c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)",
}
"""What the driver says after the number; shapes of public kernel logs, values made up."""
_PROCESS = {13, 31, 43, 45, 94}
"""Those that name the process that was running."""
_INFO, _WARN, _ERROR = 6, 4, 3


def simulate(count: int, model: str | None) -> SimulatedTool:
    """The tool for a host with `count` devices.

    Args:
        count: How many, 1 to 16.
        model: Part of a product's name; H100 by default.

    Raises:
        InputError: There is no simulation of that model.
    """
    product = _model(model)
    gpus = [_gpu(product, index) for index in range(count)]
    devices = {f"/dev/nvidia{index}": ("c", NVIDIA_MAJOR, index) for index in range(count)}
    devices["/dev/nvidiactl"] = ("c", NVIDIA_MAJOR, 255)
    state = {
        "simulated": True,
        "cuda": "13.0",
        "tool": {},
        "gpus": gpus,
        "devices": {path: [major, minor] for path, (_, major, minor) in devices.items()},
    }
    return SimulatedTool(
        files=_programs(),
        state_path=STATE_PATH,
        state=state,
        devices=devices,
        bus={str(gpu["bus"]): _bus(product) for gpu in gpus},
        links={"/usr/bin/nvidia-smi": TOOL, "/usr/bin/dcgmi": DCGMI},
        packaged=True,
        boot=(TOOL, "--lab-load"),
        fault=fault,
    )


def _programs() -> dict[str, str]:
    """The entry that is in PATH once a driver is installed, and the modules beside it."""
    package = files("aiops.plugins.nvidia.remote.nvidia_smi")
    modules = {
        f"{LIBRARY}/nvidia_smi/{module.name}": module.read_text("utf-8")
        for module in package.iterdir()
        if module.name.endswith(".py")
    }
    entries = {
        TOOL: _ENTRY.format(program="nvidia-smi", module="main"),
        DCGMI: _ENTRY.format(program="dcgmi", module="dcgmi"),
    }
    return {**entries, **modules}


def fault(state: Mapping[str, Any], kind: str, device: int, value: str | None) -> SimulatedFault | None:
    """What a fault of device number `device` looks like. Pure.

    Raises:
        InputError: `value` is not what the kind takes.
    """
    if not 0 <= device < len(state["gpus"]):
        return None
    gpu = dict(state["gpus"][device])
    changed: dict[str, Any] = {**state, "gpus": list(state["gpus"])}
    kernel: tuple[tuple[int, str], ...] = ()
    lost: tuple[str, ...] = ()
    match kind:
        case "device-lost":
            gpu["lost"] = True
            lost = (gpu["bus"],)
            kernel = ((_ERROR, _xid(gpu["bus"], 79)),)
        case "ecc-uncorrected":
            errors = _whole(value, 1)
            for span in ("volatile", "aggregate"):
                field = f"ecc.errors.uncorrected.{span}.total"
                gpu[field] = gpu.get(field, 0) + errors
            gpu["remapped_rows.uncorrectable"] = gpu.get("remapped_rows.uncorrectable", 0) + 1
            gpu["remapped_rows.pending"] = 1
            kernel = tuple((_ERROR, _xid(gpu["bus"], number)) for number in (63, 94))
        case "xid":
            kernel = ((_ERROR, _xid(gpu["bus"], _whole(value, 79))),)
        case "thermal-throttle":
            gpu["temperature.gpu"] = _whole(value, 91)
            gpu["temperature.memory"] = gpu["temperature.gpu"] + 9
            gpu["clocks.current.graphics"] = 345
            gpu["reasons"] = 0x68  # hw_slowdown, sw_thermal_slowdown, hw_thermal_slowdown
            kernel = ((_WARN, f"NVRM: GPU at PCI:{gpu['bus']} has been throttled: thermal (simulated)"),)
        case "tool-hang":
            seconds = _whole(value, 0)
            changed["tool"] = {"seconds": seconds} if seconds else {"hang": True}
        case "driver-skew":
            changed["reported_driver"] = value or "535.54.03"
        case "firmware-skew":
            gpu["vbios_version"] = value or "96.00.30.00.01"
        case _:
            return None
    changed["gpus"][device] = gpu
    logged = any("Xid" in text for _, text in kernel)
    mended = ((_INFO, f"aiops: GPU {gpu['bus']} was reset (simulated)"),) if logged else ()
    return SimulatedFault(state=changed, kernel=kernel, lost=lost, mended=mended)


def _model(name: str | None) -> _Model:
    if name is None:
        return _MODELS[0]
    for model in _MODELS:
        if name.lower() in model.name.lower():
            return model
    raise InputError(
        f"there is no simulated NVIDIA `{name}`",
        code="lab.unknown_model",
        hints=[f"these can be simulated: {', '.join(model.name for model in _MODELS)}"],
    )


def _gpu(model: _Model, index: int) -> dict[str, Any]:
    return {
        "bus": f"0000:{_BUSES[index]}:00.0",
        "architecture": model.architecture,
        "name": model.name,
        "pci.device_id": f"{model.device.upper().replace('X', 'x')}10DE",
        "pci.sub_device_id": f"{model.subsystem.upper().replace('X', 'x')}10DE",
        "vbios_version": model.vbios,
        "compute_cap": model.capability,
        "memory.total": model.memory,
        "power.limit": model.power,
        "power.draw": round(model.power / 10 + index % 3, 2),
        "temperature.gpu": 29 + index % 4,
        "temperature.memory": 38 + index % 3,
        "clocks.current.memory": model.memory_clock,
        "pcie.link.gen.current": model.generation,
        "pcie.link.gen.max": model.generation,
        "links": [{"up": True, "speed": model.speed} for _ in range(model.links)],
    }


def _bus(model: _Model) -> dict[str, str]:
    width, speed = "16", {4: "16.0 GT/s PCIe", 5: "32.0 GT/s PCIe"}[model.generation]
    return {
        "vendor": "0x10de",
        "device": model.device,
        "class": "0x030200",
        "subsystem_vendor": "0x10de",
        "subsystem_device": model.subsystem,
        "numa_node": "0",
        "current_link_speed": speed,
        "current_link_width": width,
        "max_link_speed": speed,
        "max_link_width": width,
    }


def _xid(bus: str, number: int) -> str:
    """A line as the driver writes it: `NVRM: Xid (PCI:0000:18:00): 79, pid=..., name=..., text`."""
    place = bus.rpartition(".")[0]
    process = "pid=24108, name=python3" if number in _PROCESS else "pid='<unknown>', name=<unknown>"
    return f"NVRM: Xid (PCI:{place}): {number}, {process}, {_XID.get(number, 'Ch 00000000')}"


def _whole(value: str | None, default: int) -> int:
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 6):  # noqa: PLR2004
        raise InputError(f"`{value}` is not a whole number", code="lab.fault_value")
    return int(value)
