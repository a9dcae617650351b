"""Links of accelerators: to each other, and to the host."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from aiops.layers.l0_nodes.accelerator import Accelerator

from .check import Check, Limits, Sighting, Subject, Threshold
from .devices import growth, has_devices, named, switches, unread_sighting

_HOUR, _DAY = timedelta(hours=1), timedelta(hours=24)
_ERRORS, _REPLAYS = "gpu.link_errors.", "gpu.pcie_replays."
_BUSY = 50.0  # percent: links of devices that do less may have been slowed down to save power


def _links(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    """Not all links of a device need be in use: without switches its sisters tell how many are."""
    learned = subject.expected.number("gpu.links")
    found = [(name, device) for name, device in named(subject) if not device.partitioned]  # a parted one may use none
    for name, device in found:
        active, total = device.links.active, device.links.total
        if active is None or total is None:
            yield from unread_sighting(subject, name, device, "link")
            continue
        sisters = [other.links.active or 0 for _, other in found if _alike(other, device)]
        if learned is not None:
            wanted = int(learned)
        elif switches(subject, device.vendor):
            wanted = total
        else:
            wanted = max(sisters) if active else 0  # cards without a bridge between them have all links down
        if active < wanted:
            yield Sighting(
                "critical",
                f"{wanted - active} of {wanted} links to other devices are inactive",
                name,
                {"active": active, "total": total, "wanted": wanted},
            )


def _alike(one: Accelerator, other: Accelerator) -> bool:
    return (one.vendor, one.model) == (other.vendor, other.model)


def _error_counters(subject: Subject) -> Mapping[str, int]:
    return {_ERRORS + name: device.links.errors for name, device in named(subject) if device.links.errors is not None}


def _link_errors(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        errors = device.links.errors
        if errors is None:
            yield from unread_sighting(subject, name, device, "link")
            continue
        grown = growth(subject, _ERRORS + name, errors, _DAY)
        if grown is not None and grown.amount >= limits["per_day"]:
            yield Sighting(
                "warn",
                f"{grown.amount} errors on links to other devices within a day, limit {limits['per_day']:g}",
                name,
                {"grown": grown.amount, "seconds": round(grown.seconds), "errors": errors},
            )


def _replay_counters(subject: Subject) -> Mapping[str, int]:
    counts = {_REPLAYS + name: device.pcie.replays for name, device in named(subject)}
    return {name: count for name, count in counts.items() if count is not None}


def _pcie_replays(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        replays = device.pcie.replays
        if replays is None:
            yield from unread_sighting(subject, name, device, "replay")
            continue
        grown = growth(subject, _REPLAYS + name, replays, _HOUR)
        if grown is not None and grown.amount >= limits["per_hour"]:
            yield Sighting(
                "warn",
                f"{grown.amount} packets were sent again on its link to the host within an hour,"
                f" limit {limits['per_hour']:g}",
                name,
                {"grown": grown.amount, "seconds": round(grown.seconds), "replays": replays},
            )


def _has_slot(device: Accelerator) -> bool:
    """Whether its link to the host means what it says: a device that shares the host's memory has another one."""
    return device.memory_total_mib is not None


