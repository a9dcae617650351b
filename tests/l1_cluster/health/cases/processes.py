"""Processes."""

from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, Case, hung, read, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.processes import PROCESSES, ROOM


def processes(*lines: str, total: int = 812, waiting: int = 0, dead: int = 1, stacks: tuple[str, ...] = ()) -> Answer:
    """The list of those that something is wrong with, and how many there are."""
    end = f"total {total} waiting {waiting} dead {dead}"
    return said(PROCESSES, "\n".join((*lines, end, *stacks)) + "\n")


def stuck(name: str, wchan: str, *, pid: int = 4242, parent: int = 1, age: int = 8640) -> tuple[str, ...]:
    """A process that waits, as it is listed."""
    return (
        f"Dsl     {pid}    {parent}    {age} {name}",
        "  voluntary_ctxt_switches:\t120",
        "  nonvoluntary_ctxt_switches:\t3",
        f"  wchan: {wchan}",
    )


def room(tasks: int = 2500, files: str = "9216\t0\t9223372036854775807") -> Answer:
    """What processes need."""
    return read(
        ROOM,
        {
            "/proc/sys/kernel/pid_max": "4194304\n",
            "/proc/sys/kernel/threads-max": "16511494\n",
            "/proc/sys/fs/file-nr": f"{files}\n",
            "/proc/loadavg": f"96.11 90.02 88.10 97/{tasks} 123456\n",
        },
    )


def seen(switches: int, pid: int = 4242, boot: str = BOOT_ID) -> Past:
    """A past in which the process was met."""
    return Past({f"process.{pid}.switches": (Sample(AT - timedelta(minutes=5), switches, boot),)})


HEALTHY = {PROCESSES: processes(), ROOM: room()}
CASES = (
    Case(
        "a process that waits for a file system",
        "proc.dstate",
        "warn",
        "none",
        about="process 4242 (python3)",
        words="it waits in the kernel at rpc_wait_bit_killable and cannot be killed",
        answers={PROCESSES: processes(*stuck("python3", "rpc_wait_bit_killable"), waiting=1)},
        past=seen(123),
    ),
    Case(
        "a process that waits for the driver",
        "proc.dstate",
        "critical",
        "reboot",
        about="process 4242 (python3)",
        words="at rwsem_down_write_slowpath of nvidia_uvm and",
        answers={
            PROCESSES: processes(
                *stuck("python3", "rwsem_down_write_slowpath"),
                waiting=1,
                stacks=(
                    "stack 4242 [<0>] rwsem_down_write_slowpath+0x2f1/0x5f0",
                    "stack 4242 [<0>] uvm_va_space_destroy+0x1d/0x4e0 [nvidia_uvm]",
                ),
            )
        },
        past=seen(123),
    ),
    Case(
        "a vendor's tool that waits, met for the first time",
        "proc.dstate",
        "critical",
        "reboot",
        about="process 4242 (nvidia-smi)",
        answers={PROCESSES: processes(*stuck("nvidia-smi", "0"), waiting=1)},
    ),
    Case(
        "the list of processes does not end",
        "proc.dstate",
        "unknown",
        "none",
        answers={PROCESSES: hung(PROCESSES)},
        also=("proc.zombie",),
    ),
    Case(
        "a parent that loses its children",
        "proc.zombie",
        "warn",
        "restart_app",
        owner="user",
        words="500 of 1412 processes have ended and are not waited for, limit 500",
        answers={PROCESSES: processes(total=1412, dead=500)},
    ),
    Case(
        "no room for processes",
        "proc.limits",
        "warn",
        "restart_app",
        owner="user",
        about="process numbers",
        words="3400000 of 4194304 are used, 81 %, limit 80 %",
        answers={ROOM: room(tasks=3_400_000)},
    ),
    Case(
        "no room for files",
        "proc.limits",
        "critical",
        "restart_app",
        owner="user",
        about="file handles",
        words="97 %, limit 95 %",
        answers={ROOM: room(files="97000\t0\t100000")},
    ),
    Case("room in riddles", "proc.limits", "unknown", "none", owner="user", answers={ROOM: room(files="97000\t0\t0")}),
)
