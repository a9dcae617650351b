"""Trends: what Prometheus has seen of a node over hours, and one look cannot: jumps, rates, and where they lead to."""

from collections.abc import Iterator

from .check import Check, Limits, Sighting, Subject, Threshold
from .series import Series
from .watch import is_up_for_an_hour, is_watched

_FILE_SYSTEMS = '{cluster!="",fstype!~"tmpfs|ramfs|squashfs|overlay|iso9660"}'

FILLING = Series(
    "metrics.filling",
    f"(node_filesystem_avail_bytes{_FILE_SYSTEMS}"
    f" / -(deriv(node_filesystem_avail_bytes{_FILE_SYSTEMS}[6h:5m]) < 0) / 3600 < 168)"
    f" and node_filesystem_avail_bytes{_FILE_SYSTEMS} / node_filesystem_size_bytes{_FILE_SYSTEMS} < 0.25"
    f" and node_filesystem_avail_bytes{_FILE_SYSTEMS} offset 3h",
)
"""Hours until a file system is full, of those that a quarter or less is left of and that are watched for 3 hours."""

REBOOTS = Series("metrics.reboots", 'resets(node_context_switches_total{cluster!=""}[1d:5m]) > 0')
"""How often a node has booted within a day: a counter of the kernel begins anew each time."""

STALLED = Series("metrics.stalled", '100 * rate(node_pressure_memory_stalled_seconds_total{cluster!=""}[1h]) > 1')
"""Percent of the past hour in which everything on a node waited for memory."""

CLOCK = Series("metrics.clock", '1000 * max_over_time(abs(node_timex_offset_seconds{cluster!=""})[1h:1m]) > 1')
"""Milliseconds that a clock was off at most within the past hour."""


def _filling(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for one in subject.readings(FILLING):
        if one.value < limits["hours"]:
            place = one.labels.get("mountpoint", "?")
            message = f"full in {one.value:.0f} h as it has filled in the past 6 h, limit {limits['hours']:g} h"
            yield Sighting("warn", message, place, {"hours": round(one.value, 1)})


def _reboots(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    times = max((one.value for one in subject.readings(REBOOTS)), default=0.0)
    if times >= limits["times"]:
        yield Sighting(
            "warn", f"booted {times:.0f} times within a day, limit {limits['times']:g}", evidence={"times": times}
        )


def _stalled(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    percent = max((one.value for one in subject.readings(STALLED)), default=0.0)
    if percent >= limits["percent"]:
        message = (
            f"everything on it waited for memory for {percent:.0f} % of the past hour, limit {limits['percent']:g} %"
        )
        yield Sighting("warn", message, evidence={"percent": round(percent, 1)})


def _clock(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    milliseconds = max((one.value for one in subject.readings(CLOCK)), default=0.0)
    if milliseconds >= limits["milliseconds"]:
        message = f"its clock was {milliseconds:.0f} ms off within the past hour, limit {limits['milliseconds']:g} ms"
        yield Sighting("warn", message, evidence={"milliseconds": round(milliseconds, 1)})


def _is_whole(subject: Subject) -> bool:
    """Whether the kernel's pressure is the node's own: containers have that of the machine that they share."""
    return is_watched(subject) and not subject.fact("container")


CHECKS = (
    Check(
        id="metrics.filling",
        title="no file system will be full within a day",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when a file system that a quarter or less is left of would be full within 24 hours, if it went on"
        " as in the past 6; only once it is watched for 3 hours.",
        remedy="Find what grows: `aiops node exec --on NODE --root -- du -xh --max-depth=2 /var`, there.",
        source="the alert FilesystemFilling; after Prometheus' own example of predict_linear",
        judge=_filling,
        applies=is_watched,
        series=(FILLING,),
        unless=("disk.used",),
        thresholds=(
            Threshold("hours", 24.0, "h", "aiops' own: time to act before the next day", least=1.0, most=168.0),
        ),
        tags=("disk",),
        sightings=2,
    ),
    Check(
        id="metrics.reboots",
        title="the node does not boot again and again",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when it has booted 3 times or more within a day.",
        remedy="See who did it: `journalctl --list-boots`, `last -x reboot`, `aiops health history --on NODE`, and the"
        " BMC's event log. A node that boots by itself wants service: power, memory, or a watchdog.",
        source="aiops' own: a deploy boots a node once or twice",
        judge=_reboots,
        applies=is_watched,
        series=(REBOOTS,),
        thresholds=(Threshold("times", 3.0, "within a day", "aiops' own: a deploy boots once or twice", least=1.0),),
        tags=("hardware",),
    ),
    Check(
        id="metrics.stalled",
        title="work on the node does not stand still for want of memory",
        severity="warn",
        action="none",
        owner="user",
        judges="Warn when for 10 % or more of the past hour everything that could have run waited for memory, by the"
        " kernel's own account (pressure stall information).",
        remedy="See who has it: `aiops node exec --on NODE -- ps -eo pid,user,rss,args --sort=-rss`. Have jobs ask for"
        " the memory they use, so that they do not share a node that is too small.",
        source="the kernel's pressure stall information, `full`; the limit is aiops' own",
        judge=_stalled,
        applies=_is_whole,
        series=(STALLED,),
        unless=("kmsg.oom", "mem.available"),
        thresholds=(
            Threshold("percent", 10.0, "%", "aiops' own: healthy nodes are far below 1 %", least=1.0, most=100.0),
        ),
        tags=("memory",),
    ),
    Check(
        id="metrics.clock",
        title="the clock was right all the time",
        severity="warn",
        action="restart_service",
        owner="node",
        judges="Warn when the clock was off by 100 ms or more within the past hour, by the kernel's own account, though"
        " it is right now, and the node has not booted in between.",
        remedy="See what sets it, and whether that comes and goes: `chronyc sources -v`, `chronyc tracking`.",
        source="the critical limit of time.sync",
        judge=_clock,
        applies=is_up_for_an_hour,
        series=(CLOCK,),
        units=("chrony.service", "chronyd.service", "systemd-timesyncd.service"),
        unless=("time.sync",),
        thresholds=(Threshold("milliseconds", 100.0, "ms", "as time.sync's critical", least=1.0),),
        tags=("time",),
    ),
)
