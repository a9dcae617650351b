"""What messages of the kernel mean, by how they are spelled; shared by the checks on events in its log.

A spelling is anchored at the message's first letter and as specific as the kernel's own format string, for most lines
that hold a frightening word are harmless (`EDAC MC0: 1 CE`, `nvme nvme0: Shutdown timeout set to 10 seconds`). Each
allows for the changes of wording since Linux 3.10. Corrected errors are read only where many of them mean something.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiops.layers.l0_nodes.answer_reading import UnreadableError, once
from aiops.layers.l0_nodes.ask import Record

from .check import Limits, Sighting, Subject, Threshold
from .kernel_log import KernelLine, read_kernel_log
from .verdict import Severity

_SECONDS = 3600.0
_SHOWN = 3  # lines in the evidence
_LENGTH = 160  # letters of a line that are shown
_DEVICE = r"(?P<device>[\w!:.-]{1,64})"
_PCI = r"(?P<device>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])"
_DRIVER = rf"[\w.+-]+ {_PCI}: "
_HARDWARE = r"\[Hardware Error\]: "
_REPORT = r"\{(?P<number>\d{1,9})\}"


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the kernel says one kind of thing.

    Attributes:
        word: Stands in every such line: looking for it is a hundred times cheaper than matching.
        pattern: Of the beginning of the line.
    """

    kind: str
    word: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class KernelMessage:
    """A line of the log that means something to a check.

    Attributes:
        kind: One of those in `SPELLINGS`.
        values: What the line names: `device`, `severity`, ...; empty words where it does not.
    """

    kind: str
    line: KernelLine
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The line, cut where it is long; the kernel writes a line feed inside a message as an escape."""
        return self.line.text.split("\\x0a", 1)[0][:_LENGTH]


def _spelled(kind: str, word: str, *parts: str) -> Spelling:
    return Spelling(kind, word, re.compile("".join(parts)))


SPELLINGS = (
    _spelled("hung_task", "blocked ", r"INFO: task .+:\d+ blocked (in I/O wait )?for more than \d+ seconds"),
    _spelled("soft_lockup", "soft lockup", r"((NMI )?watchdog: )?BUG: soft lockup - CPU#\d+ stuck for "),
    _spelled("soft_lockup", "rcu_", r"(rcu: )?INFO: rcu_\w+ (self-detected stall|detected stalls) on "),
    _spelled("soft_lockup", "workqueue lockup", r"BUG: workqueue lockup - pool "),
    _spelled("hard_lockup", "hard LOCKUP", r"(NMI )?watchdog: (CPU ?\d+:? )?(Watchdog |self-)?detected hard LOCKUP "),
    # The state of one of a processor's error banks: whether the error was corrected is in its bits.
    _spelled(
        "machine_check",
        "Machine Check",
        r"(mce: )?\[Hardware Error\]: CPU \d+: Machine Check( Exception)?: [0-9a-f]+ ",
        r"Bank \d+: (?P<status>[0-9a-f]{16})",
    ),
    _spelled("uncorrected", "Uncorrected, ", rf"{_HARDWARE}Uncorrected, software (restartable|containable) error"),
    _spelled("uncorrected", "System Fatal", rf"{_HARDWARE}System Fatal error"),
    _spelled("uncorrected", "Uncorrected ", r"mce: Uncorrected hardware memory error in user-access at "),
    _spelled("uncorrected", "recovery action", r"Memory failure: 0x[0-9a-f]+: recovery action for .+: \w+"),
    _spelled("uncorrected", " UE ", r"EDAC MC\d+: \d+ UE "),
    _spelled("uncorrected", " UE: ", r"EDAC DEVICE\d+: UE: "),
    _spelled("uncorrected", "(SERR)", r"NMI: PCI system error \(SERR\) for reason "),
    # What the firmware tells: all lines of one report have its number, those without are of before the boot.
    _spelled("firmware_error", "event severity", rf"{_REPORT}{_HARDWARE}event severity: (fatal|recoverable)"),
    _spelled("firmware_pcie", "PCIe error", rf"{_REPORT}{_HARDWARE} *section_type: PCIe error"),
    _spelled(
        "pcie_error",
        "PCIe Bus Error",
        rf"{_DRIVER}(AER: )?PCIe Bus Error: severity=(?P<severity>Corr|Uncorrect(ed|able) \((Non-)?Fatal\))",
    ),
    _spelled(
        "pcie_status",
        "error status/mask",
        rf"{_DRIVER} *device \[[0-9a-f:]+\] error status/mask=(?P<status>[0-9a-f]{{8}})/(?P<mask>[0-9a-f]{{8}})",
    ),
    _spelled(
        "pcie_received",
        "received",
        r"pcieport \S+: AER: (Multiple )?Uncorrect(ed|able) \((Non-)?Fatal\) error (message received from|received:) ",
        _PCI,
    ),
    _spelled("pcie_contained", "containment event", rf"{_DRIVER}(DPC: )?containment event, status:0x"),
    _spelled(
        "io_error",
        " error, dev ",
        r"(blk_update_request: |end_request: |print_req_error: )?",
        rf"(I/O|timeout|protection|critical (medium|target|nexus)) error, dev {_DEVICE}, sector \d+",
        r"( op 0x[0-9a-f]+:\((?P<operation>\w+)\))?",
    ),
    _spelled("io_error", "Buffer I/O error", rf"Buffer I/O error on dev(ice)? {_DEVICE}, logical block "),
    _spelled("disk_lost", "offline", rf"sd {_DEVICE}: (rejecting I/O to offline device|Device offlined - not ready)"),
    _spelled("disk_lost", "Removing after probe", rf"nvme {_DEVICE}: Removing after probe failure"),
    _spelled("disk_lost", "Disabling device", rf"nvme {_DEVICE}: Disabling device after reset failure"),
    _spelled(
        "disk_trouble",
        "failed command",
        rf"{_DEVICE}: failed command: ((READ|WRITE) (FPDMA|DMA|MULTIPLE|SECTOR)|FLUSH CACHE)",
    ),
    _spelled("disk_trouble", "timeout, ", rf"nvme {_DEVICE}: I/O .*QID \d+ timeout, (abort|reset|disable|completion)"),
    _spelled("disk_trouble", "controller is down", rf"nvme {_DEVICE}: controller is down; will reset"),
    _spelled("disk_trouble", "reset controller", rf"nvme {_DEVICE}: frozen state error detected, reset controller"),
    _spelled("array_degraded", "Disk failure on", rf"md/raid\w*:{_DEVICE}: Disk failure on \S+, disabling device"),
    _spelled("array_lost", "failing array", rf"md/\w+:{_DEVICE}: Disk failure on \S+ detected, failing array"),
    _spelled("array_lost", "Cannot continue", rf"md/raid\w*:{_DEVICE}: Cannot continue operation"),
    _spelled("fs_error", "-fs error (", rf"EXT[34]-fs error \(device {_DEVICE}\): "),
    _spelled("fs_error", "Remounting", rf"EXT[34]-fs \({_DEVICE}\): Remounting filesystem read-only"),
    _spelled("fs_error", "Aborting journal", r"Aborting journal on device (?P<device>[\w!:.-]{1,64}?)(-\d+)?\.?$"),
    _spelled(
        "fs_error",
        "XFS (",
        rf"XFS \({_DEVICE}\): (Metadata (corruption|CRC error) detected|Corruption (detected|warning)|Internal error ",
        r"|(log|metadata) I/O error|Log I/O Error Detected|Corruption of in-memory data|xfs_do_force_shutdown",
        r"|Filesystem has been shut down)",
    ),
    _spelled("fs_error", "BTRFS", rf"BTRFS:? (error|critical) \(device {_DEVICE}[^)]*\) in \w+:\d+: errno="),
    _spelled("fs_error", "forced readonly", rf"BTRFS info \(device {_DEVICE}[^)]*\): forced readonly"),
    _spelled("fs_error", "WARNING: Pool", rf"WARNING: Pool '{_DEVICE}' has encountered an uncorrectable I/O failure"),
    _spelled("fs_unchecked", "error count since", rf"EXT[34]-fs \({_DEVICE}\): error count since last fsck: [1-9]"),
    # A process's name is its user's to choose. That a cgroup's own limit was reached is another message.
    _spelled(
        "out_of_memory",
        "Out of memory",
        r"Out of memory( \([a-z_]+\))?: Kill(ed)? process \d+ \((?P<name>.{1,64})\)(?=,| total-vm| score|$)",
        r"(.*\bUID[: ](?P<user>\d{1,10}))?",
    ),
    _spelled("oops", "BUG: ", r"BUG: (unable to handle |kernel NULL pointer |scheduling while atomic: )"),
    _spelled("oops", "BUG: ", r"BUG: (Bad page (state|map|cache) in process |(TASK )?stack guard page was hit )"),
    _spelled(
        "oops",
        " [#",
        r"(Oops|Internal error|general protection fault|invalid opcode|divide error|stack segment|double fault)\b",
        r".* \[#\d+\]",
    ),
    _spelled("oops", "kernel BUG at", r"kernel BUG at \S+:\d+!"),
    _spelled("oops", "Unable to handle", r"Unable to handle kernel "),
    _spelled("oops", "Kernel panic", r"Kernel panic - not syncing: "),
    _spelled(
        "throttled",
        "above threshold",
        r"(mce: )?CPU\d+: (Core|Package) temperature (is )?above threshold, cpu clock (is )?throttled ",
    ),
    _spelled("overheated", "critical temp", r"(thermal )?thermal_zone\d+: ([\w.-]+: )?critical temperature reached"),
)
"""All of them; of several that fit a line, the first counts."""

WITHIN = Threshold("hours", 24.0, "h", "aiops' own: a day, or until the reboot", least=0.1, most=720.0)
"""How long an event of the log counts."""


def read_messages(record: Record) -> tuple[KernelMessage, ...]:
    """The lines that mean something, oldest first.

    Raises:
        UnreadableError: The log cannot be read.
    """
    return tuple(_messages(once(record, read_kernel_log)))


def _messages(lines: Sequence[KernelLine]) -> Iterator[KernelMessage]:
    whole = "\n".join(line.text for line in lines)
    spellings = [one for one in SPELLINGS if one.word in whole]  # of a healthy node's log, few are in it at all
    for line in lines if spellings else ():
        text = line.text
        for spelling in spellings:
            if spelling.word in text and (found := spelling.pattern.match(text)):
                yield KernelMessage(spelling.kind, line, {name: word or "" for name, word in found.groupdict().items()})
                break


def has_log(subject: Subject) -> bool:
    """Whether there is a log to judge: a container seldom sees one, and may then go without."""
    if subject.facts.container:
        try:
            subject.read(read_messages)
        except UnreadableError:
            return False
    return True


def within(subject: Subject, hours: float, *kinds: str) -> list[KernelMessage]:
    """The messages of these kinds that are not older than `hours`, oldest first.

    Raises:
        UnreadableError: The log cannot be read.
    """
    messages = subject.read(read_messages)
    return [one for one in messages if one.kind in kinds and one.line.ago <= hours * _SECONDS]


def sighting(severity: Severity, messages: Sequence[KernelMessage], limits: Limits, about: str = "") -> Sighting:
    """What is said of `messages`, of which there is one at least: how often, and the last of them."""
    count = len(messages)
    times = "once" if count == 1 else f"{count} times"
    return Sighting(
        severity,
        f"told {times} within {limits[WITHIN.name]:g} h: {messages[-1].text}",
        about,
        {"count": count, "lines": [[round(one.line.seconds, 3), one.text] for one in messages[-_SHOWN:]]},
    )
