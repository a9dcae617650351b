"""The seam for accelerator vendors: each is a plugin of the kind `accelerator`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from aiops.layers.core.plugin import Plugins, hookspec

from .accelerator import Accelerator
from .ask import Ask, Record
from .simulated_package import SimulatedPackage


@dataclass(frozen=True, slots=True)
class Reading:
    """What a vendor's parser made of a record.

    Attributes:
        unknown: Reason by subject, for what could not be read (`tool`: "nvidia-smi: driver not loaded").
        mismatch: Why the parts of the driver do not fit together (installed packages, loaded module); None where
            they do, or where there is no driver.
    """

    accelerators: tuple[Accelerator, ...] = ()
    unknown: Mapping[str, str] | None = None
    mismatch: str | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """How devices of a drained node are reset, as data: a playbook runs it.

    Attributes:
        commands: One after the other, as root; each must end with 0.
        devices: Those that are reset by it: more than were asked for where some can only be reset together.
        holders: systemd units that keep devices open. Those that run are stopped before, and started again after.
    """

    commands: tuple[tuple[str, ...], ...]
    devices: tuple[Accelerator, ...]
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulatedFault:
    """What a fault of a device looks like from the host.

    Attributes:
        state: The tool's new state.
        kernel: Lines for the host's kernel log, as (level, text).
        lost: Bus addresses that vanish.
        mended: Lines for the kernel log when the fault is taken back: what the host says after a repair.
    """

    state: Mapping[str, Any]
    kernel: tuple[tuple[int, str], ...] = ()
    lost: tuple[str, ...] = ()
    mended: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SimulatedTool:
    """The stand-in for a vendor's tool on a lab host; it behaves like the captured original.

    Attributes:
        files: Content by absolute path on the host, with mode 0755 (programs).
        state_path: The JSON file on the host which the tools read at every call and the lab writes.
        state: Its content while all is well. `driver` in it is the version that came with the host (`lab up
            --driver`), null while packages alone decide.
        devices: Device nodes that the loaded driver has, as (type, major, minor), e.g. `/dev/nvidia0`: ("c", 195, 0).
        bus: What the PCI bus shows of the devices: sysfs attributes by address, driver or not.
        links: Links that a driver's installer leaves, by path: `/usr/bin/nvidia-smi` -> one of `files`.
        packaged: Whether the tool comes with the driver's packages, of which there are dummies for the lab; otherwise
            every host with such devices has it from the start.
        boot: Command that a host runs once while booting, as the kernel would load the driver; empty for none.
        fault: Pure: (state, kind, device index, value) to what the fault looks like; None for a kind or a device
            that the vendor does not have.
    """

    files: Mapping[str, str]
    state_path: str
    state: Mapping[str, Any]
    devices: Mapping[str, tuple[str, int, int]]
    bus: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    packaged: bool = False
    boot: tuple[str, ...] = ()
    fault: Callable[[Mapping[str, Any], str, int, str | None], SimulatedFault | None] = lambda *_: None


class Vendor(Protocol):
    """One maker of accelerators.

    One who also makes other things of the usual classes (the screen of a management controller) may have an attribute
    `pci_classes`: what his accelerators' classes begin with, such as `("0x1200",)`; and where the classes are the same,
    `pci_screens`: device ids of what is no accelerator.
    """

    @property
    def name(self) -> str:
        """One lower-case word, as in `--accelerator NAME:8`."""
        ...

    @property
    def pci_vendor_ids(self) -> tuple[str, ...]:
        """Vendor ids on the PCI bus, four lower-case hex digits each."""
        ...

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, this vendor's devices."""
        ...

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; garbled or missing answers become `unknown`, never an exception."""
        ...

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The tool for a lab host with `count` devices, or None when there is no simulation."""
        ...


@runtime_checkable
class Resetting(Protocol):
    """What a vendor offers beside `Vendor` whose devices can be reset while the node runs on."""

    def reset(self, devices: Sequence[Accelerator], all_devices: Sequence[Accelerator], switches: int) -> Reset | None:
        """How `devices` are reset; None where these cannot be, or nobody has said how. Pure.

        Args:
            devices: Of this vendor, as its tool shows them.
            all_devices: All of this vendor's on the node.
            switches: How many switches of the vendor join them.
        """
        ...


def reset_of(
    vendor: Vendor, devices: Sequence[Accelerator], all_devices: Sequence[Accelerator], switches: int
) -> Reset | None:
    """How `devices` of a vendor are reset, see `Resetting`; None where the vendor offers no such thing."""
    return vendor.reset(devices, all_devices, switches) if isinstance(vendor, Resetting) else None


def vendors_of(plugins: Plugins) -> tuple[Vendor, ...]:
    """The vendors that are installed.

    Raises:
        PluginError: A plugin is broken.
    """
    return tuple(plugins.hooks("accelerator", AcceleratorHooks).accelerator_vendor())


class AcceleratorHooks:
    """Hooks of the kind `accelerator`."""

    @hookspec
    def accelerator_vendor(self) -> Vendor:  # type: ignore[empty-body]
        """The vendor this plugin knows."""

    @hookspec
    def simulated_packages(self, vendor: str, driver_version: str | None) -> tuple[SimulatedPackage, ...] | None:
        """Dummies of the driver's packages for the lab: the one asked for by its `vendor` answers, others None.

        `driver_version` is the vendor's exact driver version; None stands for the one its lab uses by default.
        """
