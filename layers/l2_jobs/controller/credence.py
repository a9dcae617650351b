"""Credence: what of a rank group's words can be so. A job's user may make up any of them. Pure."""

from collections.abc import Iterable, Mapping

from aiops.layers.l2_jobs.attempt import Attempt
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Exited, Halted, PeerHeard, PeerSilent, Report, Stepped

RANKS = 4096
"""Of one node, where the program starts its processes itself: as many as a launcher listens to."""


def credible(reports: Iterable[Report], records: Mapping[str, JobRecord]) -> list[Report]:
    """Those of `reports` that name only ranks and peers which their attempt has."""
    return [one for one in reports if _credible(one, records)]


def _credible(report: Report, records: Mapping[str, JobRecord]) -> bool:
    if not isinstance(report, Stepped | Exited | Halted | PeerSilent | PeerHeard):
        return True
    record = records.get(report.key.job)
    if record is None or record.attempt is None or record.attempt.key != report.key:
        return True
    if isinstance(report, Stepped | Exited | Halted):
        return report.rank < _ranks(record.job, record.attempt)
    return report.peer in record.attempt.allocation.nodes


def _ranks(job: Job, attempt: Attempt) -> int:
    each = job.processes if job.launch == "torchrun" else max(job.processes, RANKS)
    return each * len(attempt.allocation.nodes)
