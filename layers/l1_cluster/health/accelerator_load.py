"""What work does to accelerators: heat, lowered clocks, power."""

from collections.abc import Iterator

from .check import Check, Limits, Sighting, Subject, Threshold
from .devices import has_devices, named, unread_sighting
from .verdict import Severity

_COLDEST, _HOTTEST = -20.0, 150.0  # °C: nothing that answers is colder or hotter
_MOST_WATTS = 3000.0
_WORST_FIRST = ("critical", "warn", "unknown")

_HARDWARE = ("hw_slowdown", "hw_thermal", "power_brake", "prochot")
_SOFTWARE = ("thermal",)
"""Parts of reasons that tell of something wrong: the device protects itself, or its driver does. Others are well: it is
idle, somebody has set its clocks, or it draws all the power that it may."""


def _temp(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        found = [
            *_heat(name, "", device.temperature_c, limits["warn"], limits["critical"]),
            *_heat(name, "its memory ", device.temperature_memory_c, limits["memory_warn"], limits["memory_critical"]),
            *_heat(
                name,
                "its hottest spot ",
                device.temperature_hotspot_c,
                limits["hotspot_warn"],
                limits["hotspot_critical"],
            ),
        ]
        if device.temperature_c is None:
            found += unread_sighting(subject, name, device, "temp")
        if found:
            yield min(found, key=lambda one: _WORST_FIRST.index(one.severity))


def _heat(name: str, part: str, degrees: float | None, warn: float, critical: float) -> Iterator[Sighting]:
    if degrees is None:
        return
    evidence = {"degrees": degrees, "part": part.strip() or "core"}
    if not _COLDEST <= degrees <= _HOTTEST:
        yield Sighting("unknown", f"{part}{degrees:g} °C is no temperature", name, evidence)
        return
    for severity, limit in _severities(warn, critical):
        if degrees >= limit:
            yield Sighting(severity, f"{part}{degrees:g} °C, limit {limit:g} °C", name, {**evidence, "limit": limit})
            return


def _severities(warn: float, critical: float) -> tuple[tuple[Severity, float], ...]:
    return (("critical", critical), ("warn", warn))


def _throttle(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        reasons = device.throttle_reasons
        if reasons is None:
            yield from unread_sighting(subject, name, device, "throttl", "event_reason")
            continue
        hard = [reason for reason in reasons if any(part in reason for part in _HARDWARE)]
        soft = [reason for reason in reasons if any(part in reason for part in _SOFTWARE)]
        if hard or soft:
            yield Sighting(
                "critical" if hard else "warn",
                f"its clocks are lowered: {', '.join(dict.fromkeys(hard + soft))}",
                name,
                {"reasons": list(reasons), "temperature_c": device.temperature_c, "power_w": device.power_w},
            )


def _power(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, device in named(subject):
        watts, cap = device.power_w, device.power_cap_w
        if watts is None:
            yield from unread_sighting(subject, name, device, "power")
        elif not 0 <= watts <= _MOST_WATTS:
            yield Sighting("unknown", f"{watts:g} W is no power", name, {"watts": watts})
        elif cap is not None and cap > 0 and watts > cap * (1 + limits["percent"] / 100):
            yield Sighting(
                "warn",
                f"{watts:.0f} W, more than {limits['percent']:g} % above its cap of {cap:.0f} W",
                name,
                {"watts": watts, "cap": cap},
            )


CHECKS = (
    Check(
        id="gpu.temp",
        title="accelerators are cool enough",
        severity="critical",
        action="service",
        owner="node",
        judges="Warns from the first limit on and is critical from the second, for the core, its memory and its hottest"
        " spot.",
        remedy="Compare with its neighbours: one hot device has dust, a fan or a cold plate to look at, a hot node its"
        " air or water. Set the limits of your model in aiops.toml.",
        source="healthagent warns above 93 °C, gpud by the distance to the slowdown, which vendors put at 85 to 95 °C",
        judge=_temp,
        applies=has_devices,
        thresholds=(
            Threshold("warn", 85.0, "°C", "aiops' own: a few degrees before most devices slow down"),
            Threshold("critical", 92.0, "°C", "healthagent's limit of 93 °C, less one"),
            Threshold("memory_warn", 95.0, "°C", "HBM may have 95 to 105 °C"),
            Threshold("memory_critical", 105.0, "°C", "HBM may have 95 to 105 °C"),
            Threshold("hotspot_warn", 100.0, "°C", "aiops' own: 10 degrees before AMD's devices stop"),
            Threshold("hotspot_critical", 110.0, "°C", "AMD: the limit of the junction"),
        ),
        tags=("hardware",),
        sightings=2,
        level="quick",
    ),
    Check(
        id="gpu.throttle",
        title="clocks of accelerators are not lowered by heat or for lack of power",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when the device slows itself down, warn when its driver does because of heat; idle clocks,"
        " clocks that were set and the power cap are well.",
        remedy="Look at `gpu.temp` and at the power supplies: `ipmitool sdr type 'Power Supply'`. A power brake comes"
        " from the server, when a supply has failed.",
        source="mask 0xE8 of healthagent and azurehpc-health-checks: hardware, thermal and power brake slowdowns",
        judge=_throttle,
        applies=has_devices,
        tags=("hardware",),
        sightings=2,
        level="quick",
    ),
    Check(
        id="gpu.power",
        title="accelerators draw no more power than they may",
        severity="warn",
        action="service",
        owner="node",
        judges="Warns when a device draws more than its cap and the limit; unknown when what it tells is no power.",
        remedy="Look again in a minute: short peaks are well. When it stays, set the cap anew (NVIDIA: `nvidia-smi -pl"
        " W`) and reset the device.",
        source="aiops' own",
        judge=_power,
        applies=has_devices,
        thresholds=(Threshold("percent", 10.0, "%", "aiops' own: readings lag, and peaks are short", most=100.0),),
        tags=("hardware",),
        sightings=2,
    ),
)
