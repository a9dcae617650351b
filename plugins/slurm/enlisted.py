"""Enlisted: what is known of an attempt that Slurm was given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import Ended, Report
from aiops.layers.l2_jobs.text import plain

FORGOTTEN = "FORGOTTEN"
"""The state of a job that Slurm does not know any more."""

Errand = Literal["end", "cancel", "nudge", "look"]
"""`end`: have the job's script end what it runs, and itself. `cancel`: have Slurm end the job. `nudge`: have Slurm look
whether it can start it. `look`: ask the nodes of which nothing was heard what there is of the attempt."""

_LINE = 300
"""Letters of a log's line that are told."""

_NUMBER = re.compile(r"[0-9]{1,10}\Z")
"""Of a job: Slurm counts in 32 bits."""

_ECHO = re.compile(r"^srun: |slurmstepd-\S+: error: \*\*\* ")
"""Lines in which Slurm says no more than that it ends what has failed."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What an attempt has left on whichever of its nodes Slurm ran its script.

    Attributes:
        begun: Whether the script, or any launcher, has begun.
        number: Slurm's number of the job whose script it was; empty where it is not known.
        end: The script's own record of the end.
        said: The last line of Slurm's logs.
    """

    begun: bool = False
    number: str = ""
    end: Mapping[str, Any] | None = None
    said: str = ""

    def after(self, answers: Mapping[str, Mapping[str, Any]], epoch: int) -> "Traces":
        """With what these nodes have found; records of another attempt are none."""
        found = self
        for answer in answers.values():
            begun, end = (_record(answer.get(name), epoch) for name in ("begun", "end"))
            lines = [line.strip() for line in str(answer.get("said") or "").splitlines() if line.strip()]
            lines = [line for line in lines if not _ECHO.search(line)] or lines
            number = str(begun.get("job") or "") if begun is not None else ""  # the user may have written that himself
            found = Traces(
                found.begun or begun is not None or bool(answer.get("launched")),
                number if _NUMBER.match(number) else found.number,
                end or found.end,
                plain(lines[-1], _LINE) if lines else found.said,
            )
        return found


def _record(found: Any, epoch: int) -> Mapping[str, Any] | None:
    return found if isinstance(found, Mapping) and found.get("epoch") == epoch else None


@dataclass(frozen=True, slots=True)
class Forerunner:
    """An earlier attempt of the same job, which has ended and was let go; Slurm may not have heard of that.

    Attributes:
        number: Slurm's.
        boots: By node, the boots in which it was, or may have been, there; none where that is not known.
    """

    key: Key
    number: str
    boots: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Enlisted:
    """An attempt as Slurm's job.

    Attributes:
        number: Slurm's, once it is known.
        submitting: Whether it has still to be given to Slurm.
        sought: Whether Slurm was asked for a job that bears its lineage.
        state: What Slurm said last; `FORGOTTEN` once it knows it no more, empty before it was asked.
        wish: What is wanted of it: that it runs, saves and leaves, or ends.
        killed: Nodes on which it was to be ended at once.
        cancel_at: When it is to end (steady clock): its script is asked to first, then Slurm.
        asked: Whether its script was.
        nudge_at: When Slurm is next asked to look whether it can start it, and how often it was.
        over_since: Since when Slurm says that it is over, or does not know it.
        look_at: When its nodes are asked next.
        refusal: Why it can never run, where that is so.
        boots: The boot of each node when it was asked.
        traces: What the attempt has left there.
        begun: The boot of each node when its group began, as that has told.
        before: Earlier attempts of its job that were let go.
        completing: Its nodes that Slurm keeps from it, as it last said, for an earlier attempt is not all over there.
        freed: Its nodes that were given back to Slurm, or that may have been: once each.
        started: Nodes whose group has begun.
        ended: Nodes whose group has ended, or never began.
        held: Ends that Slurm may have to explain, with the time at which they are told in any case.
    """

    job: Job
    attempt: Attempt
    number: str = ""
    submitting: bool = False
    sought: bool = False
    state: str = ""
    reason: str = ""
    wish: Literal["run", "stop", "end"] = "run"
    killed: frozenset[str] = frozenset()
    cancel_at: float | None = None
    asked: bool = False
    nudge_at: float | None = None
    nudged: int = 0
    over_since: float | None = None
    look_at: float | None = None
    refusal: str = ""
    boots: Mapping[str, str] = field(default_factory=dict, hash=False)
    traces: Traces = Traces()
    begun: Mapping[str, str] = field(default_factory=dict, hash=False)
    before: tuple[Forerunner, ...] = ()
    completing: tuple[str, ...] = ()
    freed: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    held: tuple[tuple[Ended, float], ...] = ()

    @property
    def key(self) -> Key:
        """The attempt's."""
        return self.attempt.key

    @property
    def nodes(self) -> tuple[str, ...]:
        """Its nodes, by node rank."""
        return self.attempt.allocation.nodes

    @property
    def own(self) -> bool:
        """Whether srun runs the user's command as it is, and no launcher tells of it."""
        return self.job.launch == "srun"

    @property
    def settled(self) -> bool:
        """Whether all of its groups have ended."""
        return self.ended.issuperset(self.nodes)

    @property
    def forerunner(self) -> Forerunner:
        """What is kept of it once it was let go."""
        boots = {name: frozenset({self.boots.get(name, ""), self.begun.get(name, "")} - {""}) for name in self.nodes}
        return Forerunner(self.key, self.number, boots)

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes of which the end is not known, and of which only a look can tell it."""
        known = self.ended if self.own else self.ended | self.started | {report.node for report, _ in self.held}
        return tuple(name for name in self.nodes if name not in known)


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a word: the attempt as it is now, what is told, what is to be done."""

    enlisted: Enlisted
    reports: tuple[Report, ...] = ()
    errands: tuple[Errand, ...] = ()
