"""Accelerators of one node, as checks see them: which are judged, what they are called, what of them is not told."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators

from .check import Sighting, Subject
from .past import Growth, Sample

_WHOLE_ANSWERS = ("query", "details")  # what a vendor's parser calls an answer that has values of every kind
_REFUSED = re.compile(r"option|argument|usage|unrecogni[sz]ed|unsupported|not supported|invalid", re.IGNORECASE)
"""Said by a tool of a version that has no such answer: then nothing is lost that could have been told."""


def vendors(subject: Subject) -> frozenset[str]:
    """Whose devices are judged on this node.

    Those that the inventory says it has, and those that a vendor's tool shows. What only the bus shows counts where
    work is done: a graphics card that nobody installed a driver for is no fault of a head.
    """
    wanted = subject.variables.aiops_accelerators
    shown = {device.vendor for device in subject.facts.accelerators or ()}
    if wanted is not None:
        return frozenset({wanted.vendor} | shown)
    on_bus = {one.vendor for one in subject.facts.bus_accelerators or ()}
    return frozenset(shown or (on_bus if "workers" in subject.node.roles else ()))


def has_devices(subject: Subject) -> bool:
    """Whether there is a device to judge, read or not.

    Raises:
        UnreadableError: Neither the bus nor a tool tells.
    """
    facts = subject.facts
    if facts.accelerators:
        return True
    on_bus: tuple[BusAccelerators, ...] = subject.fact("bus_accelerators")
    return bool({one.vendor for one in on_bus} & vendors(subject))


def devices(subject: Subject) -> tuple[Accelerator, ...]:
    """What the tools show.

    Raises:
        UnreadableError: There are devices, and no tool shows one; with the reason.
    """
    found: tuple[Accelerator, ...] = subject.fact("accelerators")
    return found


def named(subject: Subject) -> Iterator[tuple[str, Accelerator]]:
    """The devices that the tools show, each with the words that a finding calls it by: `GPU 3`.

    The vendor's own number of it, for that is what the vendor's tool takes; its bus address where there is none or
    several have it.

    Raises:
        UnreadableError: As for `devices`.
    """
    yield from called(devices(subject))


def called(found: Sequence[Accelerator]) -> Iterator[tuple[str, Accelerator]]:
    """The devices of one node, each with the words that a finding calls it by, see `named`. Pure."""
    numbers = Counter(device.index for device in found)
    for device in found:
        place = device.bus or device.uuid or device.serial
        if device.index is not None and (numbers[device.index] == 1 or place is None):
            yield f"GPU {device.index}", device
        else:
            yield at_bus(place) if place else "GPU", device


def at_bus(bus: str) -> str:
    """What a device is called that no tool shows: `GPU at 0000:3b:00.0`."""
    return f"GPU at {bus}"


def unread(subject: Subject, device: Accelerator, *words: str, whole: bool = True) -> str | None:
    """Why a value of a device is missing, where that is because it could not be read; None where it has no such thing.

    Args:
        subject: Whose facts tell it.
        device: What it is about.
        words: What stands in the tool's name of the value: `temp`, `power`.
        whole: Whether an answer that could not be read as a whole is a reason too: it may have had the value.
    """
    found = None
    head = f"accelerators.{device.vendor}."
    for subject_, reason in subject.facts.unknown.items():
        if not subject_.startswith(head):
            continue
        place, _, field = subject_.removeprefix(head).partition(".")
        of_device = bool(field) and place.isdigit()
        what = field if of_device else place
        told = any(word in what.lower() for word in words) or (whole and _is_whole(what, reason))
        if told and of_device and device.index == int(place):
            return reason
        if told and not of_device:
            found = reason
    return found


def _is_whole(what: str, reason: str) -> bool:
    return what in _WHOLE_ANSWERS and not _REFUSED.search(reason)


def unread_sighting(
    subject: Subject, name: str, device: Accelerator, *words: str, whole: bool = True
) -> Iterator[Sighting]:
    """One of `unknown` where `unread` has a reason, else nothing."""
    reason = unread(subject, device, *words, whole=whole)
    if reason is not None:
        yield Sighting("unknown", reason, name)


def switches(subject: Subject, vendor: str) -> int:
    """How many switches of a vendor join its devices, as far as the bus tells."""
    return sum(one.switches for one in subject.facts.bus_accelerators or () if one.vendor == vendor)


def growth(subject: Subject, counter: str, value: int, window: timedelta) -> Growth | None:
    """How much a counter has grown within `window`; None where nothing is remembered of it."""
    return subject.past.growth(counter, Sample(subject.at, value, subject.facts.boot_id), window)


def lasting_growth(subject: Subject, counter: str, value: int, window: timedelta) -> Growth | None:
    """The same of a counter that a device keeps for life, whatever boots lie between."""
    return subject.past.lasting(counter).growth(counter, Sample(subject.at, value), window)


def identity(name: str, device: Accelerator) -> str:
    """What a device is remembered by: another one in its place has a past of its own; `name` where it has no number."""
    return device.uuid or device.serial or name
