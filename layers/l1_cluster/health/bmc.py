"""The management controller: what its event log says of the last day, and which sensors it holds to be critical.

Asked by ipmitool, on the machine itself, where the kernel has found such a controller.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject, Threshold
from .verdict import Severity

DEVICE, EVENTS, SENSORS = "bmc.device", "bmc.events", "bmc.sensors"

_EVENTS = r"""
command -v ipmitool >/dev/null || exit 127
now=$(ipmitool sel time get) || exit 1
info=$(ipmitool sel info) || exit 1
printf 'now %s\n%s\n' "$now" "$info"
day() {
  case $1 in [01][0-9]/[0-3][0-9]/*[0-9]*) ;; *) return 1 ;; esac
  date=${1%% *} month=${1%%/*} rest=${1#*/}
  day=${rest%%/*} year=${date##*/}
  echo "$((${year#0} * 372 + ${month#0} * 31 + ${day#0}))"
}
newest=$(printf '%s\n' "$info" | sed -n 's/^Last Add Time *: *//p')
if today=$(day "$now") && then=$(day "$newest") && [ $((today - then)) -gt 4 ]; then
  echo 'events old'
else
  echo 'events new'
  ipmitool sel list || exit 1
fi
echo .
"""
"""The log's clock, what it says of itself, and its events when the newest is of these days: each is a question of its
own to a slow controller, and most logs have been quiet for months."""

DEVICE_ASK = Ask(DEVICE, paths=("/sys/class/ipmi/ipmi*/dev",), max_bytes=64)
EVENTS_ASK = Ask(EVENTS, ("sh", "-c", _EVENTS), timeout=10.0, max_bytes=1_048_576)
SENSORS_ASK = Ask(SENSORS, ("ipmitool", "sdr"), timeout=10.0)

_NOT_INSTALLED = 127
_TIME = re.compile(r"(\d\d)/(\d\d)/(\d{2}|\d{4})\s+(\d\d):(\d\d):(\d\d)(?:\s+([AP]M))?(?:\s|$)")
_NOON = 12
_ZONES = timedelta(hours=15)
"""An older ipmitool shows the log's clock in UTC and its events in local time, or the other way round."""
_EVENT_FIELDS, _SENSOR_FIELDS = 5, 3
_BEYOND = r"(?<![Nn]on-)Critical|Non-recoverable"
_KINDS: tuple[tuple[str, str, Severity], ...] = (
    ("Processor", r"IERR|Thermal Trip|FRB|Machine Check|Uncorrectable", "critical"),
    ("Memory", r"\bUncorrectable|Parity|Memory Device Disabled", "critical"),
    ("Memory", r"Correctable ECC logging limit", "warn"),
    ("Critical Interrupt", r"SERR|PERR|Fatal|Uncorrectable", "critical"),
    ("Temperature", _BEYOND, "critical"),
    ("Voltage", r"Non-recoverable", "critical"),
    ("Voltage", _BEYOND, "warn"),
    ("Power Supply", r"Failure detected|AC lost|out-of-range|Predictive failure|Redundancy Lost|Config Error", "warn"),
    ("Power Unit", r"Failure detected|control failure|AC lost|Redundancy Lost|Non-Redundant", "warn"),
    ("Fan", rf"{_BEYOND}|Redundancy Lost|Failure", "warn"),
    ("Cooling Device", rf"{_BEYOND}|Redundancy Lost|Failure", "warn"),
    ("Drive Slot", r"Drive Fault|Predictive Failure|In Critical Array|In Failed Array", "warn"),
)
"""Which events matter, by the kind of sensor. What a machine runs on without (one of two power supplies, a fan) is
warn: its repair can be planned."""
_SENSOR_WORDS = {"cr": "critical", "nr": "non-recoverable"}
_SENSOR_STATES = {"ok", "ns", "nc", "cr", "nr", "us"}


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log.

    Attributes:
        age: Before the log's own clock; None for what came before that was set.
        over: Whether it says that something has ended.
    """

    sensor: str
    text: str
    age: timedelta | None
    over: bool


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor: its reading as told, and what the controller makes of it (`ok`, `nc`, `cr`, `nr`, `ns`)."""

    name: str
    reading: str
    state: str


def has_controller(record: Record) -> bool:
    """Whether the kernel has found one.

    Raises:
        UnreadableError: It was not looked for.
    """
    answer = record.answer(DEVICE)
    if not answer.files and "nothing matches" not in answer.missing.values():
        raise UnreadableError(next(iter(answer.missing.values()), "it was not looked for"))
    return bool(answer.files)


def read_events(record: Record) -> tuple[Event, ...] | None:
    """The events of the log, oldest first; None where there is no ipmitool.

    Raises:
        UnreadableError: The controller does not say, or something else did.
    """
    answer = record.answer(EVENTS)
    if answer.exit_status == _NOT_INSTALLED and not answer.timed_out:
        return None
    lines = said(answer).splitlines()
    marks = [number for number, line in enumerate(lines) if line in {"events old", "events new"}]
    if not lines or lines[-1] != "." or len(marks) != 1 or not lines[0].startswith("now "):
        raise UnreadableError("the controller's log has no end")
    now = _time(lines[0])
    if now is None:
        raise UnreadableError(f"the clock of the controller's log says `{lines[0][4:84]}`")
    events = (line for line in lines[marks[0] + 1 : -1] if line.strip() and "no entries" not in line)
    return tuple(_event(line, now) for line in events)


