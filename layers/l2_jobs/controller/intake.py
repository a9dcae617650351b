"""Intake: what was told, as far as it can be taken in. A report that meets a defect of ours is left out, and told.

One node's words, or one job's, must not end the controller: its successor would be told the same, and so would all jobs
have none. What is left out of them is about that rank group alone.
"""

from collections.abc import Iterable, Mapping

from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Report
from aiops.layers.l2_jobs.watch import Watch

from .credence import credible

LEFT_OUT = "that word of it is left out"


def take_in(
    reports: Iterable[Report], records: Mapping[str, JobRecord], watch: Watch, defects: Defects
) -> tuple[list[Report], Watch]:
    """Those of `reports` that can be so, and what is known after them.

    Args:
        reports: What was told.
        records: Of all jobs that are not over.
        watch: What was known.
        defects: Is told of those that are left out.
    """
    told = list(reports)
    try:
        found = credible(told, records)
        return found, watch.after(found)
    except Exception:  # noqa: BLE001 - one of them, and it is sought here
        found = []
        for one in told:
            try:
                can_be = credible([one], records)
                watch = watch.after(can_be)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this report's alone
                defects.met(about(one), error, LEFT_OUT)
            else:
                found += can_be
        return found, watch


def about(report: Report) -> str:
    """Whom a report is about, in words."""
    key, node = getattr(report, "key", None), getattr(report, "node", None)
    if key is not None:
        return f"{key} on {node}" if node else str(key)
    return str(node or getattr(report, "engine", "an engine"))
