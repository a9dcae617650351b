"""The seam for accelerator vendors: each is a plugin of the kind `accelerator`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiops.layers.core.plugin import hookspec

from .accelerator import Accelerator
from .ask import Ask, Record


@dataclass(frozen=True, slots=True)
class Reading:
    """What a vendor's parser made of a record.

    Attributes:
        unknown: Reason by subject, for what could not be read (`tool`: "nvidia-smi: driver not loaded").
    """

    accelerators: tuple[Accelerator, ...] = ()
    unknown: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SimulatedTool:
    """The stand-in for a vendor's tool on a lab host; it behaves like the captured original.

    Attributes:
        files: Content by absolute path on the host, with mode 0755 (programs).
        state_path: The JSON file on the host which the tools read at every call and the lab writes.
        devices: Device nodes by path, to be made as (type, major, minor), e.g. `/dev/nvidia0`: ("c", 195, 0).
    """

    files: Mapping[str, str]
    state_path: str
    state: Mapping[str, object]
    devices: Mapping[str, tuple[str, int, int]]


class Vendor(Protocol):
    """One maker of accelerators."""

    name: str
    pci_vendor_ids: tuple[str, ...]

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, this vendor's devices."""
        ...

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; garbled or missing answers become `unknown`, never an exception."""
        ...

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The tool for a lab host with `count` devices, or None when there is no simulation."""
        ...


class AcceleratorHooks:
    """Hooks of the kind `accelerator`."""

    @hookspec
    def accelerator_vendor(self) -> Vendor:  # type: ignore[empty-body]
        """The vendor this plugin knows."""
