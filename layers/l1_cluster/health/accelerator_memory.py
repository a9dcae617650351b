"""The memory of accelerators: errors, rows and pages that are no longer used, and what jobs have left in it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_reading import UnreadableError

from .check import Check, Limits, Sighting, Subject, Threshold
from .devices import growth, has_devices, identity, lasting_growth, named, unread, unread_sighting

_HOUR = timedelta(hours=1)
_DAY = timedelta(hours=24)
_CORRECTED, _UNCORRECTED = "gpu.ecc_corrected.", "gpu.ecc_uncorrected."
_SHARE = 0.10  # of its memory that a driver may need for itself: 64 GiB ones of some vendors take 5 % when idle


def _ecc_mode(subjects: Sequence[Subject], _limits: Limits) -> Iterator[tuple[str, Sighting]]:
    """Off where it is expected, or where more of the same model in this examination have it on."""
    modes: dict[tuple[str, str | None], list[bool]] = {}
    found: list[tuple[Subject, str, Accelerator]] = []
    for subject in subjects:
        node = subject.node.name
        try:
            found += [(subject, name, device) for name, device in named(subject)]
        except UnreadableError as error:
            yield node, Sighting("unknown", str(error))
    for subject, name, device in found:
        if device.ecc.enabled is not None:
            modes.setdefault((device.vendor, device.model), []).append(device.ecc.enabled)
        else:
            for sighting in unread_sighting(subject, name, device, "ecc"):
                yield subject.node.name, sighting
    for subject, name, device in found:
        if device.ecc.enabled is not False:
            continue
        of_model = modes[device.vendor, device.model]
        if subject.expected.word("gpu.ecc") == "on":
            why = f"expected on ({subject.expected.source or 'learned'})"
        elif 2 * sum(of_model) > len(of_model):
            why = f"on in {sum(of_model)} of {len(of_model)} of its model"
        else:
            continue
        yield (
            subject.node.name,
            Sighting("warn", f"error correction is off, {why}", name, {"enabled": False, "on": sum(of_model)}),
        )


def _uncorrected_counters(subject: Subject) -> Mapping[str, int]:
    counts = {_UNCORRECTED + identity(name, one): one.ecc.uncorrected_aggregate for name, one in named(subject)}
    return {name: count for name, count in counts.items() if count is not None}


def _ecc_uncorrected(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    """Since the driver was loaded; some tools only count over a device's whole life, and there new ones count."""
    for name, device in named(subject):
        errors, ever = device.ecc.uncorrected_volatile, device.ecc.uncorrected_aggregate
        if errors is None and ever is not None:
            grown = lasting_growth(subject, _UNCORRECTED + identity(name, device), ever, _DAY)
            if grown is not None and grown.amount > 0:
                yield Sighting(
                    "critical",
                    f"{grown.amount} new uncorrected memory error{'s' if grown.amount > 1 else ''} within a day",
                    name,
                    {"grown": grown.amount, "seconds": round(grown.seconds), "uncorrected_aggregate": ever},
                )
        elif errors is None:
            yield from unread_sighting(subject, name, device, "ecc")
        elif errors > 0:
            yield Sighting(
                "critical",
                f"{errors} uncorrected memory error{'s' if errors > 1 else ''} since the driver was loaded",
                name,
                {"uncorrected_volatile": errors, "uncorrected_aggregate": device.ecc.uncorrected_aggregate},
            )


def _corrected(device: Accelerator) -> int | None:
    volatile = device.ecc.corrected_volatile
    return device.ecc.corrected_aggregate if volatile is None else volatile


def _corrected_counters(subject: Subject) -> Mapping[str, int]:
    counts = {_CORRECTED + identity(name, device): _corrected(device) for name, device in named(subject)}
    return {name: count for name, count in counts.items() if count is not None}


