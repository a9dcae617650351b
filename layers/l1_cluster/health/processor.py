"""Processors: whether all of them are there, and whether they run as fast as they can."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .small_files import is_absent, small_files

CPU_SET, GOVERNOR = "health.cpu.set", "health.cpu.governor"
_FOLDER = "/sys/devices/system/cpu"
_PRESENT, _ONLINE, _SMT = f"{_FOLDER}/present", f"{_FOLDER}/online", f"{_FOLDER}/smt/control"
_GOVERNORS = f"{_FOLDER}/cpufreq/policy*/scaling_governor"
_PREFERENCES = f"{_FOLDER}/cpufreq/policy*/energy_performance_preference"
SET_ASK = Ask(CPU_SET, paths=(_PRESENT, _ONLINE, _SMT), max_bytes=4096)
GOVERNOR_ASK = Ask(GOVERNOR, paths=(_GOVERNORS, _PREFERENCES), max_bytes=64)

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_KNOWN = frozenset({"performance", "powersave", "ondemand", "conservative", "userspace", "schedutil", "interactive"})


@dataclass(frozen=True, slots=True)
class CpuSet:
    """The processors as Linux numbers them.

    Attributes:
        siblings: Whether those that share a core may both be used; None where the kernel does not say.
    """

    present: frozenset[int]
    online: frozenset[int]
    siblings: bool | None = None

    @property
    def offline(self) -> frozenset[int]:
        """Those that are there and not used."""
        return self.present - self.online


def read_cpu_set(record: Record) -> CpuSet:
    """Which processors are there, and which are used.

    Raises:
        UnreadableError: It does not say.
    """
    answer = record.answer(CPU_SET)
    smt = small_files(answer).get(_SMT, "").strip()
    return CpuSet(
        _numbers(file(answer, _PRESENT), _PRESENT),
        _numbers(file(answer, _ONLINE), _ONLINE),
        smt not in {"off", "forceoff"} and not smt.isdigit() if smt else None,
    )


def _numbers(text: str, path: str) -> frozenset[int]:
    """The numbers in `0-3,5`."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise UnreadableError(f"{path} is `{text.strip()[:80]}`")
        numbers.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return frozenset(numbers)


def read_governors(record: Record) -> Mapping[str, str]:
    """What chooses the clocks, by policy: a governor, with a preference after a `/` where the processor has one.

    Raises:
        UnreadableError: It does not say.
    """
    files = small_files(record.answer(GOVERNOR))
    governors = {}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        if name == "scaling_governor":
            preference = files.get(f"{folder}/energy_performance_preference", "").strip()
            if content.strip() not in _KNOWN:
                raise UnreadableError(f"{path} is `{content.strip()[:80]}`")
            governors[folder.rpartition("/")[2]] = content.strip() + (f"/{preference}" if preference else "")
    if not governors:
        raise UnreadableError("no governor is told")
    return governors


def _own_processors(subject: Subject) -> bool:
    return not subject.fact("container")


def _has_governor(subject: Subject) -> bool:
    """A virtual machine has no clocks of its own, nor has a machine whose firmware keeps them to itself."""
    if subject.fact("virtualization") != "none":
        return False
    return not is_absent(subject.record.answer(GOVERNOR), _GOVERNORS)


def _count(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    expected = subject.expected.number("threads")
    if expected is not None:
        there = subject.fact("threads")
        source = f" ({subject.expected.source})" if subject.expected.source else ""
        if there != expected:
            fewer = there < expected
            yield Sighting(
                "critical" if fewer else "warn",
                f"{there} are in use, expected {expected:g}{source}",
                evidence={"threads": there, "expected": expected},
                action=None if fewer else "none",
                owner=None if fewer else "controller",
            )
            return
    cpus = subject.read(read_cpu_set)
    halved = 2 * len(cpus.offline) == len(cpus.present)  # second siblings that were switched off one by one
    if cpus.offline and cpus.siblings is not False and not halved:
        yield Sighting(
            "warn",
            f"{len(cpus.offline)} of {len(cpus.present)} are not in use: {_listed(cpus.offline)}",
            evidence={"offline": sorted(cpus.offline)[:64], "present": len(cpus.present)},
        )


def _listed(numbers: frozenset[int]) -> str:
    first = sorted(numbers)[:8]
    return ", ".join(str(one) for one in first) + (" ..." if len(numbers) > len(first) else "")


def _governor(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    governors = subject.read(read_governors)
    slow = {policy: one for policy, one in governors.items() if "performance" not in one.split("/")}
    if slow:
        kinds = sorted(set(slow.values()))
        yield Sighting(
            "warn",
            f"the governor of {len(slow)} of {len(governors)} is {', '.join(kinds)[:80]}, wanted performance",
            evidence={"governors": kinds[:8], "policies": len(slow)},
        )


CHECKS = (
    Check(
        id="cpu.count",
        title="all processors are in use",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when fewer are in use than expected; warn when there are more than expected, or where some are"
        " offline and that is not by a setting for all second siblings.",
        remedy="See which: `lscpu -e`, and why: `dmesg -T | grep -i smpboot`. One that does not come back after a"
        " reboot is a matter for the firmware's setup or the vendor. After an upgrade: `aiops health learn`.",
        source="NHC's check_hw_cpuinfo; Slurm drains a node with fewer processors than slurm.conf says",
        asks=(SET_ASK,),
        judge=_count,
        applies=_own_processors,
        tags=("hardware",),
    ),
    Check(
        id="cpu.governor",
        title="processors run at full speed",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when a governor is not `performance`, and the processor has not been told to prefer it either.",
        remedy="`cpupower frequency-set -g performance`; to keep it, run that in a unit at boot.",
        source="tuning guides of NVIDIA and AMD for their accelerators; Meta's gcm has the same check",
        asks=(GOVERNOR_ASK,),
        judge=_governor,
        applies=_has_governor,
        tags=("performance",),
    ),
)
