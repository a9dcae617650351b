"""Memory: whether all of it is there, whether there is enough left, and whether its modules make errors."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS

from .check import Check, Limits, Sighting, Subject, Threshold
from .past import Sample
from .small_files import is_absent, small_files

EDAC = "health.memory.edac"
_FOLDER = "/sys/devices/system/edac/mc"
_UNCORRECTED = f"{_FOLDER}/mc*/ue_count"
EDAC_ASK = Ask(
    EDAC,
    paths=(
        _UNCORRECTED,
        f"{_FOLDER}/mc*/ce_count",
        f"{_FOLDER}/mc*/*/dimm_ue_count",
        f"{_FOLDER}/mc*/*/dimm_ce_count",
        f"{_FOLDER}/mc*/*/dimm_label",
    ),
    max_bytes=128,
)
MEMORY_ASK = next(ask for ask in FACT_ASKS if ask.name == "memory")

_DAY = timedelta(days=1)
_KIB_PER_MIB = 1024.0
_MEMINFO = re.compile(r"(\w+): *(\d{1,18}) kB")
_SHARE = 0.1  # of a small machine, instead of a fixed amount


@dataclass(frozen=True, slots=True)
class Room:
    """Memory in MiB.

    Attributes:
        total: All but what is set aside as huge pages.
        available: What a new process could have without swapping.
    """

    total: float
    available: float


@dataclass(frozen=True, slots=True)
class Module:
    """What a memory controller counts of one module, or of itself where it does not tell them apart.

    Attributes:
        label: What the board or the driver calls it.
        controller: Whether it is the controller.
    """

    name: str
    uncorrected: int
    corrected: int
    label: str = ""
    controller: bool = False


def read_room(record: Record) -> Room:
    """How much memory is left.

    Raises:
        UnreadableError: It does not say.
    """
    values = {}
    for line in file(record.answer(MEMORY_ASK.name), "/proc/meminfo").splitlines():
        if found := _MEMINFO.fullmatch(line):
            values[found[1]] = int(found[2]) / _KIB_PER_MIB
    total = values["MemTotal"] - values.get("Hugetlb", 0.0)
    if not 0 <= values["MemAvailable"] <= values["MemTotal"] or total <= 0:
        raise UnreadableError("/proc/meminfo: its numbers do not fit together")
    return Room(total, values["MemAvailable"])


def read_modules(record: Record) -> tuple[Module, ...]:
    """Modules and controllers, as they are counted.

    Raises:
        UnreadableError: They cannot be read.
    """
    counts: dict[str, dict[str, str]] = {}
    for path, content in small_files(record.answer(EDAC), every=True).items():
        folder, _, name = path.rpartition("/")
        counts.setdefault(folder.removeprefix(f"{_FOLDER}/"), {})[name] = content.strip()
    modules = []
    for name, values in counts.items():
        kind = "" if "/" not in name else "dimm_"
        if f"{kind}ue_count" in values or f"{kind}ce_count" in values:
            uncorrected, corrected = (_count(name, values[f"{kind}{what}_count"]) for what in ("ue", "ce"))
            modules.append(Module(name, uncorrected, corrected, values.get("dimm_label", "")[:64], not kind))
    if not any(one.controller for one in modules):
        raise UnreadableError("no memory controller is told")
    return tuple(sorted(modules, key=lambda one: one.name))


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UnreadableError(f"{_FOLDER}/{name} counts `{text[:80]}`")
    return int(text)


def _own_memory(subject: Subject) -> bool:
    return not subject.fact("container")


def _has_modules(subject: Subject) -> bool:
    """Virtual machines have none, and some machines keep their errors to the firmware."""
    if subject.fact("virtualization") != "none":
        return False
    return not is_absent(subject.record.answer(EDAC), _UNCORRECTED)


def _wants_no_swap(subject: Subject) -> bool:
    return subject.variables.aiops_swap_off and "workers" in subject.node.roles and not subject.fact("container")


def _size(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    there, expected = subject.fact("memory_mib"), subject.expected.number("memory_mib")
    if not expected:
        return
    off = (there - expected) / expected * 100
    if abs(off) > limits["percent"]:
        source = f", {subject.expected.source}" if subject.expected.source else ""
        yield Sighting(
            "critical" if off < 0 else "warn",
            f"{there} MiB, expected {expected:.0f} MiB within {limits['percent']:g} %{source}",
            evidence={"memory_mib": there, "expected_mib": expected},
            action=None if off < 0 else "none",
            owner=None if off < 0 else "controller",
        )


def _available(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    room = subject.read(read_room)
    least = max(room.total * limits["percent"] / 100, min(limits["mib"], room.total * _SHARE))
    if room.available < least:
        yield Sighting(
            "warn",
            f"{room.available:.0f} MiB are left of {room.total:.0f} MiB, limit {least:.0f} MiB",
            evidence={"available_mib": round(room.available), "total_mib": round(room.total)},
        )


def _counter(module: Module) -> str:
    return f"edac.{module.name}.corrected"


def _modules_of(modules: tuple[Module, ...]) -> Iterator[Module]:
    """Each module, and each controller with what it cannot lay to one of its modules."""
    for one in modules:
        if not one.controller:
            yield one
            continue
        own = [other for other in modules if other.name.startswith(f"{one.name}/")]
        uncorrected = one.uncorrected - sum(other.uncorrected for other in own)
        corrected = one.corrected - sum(other.corrected for other in own)
        yield Module(one.name, max(0, uncorrected), max(0, corrected), controller=True)


def _counters(subject: Subject) -> Mapping[str, int]:
    return {_counter(one): one.corrected for one in _modules_of(subject.read(read_modules))}


def _errors(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for module in _modules_of(subject.read(read_modules)):
        label = f" of {module.label}" if module.label else ""
        evidence = {"uncorrected": module.uncorrected, "corrected": module.corrected, "label": module.label}
        if module.uncorrected:
            yield Sighting(
                "critical",
                f"{module.uncorrected} uncorrected errors{label} since the boot, limit 0",
                module.name,
                evidence,
            )
            continue
        now = Sample(subject.at, module.corrected, subject.facts.boot_id)
        grown = subject.past.growth(_counter(module), now, _DAY)
        if grown is not None and grown.amount >= limits["per_day"]:
            yield Sighting(
                "warn",
                f"{grown.amount} corrected errors{label} within a day, limit {limits['per_day']:g}",
                module.name,
                {**evidence, "grown": grown.amount, "seconds": round(grown.seconds)},
                action="service",
            )


def _swap(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    if swaps := subject.fact("swaps"):
        yield Sighting(
            "warn",
            f"swap is on: {', '.join(swaps)[:120]}; wanted off",
            evidence={"swaps": list(swaps)[:16], "swap_mib": subject.facts.swap_mib},
        )


CHECKS = (
    Check(
        id="mem.size",
        title="all memory is there",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when there is less than expected by more than 5 %, warn when there is more; nothing where"
        " nothing is expected.",
        remedy="See which module is missing: `dmidecode -t memory | grep -e Locator -e Size`. Have it reseated or"
        " replaced. More than expected is right after an upgrade: `aiops health learn`.",
        source="NHC's check_hw_physmem with the 5 % of Azure's health checks",
        judge=_size,
        applies=_own_memory,
        thresholds=(
            Threshold("percent", 5.0, "%", "Azure's health checks; the kernel keeps a little for itself", least=0.1),
        ),
        tags=("memory", "hardware"),
        level="quick",
    ),
    Check(
        id="mem.available",
        title="there is memory left",
        severity="warn",
        action="none",
        owner="user",
        judges="Warn when less than 2 % or 1 GiB of the memory that is not huge pages is available; on a machine with"
        " less than 10 GiB, a tenth.",
        remedy="Who has it: `ps -eo rss,user,comm --sort=-rss | head`; `cat /proc/meminfo` for what no process has.",
        source="aiops' own: below it the kernel is about to kill something",
        asks=(MEMORY_ASK,),
        judge=_available,
        applies=_own_memory,
        thresholds=(
            Threshold("percent", 2.0, "%", "aiops' own", most=100.0),
            Threshold("mib", 1024.0, "MiB", "aiops' own"),
        ),
        tags=("memory",),
        sightings=2,
        level="quick",
    ),
    Check(
        id="mem.dimm_errors",
        title="memory modules make no errors",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical at an uncorrected error since the boot, warn at 1000 corrected ones of a module within a day.",
        remedy="Which module: `ras-mc-ctl --error-count`, `ipmitool sel elist | grep -i -e ecc -e memory`. A reboot"
        " lets the firmware repair or map it out; when it goes on, have the module replaced.",
        source="the counters of the kernel's EDAC drivers; the rate is aiops' own, after the kernel's collector of"
        " corrected errors, which retires a page at 1023",
        asks=(EDAC_ASK,),
        judge=_errors,
        applies=_has_modules,
        thresholds=(
            Threshold(
                "per_day", 1000.0, "errors a day", "aiops' own, after the kernel's limit for one page", least=1.0
            ),
        ),
        counters=_counters,
        tags=("memory", "hardware"),
    ),
    Check(
        id="swap.off",
        title="swap is off where the inventory wants it so",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when a worker swaps somewhere though `aiops_swap_off` is true, which it is by default.",
        remedy="`swapoff -a`, and `aiops cluster deploy --only base` keeps it off; or set `aiops_swap_off: false`.",
        source="the inventory; a job whose memory is on disk is as good as hung",
        judge=_swap,
        applies=_wants_no_swap,
        tags=("memory",),
    ),
)
