"""What only NVIDIA tells: its kernel messages, its fabric, the details of nvidia-smi."""

from collections.abc import Callable

from tests.l1_cluster.health.case import Case, gone, hung, read, said
from tests.l1_cluster.health.cases.accelerators import BUS, NAME, SICK, device, every
from tests.l1_cluster.health.cases.kernel_log import log

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import RdmaPort
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.plugins.nvidia.device_checks import PEERMEM
from aiops.plugins.nvidia.fabric import UNIT, VERSION
from aiops.plugins.nvidia.reading import FIELDS

DRIVER = "580.95.05"
_PEERMEM_FILE = "/sys/module/nvidia_peermem/initstate"
_OLD_PEERMEM_FILE = "/sys/module/nv_peer_mem/initstate"
_PROC = "/proc/driver/nvidia/version"
_CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\n"


def gpu_id(index: int) -> str:
    """As nvidia-smi writes a bus address."""
    return f"00000000:{0x18 + index:02X}:00.0"


def xml(edit: Callable[[int, str], str] = lambda _, text: text) -> str:
    """`nvidia-smi -q -x`, of each device the parts that checks look at."""
    gpus = "".join(
        edit(
            index,
            f"""\t<gpu id="{gpu_id(index)}">
\t\t<product_name>NVIDIA H100 80GB HBM3</product_name>
\t\t<gpu_reset_status>
\t\t\t<reset_required>Requested functionality has been deprecated</reset_required>
\t\t\t<drain_and_reset_recommended>Requested functionality has been deprecated</drain_and_reset_recommended>
\t\t</gpu_reset_status>
\t\t<gpu_recovery_action>None</gpu_recovery_action>
\t\t<fabric>
\t\t\t<state>Completed</state>
\t\t\t<status>Success</status>
\t\t\t<health>
\t\t\t\t<bandwidth>Full</bandwidth>
\t\t\t\t<route_recovery_in_progress>False</route_recovery_in_progress>
\t\t\t\t<route_unhealthy>False</route_unhealthy>
\t\t\t\t<access_timeout_recovery>False</access_timeout_recovery>
\t\t\t</health>
\t\t</fabric>
\t</gpu>
""",
        )
        for index in range(8)
    )
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
        f"\t<driver_version>{DRIVER}</driver_version>\n\t<attached_gpus>8</attached_gpus>\n{gpus}</nvidia_smi_log>\n"
    )


def sick(old: str, new: str) -> Answer:
    """`nvidia-smi -q -x` with another text in the device of the cases."""
    return said("nvidia.xml", xml(lambda index, text: text.replace(old, new) if index == SICK else text))


def links(edit: Callable[[int, int], str] = lambda _gpu, _link: "26.562 GB/s") -> str:
    """`nvidia-smi nvlink -s`; an empty word leaves a link out."""
    lines = []
    for gpu in range(8):
        lines.append(f"GPU {gpu}: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-4000-8000-{gpu:012d})")
        lines += [f"\t Link {link}: {edit(gpu, link)}" for link in range(18) if edit(gpu, link)]
    return "\n".join(lines) + "\n"


def _row(index: int) -> str:
    values = {"index": str(index), "pci.bus_id": gpu_id(index), "name": "NVIDIA H100 80GB HBM3"}
    return ", ".join(values.get(field, "0") for field in FIELDS)


def unit(active: str = "active", load: str = "loaded", result: str = "success") -> Answer:
    """What systemd says of the fabric manager."""
    return said(UNIT, f"Result={result}\nLoadState={load}\nActiveState={active}\nSubState=running\n")


def xid(
    number: int, text: str = "", *, ago: float = 3600.0, bus: str = BUS[SICK], pid: str = "pid='<unknown>', "
) -> tuple[float, str]:
    """A line of the driver."""
    return ago, f"NVRM: Xid (PCI:{bus.removesuffix('.0')}): {number}, {pid}name=<unknown>, {text}"


def sxid(number: int, kind: str, text: str, *, ago: float = 3600.0) -> tuple[float, str]:
    """A line of the switches' driver."""
    return ago, f"nvidia-nvswitch0: SXid (PCI:0000:05:00.0): {number}, {kind}, {text}"


_QUERY = "".join(f"{_row(index)}\n" for index in range(8))
_RESET = (60.0, f"aiops: GPU {BUS[SICK]} was reset")
HEALTHY = {
    "nvidia.query": said("nvidia.query", _QUERY),
    "nvidia.xml": said("nvidia.xml", xml()),
    "nvidia.nvlink": said("nvidia.nvlink", links()),
    "nvidia.driver": read("nvidia.driver", {_PROC: _CLOSED, "/sys/module/nvidia/version": f"{DRIVER}\n"}),
    PEERMEM: read(PEERMEM, {_PEERMEM_FILE: "live\n"}, **{_OLD_PEERMEM_FILE: "No such file or directory"}),
    UNIT: unit(),
    VERSION: said(VERSION, f"Fabric Manager version is : {DRIVER}\n"),
}
_NO_PEERMEM = read(PEERMEM, {}, **dict.fromkeys((_PEERMEM_FILE, _OLD_PEERMEM_FILE), "No such file or directory"))


