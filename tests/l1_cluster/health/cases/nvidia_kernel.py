"""What NVIDIA's drivers log of devices and switches."""

from tests.l1_cluster.health.case import Case, read
from tests.l1_cluster.health.cases.accelerators import BUS, SICK
from tests.l1_cluster.health.cases.nvidia import kernel, sxid, xid

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.catalogue import shipped_checks
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG

HEALTHY: dict[str, Answer] = {}
AT = f"GPU at {BUS[SICK]}"
_GONE_AT_BOOT = (
    f"NVRM: The NVIDIA GPU {BUS[SICK]}\\x0aNVRM: (PCI ID: 10de:2330) installed in this system has\\x0a"
    "NVRM: fallen off the bus and is not responding to commands."
)

_KERNEL_S = tuple(check.id for check in shipped_checks() if KERNEL_LOG in {ask.name for ask in check.asks})
"""The checks of aiops itself that read the kernel's log."""

CASES = (
    Case(
        "a GPU fell off the bus",
        "gpu.xid",
        "critical",
        "reboot",
        about=AT,
        words="Xid 79: it has fallen off the bus",
        answers=kernel(xid(79, "GPU has fallen off the bus.")),
    ),
    Case(
        "a GPU fell off the bus before the driver could name an Xid",
        "gpu.xid",
        "critical",
        "reboot",
        about=AT,
        words="Xid 79",
        answers=kernel((3600.0, _GONE_AT_BOOT)),
    ),
    Case(
        "an uncorrectable error, and the row for it",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        words="Xid 48: an uncorrectable memory error; Xid 94",
        answers=kernel(
            xid(48, "An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer"),
            xid(63, "Row Remapper: New row marked for remapping, reset gpu to activate."),
            xid(94, "Contained: CE User Channel (0x9). RST: No, D-RST: No", pid="pid=7194, "),
            xid(45, "Ch 00000008", pid="pid=7194, "),
        ),
    ),
    Case(
        "a contained error alone ends one program",
        "gpu.xid",
        "warn",
        "restart_app",
        about=AT,
        answers=kernel(xid(94, "Ch 00000008")),
    ),
    Case(
        "an uncontained error",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        answers=kernel(xid(95, "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No")),
    ),
    Case(
        "a copy engine failed a program",
        "gpu.xid",
        "warn",
        "restart_app",
        "user",
        about=AT,
        answers=kernel(xid(41, "Copy Engine Exception")),
    ),
    Case(
        "the driver itself says that a reset is not enough",
        "gpu.xid",
        "critical",
        "reboot",
        about=AT,
        words="Xid 154: the driver asks for: Node Reboot Required",
        answers=kernel(
            xid(119, "Timeout after 6s of waiting for RPC response from GPU3 GSP!"),
            xid(154, "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"),
        ),
    ),
    Case(
        "the driver itself says that all is well again",
        "gpu.xid",
        "ok",
        "none",
        answers=kernel(
            xid(119, "Timeout after 6s of waiting for RPC response from GPU3 GSP!", ago=900.0),
            xid(154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", ago=899.0),
            xid(154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", ago=60.0),
        ),
    ),
    Case(
        "the driver's own word cannot be understood",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        words="Xid 95",
        answers=kernel(
            xid(95, "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No", ago=900.0),
            xid(154, "GPU recovery action is something new", ago=899.0),
        ),
    ),
    Case(
        "one error again and again",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        words="Xid 95: a memory error was not contained (2 times)",
        answers=kernel(
            xid(95, "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No", ago=900.0),
            xid(95, "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No", ago=60.0),
        ),
    ),
    Case(
        "programs that are not named fail on one GPU an hour apart",
        "gpu.xid",
        "warn",
        "none",
        about=AT,
        words="Xid 31: of 2 programs, on this GPU alone",
        answers=kernel(xid(31, "MMU Fault", ago=3700.0), xid(31, "MMU Fault", ago=60.0)),
    ),
    Case(
        "a fatal error of NVLink 5",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        answers=kernel(xid(145, "RLW_RSPCOL Fatal XC1 i0 Link 03 (0x004505c6 0x00000000)")),
    ),
    Case(
        "an error of NVLink 5 that is not fatal",
        "gpu.xid",
        "warn",
        "reset_device",
        about=AT,
        answers=kernel(xid(149, "NETIR_LINK_DOWN Nonfatal XC0 i0 Link 03 (0x004505c6 0x00000000)")),
    ),
    Case(
        "several programs fail on one GPU and on no other",
        "gpu.xid",
        "warn",
        "none",
        about=AT,
        words="Xid 31: of 2 programs, on this GPU alone",
        answers=kernel(xid(31, "MMU Fault", pid="pid=11, "), xid(31, "MMU Fault", pid="pid=12, ", ago=50.0)),
    ),
    Case(
        "a number that nobody knows",
        "gpu.xid",
        "warn",
        "none",
        about=AT,
        words="Xid 999",
        answers=kernel(xid(999, "something new")),
    ),
    Case(
        "another GPU was reset, not this one",
        "gpu.xid",
        "critical",
        "reset_device",
        about=AT,
        answers=kernel(xid(64, "Row Remapper Error"), (60.0, f"aiops: GPU {BUS[0]} was reset")),
    ),
    Case(
        "the kernel's log cannot be read",
        "gpu.xid",
        "unknown",
        "none",
        answers={KERNEL_LOG: read(KERNEL_LOG, {}, **{"/dev/kmsg": "Permission denied"})},
        also=("gpu.sxid", *_KERNEL_S),
    ),
    Case(
        "a fatal error of a switch",
        "gpu.sxid",
        "critical",
        "reset_device",
        about="NVSwitch at 0000:05:00.0",
        words="fatal SXid 20034: Link 28 LTSSM Fault Up",
        answers=kernel(
            sxid(20034, "Fatal", "Link 28 LTSSM Fault Up"),
            (3600.0, "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Severity 1 Engine instance 28"),
            (3600.0, "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Data {0x50610002, 0x10100030}"),
        ),
    ),
    Case(
        "a switch has many small errors",
        "gpu.sxid",
        "warn",
        "reset_device",
        about="NVSwitch at 0000:05:00.0",
        words="6 non-fatal SXid 19084",
        answers=kernel(*(sxid(19084, "Non-fatal", f"Link {n} AN1 Heartbeat Timeout Error") for n in range(6))),
    ),
)