def _pcie_width(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = list(named(subject))
    for name, device in found:
        width, best = device.pcie.width, device.pcie.max_width
        if width is None or best is None:
            yield from unread_sighting(subject, name, device, "pci")
            continue
        sisters = [other for _, other in found if _alike(other, device)]
        most = max(one.pcie.width or 0 for one in sisters if _is_busy(device) or not _is_busy(one))
        wanted = _wanted(device, best, most)
        if 0 < width < wanted:
            yield Sighting(
                "critical" if most > width else "warn",
                f"{width} of {wanted} lanes to the host",
                name,
                {"width": width, "max_width": best, "wanted": wanted, "most": most},
            )


def _pcie_gen(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = list(named(subject))
    for name, device in found:
        generation, best = device.pcie.generation, device.pcie.max_generation
        if generation is None or best is None:
            yield from unread_sighting(subject, name, device, "pci")
            continue
        most = max(other.pcie.generation or 0 for _, other in found if _alike(other, device))
        wanted = _wanted(device, best, most)
        if 0 < generation < wanted and _is_busy(device):
            yield Sighting(
                "warn",
                f"PCIe generation {generation} while at work, {wanted} would be possible",
                name,
                {"generation": generation, "max_generation": best, "wanted": wanted, "utilization": device.utilization},
            )


def _wanted(device: Accelerator, best: int, most: int) -> int:
    """What a device's link should be: as a sister has it, or as device and slot could have it together, at work.

    Idle ones give up lanes or speed to save power, so that a working sister is no measure for them, and where the tool
    leaves the slot out, all may have less by design.
    """
    if not _has_slot(device):
        return 0
    return best if device.pcie.with_slot and _is_busy(device) else min(best, most)


def _is_busy(device: Accelerator) -> bool:
    return device.utilization is not None and device.utilization > _BUSY


CHECKS = (
    Check(
        id="gpu.links",
        title="links between accelerators are up",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="Critical when fewer are active than expected: all of them where switches join the devices, else as many"
        " as its sisters have.",
        remedy="See which: `nvidia-smi nvlink -s`, `amd-smi xgmi`, `npu-smi info -t hccs`. Drain the node and reset the"
        " devices; a link that stays down needs service.",
        source="azurehpc-health-checks and imbue allow no inactive one; cards with a bridge have some by design"
        " (azurehpc-health-checks issue 162)",
        judge=_links,
        applies=has_devices,
        tags=("hardware",),
    ),
    Check(
        id="gpu.link_errors",
        title="links between accelerators make no errors",
        severity="warn",
        action="reset_device",
        owner="node",
        judges="Warns when the errors of all links of a device together grew by the limit within a day.",
        remedy="See which link: `nvidia-smi nvlink -e`. Reset the device once the node is out of service; when they"
        " come back on one link, it needs service.",
        source="imbue's host checks warn from 5 on in all; growth does not alarm for old ones",
        judge=_link_errors,
        applies=has_devices,
        counters=_error_counters,
        thresholds=(Threshold("per_day", 5.0, "errors", "imbue's host checks", least=1.0),),
        tags=("hardware",),
    ),
    Check(
        id="gpu.pcie_width",
        title="accelerators have all their lanes to the host",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a sister has more lanes; warn when a working device has fewer than it and its slot can.",
        remedy="Compare both ends: `lspci -vv -s BUS | grep -E 'LnkCap|LnkSta'`. A reboot trains the link anew; when it"
        " stays narrow, reseat the device, its riser or its cable.",
        source="deepops.nhc and azurehpc-health-checks; the look at sisters is aiops' own",
        judge=_pcie_width,
        applies=has_devices,
        tags=("hardware", "pcie"),
    ),
    Check(
        id="gpu.pcie_gen",
        title="the link of working accelerators to the host runs at full speed",
        severity="warn",
        action="reboot",
        owner="node",
        judges="Warns when a working device has a slower generation of PCIe than a sister, or than it and its slot can"
        " do together; idle ones save power.",
        remedy="A reboot trains the link anew: `aiops node exec --on NODE --root -- systemctl reboot`. When it stays"
        " slow, look at the slot's setting in the BIOS, then reseat the device.",
        source="the rule is gpud's and azurehpc's; that it counts under load only is aiops' own",
        judge=_pcie_gen,
        applies=has_devices,
        tags=("hardware", "pcie"),
        sightings=2,
    ),
    Check(
        id="gpu.pcie_replays",
        title="the link of accelerators to the host repeats few packets",
        severity="warn",
        action="service",
        owner="node",
        judges="Warns when more packets than the limit were sent again within an hour.",
        remedy="Reseat the device, its riser or its cable; look for `AER` in the kernel's log.",
        source="DCGM's health watch of PCIe",
        judge=_pcie_replays,
        applies=has_devices,
        counters=_replay_counters,
        thresholds=(Threshold("per_hour", 480.0, "packets", "DCGM: 8 in a minute", least=1.0),),
        tags=("hardware", "pcie"),
    ),
)
