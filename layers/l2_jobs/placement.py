"""Placement: which queued jobs start now, and on which nodes. Pure but for the ground of the tick that it gives away.

A gang is placed whole or not at all. Jobs go by priority, then age. The first that does not fit has nodes kept for it,
and whoever comes after it gets none of those: so others pass it only where they cannot delay it, and it starts as soon
as what runs on its nodes has ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from .allocation import Allocation
from .ground import Ground, Kind
from .record import JobRecord
from .roster import Roster, Turn
from .shape import Shape


class Policy(Protocol):
    """In which order jobs are tried, and who may start now: the seam for quotas, fair share and backfill."""

    def order(self, roster: Roster) -> "Order":
        """Whose turn it is."""
        ...

    def may_start(self, record: JobRecord) -> str:
        """Why a job may not start now, whatever room there is; empty where it may."""
        ...


class Order(Protocol):
    """The queue of one tick."""

    def __iter__(self) -> Iterator[tuple[Turn, Shape]]: ...

    def skip(self, shape: Shape) -> None:
        """Leave out all further jobs of a shape: the last one tried did not fit, and room only shrinks in a tick."""
        ...


class PriorityThenAge:
    """More priority goes first, then who was submitted first."""

    def order(self, roster: Roster) -> Order:
        """Whose turn it is."""
        return _Merged(roster)

    def may_start(self, _record: JobRecord) -> str:
        """Nothing is kept back."""
        return ""


class _Merged:
    """The queues of all shapes in one order; it costs as much as it is used."""

    def __init__(self, roster: Roster) -> None:
        self._queue = roster.queue
        self._skipped: set[Shape] = set()

    def __iter__(self) -> Iterator[tuple[Turn, Shape]]:
        shapes = list(self._queue)
        heads = [(self._queue[shape][0], number, 0) for number, shape in enumerate(shapes)]
        heapify(heads)
        while heads:
            turn, number, index = heads[0]
            shape = shapes[number]
            if shape not in self._skipped:
                yield turn, shape
            turns = self._queue[shape]
            if shape in self._skipped or index + 1 == len(turns):
                heappop(heads)
            else:
                heapreplace(heads, (turns[index + 1], number, index + 1))

    def skip(self, shape: Shape) -> None:
        self._skipped.add(shape)


@dataclass(frozen=True, slots=True)
class Room:
    """What was found for one job.

    Attributes:
        allocation: Where it runs; None where it cannot start now.
        examine: Nodes that must be looked at first; they are kept for it.
        reason: Why it does not start, in a line for people.
        possible: Whether it could start were the nodes free.
        waits: Whether it has its nodes and only waits for their verdicts.
    """

    allocation: Allocation | None = None
    examine: tuple[str, ...] = ()
    reason: str = ""
    possible: bool = True
    waits: bool = False


@dataclass(slots=True)
class Placement:
    """Places the jobs of one tick.

    Attributes:
        spares: Well nodes that a first start leaves free, by engine.
        kept: Whether nodes are kept for a job already.
    """

    ground: Ground
    spares: dict[str, int] = field(default_factory=dict)
    kept: bool = False
    _closed: str | None = None

    def place(self, record: JobRecord, shape: Shape) -> Room:
        """Find room for a job and give it to it; the first that finds none has nodes kept for it."""
        for kind in self._kinds(shape):
            spare = 0 if record.launched else self.spares.get(kind[0], 0)
            found = self._choose(kind, shape, spare)
            if len(found) >= shape.least:
                return self._take(found, shape)
        possible = self._keep(shape) if not self.kept else True
        return Room(reason=_reason(shape, None if possible else self._why_closed()), possible=possible)

    def _why_closed(self) -> str:
        """Which nodes get no work, and why the first of them does not; looked for once."""
        if self._closed is None:
            closed = {name: place.closed for name, place in sorted(self.ground.places.items()) if place.closed}
            why = next(iter(closed.values()), "")
            self._closed = f" ({_few([name for name in closed if closed[name] == why])}: {why})" if why else ""
        return self._closed

    def _kinds(self, shape: Shape) -> Sequence[Kind]:
        kinds = [one for one in self.ground.free if shape.engine in {None, one[0]}]
        kinds = [one for one in kinds if shape.vendor in {None, one[1]}]
        here = {
            (place.engine, place.vendor) for name in shape.before if (place := self.ground.places.get(name)) is not None
        }
        return sorted(kinds, key=lambda kind: (kind not in here, kind[0], kind[1] or ""))

    def _choose(self, kind: Kind, shape: Shape, spare: int) -> list[str]:
        """Nodes for a shape, the ones to be taken first in front; at most as many as it wants."""
        ground = self.ground
        limit = shape.most
        if spare and shape.count:
            limit = min(limit, max(0, ground.whole.get(kind[0], 0) - spare))
        if not shape.before and not shape.suspects and shape.most == 1:
            fresh = stale = shaky = None
            for name in ground.names(kind, shape):
                if name in ground.shaky:
                    shaky = shaky or name
                elif name not in ground.stale:
                    fresh = name
                    break
                else:
                    stale = stale or name
            one = fresh or stale or shaky
            return [one] if one is not None and limit else []
        found = list(ground.names(kind, shape))
        before = frozenset(shape.before)
        found.sort(key=lambda name: self._worth(name, shape, before))  # stable
        return found[:limit]

    def _worth(self, name: str, shape: Shape, before: frozenset[str]) -> tuple[bool, bool, bool, bool]:
        """What is better is less."""
        ground = self.ground
        return name in shape.suspects, name in ground.shaky, name not in before, name in ground.stale

    def _take(self, names: list[str], shape: Shape) -> Room:
        ground = self.ground
        stale = tuple(sorted(name for name in names if name in ground.stale))
        if stale:
            ground.blocked.update(names)
            return Room(
                examine=tuple(name for name in stale if not ground.places[name].looking),
                reason=f"waits for a verdict of health of {_few(stale)}",
                waits=True,
            )
        # Its nodes have their ranks in an order that does not depend on how full they are.
        slots = [slot for name in sorted(names) if (slot := ground.slot(name, shape)) is not None]
        ground.give(slots)
        return Room(Allocation(tuple(slots)))

    def _keep(self, shape: Shape) -> bool:
        """Keep nodes for a shape that does not fit: the emptiest of those that could hold it. False: there are none."""
        ground = self.ground
        for kind in self._kinds(shape):
            names = (name for bucket in ground.free[kind].values() for name in bucket)
            able = [ground.places[name] for name in names if self._could(name, shape)]
            if len(able) < shape.least:
                continue
            able.sort(key=lambda one: (len(ground.taken.get(one.name, ())), one.name))
            ground.blocked.update(one.name for one in able[: shape.least])
            self.kept = True
            return True
        return False

    def _could(self, name: str, shape: Shape) -> bool:
        place = self.ground.places[name]
        if name in shape.avoid or name in self.ground.blocked:
            return False
        if shape.chosen and name not in shape.chosen:
            return False
        if shape.share is not None:
            return place.shares and bool(place.devices)
        return len(place.devices) >= shape.count


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown  # noqa: PLR2004 - as many as are shown


def _reason(shape: Shape, closed: str | None) -> str:
    """Why a job does not start; `closed` says which nodes get no work, where it could not start were the rest free."""
    one = "node" if closed is not None else "1 node"
    what = f"{shape.least} nodes" if shape.least > 1 else one
    if shape.count:
        part = f"{shape.share:g} of a device" if shape.share is not None else f"{shape.count} free devices"
        what += f" with {part}"
    if shape.avoid:
        what += f", without {_few(sorted(shape.avoid))}"
    if closed is not None:
        return f"no {what} in service; waits for nodes to come back{closed}"
    return f"waits for {what}"
