"""One rate that a deep test measures: how fast something is, or how long it takes."""

from dataclasses import dataclass

UNITS = ("_gbs", "_mbs", "_us", "_gbit")
"""How the names of rates end in health.yml."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One number that was measured.

    Attributes:
        trait: As health.yml calls it: `memory_gbs`, `disk./scratch.read_mbs`.
        title: What it is, for the words of a finding: `reading`.
        unit: Of `value`, and of what is expected.
        about: The thing on the node that it is of.
        is_delay: Whether less is better.
        floor: Below it a rate is no longer good, whatever its equals do; None where nobody has published one.
        floor_source: Who has.
    """

    trait: str
    title: str
    value: float
    unit: str
    about: str = ""
    is_delay: bool = False
    floor: float | None = None
    floor_source: str = ""
