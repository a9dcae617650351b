"""The means: what can be done on one node about what is found there, from its facts and its vendors. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.vendor import Reset, Vendor, reset_of

from .check import Check
from .devices import at_bus, called
from .episode import Episode
from .finding import Key

_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_@.:\\-]*\.(service|socket|mount)", re.ASCII)
_DAEMON = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
_DEVICE = re.compile(r"GPU\b")


@dataclass(frozen=True, slots=True)
class Means:
    """What can be done on a node.

    Attributes:
        resets: By finding, how the devices that it is about are reset; one that is not in it cannot be.
        units: By finding, the systemd units that are restarted for it.
        every: How all devices of the node are reset; empty where they cannot be.
        here: Whether aiops runs on the node, which then reboots it never.
    """

    resets: Mapping[Key, tuple[Reset, ...]] = field(default_factory=dict)
    units: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    every: tuple[Reset, ...] = ()
    here: bool = False


def means_of(
    facts: Facts,
    vendors: Iterable[Vendor],
    episodes: Sequence[Episode],
    checks: Mapping[str, Check],
    *,
    here: bool = False,
) -> Means:
    """What can be done on a node.

    Args:
        facts: What it said just now.
        vendors: All that are known.
        episodes: What is found there.
        checks: By id.
        here: Whether aiops runs on it.
    """
    shown = facts.accelerators or ()
    named = dict(called(shown)) | {at_bus(one.bus): one for one in shown if one.bus}
    by_name = {vendor.name: vendor for vendor in vendors}
    every = _resets(shown, facts, by_name)
    resets: dict[Key, tuple[Reset, ...]] = {}
    units: dict[Key, tuple[str, ...]] = {}
    for episode in episodes:
        found = every if _of_no_device(episode) else _resets(_meant(episode, named), facts, by_name)
        if found:
            resets[episode.key] = found
        if services := _units(episode, checks.get(episode.check)):
            units[episode.key] = services
    return Means(resets, units, every, here)


def _of_no_device(episode: Episode) -> bool:
    """Whether a finding is about all devices together: the node, or what joins them."""
    return _DEVICE.match(episode.about) is None


def _meant(episode: Episode, named: Mapping[str, Accelerator]) -> list[Accelerator]:
    """The device that a finding is about: of it, or of a part of it; none where no tool shows it."""
    fitting = [name for name in named if re.match(rf"{re.escape(name)}(?![0-9a-zA-Z:.])", episode.about)]
    return [named[max(fitting, key=len)]] if fitting else []


def _resets(devices: Sequence[Accelerator], facts: Facts, vendors: Mapping[str, Vendor]) -> tuple[Reset, ...]:
    """How all of `devices` are reset; nothing where one of them cannot be."""
    found = []
    for name in dict.fromkeys(device.vendor for device in devices):
        vendor = vendors.get(name)
        every = [one for one in facts.accelerators or () if one.vendor == name]
        wanted = [one for one in devices if one.vendor == name]
        switches = sum(one.switches for one in facts.bus_accelerators or () if one.vendor == name)
        reset = None if vendor is None else reset_of(vendor, wanted, every, switches)
        if reset is None:
            return ()
        found.append(reset)
    return tuple(found)


def _units(episode: Episode, check: Check | None) -> tuple[str, ...]:
    """The units that are restarted for a finding; what a node says is no command, so only names are taken."""
    if episode.action != "restart_service":
        return ()
    told = [str(episode.evidence.get("unit") or ""), episode.about]
    if any(_UNIT.fullmatch(word) for word in told):
        return (next(word for word in told if _UNIT.fullmatch(word)),)
    if check is not None and check.units:
        return check.units
    return (f"{episode.about}.service",) if _DAEMON.fullmatch(episode.about) else ()
