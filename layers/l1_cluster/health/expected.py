"""What a node should have: what was learned of its group, and what the site says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Expected:
    """The normal of a node, by trait: `memory_mib`, `gpu.count`, `ib.mlx5_0.gbit`, ...

    Attributes:
        values: A number or a word each; a trait that is not in it is not known, and nothing is expected.
        source: Where they stand, for the words of a finding: `health.yml, group h100`.
    """

    values: Mapping[str, float | str] = field(default_factory=dict)
    source: str = ""

    def number(self, trait: str) -> float | None:
        """The number that is expected, or None."""
        value = self.values.get(trait)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def word(self, trait: str) -> str | None:
        """The word that is expected, or None."""
        value = self.values.get(trait)
        return value if isinstance(value, str) else None
