"""What drives say of their own health, by nvme-cli and smartctl.

Judged where the drives are the node's own. A machine that has neither tool is not judged, which is no finding: whether
they are installed is a matter of the site's packages.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from aiops.layers.l0_nodes.answer_reading import UnreadableError

from .check import Check, Limits, Sighting, Subject, Threshold
from .drive_reading import (
    NVME_ASK,
    NVME_LOGS_ASK,
    SMART_ASK,
    Log,
    Wear,
    read_nvme,
    read_nvme_logs,
    read_smart,
    read_wear,
)
from .past import Sample

_HOT = 0b10
_WARNINGS = (
    (0b1, "its spare blocks run out"),
    (_HOT, "it is too hot or too cold"),
    (0b100, "it is no longer reliable"),
    (0b1000, "it can only be read"),
    (0b1_0000, "its cache is no longer safe from a power loss"),
    (0b10_0000, "its persistent memory region fails"),
)
_NO_SMART = re.compile(
    r"specify|please try|unknown usb|not supported|unable to detect|lacks SMART|INQUIRY|not capable", re.IGNORECASE
)
"""What smartctl says of what is no drive: a controller's volume, a BMC's virtual CD."""
_UNOPENED = 0b11
_PENDING_SECTORS = (197, 198)
_DAY = timedelta(hours=24)


def _bare_metal(subject: Subject) -> bool:
    return bool(subject.fact("virtualization") == "none")


def _nvme_logs(subject: Subject) -> tuple[Log, ...]:
    """By nvme-cli; where that is not installed, those that smartctl gives of NVMe drives."""
    logs = subject.read(read_nvme_logs)
    if logs is not None:
        return logs
    others = subject.read(read_smart) or ()
    return tuple(replace(one, drive=one.drive.removeprefix("/dev/")) for one in others if _is_nvme(one))


def _is_nvme(log: Log) -> bool:
    return log.drive.startswith("/dev/nvme")


def _wears(subject: Subject) -> Iterator[tuple[str, Wear | UnreadableError]]:
    for log in _nvme_logs(subject):
        try:
            yield log.drive, read_wear(log.document())
        except UnreadableError as error:
            yield log.drive, error


def _nvme_smart(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for drive, wear in _wears(subject):
        if isinstance(wear, UnreadableError):
            yield Sighting("unknown", str(wear), drive)
            continue
        evidence = {
            "critical_warning": wear.warnings,
            "available_spare": wear.spare,
            "percentage_used": wear.used,
            "media_errors": wear.media_errors,
        }
        if wear.warnings:
            words = "; ".join(text for bit, text in _WARNINGS if wear.warnings & bit) or "it does not say why"
            severe = wear.warnings & ~_HOT
            message = f"critical warning {wear.warnings:#04x}: {words}"
            yield Sighting("critical" if severe else "warn", message, drive, evidence)
        elif wear.spare is not None and wear.spare_limit is not None and wear.spare < wear.spare_limit:
            message = f"{wear.spare} % of its spare blocks left, its own limit {wear.spare_limit} %"
            yield Sighting("critical", message, drive, evidence)
        elif wear.used is not None and wear.used >= limits["used"]:
            message = f"{wear.used} % of its promised endurance used, limit {limits['used']:g} %"
            yield Sighting("warn", message, drive, evidence)
        grown = _grown(subject, drive, wear)
        if grown >= limits["media_errors"]:
            message = f"{grown} more media errors within 24 h, limit {limits['media_errors']:g}"
            yield Sighting("warn", message, drive, evidence | {"grown": grown})


def _counter(subject: Subject, drive: str) -> str:
    """By serial number: names change places when a drive is added, and a new drive has a past of its own."""
    serials = {one.name: one.serial for one in subject.read(read_nvme).controllers}
    return f"nvme.media_errors {serials.get(drive) or drive}"


def _grown(subject: Subject, drive: str, wear: Wear) -> int:
    """How many media errors have come within a day. The drive keeps count over boots, so boots do not matter here."""
    if wear.media_errors is None:
        return 0
    name = _counter(subject, drive)
    growth = subject.past.lasting(name).growth(name, Sample(subject.at, wear.media_errors), _DAY)
    return growth.amount if growth is not None else 0


def _media_errors(subject: Subject) -> Mapping[str, int]:
    found = {}
    for drive, wear in _wears(subject):
        if isinstance(wear, Wear) and wear.media_errors is not None:
            found[_counter(subject, drive)] = wear.media_errors
    return found


def _other_logs(subject: Subject) -> tuple[Log, ...]:
    return tuple(one for one in subject.read(read_smart) or () if not _is_nvme(one))


def _smart(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for log in _other_logs(subject):
        try:
            sighting = _of_drive(log, limits)
        except UnreadableError as error:
            sighting = Sighting("unknown", str(error), log.drive)
        except (KeyError, TypeError, AttributeError) as error:
            sighting = Sighting("unknown", f"its log is garbled: {type(error).__name__}", log.drive)
        if sighting is not None:
            yield sighting


def _of_drive(log: Log, limits: Limits) -> Sighting | None:
    document = log.document()
    status = document.get("smart_status")
    if not isinstance(status, Mapping) or not isinstance(status.get("passed"), bool):
        words = " ".join(str(one.get("string")) for one in document["smartctl"].get("messages", ()))
        if log.status and log.status & _UNOPENED and not _NO_SMART.search(words):
            raise UnreadableError(words[:200] or f"smartctl ended with {log.status}")
        return None  # it keeps no such log
    if not status["passed"]:
        return Sighting("critical", "it says that it is failing", log.drive, {"passed": False})
    if _number(document.get("rotation_rate")) > 0:
        for row in document.get("ata_smart_attributes", {}).get("table", ()):
            count = _number(row["raw"]["value"])
            if row["id"] in _PENDING_SECTORS and count >= limits["pending"]:
                message = f"{count:g} sectors that cannot be read, limit {limits['pending']:g}"
                return Sighting("warn", message, log.drive, {"attribute": row["id"], "raw": count})
    used = _number(document.get("scsi_percentage_used_endurance_indicator"))
    if used >= limits["used"]:
        message = f"{used:g} % of its promised endurance used, limit {limits['used']:g} %"
        return Sighting("warn", message, log.drive, {"percentage_used": used})
    return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


CHECKS = (
    Check(
        id="nvme.smart",
        title="the NVMe drives are neither failing nor worn out",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a drive raises a critical warning (warn where it is only the temperature) or has fewer"
        " spare blocks than its own limit; warn from 100 % of its endurance on and from 1 more media error in 24 h.",
        remedy="Look at it: `nvme smart-log /dev/NAME`; have the drive replaced while it can still be read. Needs"
        " nvme-cli or smartctl (7.0 or newer); a machine without either is not judged.",
        source="NVM Express base specification, SMART / Health Information log; 100 % used as in gcm's blockdev check",
        asks=(NVME_LOGS_ASK, SMART_ASK, NVME_ASK),
        judge=_nvme_smart,
        applies=lambda subject: _bare_metal(subject) and bool(_nvme_logs(subject)),
        counters=_media_errors,
        thresholds=(
            Threshold("used", 100.0, "%", "the endurance that the maker promises", least=1.0, most=255.0),
            Threshold("media_errors", 1.0, "in 24 h", "aiops' own: each is data that could not be read", least=1.0),
        ),
    ),
    Check(
        id="disk.smart",
        title="the other drives are neither failing nor worn out",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a drive says that it is failing; warn when a rotating one has sectors that it cannot"
        " read, and from 100 % of a SAS drive's endurance on.",
        remedy="Look at it: `smartctl -x DEVICE`; have the drive replaced while it can still be read. Needs smartctl"
        " (7.0 or newer); a machine without it is not judged, nor what keeps no such log.",
        source="smartctl's overall health (the drive's own thresholds); pending sectors as smartd warns of them",
        asks=(SMART_ASK,),
        judge=_smart,
        applies=lambda subject: _bare_metal(subject) and bool(_other_logs(subject)),
        thresholds=(
            Threshold("pending", 1.0, "sectors", "smartd's default: any", least=1.0),
            Threshold("used", 100.0, "%", "the endurance that the maker promises", least=1.0, most=255.0),
        ),
    ),
)
