"""Shelf: what is known of a job's checkpoints."""

from dataclasses import dataclass

from .checkpoint.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Shelf:
    """The checkpoints of one job.

    Attributes:
        looked: When the look that found them was begun, by the steady clock.
        checkpoints: All that was found, also what is bad or unfinished.
        answered: When that look had ended: one that took long has waited for a storage that stalled.
        live: Whether an attempt may have been writing: it tells that the folder answers, not what to go on from.
        problem: Why the folder could not be read, or has no room: the storage is away or full; empty where all is well.
    """

    looked: float
    checkpoints: tuple[Checkpoint, ...] = ()
    problem: str = ""
    answered: float | None = None
    live: bool = False

    @property
    def aside(self) -> bool:
        """Whether nobody has asked for it: it took as long as reading takes, and tells nothing of the storage."""
        return self.live and self.answered is None
