"""What placement knows of a node."""

from dataclasses import dataclass

from .job import EngineName


@dataclass(frozen=True, slots=True)
class Place:
    """A node as a place for work.

    Attributes:
        engine: The one engine that it belongs to.
        devices: Indices of its accelerators that are well.
        vendor: Their maker; None without any.
        shares: Whether its owner lets devices be shared.
        closed: Why it gets no new work (drained, quarantined, of unknown health ...); empty where it may.
        verdict: Of its health: `ok`, `warn`, `critical`, `unknown`.
        verdict_at: When it was judged, by the steady clock; None when it never was.
        looking: Whether it is being looked at just now (`Examine`), so that it need not be asked for again.
        bmc: Whether the inventory says how its BMC is asked for its power.
        off: Since when it is proved to be without power, by the steady clock; None while it is not. Worked out whenever
            something is decided, from what its BMC has said (`power.py`).
        missing: How many more accelerators it has, or had, that are ill or were not found at the last look.
    """

    name: str
    engine: EngineName
    devices: tuple[int, ...] = ()
    vendor: str | None = None
    shares: bool = False
    closed: str = ""
    verdict: str = "unknown"
    verdict_at: float | None = None
    looking: bool = False
    bmc: bool = False
    off: float | None = None
    missing: int = 0

    @property
    def has(self) -> int:
        """How many accelerators it has, those that are ill for now too."""
        return len(self.devices) + self.missing
