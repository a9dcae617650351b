"""A collective operation over all devices of one node: nccl-tests, and rccl-tests, which is the same on AMD's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .devices import has_devices
from .rate import Rate
from .rates import among_equals, by_expectation, thresholds
from .trial import absent

ALL_REDUCE = "health.trial.allreduce"
_PLACES = (
    *("/opt/nccl-tests/build", "/opt/nccl_tests/build", "/usr/local/nccl-tests/build", "/usr/lib/nccl-tests"),
    *("/opt/rccl-tests/build", "/opt/rocm/bin", "/usr/local/rccl-tests/build"),
)
"""Where people build it; nobody packages it the same way twice."""

_PROGRAM = r"""
PATH="$PATH:PLACES"
count=0
for device in /dev/nvidia[0-9]*; do
  [ -c "$device" ] && count=$((count + 1))
done
if [ "$count" -eq 0 ]; then
  for node in /sys/class/kfd/kfd/topology/nodes/*/gpu_id; do
    [ -r "$node" ] && read -r id <"$node" && [ "$id" -gt 0 ] && count=$((count + 1))
  done
fi
[ "$count" -ge 2 ] || { echo 'single'; exit 0; }
command -v all_reduce_perf >/dev/null || { echo 'lacks all_reduce_perf'; exit 0; }
printf 'reduces over %s devices\n' "$count"
all_reduce_perf -b 8G -e 8G -f 2 -g "$count" || all_reduce_perf -b 1G -e 1G -f 2 -g "$count"
""".replace("PLACES", ":".join(_PLACES))
ALL_REDUCE_ASK = Ask(ALL_REDUCE, ("sh", "-c", _PROGRAM), timeout=240.0, makers=("10de", "1002"), alone=True)

_BEGUN = re.compile(r"reduces over (\d{1,3}) devices\n")
_FIELDS = (9, 13)
"""Fields of a row: of one way of reducing, as of late, or of two."""
_BUS_RATE, _WRONG = 7, 8
_STEP = 4  # from the first way's to the second way's
_LARGE = 8 * 1024**3
"""Bytes: a smaller operation does not reach the rate that is published."""

_FLOORS = (("H100 80GB HBM3", 460.0), ("H200", 480.0), ("A100-SXM4", 228.0))
_WHOLE = 8
_FLOOR_SOURCE = "azurehpc-health-checks"


@dataclass(frozen=True, slots=True)
class Reduction:
    """What was measured.

    Attributes:
        devices: How many took part; 1: there was nothing to measure.
        size: Bytes that were reduced.
        gbs: GB/s on the links between the devices, as nccl-tests reckons them.
        wrong: How many of the results are wrong; None where that was not looked at.
    """

    devices: int
    size: int = 0
    gbs: float = 0.0
    wrong: int | None = None


def read_reduction(record: Record) -> Reduction:
    """The last row of nccl-tests, which is the largest.

    Raises:
        UnreadableError: There is none.
    """
    answer = record.answer(ALL_REDUCE)
    text = answer.stdout
    if text.strip() == "single":
        return Reduction(1)
    begun = _BEGUN.match(text)
    rows = [words for words in map(str.split, text.splitlines()) if len(words) in _FIELDS and words[0].isdecimal()]
    if begun is None or not rows:
        said(answer)
        raise UnreadableError("nccl-tests tell no rate")
    row = rows[-1]
    rates = [float(row[_BUS_RATE])]
    wrong = [row[_WRONG]]
    if len(row) == max(_FIELDS):
        rates.append(float(row[_BUS_RATE + _STEP]))
        wrong.append(row[_WRONG + _STEP])
    if min(rates) <= 0:
        raise UnreadableError("nccl-tests moved nothing")
    counted = [int(float(one)) for one in wrong if one != "N/A"]
    return Reduction(int(begun[1]), int(row[0]), max(rates), sum(counted) if counted else None)


def _rates(subject: Subject) -> tuple[Rate, ...]:
    found = subject.read(read_reduction)
    if found.devices < 2:  # noqa: PLR2004 - with itself a device has nothing to exchange
        return ()
    floor = None
    if found.devices == _WHOLE and found.size >= _LARGE:
        model = next((one.model or "" for one in subject.facts.accelerators or ()), "")
        floor = next((limit for name, limit in _FLOORS if name in model), None)
    title = f"all-reduce over {found.devices} devices"
    return (Rate("gpu.allreduce_gbs", title, found.gbs, "GB/s", floor=floor, floor_source=_FLOOR_SOURCE),)


def _all_reduce(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    found = subject.read(read_reduction)
    if found.wrong:
        yield Sighting(
            "critical", f"{found.wrong} results of an all-reduce are wrong", "results", {"wrong": found.wrong}
        )
    yield from by_expectation(_rates)(subject, limits)


def _lacks(subject: Subject) -> str:
    tool = absent(subject.record.answer(ALL_REDUCE))
    return f"{tool} (nccl-tests, rccl-tests)" if tool and has_devices(subject) else ""


def _has_several(subject: Subject) -> bool:
    answer = subject.record.answer(ALL_REDUCE)
    elsewhere = "no such device" in answer.missing.get("argv", "")  # of makers for whom there is no such test
    return has_devices(subject) and not elsewhere and answer.stdout.strip() != "single"


CHECKS = (
    Check(
        id="gpu.allreduce",
        title="the devices of a node exchange data as fast as they should, and correctly",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="Critical when a result is wrong. Warn when it is 10 % slower than health.yml says, critical from 50 %"
        " on. Where it says nothing: warn below 460 GB/s on eight H100, 480 on eight H200 and 228 on eight A100 of the"
        " SXM kind; for others when it is 10 % slower than in the middle of four and more nodes like it.",
        remedy="Look at the links, `nvidia-smi nvlink -s`, and at the fabric manager; then reset the GPUs. See which"
        " one is slow: `CUDA_VISIBLE_DEVICES=0,1 all_reduce_perf -b 1G -e 8G -f 2 -g 2`.",
        source="nccl-tests over 8 GiB; azurehpc-health-checks' check_nccl_allreduce for the numbers",
        asks=(ALL_REDUCE_ASK,),
        judge=_all_reduce,
        compare=among_equals(_rates),
        rates=_rates,
        applies=_has_several,
        lacks=_lacks,
        thresholds=thresholds(10.0, "aiops' own: links of one kind differ by less"),
        tags=("performance", "trial"),
        level="deep",
    ),
)
