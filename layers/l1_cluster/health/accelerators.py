"""Accelerators of any vendor: whether all are there, answer, are alike, and are well by their own vendor's word.

These judge facts: what the bus shows, and what the vendors' parsers made of their tools' answers. What only one vendor
tells is judged by a plugin of that vendor.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators

from . import accelerator_links, accelerator_load, accelerator_memory
from .check import Check, Limits, Sighting, Subject
from .devices import at_bus, has_devices, named, unread_sighting, vendors
from .verdict import Action

_ABSENT = "no driver is installed"
_TROUBLES: tuple[tuple[re.Pattern[str], str, Action], ...] = (
    (re.compile(r"did not answer|no answer within|timed out|cannot be killed|deadline"), "it hangs", "reboot"),
    (re.compile(r"fallen off|is lost"), "a device is lost", "reboot"),
    (re.compile(r"not loaded|couldn't communicate"), "the driver is not loaded", "reboot"),
    (re.compile(r"not found|no such file|not installed"), _ABSENT, "none"),
)
"""What a reason tells, in lower case: pattern, meaning, what to do. The first that fits counts; others are unknown."""


def _is_counted(subject: Subject) -> bool:
    expected = subject.variables.aiops_accelerators is not None or subject.expected.number("gpu.count") is not None
    return expected or has_devices(subject)


def _count(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    on_bus: tuple[BusAccelerators, ...] = subject.fact("bus_accelerators")
    by_vendor = {one.vendor: one for one in on_bus}
    for vendor in sorted(vendors(subject) or by_vendor or {""}):
        bus = by_vendor.get(vendor, BusAccelerators(vendor, 0))
        shown = tuple(device for device in subject.facts.accelerators or () if device.vendor == vendor)
        missing = [*_fewer_than_expected(subject, bus, shown)]
        yield from missing
        yield from _not_shown(bus, shown)
        if bus.count and subject.facts.accelerators is None and not missing:
            yield Sighting("unknown", subject.facts.unknown.get("accelerators", "the node did not say"))


def _fewer_than_expected(subject: Subject, bus: BusAccelerators, shown: tuple[Accelerator, ...]) -> Iterator[Sighting]:
    wanted, learned = subject.variables.aiops_accelerators, subject.expected.number("gpu.count")
    if wanted is not None and wanted.vendor == bus.vendor:
        number, source = float(wanted.count), "aiops_accelerators"
    elif wanted is None and learned is not None and len(vendors(subject)) <= 1:
        number, source = learned, subject.expected.source or "learned"
    else:
        return
    count = bus.count or len(shown)  # some are on no PCI bus, and some containers see none
    if count < number:
        yield Sighting(
            "critical",
            f"{count} on the bus, expected {number:g} ({source})",
            evidence={"vendor": bus.vendor or None, "bus": list(bus.buses), "expected": number},
            action="service",
        )


def _not_shown(bus: BusAccelerators, shown: tuple[Accelerator, ...]) -> Iterator[Sighting]:
    """Devices of the bus that the tool leaves out. A tool that shows none at all is another check's."""
    addresses = {device.bus for device in shown if device.bus}
    if len(addresses) == len(shown) and addresses & set(bus.buses):
        folders = {address.rpartition(":")[0] for address in addresses}  # functions beside a shown one are parts of it
        for address in bus.buses:
            if address not in addresses and address.rpartition(":")[0] not in folders:
                yield Sighting(
                    "critical",
                    f"it is on the bus, and {bus.vendor}'s tool does not show it ({len(shown)} of {bus.count})",
                    at_bus(address),
                    {"bus": address, "shown": len(shown), "on_bus": bus.count},
                )
    elif 0 < len(shown) < bus.count:
        yield Sighting(
            "critical",
            f"{bus.vendor}'s tool shows {len(shown)} of {bus.count} on the bus",
            evidence={"shown": len(shown), "on_bus": bus.count},
        )


