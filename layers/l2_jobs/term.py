"""Terms: which of two controllers of one store is the later one, so that nodes obey no other.

A store has a lineage, which its backups share, and a term in it, which a restore raises. Each line to a node says both
at its start (`remote/terms.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """Of a controller.

    Attributes:
        lineage: Names the store and all that was restored from it; letters and digits.
        number: The higher one is the later.
    """

    lineage: str
    number: int

    def raised(self, now: float) -> "Term":
        """The term of a store that is restored now: above this one.

        The time is in it so that two restores of one backup, of which neither store can know of the other, are apart:
        the later one wins, as far as the clocks of their heads agree.

        Args:
            now: Seconds since the epoch.
        """
        return Term(self.lineage, max(self.number + 1, int(now)))