def kernel(*lines: tuple[float, str]) -> dict[str, Answer | None]:
    """The answer of the kernel's log with these lines."""
    return {KERNEL_LOG: log(*lines)}


CASES = (
    Case(
        "the fabric manager has failed",
        "gpu.fabricmanager",
        "critical",
        "restart_service",
        words="nvidia-fabricmanager is failed (exit-code)",
        answers={UNIT: unit("failed", result="exit-code")},
    ),
    Case(
        "the fabric manager is not installed",
        "gpu.fabricmanager",
        "critical",
        "none",
        words="not installed",
        answers={UNIT: unit("inactive", "not-found"), VERSION: gone(VERSION, "nv-fabricmanager")},
    ),
    Case(
        "the fabric manager starts",
        "gpu.fabricmanager",
        "warn",
        "restart_service",
        answers={UNIT: unit("activating")},
    ),
    Case(
        "the fabric manager is of another version",
        "gpu.fabricmanager",
        "critical",
        "reboot",
        words="fabric manager 570.86.10 beside driver 580.95.05",
        answers={VERSION: said(VERSION, "Fabric Manager version is : 570.86.10\n")},
    ),
    Case(
        "GPUs have not joined the fabric",
        "gpu.fabricmanager",
        "critical",
        "restart_service",
        about="fabric",
        words="joining the fabric is not started for all",
        facts=every(fabric_state="Not Started"),
    ),
    Case(
        "a GPU is still joining the fabric",
        "gpu.fabricmanager",
        "warn",
        "restart_service",
        about="fabric",
        words="in progress for GPU 3",
        facts=device(fabric_state="In Progress"),
    ),
    Case(
        "a route of the fabric is not well",
        "gpu.fabricmanager",
        "critical",
        "reset_device",
        about=NAME,
        words="route_unhealthy true",
        answers={"nvidia.xml": sick("<route_unhealthy>False", "<route_unhealthy>True")},
    ),
    Case(
        "the fabric has less bandwidth",
        "gpu.fabricmanager",
        "warn",
        "reset_device",
        about=NAME,
        words="bandwidth degraded",
        answers={"nvidia.xml": sick("<bandwidth>Full", "<bandwidth>Degraded")},
    ),
    Case(
        "systemd does not tell of the fabric manager",
        "gpu.fabricmanager",
        "unknown",
        "none",
        words="no answer within 5 s",
        answers={UNIT: hung(UNIT)},
    ),
    Case(
        "the fabric manager speaks nonsense",
        "gpu.fabricmanager",
        "unknown",
        "none",
        about="its version",
        answers={VERSION: said(VERSION, "hello\n")},
    ),
    Case(
        "a GPU has no NVLink at all",
        "gpu.nvlink",
        "critical",
        "reset_device",
        about=NAME,
        words="none of its NVLinks is active",
        facts=device(links={"active": None, "total": None}),
        answers={"nvidia.nvlink": said("nvidia.nvlink", links(lambda gpu, _: "" if gpu == SICK else "26.562 GB/s"))},
    ),
    Case(
        "an NVLink is slow",
        "gpu.nvlink",
        "warn",
        "reset_device",
        about=NAME,
        words="NVLink 7 at 13.281 GB/s, others at 26.562 GB/s",
        answers={
            "nvidia.nvlink": said(
                "nvidia.nvlink",
                links(lambda gpu, link: "13.281 GB/s" if (gpu, link) == (SICK, 7) else "26.562 GB/s"),
            )
        },
    ),
    Case(
        "the NVLinks cannot be read",
        "gpu.nvlink",
        "unknown",
        "none",
        answers={"nvidia.nvlink": hung("nvidia.nvlink", 10.0)},
    ),
    Case(
        "the driver asks for a reset",
        "gpu.recovery_action",
        "critical",
        "reset_device",
        about=NAME,
        words="the driver asks for: Drain and Reset",
        answers={"nvidia.xml": sick("action>None", "action>Drain and Reset")},
    ),
    Case(
        "the driver asks for a reboot",
        "gpu.recovery_action",
        "critical",
        "reboot",
        about=NAME,
        answers={"nvidia.xml": sick("action>None", "action>Reboot")},
    ),
    Case(
        "the driver asks for less",
        "gpu.recovery_action",
        "warn",
        "reset_device",
        about=NAME,
        answers={"nvidia.xml": sick("action>None", "action>Drain P2P")},
    ),
    Case(
        "an older driver asks for a reset",
        "gpu.recovery_action",
        "critical",
        "reset_device",
        about=NAME,
        answers={
            "nvidia.xml": said(
                "nvidia.xml",
                xml(
                    lambda index, text: text.replace(
                        "Requested functionality has been deprecated", "Yes" if index == SICK else "No"
                    ).replace("<gpu_recovery_action>None</gpu_recovery_action>", "")
                ).replace("recommended>Yes", "recommended>N/A"),
            )
        },
    ),
    Case(
        "the description is cut",
        "gpu.recovery_action",
        "unknown",
        "none",
        answers={"nvidia.xml": said("nvidia.xml", xml()[:2000])},
        also=("gpu.fabricmanager",),
    ),
    Case(
        "an infoROM is corrupted",
        "gpu.inforom",
        "warn",
        "service",
        about=NAME,
        answers={
            "nvidia.query": said("nvidia.query", f"{_QUERY}WARNING: infoROM is corrupted at gpu {gpu_id(SICK)}\n", 14),
            "nvidia.xml": said("nvidia.xml", f"{xml()}WARNING: infoROM is corrupted at gpu {gpu_id(SICK)}\n", 14),
        },
    ),
    Case(
        "an infoROM is corrupted, and nobody says which",
        "gpu.inforom",
        "warn",
        "service",
        answers={"nvidia.query": said("nvidia.query", _QUERY, 14)},
    ),
    Case(
        "persistence mode is off",
        "gpu.persistence",
        "warn",
        "restart_service",
        words="persistence mode is off on all GPUs",
        facts=every(persistence=False),
    ),
    Case(
        "nvidia_peermem is not loaded",
        "gpu.peermem",
        "warn",
        "none",
        words="nvidia_peermem is not loaded",
        answers={PEERMEM: _NO_PEERMEM},
    ),
    Case(
        "nobody can tell whether nvidia_peermem is loaded",
        "gpu.peermem",
        "unknown",
        "none",
        answers={PEERMEM: read(PEERMEM, {}, **{_PEERMEM_FILE: "Permission denied"})},
    ),
)

