"""JobRecord: what the controller keeps of a job; every change of it is one transaction and an event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .attempt import Attempt
from .fault.fault import Fault
from .job import Job
from .pair_test import Trial

JobState = Literal["queued", "starting", "running", "stopping", "waiting", "held", "succeeded", "failed", "cancelled"]
"""`starting`: an attempt was chosen, and not all of its rank groups run. `stopping`: an attempt is being ended, or its
lease is waited for; nothing new is started before nothing of it can write. `waiting`: a back-off, storage that is away,
or a test of its nodes. `held`: it needs a person."""

OVER: frozenset[JobState] = frozenset({"succeeded", "failed", "cancelled"})


Asked = Literal["", "stop", "dump", "kill"]


@dataclass(frozen=True, slots=True)
class Mishap:
    """An attempt that went wrong, in short.

    Attributes:
        number: The attempt's.
        kind: The class of its fault.
        stepped: Whether it had made a step.
        charged: Whether it counts among attempts without progress.
        step_seconds: What a step of it took, the median; None where too few were timed.
    """

    number: int
    kind: str
    causer: str
    nodes: tuple[str, ...]
    stepped: bool
    charged: bool
    status: int | None = None
    step_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and where it stands.

    Attributes:
        since: When it came into this state (steady clock).
        reason: Why it is in this state, in a line for people.
        attempt: The current one, or the last.
        launched: How many attempts were begun; the next one's number is one more.
        after: What is to become of it once nothing of the attempt runs (only while `stopping`).
        used: Restarts that were used, by causer.
        stalled: Attempts in a row that ended without a newer verified checkpoint.
        step: The newest verified checkpoint's; None before the first.
        avoid: Nodes that it is not placed on any more, with the reason, until L1 has taken them out: from then on it is
            L1 that says when they may be used.
        until: When waiting ends (steady clock).
        ran: Seconds that ended attempts have run, for the time limit.
        stop: Asked for by its owner: `cancel`, or `hold`; empty otherwise.
        asked: What its attempt was last asked to do while it is `stopping`, and `asked_at` when.
        fault: What the attempt is being ended for, or has ended by; it may be told better until nothing of it runs.
        began: When the attempt ran on all its nodes, `ended` since when nothing of it runs; None before.
        below: Only checkpoints of a lower step are gone on from; None for any.
        exact: So many nodes it must have, for only as many can read its checkpoint; None for any of the job's span.
        past: What went wrong before, oldest first; the last 32.
        suspects: Nodes that are passed over where others will do, with the reason.
        cut: Since when the head hears nobody of it, or cannot ask its engine: nothing is done about it then.
        told: What was told once of this attempt: `straggler`.
        powered: Nodes of this attempt whose BMC has said `on` of them while they were heard, and when it was asked.
        off: Nodes that were proved off while this attempt was there, and since when: nothing of it runs on them.
        trial: The pair test of its nodes, while it is `waiting` for that.
    """

    job: Job
    state: JobState
    since: float
    reason: str = ""
    attempt: Attempt | None = None
    launched: int = 0
    after: JobState | None = None
    used: Mapping[str, int] = field(default_factory=dict, hash=False)
    stalled: int = 0
    step: int | None = None
    avoid: Mapping[str, str] = field(default_factory=dict, hash=False)
    until: float | None = None
    ran: float = 0.0
    stop: Literal["", "cancel", "hold"] = ""
    asked: Asked = ""
    asked_at: float | None = None
    fault: Fault | None = None
    began: float | None = None
    ended: float | None = None
    below: int | None = None
    exact: int | None = None
    past: tuple[Mishap, ...] = ()
    suspects: Mapping[str, str] = field(default_factory=dict, hash=False)
    cut: float | None = None
    told: tuple[str, ...] = ()
    powered: Mapping[str, float] = field(default_factory=dict, hash=False)
    off: Mapping[str, float] = field(default_factory=dict, hash=False)
    trial: Trial | None = None

    @property
    def step_seconds(self) -> float | None:
        """What a step of the last attempt that got that far took; None before one did."""
        return next((one.step_seconds for one in reversed(self.past) if one.step_seconds is not None), None)
