"""Shape: what a job wants of nodes. Jobs of one shape fit, or do not, alike: a tick asks once for all of them."""

from dataclasses import dataclass

from .job import EngineName
from .record import JobRecord


@dataclass(frozen=True, slots=True)
class Shape:
    """What is wanted.

    Attributes:
        least: Nodes, and `most`.
        chosen: Only these; empty for any.
        count: Whole devices of each node; with `share` one, of which a part is taken.
        avoid: Never these.
        suspects: These only where others will not do.
        before: Rather these: where it ran before.
    """

    engine: EngineName | None
    least: int
    most: int
    chosen: tuple[str, ...]
    count: int
    share: float | None
    vendor: str | None
    avoid: frozenset[str] = frozenset()
    suspects: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: JobRecord) -> "Shape":
        """What the job of `record` wants now."""
        job = record.job
        return cls(
            job.engine,
            record.exact or job.nodes.least,
            record.exact or job.nodes.most,
            job.nodes.chosen,
            job.devices.count,
            job.devices.share,
            job.devices.vendor,
            frozenset(record.avoid),
            frozenset(record.suspects),
            record.attempt.allocation.nodes if record.attempt is not None else (),
        )
