"""Checks of what joins NVIDIA's devices: the fabric manager, the fabric's state, NVLink link by link."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.answer_reading import UnreadableError, once, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject
from aiops.layers.l1_cluster.health.devices import switches

from .description import XML, read_log
from .presence import VENDOR, has_switches, named_nvidia
from .reading import ASKS

UNIT, VERSION = "nvidia.fabricmanager.unit", "nvidia.fabricmanager.version"
_XML = next(ask for ask in ASKS if ask.name == XML)
_NVLINK = next(ask for ask in ASKS if ask.name == "nvidia.nvlink")
FABRIC_ASKS = (
    Ask(
        UNIT,
        ("systemctl", "show", "nvidia-fabricmanager.service", "--property=LoadState,ActiveState,SubState,Result"),
    ),
    Ask(VERSION, ("nv-fabricmanager", "--version")),
)
_TOLD_VERSION = re.compile(r"version is\s*:?\s*(\d[\w.]*)")
_UNJOINED = ("in progress", "not started")
_LINK = re.compile(r"Link (\d{1,4}):\s*(.*\S)")
_DEVICE = re.compile(r"GPU (\d{1,4}): ")


def read_unit(record: Record) -> dict[str, str]:
    """What systemd says of the fabric manager's unit: `LoadState`, `ActiveState` and others.

    Raises:
        UnreadableError: It does not say.
    """
    values = dict(line.partition("=")[::2] for line in said(record.answer(UNIT)).splitlines() if "=" in line)
    if not values.get("LoadState") or not values.get("ActiveState"):
        raise UnreadableError("systemd does not tell of nvidia-fabricmanager")
    return values


def read_version(record: Record) -> str | None:
    """The fabric manager's version; None where it is not installed.

    Raises:
        UnreadableError: It is there and does not say.
    """
    answer = record.answer(VERSION)
    if "not found" in answer.missing.get("argv", ""):
        return None
    found = _TOLD_VERSION.search(said(answer))
    if found is None:
        raise UnreadableError(f"nv-fabricmanager says `{answer.stdout.strip()[:80]}`")
    return found[1]


def read_fabric(record: Record) -> dict[str, dict[str, str]]:
    """The values of each device's fabric health, in lower case (`bandwidth`, `route_unhealthy`, ...), by its bus id.

    Raises:
        UnreadableError: `nvidia-smi -q -x` cannot be read.
    """
    return {
        gpu.get("id", ""): {one.tag: (one.text or "").strip().lower() for one in gpu.findall("fabric/health/*")}
        for gpu in once(record, read_log).findall("gpu")
    }


@dataclass(frozen=True, slots=True)
class LinkState:
    """One NVLink: its speed in GB/s in the tool's words, or None while it is inactive."""

    number: int
    speed: str | None


def read_links(record: Record) -> dict[int, tuple[LinkState, ...]]:
    """The links of each device, by its number; empty for one of which the tool names none.

    Raises:
        UnreadableError: The answer names no device.
    """
    found: dict[int, list[LinkState]] = {}
    current: list[LinkState] | None = None
    for line in said(record.answer(_NVLINK.name)).splitlines():
        if device := _DEVICE.match(line.strip()):
            current = found.setdefault(int(device[1]), [])
        elif (link := _LINK.match(line.strip())) and current is not None:
            current.append(LinkState(int(link[1]), None if "inactive" in link[2].lower() else link[2]))
    if not found:
        raise UnreadableError("nvidia-smi nvlink -s names no device")
    return {number: tuple(links) for number, links in found.items()}


def _has_fabric(subject: Subject) -> bool:
    told = any(one.fabric_state for one in subject.facts.accelerators or () if one.vendor == VENDOR)
    return told or has_switches(subject)


