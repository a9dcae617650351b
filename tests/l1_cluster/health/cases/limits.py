"""Either side of limits: what is not yet too much, and what is just too old to count."""

from tests.l1_cluster.health.case import Case
from tests.l1_cluster.health.cases.accelerators import BUS, NAME, SICK, before, device
from tests.l1_cluster.health.cases.drives import pending, smart
from tests.l1_cluster.health.cases.ethernet import mtus
from tests.l1_cluster.health.cases.filesystems import GIB, table
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.cases.nvidia import kernel, sxid, xid
from tests.l1_cluster.health.cases.pace import answers
from tests.l1_cluster.health.cases.processes import processes, seen, stuck

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.drive_reading import SMART
from aiops.layers.l1_cluster.health.ethernet_reading import MTU
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.layers.l1_cluster.health.mount_question import MOUNTS
from aiops.layers.l1_cluster.health.processes import PROCESSES
from aiops.layers.l1_cluster.health.verdict import Action, Owner

HEALTHY: dict[str, Answer] = {}
_HOUR = 3600.0
_LATELY, _LONG_AGO = 20 * _HOUR, 30 * _HOUR
"""Within the day for which such lines count, and before it."""

_KILLED = "Out of memory: Killed process 4242 (python3) total-vm:9000kB, anon-rss:8000kB, UID:2001"
_FATAL = "nvidia 0000:18:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Requester ID)"


def _day(
    what: str, check: str, text: str, action: Action, *, about: str = "", owner: Owner = "node"
) -> tuple[Case, Case]:
    """A line of the kernel's log that counts, and the same one when it is too old."""
    severity = "warn" if check == "kmsg.oom" else "critical"
    return (
        Case(
            f"{what} twenty hours ago",
            check,
            severity,  # type: ignore[arg-type]
            action,
            owner,
            about,
            answers={KERNEL_LOG: log((_LATELY, text))},
        ),
        Case(f"{what} thirty hours ago", check, "ok", "none", answers={KERNEL_LOG: log((_LONG_AGO, text))}),
    )


_LOG = (
    *_day("a bug of the kernel", "kmsg.panic_or_oops", "kernel BUG at mm/slub.c:305!", "reboot"),
    *_day("a job was killed for memory", "kmsg.oom", _KILLED, "none", owner="user"),
    *_day("a fatal error on the bus", "kmsg.aer", _FATAL, "reboot", about="0000:18:00.0"),
    *_day(
        "a damaged file system",
        "kmsg.fs_error",
        "EXT4-fs error (device nvme0n1p2): ext4_lookup:1855: inode #2: comm python3: deleted inode referenced: 77",
        "reboot",
        about="nvme0n1",
    ),
    *_day("a GPU fell off the bus", "gpu.xid", xid(79)[1], "reboot", about=f"GPU at {BUS[SICK]}"),
    *_day(
        "a fatal error of a switch",
        "gpu.sxid",
        sxid(20034, "Fatal", "Link 28 LTSSM Fault Up")[1],
        "reset_device",
        about="NVSwitch at 0000:05:00.0",
    ),
    Case("one program failed on a GPU", "gpu.xid", "ok", "none", answers=kernel(xid(31, "MMU Fault", pid="pid=11, "))),
    Case(
        "a switch has a few small errors",
        "gpu.sxid",
        "ok",
        "none",
        answers=kernel(*(sxid(19084, "Non-fatal", f"Link {n} AN1 Heartbeat Timeout Error") for n in range(3))),
    ),
)

_VALUES = (
    Case(
        "a link that repeats a few packets",
        "gpu.pcie_replays",
        "ok",
        "none",
        facts=device(pcie={"replays": 100}),
        past=before("gpu.pcie_replays", 0, 60),
    ),
    Case(
        "warm memory",
        "gpu.temp",
        "warn",
        "service",
        about=NAME,
        words="its memory 97 °C, limit 95 °C",
        facts=device(temperature_memory_c=97.0),
    ),
    Case(
        "a very hot spot",
        "gpu.temp",
        "critical",
        "service",
        about=NAME,
        words="its hottest spot 111 °C, limit 110 °C",
        facts=device(temperature_hotspot_c=111.0),
    ),
    Case(
        "a large file system with room left",
        "disk.used",
        "ok",
        "none",
        answers={MOUNTS: table({62: f"= 62 4096 {28_000 * GIB} {400 * GIB} {400 * GIB} 3006477107 3000000000"})},
    ),
    Case(
        "a file system with inodes left",
        "disk.inodes",
        "ok",
        "none",
        answers={MOUNTS: table({29: f"= 29 4096 {440 * GIB} {400 * GIB} {378 * GIB} 28835840 3000000"})},
    ),
    Case(
        "a disk with a few sectors that cannot be read",
        "disk.smart",
        "warn",
        "service",
        about="/dev/sda",
        words="5 sectors that cannot be read, limit 1",
        answers={SMART: smart(sda=pending(5))},
    ),
    Case(
        "a process that has waited for minutes",
        "proc.dstate",
        "warn",
        "none",
        about="process 4242 (python3)",
        answers={PROCESSES: processes(*stuck("python3", "rpc_wait_bit_killable", age=300), waiting=1)},
        past=seen(123),
    ),
    Case(
        "a process that has waited for a moment",
        "proc.dstate",
        "ok",
        "none",
        answers={PROCESSES: processes(*stuck("python3", "rpc_wait_bit_killable", age=30), waiting=1)},
        past=seen(123),
    ),
    Case(
        "three nodes, one with smaller packets",
        "eth.mtu",
        "ok",
        "none",
        answers={MTU: mtus(eth0=1500)},
        unlike_peers=True,
        peers=2,
    ),
    Case("a node that is a little slow", "node.slow", "ok", "none", answers=answers(0.2), unlike_peers=True),
)

CASES = (*_LOG, *_VALUES)
