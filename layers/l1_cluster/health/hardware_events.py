"""Events of the hardware that the kernel's log tells: machine checks, memory that lost data, errors on the PCI bus."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .check import Check, Limits, Sighting, Subject, Threshold
from .kernel_log import KERNEL_ASKS
from .kernel_message import WITHIN, KernelMessage, has_log, sighting, within

_UNCORRECTED = 1 << 61  # of a bank's state: the processor did not correct it
_UNSUPPORTED_REQUEST = 1 << 20
_NUMBER = "number"
_HOUR = 3600.0


@dataclass(slots=True)
class _Port:
    """What was told of one device on the bus.

    Attributes:
        harmless: Uncorrected, and nothing but a question that the device does not understand.
    """

    corrected: list[KernelMessage] = field(default_factory=list)
    uncorrected: list[KernelMessage] = field(default_factory=list)
    harmless: list[KernelMessage] = field(default_factory=list)


def _machine_check(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    told = within(subject, limits["hours"], "uncorrected", "machine_check", "firmware_error")
    on_bus = {one.values[_NUMBER] for one in within(subject, limits["hours"], "firmware_pcie")}
    errors = [
        one
        for one in told
        if one.kind == "uncorrected"
        or (one.kind == "machine_check" and int(one.values["status"], 16) & _UNCORRECTED)
        or (one.kind == "firmware_error" and one.values[_NUMBER] not in on_bus)
    ]
    if errors:
        yield sighting("critical", errors, limits)


def _pcie(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    firmware = within(subject, limits["hours"], "firmware_error")
    on_bus = {one.values[_NUMBER] for one in within(subject, limits["hours"], "firmware_pcie")}
    if errors := [one for one in firmware if one.values[_NUMBER] in on_bus]:
        yield sighting("critical", errors, limits)
    kinds = ("pcie_error", "pcie_status", "pcie_received", "pcie_contained")
    for device, port in sorted(_ports(within(subject, limits["hours"], *kinds)).items()):
        lately = [one for one in port.corrected if one.line.ago <= _HOUR]
        if port.uncorrected:
            yield sighting("critical", port.uncorrected, limits, device)
        elif len(lately) >= limits["per_hour"]:
            yield Sighting(
                "warn",
                f"{len(lately)} corrected errors within an hour, limit {limits['per_hour']:g}",
                device,
                {"count": len(lately), "line": lately[-1].text},
                action="service",
            )
        elif port.harmless:
            yield replace(sighting("warn", port.harmless, limits, device), action="none")


def _ports(messages: Iterable[KernelMessage]) -> Mapping[str, _Port]:
    """What was told, by device; the line on its state follows the one on its error."""
    ports: dict[str, _Port] = {}
    received: dict[str, list[KernelMessage]] = {}
    for one in messages:
        port = ports.setdefault(one.values["device"], _Port())
        if one.kind == "pcie_received":  # by the port above, which may be all that is told
            received.setdefault(one.values["device"], []).append(one)
        elif one.kind == "pcie_contained":
            port.uncorrected.append(one)
        elif one.kind == "pcie_error":
            (port.corrected if one.values["severity"] == "Corr" else port.uncorrected).append(one)
        elif port.uncorrected and _is_harmless(port.uncorrected[-1], one):
            port.harmless.append(port.uncorrected.pop())
    for device, port in ports.items():
        if not port.uncorrected and not port.harmless:
            port.uncorrected = received.get(device, [])
    return ports


def _is_harmless(error: KernelMessage, status: KernelMessage) -> bool:
    """Whether an error of a device and the line on its state say no more than that it does not know a request."""
    bits = int(status.values["status"], 16) & ~int(status.values["mask"], 16)
    return "Non-Fatal" in error.values.get("severity", "") and bits == _UNSUPPORTED_REQUEST


CHECKS = (
    Check(
        id="kmsg.mce",
        title="no uncorrected error of processor or memory",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when the kernel or the firmware told of an error that was not corrected within 24 h.",
        remedy="See which part it was: `ras-mc-ctl --errors`, `ipmitool sel elist | tail`. A reboot lets the firmware"
        " map out or repair bad memory; when it comes back, have the part replaced.",
        source="x86 machine checks by the bit of their state that says uncorrected, the kernel's memory error handler,"
        " EDAC, and reports of the firmware (APEI) that are recoverable or fatal",
        asks=KERNEL_ASKS,
        judge=_machine_check,
        applies=has_log,
        thresholds=(WITHIN,),
        tags=("kernel", "memory", "cpu"),
        level="quick",
    ),
    Check(
        id="kmsg.aer",
        title="no errors on the PCI bus",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when an error on the bus was not corrected within 24 h, warn at 100 corrected ones of a device"
        " within an hour. A request that a device does not support, and no more, is a warning.",
        remedy="See whose it is: `lspci -s ADDRESS -vv`. When it comes back after a reboot, reseat the card or its"
        " riser; `aiops health --check pcie.link` tells whether the link is narrower than it can be.",
        source="PCI Express advanced error reporting as the kernel tells it; the rate is aiops' own: a few corrected"
        " errors are what links have",
        asks=KERNEL_ASKS,
        judge=_pcie,
        applies=has_log,
        thresholds=(
            WITHIN,
            Threshold("per_hour", 100.0, "errors per hour", "aiops' own: a flood, not a few", least=1.0),
        ),
        tags=("kernel", "pcie"),
        level="quick",
    ),
)