def read_sensors(record: Record) -> tuple[Sensor, ...] | None:
    """The sensors; None where there is no ipmitool.

    Raises:
        UnreadableError: The controller does not say, or something else did.
    """
    answer = record.answer(SENSORS)
    if answer.missing.get("argv", "").endswith(": not found"):
        return None
    found = tuple(_sensor(line) for line in said(answer).splitlines() if line.strip())
    if not found:
        raise UnreadableError("the controller names no sensor")
    return found


def _time(text: str) -> datetime | None:
    found = _TIME.search(text)
    if found is None:
        return None
    month, day, year, hour, minute, second = (int(found[number]) for number in range(1, 7))
    if found[7]:
        hour = hour % _NOON + (_NOON if found[7] == "PM" else 0)
    try:
        return datetime(year + (2000 if year < 100 else 0), month, day, hour, minute, second)  # noqa: DTZ001, PLR2004
    except ValueError as error:
        raise UnreadableError(f"the controller's log has the time `{found[0].strip()}`") from error


def _event(line: str, now: datetime) -> Event:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) < _EVENT_FIELDS or not re.fullmatch(r"[0-9a-fA-F]+", fields[0]):
        raise UnreadableError(f"the controller's log has the line `{line.strip()[:80]}`")
    ends = [number for number, field in enumerate(fields) if field in {"Asserted", "Deasserted"}]
    end = ends[0] if ends else len(fields)
    came = _time(f"{fields[1]} {fields[2]}")
    over = bool(ends) and fields[end] == "Deasserted"
    return Event(fields[3], " ".join(" ".join(fields[4:end]).split()), None if came is None else now - came, over)


def _sensor(line: str) -> Sensor:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != _SENSOR_FIELDS or fields[2] not in _SENSOR_STATES:
        raise UnreadableError(f"ipmitool says `{line.strip()[:80]}`")
    return Sensor(fields[0], fields[1], fields[2])


def _has_events(subject: Subject) -> bool:
    bare = subject.fact("virtualization") == "none" and subject.read(has_controller)
    return bare and subject.read(read_events) is not None


def _has_sensors(subject: Subject) -> bool:
    bare = subject.fact("virtualization") == "none" and subject.read(has_controller)
    return bare and subject.read(read_sensors) is not None


def _severity(event: Event) -> Severity | None:
    for kind, words, severity in _KINDS:
        if event.sensor.startswith(kind) and re.search(words, event.text):
            return severity
    return None


def _events(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    window = timedelta(hours=limits["hours"])
    last: dict[tuple[str, str], Event] = {}
    for event in subject.read(read_events) or ():
        if event.age is not None and -_ZONES <= event.age <= window:
            last[event.sensor, event.text] = event
    by_sensor: dict[str, list[tuple[Severity, Event]]] = {}
    for event in last.values():
        severity = _severity(event)
        if severity is not None and not event.over:
            by_sensor.setdefault(event.sensor, []).append((severity, event))
    for sensor, found in by_sensor.items():
        severity = "critical" if any(one == "critical" for one, _ in found) else "warn"
        words = "; ".join(event.text for _, event in found)
        message = f"{words}, in the last {limits['hours']:g} h"
        yield Sighting(severity, message, sensor, {"events": [event.text for _, event in found]})


def _sensors(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for sensor in subject.read(read_sensors) or ():
        if sensor.state in _SENSOR_WORDS:
            message = f"{sensor.reading}, which the controller calls {_SENSOR_WORDS[sensor.state]}"
            evidence = {"reading": sensor.reading, "state": sensor.state}
            yield Sighting("critical" if sensor.state == "nr" else "warn", message, sensor.name, evidence)


CHECKS = (
    Check(
        id="ipmi.sel",
        title="the controller's event log has nothing bad of late",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a processor, memory, the bus, a temperature or a voltage failed within 24 h by the log's"
        " own clock, warn for power supplies, fans and drives; not for what the log says has ended.",
        remedy="Read it with names: `ipmitool sel elist | tail -20`; once mended, `ipmitool sel clear`. Where a"
        " controller takes longer than 10 s for its log, clear it.",
        source="IPMI 2.0, table 42-3 (sensor types and their events); gcm's and NHC's look at the log",
        asks=(DEVICE_ASK, EVENTS_ASK),
        judge=_events,
        applies=_has_events,
        thresholds=(Threshold("hours", 24.0, "h", "aiops' own: a day, so that a morning sees the night", least=1.0),),
    ),
    Check(
        id="ipmi.sensors",
        title="the controller holds no sensor to be critical",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when the controller calls a reading non-recoverable (nr), warn when it calls it critical (cr),"
        " by the limits that the maker has set.",
        remedy="Look at it: `ipmitool sensor get NAME`; a fan or a power supply can be replaced while the node runs."
        " Where a controller takes longer than 10 s, leave this check out.",
        source="IPMI 2.0, the controller's own thresholds",
        asks=(DEVICE_ASK, SENSORS_ASK),
        judge=_sensors,
        applies=_has_sensors,
        sightings=2,
    ),
)
