"""What the driver says in the kernel's log of devices and switches, and what has since been done about it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from aiops.layers.l1_cluster.health.kernel_log import KernelLine

_ADDRESS = r"(?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.([0-7]))?"
_XID = re.compile(rf"NVRM: Xid \({_ADDRESS}(?: GPU-I:\w+)?\): (\d{{1,4}})(?:,\s*(.*))?", re.DOTALL)
_LOST = re.compile(rf"NVRM: (?:The NVIDIA )?GPU (?:at )?{_ADDRESS}\b.*fallen off the bus", re.DOTALL)
_SXID = re.compile(
    rf"nvidia-nvswitch\d{{1,3}}: SXid \({_ADDRESS}\): (\d{{1,6}}), (Fatal|Non-fatal)\b,?\s*(.*)", re.DOTALL
)
_LOADED = re.compile(r"NVRM: loading NVIDIA UNIX ")
_RESET = re.compile(rf"aiops: GPU {_ADDRESS} was reset")
_PID = re.compile(r"pid='?(\d{1,10})")
_WORDS = ("NVRM: ", "nvidia-nvswitch", "aiops: GPU ")  # one of them begins each of these
FELL_OFF = 79


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """One thing that the log tells.

    Attributes:
        kind: `mended`: the device was reset, or the driver was loaded anew; what was before is over.
        bus: The address, four-digit domain, lower case; empty: all devices.
        number: Of an Xid or SXid.
        fatal: Of an SXid.
        pid: The process that an Xid names; None where it names none.
        seconds: Since the boot; `ago` before the node was asked.
    """

    kind: Literal["xid", "sxid", "mended"]
    bus: str
    number: int = 0
    text: str = ""
    fatal: bool = False
    pid: int | None = None
    seconds: float = 0.0
    ago: float = 0.0


def kernel_events(lines: Iterable[KernelLine]) -> Iterator[KernelEvent]:
    """The events in the lines of a log, in their order. Pure."""
    for line in lines:
        if not any(word in line.text for word in _WORDS):
            continue
        if found := _XID.match(line.text):
            text = found[4] or ""
            process = _PID.match(text)
            pid = int(process[1]) if process else None
            yield KernelEvent("xid", _bus(found), int(found[3]), text, False, pid, line.seconds, line.ago)
        elif found := _SXID.match(line.text):
            fatal = found[4] == "Fatal"
            yield KernelEvent("sxid", _bus(found), int(found[3]), found[5], fatal, None, line.seconds, line.ago)
        elif found := _LOST.match(line.text):
            text = "GPU has fallen off the bus."
            yield KernelEvent("xid", _bus(found), FELL_OFF, text, seconds=line.seconds, ago=line.ago)
        elif _LOADED.match(line.text):
            yield KernelEvent("mended", "", seconds=line.seconds, ago=line.ago)
        elif found := _RESET.match(line.text):
            yield KernelEvent("mended", _bus(found), seconds=line.seconds, ago=line.ago)


def since_mended(events: Iterable[KernelEvent]) -> tuple[KernelEvent, ...]:
    """Those of which nothing says that they are over: no reset of that device since, no driver loaded anew.

    A reset trains the links of a device anew, so what switches said before one is over too.
    """
    standing: list[KernelEvent] = []
    for event in events:
        if event.kind != "mended":
            standing.append(event)
        else:
            standing = [one for one in standing if event.bus and one.kind == "xid" and one.bus != event.bus]
    return tuple(standing)


def _bus(found: re.Match[str]) -> str:
    """`0000:18:00` -> `0000:18:00.0`: the driver leaves the function out, which is 0."""
    domain, rest = found[1].lower().split(":", 1)
    return f"{domain[-4:]}:{rest}.{found[2] or 0}"