def _tool_responds(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    shown = {device.vendor for device in subject.facts.accelerators or ()}
    on_bus = {one.vendor for one in subject.facts.bus_accelerators or ()}
    reasons = {vendor: _reason(subject, vendor) for vendor in sorted((on_bus & vendors(subject)) - shown)}
    if not reasons and subject.facts.accelerators is None:
        subject.fact("accelerators")
    kinds = {vendor: _trouble(reason) for vendor, reason in reasons.items()}
    for vendor, reason in reasons.items():
        kind = kinds[vendor]
        if kind is None:
            yield Sighting("unknown", reason, evidence={"vendor": vendor})
        elif kind[0] != _ABSENT or all(other and other[0] == _ABSENT for other in kinds.values()):
            meaning, action = kind
            yield Sighting(
                "critical", f"{meaning}: {reason}", evidence={"vendor": vendor, "reason": reason}, action=action
            )


def _reason(subject: Subject, vendor: str) -> str:
    """Why a vendor's tool shows nothing."""
    unknown: Mapping[str, str] = subject.facts.unknown
    own = (reason for name, reason in unknown.items() if name.startswith(f"accelerators.{vendor}."))
    return next(own, unknown.get("accelerators", f"{vendor}'s tool shows no device"))


def _trouble(reason: str) -> tuple[str, Action] | None:
    return next(((meaning, action) for pattern, meaning, action in _TROUBLES if pattern.search(reason.lower())), None)


def _driver_match(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    mismatch = subject.facts.driver_mismatch
    if mismatch is not None:
        action: Action = "reboot" if "reboot" in mismatch else "none"
        yield Sighting("critical", mismatch, evidence={"mismatch": mismatch}, action=action)


def _health(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        evidence = {
            "health": device.health,
            "codes": list(device.health_codes),
            "problems": list(device.problems),
        }
        codes = device.health_codes if device.health != "ok" else ()
        told = ", ".join([*device.problems, *(f"code {code}" for code in codes)])
        if device.health in ("warning", "critical"):
            severe = device.health == "critical"
            yield Sighting(
                "critical" if severe else "warn",
                f"{device.vendor}'s tool calls it {device.health}" + (f": {told}" if told else ""),
                name,
                evidence,
            )
        elif device.problems or (device.health_codes and device.health is None):
            yield Sighting("warn", told, name, evidence, action="service")
        elif device.health is None:
            yield from unread_sighting(subject, name, device, "health", whole=False)


def _model_uniform(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    models: dict[str, list[str]] = {}
    wanted = subject.variables.aiops_accelerators
    for name, device in named(subject):
        if device.model and "Display" not in device.model:  # workstations have one for their screen
            models.setdefault(device.model, []).append(name)
            if wanted and wanted.model and device.vendor == wanted.vendor and wanted.model not in device.model:
                yield Sighting(
                    "warn",
                    f"its model is {device.model}, expected {wanted.model} (aiops_accelerators)",
                    name,
                    {"model": device.model, "expected": wanted.model},
                )
    if len(models) > 1:
        yield Sighting("warn", f"of several models: {_folded(models)}", evidence={"models": models})


def _firmware_uniform(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    by_model: dict[str, dict[str, list[str]]] = {}
    for name, device in named(subject):
        if device.firmware:
            versions = by_model.setdefault(device.model or device.vendor, {})
            versions.setdefault(device.firmware, []).append(name)
    for model, versions in by_model.items():
        if len(versions) > 1:
            yield Sighting(
                "warn",
                f"firmware of several versions: {_folded(versions)}",
                "" if len(by_model) == 1 else model,
                {"firmware": versions},
            )


def _folded(groups: Mapping[str, list[str]]) -> str:
    """`A on 7, B on GPU 3`: the most first; names only where they are few."""
    sizes = Counter({value: len(names) for value, names in groups.items()})
    most = sizes.most_common(1)[0][1]
    return ", ".join(
        f"{value} on {size if size == most and size > 1 else ', '.join(groups[value])}"
        for value, size in sizes.most_common()
    )


CHECKS = (
    Check(
        id="gpu.count",
        title="all accelerators are on the bus, and their vendor's tool shows them",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when the bus has fewer than expected, or the tool shows fewer than the bus has.",
        remedy="Look at what the bus has: `lspci -nn | grep -iE '3d|vga|accel|process'`. One that is gone from the bus"
        " is reseated or replaced; one that only the tool leaves out comes back with a reboot.",
        source="NHC and azurehpc-health-checks count the tool's devices; the bus is counted first, as gpud does",
        judge=_count,
        applies=_is_counted,
        tags=("hardware",),
        grace=True,
        level="quick",
    ),
    Check(
        id="gpu.tool_responds",
        title="the vendor's tool shows the accelerators that are on the bus",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when the tool hangs, a device is lost, or no driver is installed or loaded; unknown when its"
        " answer cannot be understood.",
        remedy="Run the tool by hand. Without a driver: `aiops cluster deploy --only accelerator`. A tool that hangs"
        " waits for the driver in the kernel, and only a reboot ends that.",
        source="azurehpc-health-checks and gpud: a tool that hangs is a node that cannot be used; what to do is aiops'"
        " own",
        judge=_tool_responds,
        applies=has_devices,
        tags=("driver",),
        sightings=2,
        grace=True,
        level="quick",
    ),
    Check(
        id="gpu.driver_match",
        title="the parts of the driver fit together",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when the loaded driver, its libraries and its services are not of one version.",
        remedy="Where it needs a reboot: `aiops node exec --on NODE --root -- systemctl reboot`. Where packages differ:"
        " `aiops cluster deploy --only accelerator`, which installs them as one set and holds them.",
        source="NVIDIA: libraries, module and fabric manager must be of one version, else error 802 or `version"
        " mismatch`",
        judge=_driver_match,
        applies=has_devices,
        tags=("driver",),
        level="quick",
    ),
    Check(
        id="gpu.health",
        title="the vendor's own tool calls the accelerators well",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="As the vendor's tool says: critical, or warn; warn too for a condition that somebody must look at.",
        remedy="Look the code up in the vendor's manual; reset the device once it is idle, and have it serviced when"
        " that does not help.",
        source="each vendor's tool; it warns for moments under load, so it must say so twice",
        judge=_health,
        applies=has_devices,
        tags=("hardware",),
        sightings=2,
        level="quick",
    ),
    Check(
        id="gpu.model_uniform",
        title="the accelerators of a node are of one model",
        severity="warn",
        action="none",
        owner="node",
        judges="Warns when a node has several models, or another than the inventory says.",
        remedy="A job over unlike devices runs at the pace of the slowest. Where it is meant to be so, turn this check"
        " off for the group, or set `aiops_accelerators` right.",
        source="aiops' own",
        judge=_model_uniform,
        applies=has_devices,
        tags=("skew",),
    ),
    Check(
        id="gpu.firmware_uniform",
        title="the accelerators of a node have one firmware",
        severity="warn",
        action="service",
        owner="node",
        judges="Warns when devices of one model in one node have several firmware versions.",
        remedy="A device that was replaced often comes with another version; flash it to that of the others with the"
        " vendor's tool.",
        source="imbue's host checks and azurehpc-health-checks compare the firmware of all devices",
        judge=_firmware_uniform,
        applies=has_devices,
        tags=("skew",),
    ),
    *accelerator_memory.CHECKS,
    *accelerator_links.CHECKS,
    *accelerator_load.CHECKS,
)
