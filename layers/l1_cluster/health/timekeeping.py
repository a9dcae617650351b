"""Clocks: whether a node's is set by somebody, and how far it is off.

chrony is asked, and where there is none systemd's own client. Certificates, munge, Kerberos and the order of log lines
of different nodes all break by clocks that differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject, Threshold

TRACKING, TIMEDATE = "health.time.tracking", "health.time.timedate"
ASKS = (
    Ask(TRACKING, ("chronyc", "-c", "tracking")),
    Ask(TIMEDATE, ("timedatectl", "show", "--property=NTP,NTPSynchronized")),
)
_TRACKING_FIELDS = 14
_NO_SOURCE = {"00000000", "7F7F0101"}  # none yet; the clock itself, which `local` in chrony.conf allows


@dataclass(frozen=True, slots=True)
class Tracking:
    """What sets a node's clock.

    Attributes:
        source: Its name; None: nothing does.
        offset: Seconds by which the clock is ahead; None where the client does not say.
    """

    source: str | None
    offset: float | None = None
    stratum: int | None = None


def read_tracking(record: Record) -> Tracking:
    """What sets the clock, by chrony, else by systemd-timesyncd.

    Raises:
        UnreadableError: Neither says.
    """
    answer = record.answer(TRACKING)
    if answer.exit_status == 0:
        fields = said(answer).strip().split(",")
        if len(fields) != _TRACKING_FIELDS:
            raise UnreadableError(f"chronyc says `{answer.stdout.strip()[:80]}`")
        synchronised = fields[13] != "Not synchronised" and fields[0] != "00000000"
        return Tracking(fields[1] or fields[0] if synchronised else None, -float(fields[4]), int(fields[2]))
    if "not found" not in answer.missing.get("argv", ""):
        if "Cannot talk to daemon" in answer.stdout + answer.stderr:
            return Tracking(None)
        said(answer)
    values = dict(line.partition("=")[::2] for line in said(record.answer(TIMEDATE)).splitlines())
    if values.get("NTPSynchronized") not in {"yes", "no"}:
        raise UnreadableError("timedatectl does not say whether the clock is set")
    return Tracking("systemd-timesyncd" if values["NTPSynchronized"] == "yes" else None)


def _sync(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    tracking = subject.read(read_tracking)
    if tracking.source is None:
        yield Sighting("critical", "nothing sets its clock", evidence={"source": None})
        return
    if tracking.offset is None:
        return
    milliseconds = abs(tracking.offset) * 1000
    for severity in ("critical", "warn"):
        if milliseconds >= limits[severity]:
            yield Sighting(
                severity,
                f"its clock is {milliseconds:.0f} ms off, limit {limits[severity]:g} ms",
                evidence={"offset_ms": round(tracking.offset * 1000, 3), "source": tracking.source},
            )
            return


CHECKS = (
    Check(
        id="time.sync",
        title="the clock is set by somebody, and right",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical when nothing sets the clock or it is off by 100 ms, warn from 10 ms on.",
        remedy="Look at its sources: `chronyc sources -v`. `aiops cluster deploy --only time` sets up what sets it.",
        source="munge refuses credentials of clocks 5 minutes apart; the limits in between are aiops' own",
        asks=ASKS,
        judge=_sync,
        thresholds=(
            Threshold("warn", 10.0, "ms", "aiops' own: what chrony keeps on a LAN, a hundred times over", least=0.1),
            Threshold("critical", 100.0, "ms", "aiops' own: log lines of two nodes no longer have an order", least=0.1),
        ),
        sightings=2,
        grace=True,
        units=("chrony.service", "chronyd.service", "systemd-timesyncd.service"),
    ),
)
