"""Faults on demand: each has a real effect that can be measured from outside, and can be taken back.

A kind is two functions on a host: `inject` and `heal`. What cannot be made real on a machine shared by all hosts
(clock, kernel version, firmware) is a shim, and its sentence says so.
"""

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import ConflictError, InputError, NotFoundError
from aiops.layers.l0_nodes.vendor import SimulatedTool

from . import shim
from .cgroup import Group
from .device import write_bus, write_tool_state
from .disk import Disk
from .host import Launch, log_kernel, processes_called
from .network import cut, limit_rate, plug_in, rate, unlimit_rate

RATE = "1mbit"
_BLOCK = 4096

DEVICE_KINDS: Mapping[str, str] = {
    "device-lost": "An accelerator falls off the bus: gone from PCI, the vendor's tool fails, the kernel log tells.",
    "ecc-uncorrected": "VALUE uncorrectable memory errors (1) on an accelerator, a row remap pending.",
    "xid": "The driver logs error VALUE (79) in this host's kernel log, and in no other's.",
    "thermal-throttle": "An accelerator runs at VALUE °C (91) with its clocks throttled.",
    "tool-hang": "The vendor's tool hangs until it is killed, or answers after VALUE seconds.",
    "driver-skew": "Shim: the tool tells driver version VALUE, unlike its neighbours.",
    "firmware-skew": "Shim: an accelerator tells firmware version VALUE, unlike its neighbours.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A host as faults see it.

    Attributes:
        faults: Those that are on, by kind, with what was given; in the order they came.
        driver: The driver version that the host came with, or None.
        start: Boots the host, which is off, and waits until it answers if its cable is plugged in.
    """

    launch: Launch
    group: Group
    disk: Disk
    tool: SimulatedTool | None
    driver: str | None
    faults: Mapping[str, Mapping[str, Any]]
    start: Callable[[], None]

    @property
    def root(self) -> Path:
        """The root of the running host."""
        return self.launch.seen(self.launch.root)


@dataclass(frozen=True, slots=True)
class Order:
    """One fault as it was asked for.

    Attributes:
        device: Number of the accelerator, where the kind is about one.
        value: What the kind takes, as text; None for its default.
    """

    device: int = 0
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        lasts: Whether it stays until it is healed; `reboot` is over by itself.
        survives: Whether it is still there after the host lost its power.
    """

    name: str
    sentence: str
    inject: Callable[[Target, Order], None]
    heal: Callable[[Target], None]
    lasts: bool = True
    survives: bool = True
    needs_running: bool = True


def kinds() -> tuple[Kind, ...]:
    """All kinds, in the order they are told."""
    return (*_HOST_KINDS, *(_device_kind(name, sentence) for name, sentence in DEVICE_KINDS.items()))


def kind_called(name: str) -> Kind:
    """The kind called `name`.

    Raises:
        InputError: There is none.
    """
    for kind in kinds():
        if kind.name == name:
            return kind
    raise InputError(
        f"there is no fault `{name}`", code="lab.unknown_fault", hints=["`aiops lab kinds` lists the faults"]
    )


def survivors(faults: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of `faults` that are still on after the host lost its power: a frozen process is no more. Pure."""
    return {name: order for name, order in faults.items() if kind_called(name).survives}


def refuse_impossible(target: Target, kind: Kind, order: Order) -> None:
    """Say why a fault cannot be injected now, before anything is written down.

    Raises:
        ConflictError: It is on already, or the host is off.
        InputError: The host has no such device, or the value is wrong.
    """
    host = target.launch.host.name
    if kind.name in target.faults:
        raise ConflictError(
            f"{host}: `{kind.name}` is on already", code="lab.fault_on", hints=[f"aiops lab heal {host} {kind.name}"]
        )
    if kind.needs_running and not target.group.populated:
        raise ConflictError(f"{host}: the host is off", code="lab.host_off", hints=[f"aiops lab heal {host}"])
    if kind.name in DEVICE_KINDS:
        if target.tool is None:
            raise InputError(f"{host} has no accelerator", code="lab.no_accelerator")
        if target.tool.fault(target.tool.state, kind.name, order.device, order.value) is None:
            raise NotFoundError(f"{host} has no accelerator number {order.device}", code="lab.unknown_device")
    elif kind.name in _CHECKED:
        _CHECKED[kind.name](order.value)


def show_devices(target: Target, faults: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[int, str], ...]:
    """Make bus and tool show exactly `faults`; return the kernel lines that the last of them brings."""
    tool = target.tool
    if tool is None:
        return ()
    state: Mapping[str, Any] = {**tool.state, "driver": target.driver}
    lost: list[str] = []
    kernel: tuple[tuple[int, str], ...] = ()
    for name, order in faults.items():
        effect = tool.fault(state, name, order["device"], order["value"]) if name in DEVICE_KINDS else None
        if effect is not None:
            state, kernel = effect.state, effect.kernel
            lost.extend(effect.lost)
    write_tool_state(target.launch.state, tool, state)
    write_bus(target.launch.bus, tool, lost)
    return kernel


def _device_kind(name: str, sentence: str) -> Kind:
    def inject(target: Target, order: Order) -> None:
        faults = {**target.faults, name: {"device": order.device, "value": order.value}}
        log_kernel(target.launch, show_devices(target, faults))

    def heal(target: Target) -> None:
        show_devices(target, {kind: order for kind, order in target.faults.items() if kind != name})
        order = target.faults.get(name)
        if target.tool is None or order is None:
            return
        effect = target.tool.fault(target.tool.state, name, order["device"], order["value"])
        if effect is not None and effect.mended:
            log_kernel(target.launch, effect.mended)

    return Kind(name, sentence, inject, heal)


def _power_off(target: Target, _order: Order) -> None:
    if "clock-skew" in target.faults:  # what starts at the next boot would be skewed, sshd too
        shim.straighten_clock(target.root)
    target.group.kill()


def _restart(target: Target, order: Order) -> None:
    _power_off(target, order)
    target.start()


def _nothing(_target: Target) -> None:
    """Over by itself."""


def _signal(target: Target, name: str, number: int) -> None:
    for process in processes_called(target.group, name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def fill(path: Path) -> None:
    """Take every free block of the file system of `path` into it."""
    with path.open("wb") as stream:
        size, step = 0, 1 << 30
        while step >= _BLOCK:
            try:
                os.posix_fallocate(stream.fileno(), size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size, step = os.fstat(stream.fileno()).st_size, step // 2
        os.fsync(stream.fileno())


_HOST_KINDS = (
    Kind(
        "power-loss",
        "The host loses its power at once; heal boots it again.",
        _power_off,
        lambda target: target.start(),
    ),
    Kind("reboot", "The host loses its power for a moment and boots again.", _restart, _nothing, lasts=False),
    Kind(
        "network-cut",
        "The host's cable is unplugged; the host keeps running.",
        lambda target, _order: cut(target.launch.host),
        lambda target: plug_in(target.launch.host),
        needs_running=False,
    ),
    Kind(
        "network-slow",
        "The host's network passes only VALUE (1mbit) in each direction.",
        lambda target, order: limit_rate(target.launch.host, order.value or RATE),
        lambda target: unlimit_rate(target.launch.host),
        needs_running=False,
    ),
    Kind(
        "frozen",
        "All processes of the host stand still; its kernel still answers pings and accepts connections.",
        lambda target, _order: target.group.freeze(frozen=True),
        lambda target: target.group.freeze(frozen=False),
        survives=False,
    ),
    Kind(
        "sshd-hung",
        "sshd stands still: connections open and nothing is said on them.",
        lambda target, _order: _signal(target, "sshd", signal.SIGSTOP),
        lambda target: _signal(target, "sshd", signal.SIGCONT),
        survives=False,
    ),
    Kind(
        "disk-full",
        "The host's disk has no free byte left.",
        lambda target, _order: fill(target.launch.seen(target.disk.filler)),
        lambda target: target.launch.seen(target.disk.filler).unlink(missing_ok=True),
    ),
    Kind(
        "clock-skew",
        "Shim: programs started from now on see a clock that is VALUE seconds (120) ahead; `-90` is behind.",
        lambda target, order: shim.skew_clock(target.root, shim.seconds(order.value)),
        lambda target: shim.straighten_clock(target.root),
        survives=False,
    ),
    Kind(
        "kernel-skew",
        "Shim: `uname` tells kernel VALUE, unlike its neighbours.",
        lambda target, order: shim.skew_kernel(target.root, shim.release(order.value)),
        lambda target: shim.straighten_kernel(target.root),
    ),
    Kind(
        "disk-skew",
        "Shim: `lsblk --json` tells a disk of VALUE GiB (1788) more, unlike its neighbours.",
        lambda target, order: shim.skew_disks(target.root, shim.gib(order.value)),
        lambda target: shim.straighten_disks(target.root),
    ),
)

_CHECKED: Mapping[str, Callable[[str | None], object]] = {
    "network-slow": lambda value: rate(value or RATE),
    "clock-skew": shim.seconds,
    "kernel-skew": shim.release,
    "disk-skew": shim.gib,
}
"""What refuses a wrong value, by kind."""
