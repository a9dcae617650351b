"""Processors."""

from dataclasses import replace

from tests.l1_cluster.health.case import Case, read

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.processor import CPU_SET, GOVERNOR

_FOLDER = "/sys/devices/system/cpu"


def cpus(present: str = "0-191", online: str = "0-191", smt: str | None = "on") -> Answer:
    """The answer on processors."""
    files = {f"{_FOLDER}/present": f"{present}\n", f"{_FOLDER}/online": f"{online}\n"}
    missing = {}
    if smt is None:
        missing[f"{_FOLDER}/smt/control"] = "No such file or directory"
    else:
        files[f"{_FOLDER}/smt/control"] = f"{smt}\n"
    return read(CPU_SET, files, **missing)


def governors(governor: str = "performance", preference: str | None = None, count: int = 4) -> Answer:
    """The answer on clocks: `count` policies, of which the last has another governor than `performance`."""
    folder = f"{_FOLDER}/cpufreq/policy"
    names = ["performance"] * (count - 1) + [governor]
    files = {f"{folder}{n}/scaling_governor": f"{name}\n" for n, name in enumerate(names)}
    if preference is not None:
        files |= {f"{folder}{n}/energy_performance_preference": f"{preference}\n" for n in range(count)}
    return read(GOVERNOR, files)


HEALTHY = {CPU_SET: cpus(), GOVERNOR: governors()}


def _fewer(facts: Facts) -> Facts:
    return replace(facts, threads=190)


def _more(facts: Facts) -> Facts:
    return replace(facts, threads=384)


_LEARNED = Expected({"threads": 192}, "health.yml, group h100")
CASES = (
    Case(
        "fewer processors than expected",
        "cpu.count",
        "critical",
        "reboot",
        words="190 are in use, expected 192 (health.yml, group h100)",
        facts=_fewer,
        expected=_LEARNED,
        also=("slurm.memory_cpus_match",),
    ),
    Case(
        "more processors than expected",
        "cpu.count",
        "warn",
        "none",
        owner="controller",
        words="384 are in use, expected 192",
        facts=_more,
        expected=_LEARNED,
    ),
    Case(
        "processors that did not come up",
        "cpu.count",
        "warn",
        "reboot",
        words="2 of 192 are not in use: 17, 113",
        answers={CPU_SET: cpus(online="0-16,18-112,114-191", smt=None)},
    ),
    Case(
        "processors that are numbered in riddles",
        "cpu.count",
        "unknown",
        "none",
        answers={CPU_SET: cpus(online="0-x")},
    ),
    Case(
        "a processor that saves power",
        "cpu.governor",
        "warn",
        "none",
        words="the governor of 1 of 4 is schedutil, wanted performance",
        answers={GOVERNOR: governors("schedutil")},
    ),
    Case(
        "a processor that chooses its clocks with power in mind",
        "cpu.governor",
        "warn",
        "none",
        words="powersave/balance_performance",
        answers={GOVERNOR: governors("powersave", "balance_performance", count=1)},
    ),
    Case(
        "a governor that is no word",
        "cpu.governor",
        "unknown",
        "none",
        answers={GOVERNOR: governors("<unsupported>")},
    ),
)
