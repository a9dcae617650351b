"""Judging: all jobs are decided about, though one of them meets a defect of ours.

That one is left as it is, with what runs of it and what was asked of it, and is judged again later, each time after
longer. Only to be ended by its owner it does not wait. A defect that no single job makes, as one of the queue as a
whole, ends the controller: nobody could say what may be left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from aiops.layers.l2_jobs.action import Decided
from aiops.layers.l2_jobs.decide import decide_end
from aiops.layers.l2_jobs.defects import Defects, OfOneJobError, Setback
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.request import Cancel, Hold, job_of
from aiops.layers.l2_jobs.world import World

from .rows import Asked

Decide = Callable[[World, float], Decided]

_LEFT = "nothing is decided about this job for now; what runs of it goes on, and it is looked at again later"

_NOT_ENDED = "it cannot even be ended for now, as its owner has asked; that is tried again later"

_AT_ONCE = 64
"""So many jobs are found in one tick, whose lines must not wait for long; the next one goes on."""


class Judge:
    """Of one controller; used by one thread."""

    def __init__(self, decide: Decide, defects: Defects) -> None:
        """`decide` decides; `defects` is told of ours that a job has met."""
        self._decide = decide
        self._defects = defects
        self._setbacks: dict[str, Setback] = {}
        self._not_ended: dict[str, Setback] = {}
        """Of those that could not be ended either."""

    def heard(self, asked: Iterable[Asked], jobs: Mapping[str, JobRecord], now: float) -> list[Asked]:
        """What of that can be decided on now, oldest first; the rest waits with its job.

        A word that ends a job which rests is heard, and so is what was asked before it, which it overrules.
        """
        resting = _resting(self._setbacks, now)
        ends = (resting & jobs.keys()) - _resting(self._not_ended, now)
        found: list[Asked] = []
        ended: set[str] = set()
        for one in sorted(asked, key=lambda one: -one.number):
            job = job_of(one.request)
            if job in ends and isinstance(one.request, Cancel | Hold):
                ended.add(job)
            if job not in resting or job in ended:
                found.append(one)
        return found[::-1]

    def decided(self, world: World, now: float) -> Decided | None:
        """What follows for all jobs but those that rest.

        None where a job was found just now that meets a defect: nothing is decided on this world, and the next one,
        with none of its requests, is to be looked at as a whole.

        Raises:
            Exception: A defect that no single job makes.
        """
        resting, found = _resting(self._setbacks, now), dict[str, Exception]()
        decided = None
        while decided is None and len(found) < _AT_ONCE:
            out = resting | found.keys()
            heard = tuple(one for one in world.requests if job_of(one) not in out)
            try:
                decided = self._decide(replace(world, requests=heard, resting=out), now)
            except OfOneJobError as error:
                if error.job in out:  # it was to be left out
                    raise
                found[error.job] = error.defect
        for job, defect in found.items():
            self._defects.met(job, defect, _LEFT)
            self._setbacks[job] = self._setbacks.get(job, Setback()).again(now)
        return None if found or decided is None else self._with_ends(decided, replace(world, resting=resting), now)

    def _with_ends(self, decided: Decided, world: World, now: float) -> Decided | None:
        """The same, with what ends jobs that rest, where their owners want that; None where one cannot be ended."""
        asked = {one.job for one in world.requests if isinstance(one, Cancel | Hold)}
        for job in sorted(world.resting - _resting(self._not_ended, now)):
            record = world.roster.jobs.get(job)
            if record is None or not (record.stop or job in asked):
                continue
            try:
                end = decide_end(world, now, job)
            except Exception as error:  # noqa: BLE001 - it is this job's alone, and told
                self._defects.met(job, error, _NOT_ENDED)
                self._not_ended[job] = self._not_ended.get(job, Setback()).again(now)
                return None
            decided = Decided(
                decided.records + end.records, decided.decisions + end.decisions, decided.actions + end.actions
            )
        return decided


def _resting(setbacks: Mapping[str, Setback], now: float) -> frozenset[str]:
    return frozenset(job for job, one in setbacks.items() if now < one.until)
