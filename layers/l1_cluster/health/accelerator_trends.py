"""Trends of accelerators, as DCGM's exporter tells them: heat over time, rows of memory that go, devices that went."""

from collections.abc import Iterator

from . import accelerator_load
from .check import Check, Limits, Sighting, Subject, Threshold
from .series import TARGETS, Series
from .watch import is_watched

HOT = Series(
    "metrics.gpu_hot",
    'max by (cluster, node, gpu) (quantile_over_time(0.9, DCGM_FI_DEV_GPU_TEMP{cluster!=""}[1h])) > 60',
)
"""A device was hotter than this for 6 minutes of the past hour, °C."""

_ROWS = 'DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{cluster!=""}'
REMAPPED = Series("metrics.gpu_remapped", f"max by (cluster, node, gpu) ({_ROWS} - {_ROWS} offset 1d) > 0")
"""Rows of memory that were remapped for uncorrectable errors within a day; the device counts them over its life."""

_COUNT = "count by (cluster, node) (max by (cluster, node, gpu) ({}))"
_HEAT = 'DCGM_FI_DEV_GPU_TEMP{cluster!=""}'
VANISHED = Series(
    "metrics.gpu_vanished",
    f"{_COUNT.format(f'max_over_time({_HEAT}[10m] offset 1d)')} - {_COUNT.format(_HEAT)} > 0",
)
"""How many devices fewer there are than a day ago."""

_WARN = next(
    one for check in accelerator_load.CHECKS if check.id == "gpu.temp" for one in check.thresholds if one.name == "warn"
)


def _hot(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for one in subject.readings(HOT):
        if one.value >= limits["warn"]:
            message = f"{one.value:.0f} °C or more for 6 of the past 60 min, limit {limits['warn']:g} °C"
            yield Sighting("warn", message, _name(one.labels.get("gpu", "?")), {"degrees": one.value})


def _remapped(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for one in subject.readings(REMAPPED):
        if one.value >= limits["rows"]:
            message = (
                f"{one.value:.0f} rows of its memory were remapped for uncorrectable errors within a day, "
                f"limit {limits['rows']:g}"
            )
            yield Sighting("warn", message, _name(one.labels.get("gpu", "?")), {"rows": one.value})


def _vanished(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    count = max((one.value for one in subject.readings(VANISHED)), default=0.0)
    if count > 0:
        yield Sighting("warn", f"{count:.0f} fewer than a day ago", evidence={"fewer": count})


def _name(index: str) -> str:
    return f"GPU {index}"


def _has_exporter(subject: Subject) -> bool:
    """Whether DCGM's exporter is watched there."""
    return is_watched(subject) and any(one.labels.get("job") == "dcgm" for one in subject.readings(TARGETS))


def _is_uncounted(subject: Subject) -> bool:
    """Likewise, where nobody has said how many devices there should be: then `gpu.count` knows better."""
    counted = subject.variables.aiops_accelerators is not None or subject.expected.number("gpu.count") is not None
    return _has_exporter(subject) and not counted


CHECKS = (
    Check(
        id="metrics.gpu_hot",
        title="accelerators were cool enough all the time",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when a device had the limit or more for a tenth of the past hour, though a look may find it cool.",
        remedy="Compare with its neighbours in the same hour. It is hot under load: dust, a fan or a cold plate on one"
        " device, air or water for a whole node.",
        source="DCGM's DCGM_FI_DEV_GPU_TEMP; the limit is that of gpu.temp",
        judge=_hot,
        applies=_has_exporter,
        series=(HOT,),
        unless=("gpu.temp",),
        thresholds=(Threshold("warn", _WARN.default, _WARN.unit, "as gpu.temp's", least=60.0),),
        tags=("gpu", "hardware"),
    ),
    Check(
        id="metrics.gpu_remapped",
        title="rows of accelerators' memory do not go one after the other",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when 2 rows or more of a device's memory were remapped for uncorrectable errors within a day.",
        remedy="Each cost a job its run. Keep important jobs off it and watch it; when gpu.remap_failed is found too,"
        " send it back.",
        source="DCGM's DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS; the limit is aiops' own, for one alone is what"
        " remapping is for",
        judge=_remapped,
        applies=_has_exporter,
        series=(REMAPPED,),
        unless=("gpu.remap_failed",),
        thresholds=(Threshold("rows", 2.0, "rows within a day", "aiops' own", least=1.0),),
        tags=("gpu", "hardware", "memory"),
    ),
    Check(
        id="metrics.gpu_vanished",
        title="no accelerator has vanished within a day",
        severity="warn",
        action="reboot",
        owner="node",
        judges="Warn when DCGM tells of fewer devices than a day ago; only where neither the inventory nor"
        " health.yml says how many there should be.",
        remedy="Look for it on the bus: `lspci -d 10de:`. Reboot the node once it is drained; what is still missing"
        " then needs hands. `aiops health learn` writes down how many there should be.",
        source="aiops' own: a device that is gone from the bus after a reboot leaves no other trace",
        judge=_vanished,
        applies=_is_uncounted,
        series=(VANISHED,),
        unless=("gpu.count", "gpu.tool_responds", "gpu.count_skew"),
        tags=("gpu", "hardware"),
    ),
)
