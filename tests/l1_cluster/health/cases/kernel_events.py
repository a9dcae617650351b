"""Events in the kernel's log. The lines are spelled as kernels of several versions do; their values are made up."""

from dataclasses import replace
from typing import Any

from tests.l1_cluster.health.case import Case, read
from tests.l1_cluster.health.cases.kernel_log import log

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.disk_events import DISK_KINDS
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG

_BLOCK = "/sys/block"


def disks(*removable: str, paths: tuple[str, ...] = ()) -> Answer:
    """The answer on disks; `paths` are those to one device of several."""
    files = {f"{_BLOCK}/{one}/removable": "1\n" for one in removable}
    files |= {f"{_BLOCK}/{one}/removable": "0\n" for one in ("nvme0n1", "sda", "dm-0", *paths)}
    files[f"{_BLOCK}/dm-0/dm/uuid"] = "mpath-3600a0b80\n" if paths else "LVM-1234567890\n"
    files |= {f"{_BLOCK}/dm-0/slaves/{one}/dev": "8:16\n" for one in paths or ("sda",)}
    return read(DISK_KINDS, files)


HEALTHY = {DISK_KINDS: disks("sr0", "sdz")}


def virtual(facts: Facts) -> Facts:
    """A virtual machine without devices of its own."""
    return replace(facts, virtualization="kvm")


def _told(name: str, check: str, severity: Any, action: Any, text: str, *, ago: float = 7200.0, **more: Any) -> Case:
    """A case of a log with `text` in it, a line a second."""
    lines = tuple((ago - number, one) for number, one in enumerate(text.splitlines()))
    return Case(name, check, severity, action, answers={KERNEL_LOG: log(*lines)}, **more)


_MEMORY_KILL = "total-vm:9000kB, anon-rss:8000kB, file-rss:4kB, shmem-rss:0kB"
_BLOCKED = "INFO: task python3:4242 blocked for more than 245 seconds."
_AER = "pcieport 0000:16:02.0"
_HOT = "Core temperature above threshold, cpu clock throttled"
_LOCKED = "watchdog: BUG: soft lockup - CPU#17 stuck for {}s! [python3:4242]"

