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
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
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
        cpu: Seconds of processor that it and the children that it waited for used.
        peak_mib: The most memory that it, or one of those children, had at one time.
    """

    stdout: str
    seconds: float
    cpu: float
    exit_status: int
    peak_mib: float = 0.0


def run(*words: str | Path, limit: float = 900.0, expect: Sequence[int] = (0,), stdin: Path | None = None) -> Ran:
    """Run a command with its progress on the terminal, and measure it.

    Args:
        words: The command.
        limit: Seconds that it may take.
        expect: How it may end.
        stdin: What it reads; as this process by default.

    Raises:
        BrokenError: It ended with a status that is not expected, or not in time.
    """
    line = shlex.join(map(str, words))
    print(f"$ {line}", file=sys.stderr, flush=True)
    begun = time.monotonic()
    with ExitStack() as stack:
        source = stack.enter_context(stdin.open("rb")) if stdin is not None else None
        process = stack.enter_context(subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, text=True))
        late = threading.Timer(limit, process.kill)
        late.start()
        stack.callback(late.cancel)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)  # of this one alone, and how much memory it had
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    if seconds >= limit:
        raise BrokenError(f"`{line}` did not end within {limit:.0f} s")
    if process.returncode not in expect:
        raise BrokenError(f"`{line}` ended with {process.returncode}")
    return Ran(said, seconds, used.ru_utime + used.ru_stime, process.returncode, used.ru_maxrss / 1024)


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
