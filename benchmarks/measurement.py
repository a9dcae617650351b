"""What every benchmark writes down: figures, limits, the machine, the date, and what was simulated.

Run one with `python -m benchmarks.NAME`; its figures are kept in benchmarks/results/NAME.json.
"""

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

AIOPS = Path(sys.executable).with_name("aiops")
RESULTS = Path(__file__).with_name("results")


class BrokenError(Exception):
    """What was to be measured did not work, so that there is nothing to report."""


@dataclass(frozen=True)
class Figure:
    """One thing measured.

    Attributes:
        values: One per repetition; the median counts.
        limit: What the median must not pass, or None.
        at_least: Whether `limit` is a lower bound.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    limit: float | None = None
    at_least: bool = False

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def held(self) -> bool:
        """Whether the limit was kept."""
        if self.limit is None:
            return True
        return self.median >= self.limit if self.at_least else self.median <= self.limit


@dataclass(frozen=True)
class Ran:
    """A process that ended.

    Attributes:
        seconds: Wall time.
        cpu: Seconds of processor that it and its children used.
    """

    stdout: str
    seconds: float
    cpu: float
    exit_status: int


def run(*words: str | Path, limit: float = 900.0, expect: Sequence[int] = (0,)) -> Ran:
    """Run a command with its progress on the terminal, and measure it.

    Raises:
        BrokenError: It ended with a status that is not expected, or not in time.
    """
    line = shlex.join(map(str, words))
    print(f"$ {line}", file=sys.stderr, flush=True)
    before, begun = os.times(), time.monotonic()
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise BrokenError(f"`{line}` did not end within {limit:.0f} s") from error
    seconds, after = time.monotonic() - begun, os.times()
    if done.returncode not in expect:
        raise BrokenError(f"`{line}` ended with {done.returncode}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(done.stdout, seconds, cpu, done.returncode)


def aiops(*words: str, limit: float = 900.0, expect: Sequence[int] = (0,)) -> Ran:
    """Run `aiops WORDS`; see `run`."""
    return run(AIOPS, *words, limit=limit, expect=expect)


def machine() -> str:
    """`2 × AMD EPYC, 8 GiB, Debian GNU/Linux 12, Linux 6.1`."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux").partition(" (")[0]
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, {system}, Linux {platform.release().partition('-')[0]}"


def report(name: str, figures: Iterable[Figure], *, simulated: str, details: Iterable[object] = ()) -> int:
    """Print the figures, keep them, and give the exit status: 1 when a limit was passed.

    Args:
        name: The script's name.
        figures: What was measured.
        simulated: What was not real; `nothing` when all was.
        details: What else is worth keeping, JSON-ready.
    """
    figures = tuple(figures)
    for one in figures:
        sign = "≥" if one.at_least else "≤"
        limit = "" if one.limit is None else f"   {sign} {one.limit:g} {'✓' if one.held else '✗'}"
        print(f"{one.name:<56} {one.median:8.2f} {one.unit:<6}{limit}")
    document = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "simulated": simulated,
        "figures": [{**asdict(one), "median": one.median, "held": one.held} for one in figures],
    }
    if kept := list(details):
        document["details"] = kept
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(one.held for one in figures) else 1
