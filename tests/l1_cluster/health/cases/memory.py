"""Memory."""

from dataclasses import replace
from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, Case, read

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.memory import EDAC, MEMORY_ASK
from aiops.layers.l1_cluster.health.past import Past, Sample

_FOLDER = "/sys/devices/system/edac/mc"


def meminfo(available: int, total: int = 2_113_471_488, huge: int = 0) -> Answer:
    """The answer on memory, in KiB."""
    text = f"MemTotal: {total} kB\nMemFree: 1024 kB\nMemAvailable: {available} kB\nHugetlb: {huge} kB\n"
    return read(MEMORY_ASK.name, {"/proc/meminfo": text, "/proc/swaps": "Filename Type Size Used Priority\n"})


def edac(uncorrected: int = 0, corrected: int = 0, unknown: int = 0) -> Answer:
    """The counts of two controllers with two modules each; those of the first module, and those of none."""
    files: dict[str, str] = {}
    for controller in range(2):
        folder, first = f"{_FOLDER}/mc{controller}", not controller
        for kind, count in (("ue", uncorrected + unknown), ("ce", corrected)):
            files[f"{folder}/{kind}_count"] = f"{count if first else 0}\n"
        for module in range(2):
            here = first and not module
            files[f"{folder}/dimm{module}/dimm_ue_count"] = f"{uncorrected if here else 0}\n"
            files[f"{folder}/dimm{module}/dimm_ce_count"] = f"{corrected if here else 0}\n"
            files[f"{folder}/dimm{module}/dimm_label"] = f"CPU_SrcID#0_MC#{controller}_Chan#{module}_DIMM#0\n"
    return read(EDAC, files)


HEALTHY = {MEMORY_ASK.name: meminfo(2_000_000_000), EDAC: edac(corrected=12)}


def _past(value: int, hours: float) -> Past:
    return Past({"edac.mc0/dimm0.corrected": (Sample(AT - timedelta(hours=hours), value, BOOT_ID),)})


def _smaller(facts: Facts) -> Facts:
    return replace(facts, memory_mib=1_932_865)


def _swapping(facts: Facts) -> Facts:
    return replace(facts, swaps=("/dev/sda3", "/swap.img"), swap_mib=8191)


_LEARNED = Expected({"memory_mib": 2_063_937}, "health.yml, group h100")
CASES = (
    Case(
        "a memory module is missing",
        "mem.size",
        "critical",
        "service",
        words="1932865 MiB, expected 2063937 MiB within 5 %, health.yml, group h100",
        facts=_smaller,
        expected=_LEARNED,
        also=("slurm.memory_cpus_match",),
    ),
    Case(
        "more memory than expected",
        "mem.size",
        "warn",
        "none",
        owner="controller",
        expected=Expected({"memory_mib": 1_900_000}),
    ),
    Case(
        "hardly any memory left",
        "mem.available",
        "warn",
        "none",
        owner="user",
        words="29297 MiB are left of 2063937 MiB, limit 41279 MiB",
        answers={MEMORY_ASK.name: meminfo(30_000_000)},
    ),
    Case(
        "hardly any memory left on a small machine",
        "mem.available",
        "warn",
        "none",
        owner="user",
        words="limit 1024 MiB",
        answers={MEMORY_ASK.name: meminfo(1_000_000, total=16_000_000)},
    ),
    Case(
        "memory that does not fit together",
        "mem.available",
        "unknown",
        "none",
        owner="user",
        answers={MEMORY_ASK.name: meminfo(3_000_000_000)},
    ),
    Case(
        "a memory module with an uncorrected error",
        "mem.dimm_errors",
        "critical",
        "reboot",
        about="mc0/dimm0",
        words="1 uncorrected errors of CPU_SrcID#0_MC#0_Chan#0_DIMM#0 since the boot, limit 0",
        answers={EDAC: edac(uncorrected=1)},
    ),
    Case(
        "an uncorrected error of no known module",
        "mem.dimm_errors",
        "critical",
        "reboot",
        about="mc0",
        words="2 uncorrected errors since",
        answers={EDAC: edac(unknown=2)},
    ),
    Case(
        "a memory module with many corrected errors",
        "mem.dimm_errors",
        "warn",
        "service",
        about="mc0/dimm0",
        words="1000 corrected errors of CPU_SrcID#0_MC#0_Chan#0_DIMM#0 within a day, limit 1000",
        answers={EDAC: edac(corrected=1012)},
        past=_past(12, 20.0),
    ),
    Case(
        "memory modules that are counted in words",
        "mem.dimm_errors",
        "unknown",
        "none",
        answers={EDAC: edac(uncorrected=-1)},
    ),
    Case(
        "a worker that swaps",
        "swap.off",
        "warn",
        "none",
        words="swap is on: /dev/sda3, /swap.img; wanted off",
        facts=_swapping,
    ),
    Case(
        "a worker of which it is not known whether it swaps",
        "swap.off",
        "unknown",
        "none",
        facts=lambda facts: replace(facts, swaps=None, unknown={"swaps": "/proc/swaps: Permission denied"}),
    ),
)
