"""The vendor-neutral record of one accelerator. What is missing is None, never 0."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pcie:
    """The link to the host: generation and lane count, now and at best."""

    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None
    max_width: int | None = None


@dataclass(frozen=True, slots=True)
class Ecc:
    """Memory errors, as counts since the driver was loaded (volatile) or ever (aggregate)."""

    enabled: bool | None = None
    corrected_volatile: int | None = None
    uncorrected_volatile: int | None = None
    corrected_aggregate: int | None = None
    uncorrected_aggregate: int | None = None
    remapped_correctable: int | None = None
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Device-to-device links (NVLink, HCCS, XGMI ...)."""

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
        throttle_reasons: Why clocks are lowered, in the vendor's words; None when it was not told.
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
    throttle_reasons: tuple[str, ...] | None = None
    health: str | None = None
    simulated: bool = False