def _ecc_corrected(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        count = _corrected(device)
        if count is None:
            yield from unread_sighting(subject, name, device, "ecc")
            continue
        since_boot = device.ecc.corrected_volatile is not None
        grown = (growth if since_boot else lasting_growth)(subject, _CORRECTED + identity(name, device), count, _HOUR)
        if grown is not None and grown.amount >= limits["per_hour"]:
            yield Sighting(
                "warn",
                f"{grown.amount} corrected memory errors within an hour, limit {limits['per_hour']:g}",
                name,
                {"grown": grown.amount, "seconds": round(grown.seconds), "corrected": count},
            )


def _remap_pending(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        ecc = device.ecc
        if ecc.remap_pending or ecc.retire_pending:
            what = "a row of memory is to be remapped" if ecc.remap_pending else "a page of memory is to be retired"
            yield Sighting(
                "warn",
                f"{what} at the next reset",
                name,
                {"remap_pending": ecc.remap_pending, "retire_pending": ecc.retire_pending},
            )
        elif ecc.remap_pending is None and ecc.retire_pending is None:
            yield from unread_sighting(subject, name, device, "remap", "retire", "ecc")


def _remap_failed(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        ecc = device.ecc
        if ecc.remap_failed:
            yield Sighting(
                "critical",
                "a row of memory could not be remapped: there is no spare one left",
                name,
                {
                    "remapped_correctable": ecc.remapped_correctable,
                    "remapped_uncorrectable": ecc.remapped_uncorrectable,
                },
            )
        elif ecc.remap_failed is None:
            yield from unread_sighting(subject, name, device, "remap", "ecc")


def _retired_pages(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        pages = device.ecc.retired
        if pages is None:
            yield from unread_sighting(subject, name, device, "retire")
            continue
        severity = next((word for word in ("critical", "warn") if pages >= limits[word]), None)
        if severity is not None:
            yield Sighting(
                "critical" if severity == "critical" else "warn",
                f"{pages} pages of memory are retired, limit {limits[severity]:g}",
                name,
                {"retired": pages},
            )


def _mem_leftover(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    """Beyond what its driver needs: as much as the sister that uses the least, or a tenth of it, whichever is less."""
    found = list(named(subject))
    for name, device in found:
        used, total = device.memory_used_mib, device.memory_total_mib
        if used is None or total is None or device.utilization is None:
            reason = unread(subject, device, "mem", "util")
            if reason is not None:
                yield Sighting("unknown", reason, name, owner="node")
            continue
        if device.utilization > 0 or device.processes != 0 or device.partitioned:
            continue
        sisters = [
            other.memory_used_mib
            for _, other in found
            if other.model == device.model and other.memory_used_mib is not None
        ]
        own = min(*sisters, _SHARE * total)
        if used - own > limits["mib"]:
            yield Sighting(
                "warn",
                f"{used} of {total} MiB are in use by no process, limit {own + limits['mib']:.0f} MiB",
                name,
                {"used_mib": used, "total_mib": total, "driver_mib": round(own), "processes": 0},
            )


CHECKS = (
    Check(
        id="gpu.ecc_mode",
        title="memory of accelerators corrects its errors",
        severity="warn",
        action="reboot",
        owner="node",
        judges="Warns when error correction is off while it is expected, or on in most devices of the same model.",
        remedy="Turn it on and reset the device; NVIDIA: `nvidia-smi -e 1 && nvidia-smi --gpu-reset`.",
        source="imbue's host checks want it on; whether it should be is taken from the node's group",
        compare=_ecc_mode,
        applies=has_devices,
        tags=("memory", "skew"),
    ),
    Check(
        id="gpu.ecc_uncorrected",
        title="uncorrectable memory errors",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="Critical when there was one since the driver was loaded; where a tool only counts over a device's life,"
        " when there was a new one within a day.",
        remedy="Drain the node and reset the device; NVIDIA: `nvidia-smi --gpu-reset -i N`. When they come back, have"
        " it replaced.",
        source="imbue, gcm and healthagent all allow none; NVIDIA's debug guide resets the device",
        judge=_ecc_uncorrected,
        applies=has_devices,
        counters=_uncorrected_counters,
        tags=("memory", "hardware"),
        level="quick",
    ),
    Check(
        id="gpu.ecc_corrected",
        title="corrected memory errors grow slowly or not at all",
        severity="warn",
        action="none",
        owner="node",
        judges="Warns when more than the limit came within an hour.",
        remedy="Corrected errors do no harm, but many tell of a part that wears out: watch it, and run the vendor's"
        " diagnosis when the node is out of service.",
        source="azurehpc-health-checks and gcm look at totals; a rate does not alarm for the age of a device",
        judge=_ecc_corrected,
        applies=has_devices,
        counters=_corrected_counters,
        thresholds=(
            Threshold("per_hour", 1000.0, "errors", "aiops' own: healthy devices have a few a day", least=1.0),
        ),
        tags=("memory",),
    ),
    Check(
        id="gpu.remap_pending",
        title="no row or page of memory waits for a reset",
        severity="warn",
        action="reset_device",
        owner="node",
        judges="Warns when a spare row or the loss of a page takes effect only with the next reset.",
        remedy="Drain the node when that is convenient and reset the device; NVIDIA: `nvidia-smi --gpu-reset -i N`.",
        source="NVIDIA's guide to GPU memory errors: reset at the next convenient time; azurehpc drains at once",
        judge=_remap_pending,
        applies=has_devices,
        tags=("memory",),
    ),
    Check(
        id="gpu.remap_failed",
        title="no row of memory could not be remapped",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when the device says that remapping a row has failed.",
        remedy="Take the node out of service and send the device back: a failed remapping is a reason for that by"
        " itself.",
        source="NVIDIA's guide to GPU memory errors",
        judge=_remap_failed,
        applies=has_devices,
        tags=("memory", "hardware"),
        level="quick",
    ),
    Check(
        id="gpu.retired_pages",
        title="few pages of memory are retired",
        severity="critical",
        action="service",
        owner="node",
        judges="Warns from the first limit on, and is critical from the second, where no more can be retired.",
        remedy="Run the vendor's field diagnosis; NVIDIA takes a device back that has used up its pages.",
        source="DCGM's limits for NVIDIA devices before A100; other vendors have no more room than these",
        judge=_retired_pages,
        applies=has_devices,
        thresholds=(
            Threshold("warn", 15.0, "pages", "DCGM: the soft limit of its health watch", least=1.0),
            Threshold("critical", 60.0, "pages", "DCGM: the most that a device may have", least=1.0),
        ),
        tags=("memory", "hardware"),
    ),
    Check(
        id="gpu.mem_leftover",
        title="idle accelerators have free memory",
        severity="warn",
        action="reset_device",
        owner="user",
        judges="Warns when an idle device that no process uses has more memory in use than its driver needs.",
        remedy="A process that died badly left it. Look for what still holds the device, `fuser -v /dev/nvidia*`, end"
        " it, and reset the device when there is none.",
        source="gcm allows 15 MiB on NVIDIA; drivers of others need gigabytes, so sisters in the node are compared",
        judge=_mem_leftover,
        applies=has_devices,
        thresholds=(Threshold("mib", 512.0, "MiB", "aiops' own: beyond what the driver has for itself", least=1.0),),
        tags=("memory",),
        sightings=2,
    ),
)
