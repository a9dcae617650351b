"""A trial of a node's own disks: how fast a file in each file system is written, read, and read in small pieces.

Never on a device: on a file of half a GiB that has lost its name before the first byte is written, so that it is gone
with whoever writes it, however that ends. A file system that is over 80 % full is not written to.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .mount_table import LOCAL
from .rate import Rate
from .rates import among_equals, by_expectation, thresholds
from .trial import lacking

FIO = "health.trial.fio"
MOST = 6
"""So many file systems are tested at most."""
_MIB = 512
_FULL = 80
_MARK = "== "

_PROGRAM = (
    r"""
set -f
umask 077
command -v fio >/dev/null || { echo 'lacks fio'; exit 0; }
echo 'tests disks'
devices=' ' tested=0
while read -r id parent device root point options rest; do
  rest=${rest#*- }
  case ${rest%% *} in
    LOCAL) ;;
    *) continue ;;
  esac
  case ",$options," in *,ro,*) continue ;; esac
  case $point in /boot | /boot/* | *\\*) continue ;; esac
  case $devices in *" $device "*) continue ;; esac
  [ -d "$point" ] || continue
  devices="$devices$device "
  tested=$((tested + 1))
  [ "$tested" -le MOST ] || continue
  set -- $(stat -f -c '%S %b %f %a' -- "$point")
  taken=$(($2 - $3))
  percent=$((100 * taken / (taken + $4 + 1)))
  if [ "$percent" -gt FULL ]; then
    printf '== %s full %s\n' "$point" "$percent"
    continue
  fi
  if [ $(($4 * $1 / 1048576)) -lt $((4 * SIZE)) ]; then
    printf '== %s small\n' "$point"
    continue
  fi
  printf '== %s tested\n' "$point"
  file=$(mktemp -- "$point/.aiops-fio-XXXXXXXX") || continue
  (
    exec 9<>"$file"
    named=$(stat -c '%d:%i %h %s' -- "$file")
    rm -f -- "$file"
    [ "$named" = "$(stat -Lc '%d:%i' /proc/self/fd/9) 1 0" ] || exit 1
    dd if=/dev/zero of=/proc/self/fd/9 bs=1M count=SIZE oflag=direct conv=notrunc 2>/dev/null || exit 1
    exec fio --output-format=json --filename=/proc/self/fd/9 --size=SIZEm --direct=1 --ioengine=libaio \
      --time_based --runtime=4 \
      --name=write --rw=write --bs=1m --iodepth=16 \
      --name=read --stonewall --rw=read --bs=1m --iodepth=16 \
      --name=delay --stonewall --rw=randread --bs=4k --iodepth=1
  )
  rm -f -- "$file"
done </proc/self/mountinfo
exit 0
""".replace("LOCAL", " | ".join(LOCAL))
    .replace("MOST", str(MOST))
    .replace("FULL", str(_FULL))
    .replace("SIZE", str(_MIB))
)
FIO_ASK = Ask(FIO, ("sh", "-c", _PROGRAM), timeout=180.0, max_bytes=1_048_576, alone=True)


@dataclass(frozen=True, slots=True)
class Disks:
    """What was measured, by mount.

    Attributes:
        rates: Of those that were tested.
        untold: Why the others have none.
    """

    rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)


def read_disks(record: Record) -> Disks:
    """What fio says of each file system.

    Raises:
        UnreadableError: It was not run to its end.
    """
    answer = record.answer(FIO)
    text = said(answer)
    if not text.startswith("tests disks\n"):
        raise UnreadableError("the test of disks did not say what it does")
    rates: dict[str, tuple[Rate, ...]] = {}
    untold: dict[str, str] = {}
    for part in f"\n{text}".split(f"\n{_MARK}")[1:]:
        head, _, body = part.partition("\n")
        point, word, *more = head.split()
        if word == "tested":
            try:
                rates[point] = _rates_of(point, body)
            except UnreadableError as error:
                untold[point] = f"{error}{': ' if answer.stderr else ''}{answer.stderr.strip()[:160]}"
        else:
            untold[point] = f"{more[0]} % used: it is not written to" if word == "full" else "too little room to test"
    return Disks(rates, untold)


def _rates_of(point: str, text: str) -> tuple[Rate, ...]:
    start = text.find("{")
    if start < 0:
        raise UnreadableError("fio did not answer")
    document, _ = json.JSONDecoder().raw_decode(text[start:])
    jobs: dict[str, Any] = {job["jobname"]: job for job in document["jobs"]}
    failed = [str(job["error"]) for job in jobs.values() if job["error"]]
    if failed:
        raise UnreadableError(f"fio failed with error {failed[0]}")
    trait = f"disk.{point}"
    found = (
        Rate(f"{trait}.write_mbs", "writing", round(jobs["write"]["write"]["bw_bytes"] / 1e6, 1), "MB/s", point),
        Rate(f"{trait}.read_mbs", "reading", round(jobs["read"]["read"]["bw_bytes"] / 1e6, 1), "MB/s", point),
        Rate(
            f"{trait}.delay_us",
            "reading 4 KiB",
            round(jobs["delay"]["read"]["clat_ns"]["mean"] / 1e3, 1),
            "µs",
            point,
            is_delay=True,
        ),
    )
    if any(rate.value <= 0 for rate in found):
        raise UnreadableError("fio moved nothing")
    return found


def _rates(subject: Subject) -> tuple[Rate, ...]:
    return tuple(rate for rates in subject.read(read_disks).rates.values() for rate in rates)


def _speed(subject: Subject, limits: Limits) -> "list[Sighting]":
    untold = subject.read(read_disks).untold
    return [
        *(Sighting("unknown", reason, point) for point, reason in untold.items()),
        *by_expectation(_rates)(subject, limits),
    ]


def _has_disks(subject: Subject) -> bool:
    disks = subject.read(read_disks)
    return bool(disks.rates or disks.untold)


CHECKS = (
    Check(
        id="disk.speed",
        title="the node's own file systems are as fast as they should be",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn when writing, reading or the delay of small reads is 10 % worse than health.yml says, critical"
        " from 50 % on; where it says nothing, warn when it is 30 % worse than in the middle of four or more nodes."
        " Unknown where a file system is over 80 % full, for nothing is written to it then.",
        remedy="Look at the disk's own health, `smartctl -a /dev/DISK` or `nvme smart-log /dev/DISK`, and at what else"
        " uses it. An SSD that was never trimmed gets slow: `fstrim -v PATH`.",
        source="what was learned (`disk` in health.yml), else the node's equals",
        asks=(FIO_ASK,),
        judge=_speed,
        compare=among_equals(_rates),
        rates=_rates,
        applies=_has_disks,
        lacks=lacking(FIO),
        thresholds=thresholds(30.0, "aiops' own: disks of one model differ with their age and their content"),
        tags=("performance", "trial"),
        level="deep",
    ),
)