CASES = (
    _told(
        "a task was blocked", "kmsg.hung_task", "warn", "none", _BLOCKED, words="told once within 24 h: INFO: task pyth"
    ),
    _told(
        "a task was blocked on a disk, as newer kernels tell",
        "kmsg.hung_task",
        "warn",
        "none",
        "INFO: task kworker/u8:2:77 blocked in I/O wait for more than 122 seconds.",
    ),
    _told("a soft lockup", "kmsg.soft_lockup", "warn", "reboot", _LOCKED.format(22), words="CPU#17 stuck for 22s"),
    _told(
        "a soft lockup that lasts",
        "kmsg.soft_lockup",
        "critical",
        "reboot",
        "\n".join(_LOCKED.format(seconds) for seconds in (22, 48, 74)),
        words="told 3 times within 24 h",
    ),
    _told(
        "a virtual machine that was held back",
        "kmsg.soft_lockup",
        "warn",
        "reboot",
        "\n".join(_LOCKED.format(seconds) for seconds in (22, 48, 74)),
        facts=virtual,
    ),
    _told(
        "a hard lockup",
        "kmsg.soft_lockup",
        "critical",
        "reboot",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 5",
    ),
    _told("RCU stalls", "kmsg.soft_lockup", "warn", "reboot", "rcu: INFO: rcu_sched self-detected stall on CPU"),
    _told(
        "an oops",
        "kmsg.panic_or_oops",
        "critical",
        "reboot",
        "BUG: kernel NULL pointer dereference, address: 0000000000000028\nOops: 0000 [#1] PREEMPT SMP NOPTI",
        words="told 2 times",
    ),
    _told("a bug of the kernel", "kmsg.panic_or_oops", "critical", "reboot", "kernel BUG at mm/slub.c:305!"),
    _told(
        "a job took all memory",
        "kmsg.oom",
        "warn",
        "none",
        f"python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0\n"
        f"Out of memory: Killed process 4242 (python3) {_MEMORY_KILL}, UID:2001 pgtables:1kB oom_score_adj:0",
        owner="user",
        words="Killed process 4242 (python3)",
    ),
    _told(
        "a daemon was killed for memory",
        "kmsg.oom",
        "critical",
        "restart_service",
        f"Out of memory: Killed process 812 (slurmd) {_MEMORY_KILL}, UID:0 pgtables:1kB oom_score_adj:0",
        ago=600.0,
        about="slurmd",
        words="within the last 1 h",
    ),
    _told(
        "a daemon was killed for memory some hours ago",
        "kmsg.oom",
        "warn",
        "none",
        f"Out of memory: Killed process 812 (slurmd) {_MEMORY_KILL}, UID:0 pgtables:1kB oom_score_adj:0",
        owner="user",
    ),
    Case(
        "processors are throttled again and again",
        "kmsg.thermal",
        "warn",
        "service",
        about="processors",
        words="3 times within 1 h, limit 3",
        answers={
            KERNEL_LOG: log(
                *(
                    (ago - cpu / 1000, f"mce: CPU{cpu}: {_HOT} (total events = {n})")
                    for n, ago in enumerate((3000.0, 2400.0, 600.0), 1)
                    for cpu in (3, 51)
                )
            )
        },
    ),
    _told(
        "the board reached its critical temperature",
        "kmsg.thermal",
        "critical",
        "service",
        "thermal thermal_zone0: acpitz: critical temperature reached, shutting down",
        ago=60.0,
    ),
    _told(
        "uncorrected memory",
        "kmsg.mce",
        "critical",
        "reboot",
        "EDAC MC2: 1 UE memory read error on CPU_SrcID#1_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x12 offset:0x40)\n"
        "Memory failure: 0x12345: recovery action for dirty LRU page: Recovered",
        words="told 2 times within 24 h",
    ),
    _told(
        "a machine check that was not corrected",
        "kmsg.mce",
        "critical",
        "reboot",
        "mce: [Hardware Error]: CPU 12: Machine Check Exception: 5 Bank 7: be00000000800400",
    ),
    _told(
        "the firmware tells of memory",
        "kmsg.mce",
        "critical",
        "reboot",
        "{3}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1\n"
        "{3}[Hardware Error]: event severity: recoverable\n"
        "{3}[Hardware Error]:  Error 0, type: recoverable\n"
        "{3}[Hardware Error]:   section_type: memory error",
    ),
    _told(
        "an error on the bus that was not corrected",
        "kmsg.aer",
        "critical",
        "reboot",
        f"{_AER}: AER: Uncorrected (Fatal) error received: 0000:18:00.0\n"
        "nvidia 0000:18:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Requester ID)\n"
        "nvidia 0000:18:00.0:   device [10de:2330] error status/mask=00004000/00000000",
        about="0000:18:00.0",
        words="severity=Uncorrected (Fatal)",
    ),
    _told(
        "an error on the bus, of which only the port tells",
        "kmsg.aer",
        "critical",
        "reboot",
        f"{_AER}: AER: Multiple Uncorrectable (Non-Fatal) error message received from 0000:18:00.0",
        about="0000:18:00.0",
    ),
    _told(
        "a port cut its device off",
        "kmsg.aer",
        "critical",
        "reboot",
        f"{_AER}: DPC: containment event, status:0x1f01 source:0x0000",
        about="0000:16:02.0",
    ),
    _told(
        "the firmware tells of the bus",
        "kmsg.aer",
        "critical",
        "reboot",
        "{7}[Hardware Error]: event severity: fatal\n{7}[Hardware Error]:   section_type: PCIe error",
    ),
    _told(
        "a request that a device does not know",
        "kmsg.aer",
        "warn",
        "none",
        f"{_AER}: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)\n"
        f"{_AER}:   device [1000:c030] error status/mask=00100000/00000000\n"
        f"{_AER}:    [20] UnsupReq               (First)",
        about="0000:16:02.0",
    ),
    Case(
        "a flood of corrected errors",
        "kmsg.aer",
        "warn",
        "service",
        about="0000:16:02.0",
        words="100 corrected errors within an hour, limit 100",
        answers={
            KERNEL_LOG: log(
                *((3500.0 - n, f"{_AER}: PCIe Bus Error: severity=Corrected, type=Data Link Layer") for n in range(100))
            )
        },
    ),
    _told(
        "a disk cannot read",
        "kmsg.io_error",
        "critical",
        "service",
        "I/O error, dev nvme0n1, sector 5001 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2\n"
        "Buffer I/O error on dev nvme0n1p2, logical block 62514752, async page read",
        about="nvme0n1",
        words="told 2 times",
    ),
    _told(
        "a medium that is worn",
        "kmsg.io_error",
        "critical",
        "service",
        "blk_update_request: critical medium error, dev sda, sector 123 op 0x0:(READ) flags 0x0 phys_seg 1",
        about="sda",
    ),
    _told(
        "a disk was given up",
        "kmsg.io_error",
        "critical",
        "service",
        "nvme nvme3: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS read failed (134)\n"
        "nvme nvme3: Disabling device after reset failure: -19",
        about="nvme3",
        words="told once within 24 h: nvme nvme3: Disabling",
    ),
    _told(
        "a disk times out",
        "kmsg.io_error",
        "warn",
        "service",
        "nvme nvme2: I/O tag 12 (400c) opcode 0x1 (I/O Cmd) QID 5 timeout, aborting req_op:WRITE(1) size:4096",
        about="nvme2",
    ),
    _told(
        "a disk loses commands",
        "kmsg.io_error",
        "warn",
        "service",
        "ata3.00: exception Emask 0x0 SAct 0x1 SErr 0x0 action 0x6 frozen\nata3.00: failed command: READ FPDMA QUEUED",
        about="ata3.00",
    ),
    _told(
        "an array lost a member",
        "kmsg.io_error",
        "warn",
        "service",
        r"md/raid1:md0: Disk failure on sdb1, disabling device.\x0amd/raid1:md0: Operation continuing on 1 devices.",
        about="md0",
        words="disabling device.",
    ),
    _told(
        "an array is lost",
        "kmsg.io_error",
        "critical",
        "service",
        "md/raid0:md1: Disk failure on nvme1n1 detected, failing array.",
        about="md1",
    ),
    Case(
        "one of several paths to a disk",
        "kmsg.io_error",
        "warn",
        "service",
        about="sdb",
        answers={
            KERNEL_LOG: log((900.0, "I/O error, dev sdb, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2")),
            DISK_KINDS: disks(paths=("sdb",)),
        },
    ),
    Case(
        "a disk cannot read, and which disks are special is not known",
        "kmsg.io_error",
        "unknown",
        "none",
        answers={KERNEL_LOG: log((900.0, "I/O error, dev sdb, sector 0 op 0x0:(READ)")), DISK_KINDS: None},
    ),
    _told(
        "a file system is damaged",
        "kmsg.fs_error",
        "critical",
        "reboot",
        "EXT4-fs error (device nvme0n1p2): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0\n"
        "Aborting journal on device nvme0n1p2-8.\n"
        "EXT4-fs (nvme0n1p2): Remounting filesystem read-only",
        about="nvme0n1",
        words="told 3 times",
    ),
    _told(
        "a file system of XFS is damaged",
        "kmsg.fs_error",
        "critical",
        "reboot",
        "XFS (dm-0): Metadata corruption detected at xfs_agf_verify+0x52/0x1a0 [xfs], xfs_agf block 0x1",
        about="dm-0",
    ),
    _told(
        "a file system with errors of earlier",
        "kmsg.fs_error",
        "warn",
        "reboot",
        "EXT4-fs (sda1): error count since last fsck: 4",
        about="sda",
    ),
)