WELL: dict[str, dict[str, Answer | None]] = {
    "programs that failed for their own fault": kernel(
        xid(13, "Graphics SM Warp Exception on (GPC 1, TPC 0, SM 0): Out Of Range Address", pid="pid=11, "),
        xid(13, "Graphics SM Global Exception on (GPC 1, TPC 0, SM 0): Multiple Warp Errors", pid="pid=11, "),
        xid(43, "Ch 00000020, engmask 00000101", pid="pid=11, "),
        xid(45, "Ch 00000008", pid="pid=11, "),
    ),
    "a job that failed on all its GPUs, twice": kernel(
        *(xid(31, "MMU Fault", bus=bus, pid=f"pid={n}{turn}, ") for turn in (1, 2) for n, bus in enumerate(BUS))
    ),
    "a row was remapped": kernel(xid(63, "Row Remapper: New row marked for remapping, reset gpu to activate.")),
    "an error two days ago": kernel(xid(79, "GPU has fallen off the bus.", ago=172_800.0)),
    "an error before the device was reset": kernel(xid(64, "Row Remapper Error"), _RESET),
    "an error before the driver was loaded anew": kernel(
        xid(119, "Timeout"),
        sxid(20034, "Fatal", "Link 28 LTSSM Fault Up"),
        (60.0, "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build"),
    ),
    "an error that the driver has recovered from": kernel(
        xid(109, "errorString CTX SWITCH TIMEOUT, Info 0x8002"),
        xid(154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"),
        xid(154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"),
    ),
    "few small errors of a switch": kernel(sxid(12028, "Non-fatal", "Link 61 egress non-posted PRIV error (First)")),
    "the driver says that it loads": kernel(
        (863_990.0, "nvidia-nvswitch0: open (major=238)"),
        (863_980.0, "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05  Release Build"),
    ),
    "an open driver needs no nvidia_peermem": {
        PEERMEM: _NO_PEERMEM,
        "nvidia.driver": read(
            "nvidia.driver", {_PROC: _CLOSED.replace("x86_64 Kernel Module", "Open Kernel Module for x86_64")}
        ),
    },
    "links of a driver that says nothing of recovery": {
        "nvidia.xml": said("nvidia.xml", xml(lambda _, text: text.replace("action>None", "action>N/A")))
    },
}
"""Answers of nodes on which nothing is wrong, by what is special about them."""

SLOW_PORTS = (RdmaPort("mlx5_0", 1, "roce", "active", 25.0),)
"""A card that can do RDMA and is there for something else."""
