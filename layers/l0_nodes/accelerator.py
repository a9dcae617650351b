"""The vendor-neutral record of one accelerator. What is missing is None, never 0."""

from dataclasses import dataclass
from typing import Literal

DeviceHealth = Literal["ok", "warning", "critical"]
"""How a device is by its own vendor's tool, in words that are the same for all: `warning`: it works, and somebody
should look; `critical`: no job should run on it."""


@dataclass(frozen=True, slots=True)
class Pcie:
    """The link to the host: generation and lane count, now and at best.

    Attributes:
        max_generation: The best that it could be; `max_width` likewise.
        with_slot: Whether that is the best of device and slot together; otherwise it is the device's own, which a slot
            may not reach by design.
        replays: Packets that had to be sent again, since the driver was loaded.
    """

    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None
    max_width: int | None = None
    replays: int | None = None
    with_slot: bool = False


@dataclass(frozen=True, slots=True)
class Ecc:
    """Memory errors, as counts since the driver was loaded (volatile) or ever (aggregate).

    Attributes:
        remapped_correctable: Rows that a spare one stands in for; `remap_pending`: one will, after the next reset;
            `remap_failed`: there was no spare left.
        retired: Pages of memory that are no longer used, on devices that have no spare rows.
        retire_pending: Whether a page will be, after the next reset.
    """

    enabled: bool | None = None
    corrected_volatile: int | None = None
    uncorrected_volatile: int | None = None
    corrected_aggregate: int | None = None
    uncorrected_aggregate: int | None = None
    remapped_correctable: int | None = None
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired: int | None = None
    retire_pending: bool | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Device-to-device links (NVLink, HCCS, XGMI ...).

    Attributes:
        errors: Of all links together, since the driver was loaded or the counters were cleared.
    """

    active: int | None = None
    total: int | None = None
    errors: int | None = None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device.

    Attributes:
        bus: PCI address, four-digit domain, lower case (`0000:3b:00.0`).
        memory_total_mib: MiB, `memory_used_mib` likewise.
        utilization: Percent of the last sample.
        temperature_c: Degrees Celsius of the core; memory and hottest spot beside it.
        power_w: Watts drawn; the cap beside it.
        partitioned: Whether it is divided into devices of their own (MIG, virtual functions).
        processes: How many processes have it open for work; None when it was not told.
        throttle_reasons: Why clocks are lowered, in the vendor's words, in lower case and with `_` between them
            (`hw_thermal_slowdown`, `prochot`, `gpu_idle`); None when it was not told.
        health: How it is, as the vendor's own tool judges; None when the tool has no such word. Only what the tool
            itself says: no parser makes this up from other values.
        health_codes: The vendor's codes of what is wrong, as the tool prints them.
        problems: Conditions that only this vendor tells of, and that a person must look at, in a few words each:
            `a power cable is not attached`, `it is marked for return`.
        simulated: True when a simulated tool of the lab answered.
    """

    vendor: str
    index: int | None = None
    uuid: str | None = None
    serial: str | None = None
    bus: str | None = None
    model: str | None = None
    driver: str | None = None
    firmware: str | None = None
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    utilization: float | None = None
    temperature_c: float | None = None
    temperature_memory_c: float | None = None
    temperature_hotspot_c: float | None = None
    power_w: float | None = None
    power_cap_w: float | None = None
    pcie: Pcie = Pcie()
    ecc: Ecc = Ecc()
    links: Links = Links()
    persistence: bool | None = None
    fabric_state: str | None = None
    partitioned: bool | None = None
    processes: int | None = None
    throttle_reasons: tuple[str, ...] | None = None
    health: DeviceHealth | None = None
    health_codes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    simulated: bool = False
