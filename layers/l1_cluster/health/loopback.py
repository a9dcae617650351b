"""A trial of RDMA adapters: each writes to itself, so that its own part of a path is measured without a network.

Both ends run on one node, one adapter after the other. What goes out of a port is another question, for two nodes.
"""

import re

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .rate import Rate
from .rates import among_equals, by_expectation, thresholds
from .trial import lacking

LOOPBACK = "health.trial.loopback"
MOST = 16
"""So many adapters are tested at most."""
ROOT = "/sys/class/infiniband"
_MARK = "== "

_PROGRAM = r"""
adapters=
for state in ROOT/*/ports/1/state; do
  [ -r "$state" ] && read -r word <"$state" || continue
  adapter=${state#ROOT/}
  adapter=${adapter%%/*}
  [ -e "ROOT/$adapter/device/vendor" ] || continue
  case $word in *ACTIVE*) adapters="$adapters $adapter" ;; esac
done
[ -n "$adapters" ] || { echo 'no adapters'; exit 0; }
command -v ib_write_bw >/dev/null || { echo 'lacks ib_write_bw'; exit 0; }
echo 'writes to itself'
count=0
for adapter in $adapters; do
  count=$((count + 1))
  [ "$count" -le MOST ] || break
  printf '== %s\n' "$adapter"
  set -- -d "$adapter" -i 1 -s 1048576 -D 3 -F --report_gbits -p $((18700 + count))
  timeout 12 ib_write_bw "$@" >server 2>&1 &
  server=$!
  tries=0
  while [ "$tries" -lt 10 ]; do
    tries=$((tries + 1))
    sleep 0.3
    timeout 10 ib_write_bw "$@" localhost >client 2>&1 && break
    kill -0 "$server" 2>/dev/null || { cat server; break; }
  done
  cat client
  kill "$server" 2>/dev/null
  wait "$server"
done
rm -f server client
exit 0
""".replace("ROOT", ROOT).replace("MOST", str(MOST))
LOOPBACK_ASK = Ask(LOOPBACK, ("sh", "-c", _PROGRAM), timeout=240.0, scratch=True, alone=True)

_HEAD = "BW average[Gb/sec]"
_ROW = re.compile(r"^ *\d+ +\d+ +[\d.]+ +(\d+\.\d+)(?: +[\d.]+)? *$", re.MULTILINE)
_NOISE = re.compile(r"^[\s*-]*$|Waiting for client|Conflicting CPU")


def read_loopbacks(record: Record) -> dict[str, float | str]:
    """Gbit/s of each adapter with an active port, or why it could not be measured.

    Raises:
        UnreadableError: Nothing was measured to its end.
    """
    text = said(record.answer(LOOPBACK))
    if text.strip() == "no adapters":
        return {}
    if not text.startswith("writes to itself\n"):
        raise UnreadableError("the test of RDMA adapters did not say what it does")
    found: dict[str, float | str] = {}
    for part in f"\n{text}".split(f"\n{_MARK}")[1:]:
        adapter, _, body = part.partition("\n")
        row = _ROW.search(body) if _HEAD in body else None
        if row is not None and float(row[1]) > 0:
            found[adapter.strip()] = float(row[1])
        else:
            said_lines = [line.strip() for line in body.splitlines() if not _NOISE.search(line)]
            found[adapter.strip()] = f"ib_write_bw says `{said_lines[-1][:120] if said_lines else ''}`"
    if not found:
        raise UnreadableError("no adapter was measured")
    return found


def _rates(subject: Subject) -> tuple[Rate, ...]:
    return tuple(
        Rate(f"ib.{adapter}.loopback_gbit", "writing to itself", value, "Gbit/s", adapter)
        for adapter, value in subject.read(read_loopbacks).items()
        if isinstance(value, float)
    )


def _loopback(subject: Subject, limits: Limits) -> list[Sighting]:
    found = subject.read(read_loopbacks)
    return [
        *(Sighting("unknown", value, adapter) for adapter, value in found.items() if isinstance(value, str)),
        *by_expectation(_rates)(subject, limits),
    ]


def _has_adapters(subject: Subject) -> bool:
    return bool(subject.read(read_loopbacks))


CHECKS = (
    Check(
        id="ib.loopback",
        title="each RDMA adapter writes to itself as fast as it should",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn when an adapter with an active port is 10 % slower than health.yml says, critical from 50 % on;"
        " where it says nothing, warn when it is 10 % slower than in the middle of four or more nodes like it.",
        remedy="Look at its PCIe link, `lspci -vv -s BUS`, and at its firmware, `ibstat`. Then test two nodes over the"
        " network: `ib_write_bw -d ADAPTER` on one, the same and the other's name on the second.",
        source="perftest's ib_write_bw; what was learned (`ib` in health.yml), else the node's equals",
        asks=(LOOPBACK_ASK,),
        judge=_loopback,
        compare=among_equals(_rates),
        applies=_has_adapters,
        lacks=lacking(LOOPBACK),
        rates=_rates,
        thresholds=thresholds(10.0, "aiops' own: adapters of one kind differ by less"),
        tags=("rdma", "performance", "trial"),
        level="deep",
    ),
)
