"""Policy: what becomes of a job after a fault. Pure: the fault, what the job may use and has used, and its checkpoints.

Who caused it decides what is done; what the job has to show for it, a newer verified checkpoint, decides how often.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .attempt import Attempt
from .fault.fault import Evidence, Fault
from .record import JobRecord, JobState

PROOF = frozenset({"kernel", "health", "agent", "scheduler"})
"""Where evidence must come from to have a node drained: a log is the user's program's, and may say anything."""

WAIT = 15.0
"""Seconds that storage is first waited for, doubled each time up to `WAIT_MOST`."""

WAIT_MOST = 300.0
STORAGE_WAITS = 72
"""In a row: some six hours."""

PREEMPTIONS = 20
"""In a row without a newer checkpoint."""

SERVICE_WAIT = 5.0
"""Seconds before a service is started again, doubled each time up to `WAIT_MOST`."""

ROLLED = frozenset({"loss_nan", "loss_spike"})
MISHAPS_KEPT = 32


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a job.

    Attributes:
        state: `queued`, `waiting`, `held` or `failed`.
        charge: The causer whose budget pays; None for nobody's.
        counted: Whether the attempt counts among those without progress.
        avoid: Nodes that it is not placed on any more until they were taken out, with the reason.
        suspects: Nodes that it is rather not placed on.
        drain: Nodes that are to be taken out, with the reason.
        below: Only checkpoints of a lower step are gone on from.
        wait: Seconds, for `waiting`.
        reject: The checkpoint that it went on from does not load.
    """

    state: JobState
    reason: str
    charge: str | None = None
    counted: bool = True
    avoid: Mapping[str, str] = field(default_factory=dict)
    suspects: Mapping[str, str] = field(default_factory=dict)
    drain: Mapping[str, str] = field(default_factory=dict)
    below: int | None = None
    wait: float = 0.0
    reject: bool = False


def what_next(  # noqa: PLR0911 - one return for each end of a job
    record: JobRecord,
    attempt: Attempt,
    fault: Fault,
    *,
    stepped: bool,
    newer: bool,
    status: int | None,
    budget: Mapping[str, int],
) -> Next:
    """What becomes of a job after an attempt.

    Args:
        record: The job, before this attempt is counted.
        attempt: The attempt that has ended.
        fault: Its fault.
        stepped: Whether it made a step.
        newer: Whether there is a newer verified checkpoint than before it, or a service was ready long enough.
        status: The first bad exit status that its processes have told.
        budget: Restarts by causer, of the site.
    """
    words = sentence(fault)
    if record.job.on_fault == "hold":
        return Next("held", f"{words}; `on_fault: hold`", counted=False)
    if fault.causer == "storage" and fault.kind != "checkpoint_corrupt":
        return _storage(record, words)
    if fault.causer == "scheduler" and fault.kind == "preempted":
        return _preempted(record, words, newer=newer)
    stalled = 0 if newer else record.stalled + 1
    drain = {node: words for node in fault.nodes if fault.bad_node and _proved(fault, node)}
    suspects = {node: words for node in fault.nodes if node not in drain}
    if fault.causer == "user" or fault.kind in ROLLED:
        stopped = _user(record, fault, words, stepped=stepped, newer=newer)
        if stopped is not None:
            return stopped
    if not stepped and _same_exit(record, fault, status) and not newer:
        return Next("failed", f"twice before the first step, with the same exit status: {words}")
    if stalled >= record.job.restarts.without_progress:
        return Next("held", f"{stalled} attempts without a newer verified checkpoint; the last: {words}", drain=drain)
    pays = payer(record, fault)
    allowed = record.job.restarts.budget.get(pays, budget.get(pays))
    if allowed is not None and record.used.get(pays, 0) >= allowed:
        return Next("held", f"its {allowed} restarts for faults by {pays} are used up; the last: {words}", drain=drain)
    below = record.step if fault.kind in ROLLED else None
    if fault.kind == "checkpoint_corrupt":
        below = attempt.step
    state: JobState = "waiting" if record.job.kind == "service" else "queued"
    tries = 0 if newer else record.stalled
    return Next(
        state,
        f"goes on after a fault: {words}",
        pays,
        avoid=drain,
        suspects=suspects,
        drain=drain,
        below=below,
        wait=min(SERVICE_WAIT * 2**tries, WAIT_MOST),
        reject=fault.kind == "checkpoint_corrupt" and attempt.resume is not None,
    )


def _same_exit(record: JobRecord, fault: Fault, status: int | None) -> bool:
    """Whether the attempt before ended by itself with the same status, and nobody else is to blame for either."""
    last = record.past[-1] if record.past else None
    if last is None or fault.kind != "process_exit" or last.kind != fault.kind or last.stepped:
        return False
    return status is not None and status > 0 and last.status == status


def payer(record: JobRecord, fault: Fault) -> str:
    """Whose budget pays: the causer's; `process` stands for the user and the framework where the job says only that."""
    own = record.job.restarts.budget
    if fault.causer in {"user", "framework"} and fault.causer not in own and "process" in own:
        return "process"
    return fault.causer


def sentence(fault: Fault) -> str:
    """A fault in a line for people."""
    where = f" on {', '.join(fault.nodes)}" if fault.nodes else ""
    text = f": {fault.evidence[0].text}" if fault.evidence else ""
    return f"{fault.kind}{where}{text}"


def _proved(fault: Fault, node: str) -> bool:
    def about(one: Evidence) -> bool:
        return one.source in PROOF and one.node == node

    return any(about(one) for one in fault.evidence)


def _row(record: JobRecord, causer: str) -> int:
    """Mishaps of a causer in a row, up to the last."""
    row = 0
    for one in reversed(record.past):
        if one.causer != causer:
            break
        row += 1
    return row


def _storage(record: JobRecord, words: str) -> Next:
    row = _row(record, "storage")
    if row >= STORAGE_WAITS:
        return Next("held", f"the storage did not come back: {words}", counted=False)
    wait = min(WAIT * 2.0 ** min(row, 10), WAIT_MOST)
    return Next("waiting", f"waits for the storage: {words}", counted=False, wait=wait)


def _preempted(record: JobRecord, words: str, *, newer: bool) -> Next:
    if not newer and _row(record, "scheduler") >= PREEMPTIONS:
        return Next("held", f"{PREEMPTIONS} preemptions in a row without a newer checkpoint: {words}", counted=False)
    return Next("queued", f"goes on after {words}", counted=False)


def _user(record: JobRecord, fault: Fault, words: str, *, stepped: bool, newer: bool) -> Next | None:
    """What is done about a fault of the user's beside the budgets; None where those decide.

    Before the first step a second attempt tells a bad node or a slow mount from a bug: the same twice is a bug. After
    steps the same twice without a newer checkpoint in between is one. A loss that is lost again after a checkpoint was
    rolled back needs a person.
    """
    last = record.past[-1] if record.past else None
    again = last is not None and last.kind == fault.kind and not newer
    if fault.kind in ROLLED:
        rolled = any(one.kind in ROLLED for one in record.past)
        return Next("held", f"again after going back a checkpoint: {words}") if rolled else None
    if fault.retryable:
        return None
    if again and last is not None and last.stepped == stepped:
        when = "before the first step" if not stepped else "without a newer checkpoint in between"
        return Next("failed", f"twice {when}: {words}")
    return None
