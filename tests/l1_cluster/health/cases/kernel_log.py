"""The kernel's log of a healthy node; cases of it are with the checks that read it."""

from collections.abc import Iterable

from tests.l1_cluster.health.case import read

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG, UPTIME

UP = 864_000.0
"""Seconds that the node of the cases has been up."""

BENIGN = (
    (864_000.0, "Linux version 6.1.0-28-amd64 (debian-kernel@lists.debian.org)"),
    (863_990.0, "mlx5_core 0000:9c:00.0 ib0: Link up"),
    (863_000.0, "systemd[1]: Started Journal Service."),
)
"""Seconds ago, and what was said then."""


def log(*lines: tuple[float, str], level: int = 3, benign: Iterable[tuple[float, str]] = BENIGN) -> Answer:
    """A log with `lines` (seconds ago, text) after those that are benign."""
    told = [*((6, ago, text) for ago, text in benign), *((level, ago, text) for ago, text in lines)]
    records = (f"{kind},{n},{int((UP - ago) * 1e6)},-;{text}\n" for n, (kind, ago, text) in enumerate(told))
    return read(KERNEL_LOG, {"/dev/kmsg": "".join(records)})


def booted(seconds: float = UP) -> Answer:
    """What tells how long the machine, and the system on it, have been up."""
    start = int((UP - seconds) * 100)
    stat = f"1 (systemd) S 0 1 1 0 -1 4194560 52 91 4 0 1 2 0 0 20 0 1 0 {start} 170000000 3 18446744073709551615\n"
    return read(UPTIME, {"/proc/uptime": f"{UP:.2f} 12345.67\n", "/proc/1/stat": stat})


HEALTHY = {KERNEL_LOG: log(), UPTIME: booted()}
CASES = ()
