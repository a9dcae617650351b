"""Drives: whether all are there, and whether arrays of them have lost one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .drive_reading import NVME_ASK, read_nvme

MDSTAT = "drives.mdstat"
MDSTAT_ASK = Ask(MDSTAT, paths=("/proc/mdstat",))
_MDSTAT = "/proc/mdstat"
_MAY_LOSE = {"raid4": 1, "raid5": 1, "raid6": 2}
"""How many members an array can lose; raid1 all but one, of raid10 the numbers do not tell."""
_NO_FILE = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Array:
    """A line of /proc/mdstat with what follows it.

    Attributes:
        state: `active`, `inactive`, `broken`, ...
        wanted: How many members it has when whole; None where it is not told (raid0); `working` likewise.
        failed: Members that it has thrown out.
        outside: Whether others keep its description (`external:imsm`): it is only the folder of arrays.
        rebuilding: How far it is in putting a member back, as told: `recovery = 8.5%`.
    """

    name: str
    state: str
    level: str = ""
    wanted: int | None = None
    working: int | None = None
    failed: tuple[str, ...] = ()
    outside: bool = False
    rebuilding: str = ""


def read_arrays(record: Record) -> tuple[Array, ...]:
    """The md arrays; none where the kernel has none.

    Raises:
        UnreadableError: It does not say.
    """
    answer = record.answer(MDSTAT)
    if answer.missing.get(_MDSTAT) == _NO_FILE:
        return ()
    text = file(answer, _MDSTAT)
    if not re.search(r"^Personalities :", text, re.MULTILINE):
        raise UnreadableError(f"{_MDSTAT} says `{text.strip()[:80]}`")
    if answer.truncated or not re.search(r"^unused devices:", text, re.MULTILINE):
        raise UnreadableError(f"{_MDSTAT} has no end")
    pieces = re.split(r"^(md\S+) : ", text, flags=re.MULTILINE)
    return tuple(_array(name, rest) for name, rest in zip(pieces[1::2], pieces[2::2], strict=True))


def _array(name: str, text: str) -> Array:
    first = text.partition("\n")[0]
    words = [word for word in first.split() if not word.startswith("(")]
    members = [word for word in words[1:] if re.match(r"\S+\[\d+\]", word)]
    others = [word for word in words[1:] if word not in members]
    count = re.search(r"\[(\d+)/(\d+)\]", text)
    progress = re.search(r"\b((?:recovery|reshape) = *\S+)", text)
    return Array(
        name,
        words[0],
        others[0] if others else "",
        int(count[1]) if count else None,
        int(count[2]) if count else None,
        tuple(word.partition("[")[0] for word in members if "(F)" in word),
        "super external:" in text,
        " ".join(progress[1].split()) if progress else "",
    )


def _has_arrays(subject: Subject) -> bool:
    return not subject.fact("container") and bool(subject.read(read_arrays))


def _degraded(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for array in subject.read(read_arrays):
        evidence = {
            "level": array.level,
            "state": array.state,
            "wanted": array.wanted,
            "working": array.working,
            "failed": list(array.failed),
        }
        if array.state == "broken":
            yield Sighting(
                "critical", f"{array.level} has lost a member that it cannot do without", array.name, evidence
            )
        elif array.state == "inactive" and not array.outside:
            yield Sighting("warn", "it is inactive: members are missing, or left over", array.name, evidence)
        elif array.wanted is not None and array.working is not None and array.working < array.wanted:
            lost = array.wanted - array.working
            bearable = array.wanted - 1 if array.level == "raid1" else _MAY_LOSE.get(array.level, lost)
            words = f"{array.level} works with {array.working} of {array.wanted} members"
            words += f"; failed: {', '.join(array.failed)}" if array.failed else ""
            words += f"; {array.rebuilding}" if array.rebuilding else ""
            yield Sighting("critical" if lost > bearable else "warn", words, array.name, evidence)


def _has_nvme(subject: Subject) -> bool:
    if subject.fact("container"):
        return False
    drives = subject.read(read_nvme)
    return bool(drives.bus or drives.local or subject.expected.number("nvme.count"))


def _count(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    drives = subject.read(read_nvme)
    shown = {one.address for one in drives.local if one.address}  # an old kernel shows none
    for address, driver in sorted(drives.bus.items()):
        if driver is None:
            yield Sighting("critical", "it is on the bus, and no driver has it", f"NVMe at {address}")
        elif driver == "nvme" and shown and address not in shown:
            yield Sighting("critical", "its driver makes no drive of it", f"NVMe at {address}")
    for one in drives.local:
        if one.state != "live":
            yield Sighting("critical", f"its state is `{one.state}`, not `live`", one.name, {"state": one.state})
    expected = subject.expected.number("nvme.count")
    live = sum(one.state == "live" for one in drives.local)
    if expected is not None and live < expected:
        source = f" ({subject.expected.source})" if subject.expected.source else ""
        yield Sighting(
            "critical",
            f"{live} of {expected:g} NVMe drives work{source}",
            evidence={"live": live, "expected": int(expected)},
        )


CHECKS = (
    Check(
        id="nvme.count",
        title="all NVMe drives are there and work",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a drive on the bus has no driver or its driver makes none of it, when one is not live, or"
        " when fewer work than the trait `nvme.count` of the node's group expects.",
        remedy="See what became of it: `dmesg | grep -i nvme`. A reboot may bring it back once; seated anew or replaced"
        " it has to be all the same.",
        source="azurehpc-health-checks' check_nvme_count; the kernel's own states of a controller",
        asks=(NVME_ASK,),
        judge=_count,
        applies=_has_nvme,
        sightings=2,
    ),
    Check(
        id="raid.degraded",
        title="md arrays have all their members",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn when an array works with fewer members than it wants or is inactive, critical when it has lost"
        " more than its level can bear.",
        remedy="See which one: `mdadm --detail /dev/NAME`; replace the drive, then `mdadm /dev/NAME --add PARTITION`.",
        source="the kernel's /proc/mdstat; soperator's nvme_raid_health",
        asks=(MDSTAT_ASK,),
        judge=_degraded,
        applies=_has_arrays,
    ),
)