def _fabricmanager(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    if switches(subject, VENDOR):
        trouble = _unit_trouble(subject.read(read_unit))
        if trouble is not None:
            yield trouble
            return
        yield from _told(_version, subject, "its version")
    yield from _told(_joined, subject, "")
    yield from _told(_health, subject, "its health")


def _told(part: Callable[[Subject], Iterator[Sighting]], subject: Subject, about: str) -> list[Sighting]:
    """What a part of a check finds; what it cannot read does not cost what the others have found."""
    try:
        return list(part(subject))
    except UnreadableError as error:
        return [Sighting("unknown", str(error), about)]


def _unit_trouble(unit: dict[str, str]) -> Sighting | None:
    if unit["LoadState"] == "not-found":
        message = "the fabric manager is not installed, and NVSwitches need it"
        return Sighting("critical", message, evidence=dict(unit), action="none")
    state = unit["ActiveState"]
    if state == "active":
        return None
    if state in ("activating", "reloading"):
        return Sighting("warn", f"nvidia-fabricmanager is {state}", evidence=dict(unit))
    return Sighting("critical", f"nvidia-fabricmanager is {state} ({unit.get('Result', '?')})", evidence=dict(unit))


def _version(subject: Subject) -> Iterator[Sighting]:
    version = subject.read(read_version)
    drivers = {device.driver for _, device in named_nvidia(subject) if device.driver}
    if version is not None and drivers and version not in drivers:
        yield Sighting(
            "critical",
            f"fabric manager {version} beside driver {', '.join(sorted(drivers))}",
            evidence={"fabricmanager": version, "driver": sorted(drivers)},
            action="reboot",
        )


def _joined(subject: Subject) -> Iterator[Sighting]:
    found = named_nvidia(subject)
    states: dict[str, list[str]] = {}
    for name, device in found:
        state = (device.fabric_state or "").lower()
        if state in _UNJOINED:
            states.setdefault(state, []).append(name)
    if states:
        whose = {state: "all" if len(names) == len(found) else ", ".join(names) for state, names in states.items()}
        yield Sighting(
            "critical" if "not started" in states else "warn",
            "; ".join(f"joining the fabric is {state} for {names}" for state, names in sorted(whose.items())),
            "fabric",
            {"states": states},
        )


def _health(subject: Subject) -> Iterator[Sighting]:
    found = named_nvidia(subject)
    if not any(device.fabric_state for _, device in found):
        return
    by_bus = {cell.bus(bus): health for bus, health in subject.read(read_fabric).items()}
    for name, device in found:
        told = by_bus.get(device.bus, {})
        bad = [tag for tag, value in told.items() if value == "true" or "degraded" in value]
        if bad:
            yield Sighting(
                "critical" if "route_unhealthy" in bad else "warn",
                f"the fabric tells of it: {', '.join(f'{tag} {told[tag]}' for tag in bad)}",
                name,
                {"health": told},
                action="reset_device",
            )


def _has_links(subject: Subject) -> bool:
    told = any(one.links.total for one in subject.facts.accelerators or () if one.vendor == VENDOR)
    return told or has_switches(subject)


def _nvlink(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    by_number = subject.read(read_links)
    speeds = Counter(link.speed for links in by_number.values() for link in links if link.speed)
    usual = speeds.most_common(1)[0][0] if speeds else None
    for name, device in named_nvidia(subject):
        if device.partitioned or device.index is None:
            continue
        links = by_number.get(device.index)
        if links is None and device.links.total is None and switches(subject, VENDOR):
            yield Sighting("unknown", "nvidia-smi nvlink -s leaves it out", name)
            continue
        if not links and not device.links.total and switches(subject, VENDOR):
            yield Sighting("critical", "none of its NVLinks is active", name, {"links": 0})
            continue
        odd = [link for link in links or () if link.speed not in (None, usual)]
        if odd:
            numbers = ", ".join(str(link.number) for link in odd)
            yield Sighting(
                "warn",
                f"NVLink {numbers} at {odd[0].speed}, others at {usual}",
                name,
                {"links": {str(link.number): link.speed for link in odd}, "usual": usual},
            )


CHECKS = (
    Check(
        id="gpu.fabricmanager",
        title="the fabric manager runs, fits the driver and has joined the GPUs",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Where NVSwitches join the GPUs, critical when it does not run or is of another version than the driver;"
        " critical or warn when the fabric of a GPU is not completed or not well.",
        remedy="`systemctl status nvidia-fabricmanager`, `systemctl restart nvidia-fabricmanager`. Of another version"
        " than the driver: `aiops cluster deploy --only accelerator`.",
        source="NVIDIA's fabric manager guide: without it, or with another version, CUDA ends with error 802",
        asks=(*FABRIC_ASKS, _XML),
        judge=_fabricmanager,
        applies=_has_fabric,
        tags=("service", "driver"),
        grace=True,
        units=("nvidia-fabricmanager.service",),
    ),
    Check(
        id="gpu.nvlink",
        title="each NVLink is there and as fast as the others",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="Critical when a GPU beside NVSwitches has no active NVLink at all, warn when one is slower than the"
        " rest; how many are down is `gpu.links`.",
        remedy="`nvidia-smi nvlink -s`, then `systemctl restart nvidia-fabricmanager` on a drained node, then a reset"
        " of the GPUs.",
        source="azurehpc-health-checks and imbue look at `nvidia-smi nvlink -s`; the speeds are aiops' own",
        asks=(_NVLINK,),
        judge=_nvlink,
        applies=_has_links,
        tags=("hardware",),
        grace=True,
    ),
)
