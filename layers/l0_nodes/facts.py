"""What one probe said of a node. What could not be read is None, and `unknown` says why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from .accelerator import Accelerator


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system, by where it is mounted."""

    path: str
    total_mib: int
    free_mib: int


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface.

    Attributes:
        addresses: With prefix length, `10.0.0.1/24`; link-local ones are left out.
        speed: Mbit/s, or None where the device does not say.
        state: In the kernel's words, lower case: `up`, `down`, `unknown`, ...; None where it does not say.
    """

    name: str
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    speed: int | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """A port of a device that speaks RDMA.

    Attributes:
        device: As the kernel calls it, `mlx5_0`.
        state: In the kernel's words, lower case: `active`, `down`, `init`, ...; None where it does not say.
        speed_gbit: Gbit/s, or None where the port does not say.
    """

    device: str
    port: int
    kind: Literal["infiniband", "roce"]
    state: str | None = None
    speed_gbit: float | None = None


@dataclass(frozen=True, slots=True)
class BusAccelerators:
    """A vendor's devices as the PCI bus shows them, with or without a driver.

    Attributes:
        switches: How many of the vendor's own switches (NVSwitch) join them; these need a fabric manager.
    """

    vendor: str
    count: int
    buses: tuple[str, ...] = ()
    switches: int = 0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The node's clock beside ours.

    Attributes:
        epoch: Seconds since 1970 by the node's clock.
        asked_at: The same moment, give or take the way back, by ours.
    """

    epoch: float
    asked_at: float

    @property
    def offset(self) -> float:
        """Seconds by which the node's clock is ahead of ours."""
        return self.epoch - self.asked_at


@dataclass(frozen=True, slots=True)
class Facts:
    """A node at one moment.

    Attributes:
        at: When the answers came, by our clock.
        virtualization: In systemd's words: `none`, `kvm`, `systemd-nspawn`, ...
        cgroup: `v1`, `v2` or `hybrid`.
        cores: Of all sockets together; `threads` likewise (what Linux calls CPUs).
        swaps: Paths of swap devices and files in use.
        hosts: /etc/hosts, as it is.
        rdma_ports: InfiniBand and RoCE; empty where the kernel knows none.
        bus_accelerators: By vendor; empty where the bus shows none.
        accelerators: What the vendors' tools say; None when a device is there but none could be read.
        driver_mismatch: Why the parts of a vendor's driver do not fit together; None where they do.
        python: Version of the interpreter that the probe ran in.
        kernel_packages: Installed packages of the kernel and of accelerator drivers.
        package_lock_held: Whether some process holds dpkg's or apt's lock.
        simulated: Whether this is a host of the lab: nothing that rests on it is real hardware.
        unknown: Reason by fact, for what could not be read.
    """

    node: str
    at: datetime
    hostname: str | None = None
    os_id: str | None = None
    os_version: str | None = None
    os_codename: str | None = None
    os_name: str | None = None
    kernel: str | None = None
    architecture: str | None = None
    boot_id: str | None = None
    machine_id: str | None = None
    virtualization: str | None = None
    container: bool | None = None
    cgroup: str | None = None
    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None
    cpu_model: str | None = None
    memory_mib: int | None = None
    swap_mib: int | None = None
    swaps: tuple[str, ...] | None = None
    disks: tuple[Disk, ...] | None = None
    hosts: str | None = None
    interfaces: tuple[Interface, ...] | None = None
    rdma_ports: tuple[RdmaPort, ...] | None = None
    bus_accelerators: tuple[BusAccelerators, ...] | None = None
    accelerators: tuple[Accelerator, ...] | None = None
    driver_mismatch: str | None = None
    clock: ClockReading | None = None
    python: str | None = None
    kernel_packages: tuple[str, ...] | None = None
    package_lock_held: bool | None = None
    simulated: bool = False
    unknown: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = asdict(self)
        values["at"] = self.at.isoformat().replace("+00:00", "Z")
        if self.clock is not None:
            values["clock"]["offset"] = round(self.clock.offset, 3)
        return values
