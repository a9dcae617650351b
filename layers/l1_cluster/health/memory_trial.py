"""Trials of a node's memory: patterns that are written and read back, and how fast it is moved."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Answer, Ask, Record

from .check import Check, Limits, Sighting, Subject
from .rate import Rate
from .rates import among_equals, by_expectation, thresholds
from .trial import CONTAINER, lacking

PATTERNS, STREAM = "health.trial.patterns", "health.trial.stream"
_IN_CONTAINER = 64
"""MiB: a container shares its memory with others that are at work."""

_PATTERNS_PROGRAM = (
    CONTAINER
    + r"""
free=0
while read -r name value rest; do
  [ "$name" = MemAvailable: ] && free=$((value / 1024))
done </proc/meminfo
size=$((free * 3 / 4))
container && size=SMALL
if command -v stress-ng >/dev/null; then
  printf 'tests %s MiB by stress-ng\n' "$size"
  exec stress-ng --vm "$(nproc)" --vm-bytes "${size}m" --vm-keep --verify --timeout 90s --metrics-brief
fi
command -v memtester >/dev/null || { echo 'lacks stress-ng'; exit 0; }
[ "$size" -le 1024 ] || size=1024
printf 'tests %s MiB by memtester\n' "$size"
exec memtester "${size}M" 1
""".replace("SMALL", str(_IN_CONTAINER))
)
_STREAM_PROGRAM = (
    CONTAINER
    + r"""
command -v stress-ng >/dev/null || { echo 'lacks stress-ng'; exit 0; }
count=$(nproc)
container && count=1
printf 'moves in %s processes\n' "$count"
exec stress-ng --stream "$count" --stream-l3-size 8m --timeout 15s --metrics-brief
"""
)
PATTERNS_ASK = Ask(PATTERNS, ("sh", "-c", _PATTERNS_PROGRAM), timeout=240.0, alone=True)
STREAM_ASK = Ask(STREAM, ("sh", "-c", _STREAM_PROGRAM), timeout=60.0, alone=True)

_TESTS = re.compile(r"tests (\d{1,9}) MiB by (stress-ng|memtester)\n")
_BIT_ERRORS = re.compile(r"detected (\d+) bit errors? while stressing memory")
_MEMTESTER_FAILURE = re.compile(r"FAILURE: [^\n\b]*")
_NO_MEMORY, _WRONG = 0x01, 0x06  # memtester's exit status: it had no memory; a test failed
_MOVES = re.compile(r"moves in (\d{1,5}) processes\n")
_OF_ONE = re.compile(r"stream: memory rate: ([\d.]+) MB(?: read)?/sec(?:, ([\d.]+) MB write/sec)?")
_MEAN = re.compile(
    r"stream +([\d.]+) (?:MB per sec memory (?:read|write) rate|memory (?:read|write) rate \(MB per sec\))"
)


@dataclass(frozen=True, slots=True)
class Patterns:
    """What came of writing and reading patterns.

    Attributes:
        mib: MiB that were tested.
        errors: What was read back wrong, in the tool's words; empty: nothing.
    """

    tool: str
    mib: int
    errors: str = ""


def read_patterns(record: Record) -> Patterns:
    """What came of the patterns.

    Raises:
        UnreadableError: The test was not made to its end, which says nothing of the memory.
    """
    answer = record.answer(PATTERNS)
    begun = _TESTS.match(answer.stdout)
    if begun is None or answer.timed_out:
        said(answer)
        raise UnreadableError("the test of memory did not say what it does")
    mib, tool, text = int(begun[1]), begun[2], answer.stdout + answer.stderr
    if tool == "stress-ng":
        wrong = sum(int(count) for count in _BIT_ERRORS.findall(text))
        if wrong:
            return Patterns(tool, mib, f"{wrong} bits read back wrong")
        good = answer.exit_status == 0 and "successful run completed" in text
    else:
        failure = _MEMTESTER_FAILURE.search(text)
        if failure is not None or (answer.exit_status or 0) & _WRONG:
            return Patterns(tool, mib, failure[0].strip() if failure else "a test failed")
        good = answer.exit_status == 0 and "\nDone." in text
    if not good:
        raise UnreadableError(_trouble(answer, tool))
    return Patterns(tool, mib)


def _trouble(answer: Answer, tool: str) -> str:
    lines = [line for line in (answer.stderr + answer.stdout).splitlines() if "error" in line or "fail" in line]
    return f"{tool} ended with {answer.exit_status}" + (f": {lines[0].strip()[:160]}" if lines else "")


def _patterns(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = subject.read(read_patterns)
    if found.errors:
        evidence = {"tool": found.tool, "mib": found.mib, "errors": found.errors}
        yield Sighting("critical", f"{found.errors} in {found.mib} MiB ({found.tool})", evidence=evidence)


def read_stream(record: Record) -> float:
    """GB/s that are read and written by all processes together.

    Raises:
        UnreadableError: stress-ng does not say.
    """
    answer = record.answer(STREAM)
    text = said(answer) + answer.stderr
    begun = _MOVES.match(answer.stdout)
    if begun is None:
        raise UnreadableError("the test of memory's speed did not say what it does")
    each = _OF_ONE.findall(text)
    if len(each) == int(begun[1]):
        megabytes = sum(float(value) for pair in each for value in pair if value)
    else:  # of many processes not all may be told; the mean of all is
        megabytes = int(begun[1]) * sum(float(value) for value in _MEAN.findall(text))
    if megabytes <= 0:
        raise UnreadableError("stress-ng does not tell the rate of memory")
    return megabytes / 1000.0


def _rates(subject: Subject) -> tuple[Rate, ...]:
    return (Rate("memory_gbs", "memory moved", round(subject.read(read_stream), 2), "GB/s"),)


CHECKS = (
    Check(
        id="memory.test",
        title="memory keeps what is written to it",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a pattern is read back other than it was written.",
        remedy="Run it again to see whether it is the same place: `memtester 1024M 3`. Then find the module in the"
        " BMC's log or by `edac-util -v`, and have it replaced.",
        source="stress-ng's own verification of three quarters of the free memory for 90 s; where it is not installed,"
        " one pass of memtester over 1 GiB",
        asks=(PATTERNS_ASK,),
        judge=_patterns,
        lacks=lacking(PATTERNS),
        tags=("hardware", "trial"),
        level="deep",
    ),
    Check(
        id="memory.bandwidth",
        title="memory is as fast as it should be",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn when all processors together move 10 % less than health.yml says, critical from 50 % on; where it"
        " says nothing, warn when it is 10 % less than on the middle one of four and more nodes like it.",
        remedy="See whether all modules are there and run at one speed: `dmidecode -t memory`; look at clocks and at"
        " what else runs.",
        source="what was learned (`memory_gbs` in health.yml), else the node's equals; azurehpc-health-checks compares"
        " STREAM with a number of its own for each machine, which cannot be compared with stress-ng's",
        asks=(STREAM_ASK,),
        judge=by_expectation(_rates),
        compare=among_equals(_rates),
        rates=_rates,
        lacks=lacking(STREAM),
        thresholds=thresholds(10.0, "aiops' own: the upper end of what one slow node in a large job may cost"),
        tags=("performance", "trial"),
        level="deep",
    ),
)
