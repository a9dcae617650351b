"""Track: what is known of an attempt from what was told of it. A pure fold: `track.after(report)`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .attempt import Key
from .pace import Pace
from .report import (
    Ended,
    Exited,
    Freed,
    Frozen,
    Halted,
    NotStarted,
    PeerHeard,
    PeerSilent,
    Ready,
    Scheduled,
    Signed,
    Started,
    Stepped,
)

SIGNS_KEPT = 64
"""Of one attempt: a log that repeats itself takes no memory, and the first ones tell the cause."""

AttemptReport = (
    Started
    | NotStarted
    | Stepped
    | Exited
    | Ended
    | PeerSilent
    | PeerHeard
    | Frozen
    | Signed
    | Scheduled
    | Freed
    | Ready
    | Halted
)


@dataclass(frozen=True, slots=True)
class Group:
    """One rank group: what runs of an attempt on one node.

    Attributes:
        started: When it was first told to run.
        boot_id: Of its node then.
        refused: That it could not be started; nothing of it runs.
        ended: Its end; None while it runs, or while nothing is known.
        misses: Peers that it has not heard, and since when that was told.
        frozen: Since when it has stopped its processes, for it hears nobody.
        exits: Processes of it that have ended by themselves, the first first.
        halted: Ranks that a signal has stopped, which was not ours.
    """

    started: float | None = None
    boot_id: str = ""
    refused: NotStarted | None = None
    ended: Ended | None = None
    misses: Mapping[str, float] = field(default_factory=dict, hash=False)
    frozen: float | None = None
    exits: tuple[Exited, ...] = ()
    halted: frozenset[int] = frozenset()

    @property
    def over(self) -> bool:
        """Whether it was told that nothing of it runs."""
        return self.ended is not None or self.refused is not None


NOBODY = Group()


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of an attempt.

    Attributes:
        groups: By node; one of which nothing was told is not in it.
        pace: Its steps.
        signs: Lines that the fault catalogue knows, oldest first.
        scheduled: What Slurm last said.
        freed: Nodes that were given back to Slurm for it.
        ready: Since when its service is ready; None while it is not.
        unready: Since when it is no longer ready; None where it is, or never was.
        served: Seconds that it was ready, up to the last change.
    """

    key: Key
    groups: Mapping[str, Group] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    pace: Pace = field(default_factory=Pace)
    signs: tuple[Signed, ...] = ()
    scheduled: Scheduled | None = None
    freed: tuple[Freed, ...] = ()
    ready: float | None = None
    unready: float | None = None
    served: float = 0.0

    def group(self, node: str) -> Group:
        """What is known of the rank group on `node`."""
        return self.groups.get(node, NOBODY)

    def after(self, report: AttemptReport) -> "Track":  # noqa: C901, PLR0911, PLR0912 - one case for each kind of report
        """What is known after `report`. What was told before, or is older than what is known, changes nothing."""
        match report:
            case Stepped():
                return replace(self, pace=self.pace.after(report))
            case Signed():
                known = report in self.signs or len(self.signs) >= SIGNS_KEPT
                return self if known else replace(self, signs=(*self.signs, report))
            case Scheduled():
                return replace(self, scheduled=report)
            case Freed():
                known = any(one.node == report.node for one in self.freed)
                return self if known else replace(self, freed=(*self.freed, report))
            case Ready():
                return self._ready(report)
        group = self.group(report.node)
        match report:
            case Started():
                if group.started is not None or group.over:
                    return self
                group = replace(group, started=report.at, boot_id=report.boot_id)
            case NotStarted():
                if group.started is not None or group.over:
                    return self
                group = replace(group, refused=report)
            case Ended():
                if group.ended is not None:
                    return self
                group = replace(group, ended=report)
            case Exited():
                if any(one.rank == report.rank for one in group.exits):
                    return self
                group = replace(group, exits=(*group.exits, report))
            case PeerSilent():
                group = replace(group, misses={**group.misses, report.peer: report.at})
            case PeerHeard():
                group = replace(group, misses={k: v for k, v in group.misses.items() if k != report.peer})
            case Halted():
                group = replace(
                    group, halted=(group.halted - {report.rank}) | ({report.rank} if report.halted else set())
                )
            case Frozen():
                group = replace(group, frozen=None if report.thawed else report.at)
        return replace(self, groups={**self.groups, report.node: group})

    def _ready(self, report: Ready) -> "Track":
        if report.ready:
            return self if self.ready is not None else replace(self, ready=report.at, unready=None)
        if self.ready is None:
            return self
        return replace(self, ready=None, unready=report.at, served=self.served + max(0.0, report.at - self.ready))
