"""The kernel's log, read: what was said since the node has booted, and how long ago."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file, word
from aiops.layers.l0_nodes.ask import Ask, Record

KERNEL_LOG, UPTIME = "kernel.log", "kernel.uptime"
KERNEL_ASKS = (
    Ask(KERNEL_LOG, paths=("/dev/kmsg",), tail=True),
    Ask(UPTIME, paths=("/proc/uptime", "/proc/1/stat")),
)
"""Raw records: no `dmesg` is needed, and none of a node's settings changes what it prints."""

_RECORD = re.compile(r"^(\d{1,10}),\d{1,20},(\d{1,20}),[^;\n]*;(.*)$", re.MULTILINE)
"""Lines that do not look so continue a record, with its dictionary."""

_LEVEL_MASK = 7
_TICKS = 100
"""Per second, in /proc: USER_HZ, which is 100 on every architecture that has accelerators."""

_START_FIELD = 19
"""Of /proc/PID/stat behind the name: when the process started, in ticks since the machine has booted (proc(5), 22)."""


class KernelLine(NamedTuple):
    """One message; a log has thousands, and this is the quickest kind of value to make.

    Attributes:
        level: 0 (emergency) to 7 (debug).
        seconds: Since the boot.
        ago: Seconds before the node was asked.
    """

    level: int
    seconds: float
    ago: float
    text: str


def read_uptime(record: Record) -> float:
    """Seconds since the node's machine has booted: what the times in its kernel log count from.

    Raises:
        UnreadableError: It does not say.
    """
    return float(word(file(record.answer(UPTIME), "/proc/uptime").partition(" ")[0], "/proc/uptime"))


def read_age(record: Record) -> float:
    """Seconds since the node itself has booted: a container is younger than its machine.

    Raises:
        UnreadableError: It does not say.
    """
    fields = file(record.answer(UPTIME), "/proc/1/stat").rpartition(")")[2].split()
    return max(0.0, read_uptime(record) - int(fields[_START_FIELD]) / _TICKS)


def read_kernel_log(record: Record) -> tuple[KernelLine, ...]:
    """The newest messages, oldest first.

    Raises:
        UnreadableError: The log cannot be read, or nothing in it is a record.
    """
    text = file(record.answer(KERNEL_LOG), "/dev/kmsg")
    uptime = read_uptime(record)
    lines = tuple(_lines(text, uptime))
    if not lines:
        raise UnreadableError("/dev/kmsg holds no record")
    return lines


def _lines(text: str, uptime: float) -> Iterator[KernelLine]:
    for level, moment, said in _RECORD.findall(text):
        seconds = int(moment) / 1e6
        yield KernelLine(int(level) & _LEVEL_MASK, seconds, max(0.0, uptime - seconds), said)
