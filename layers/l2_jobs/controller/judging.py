"""Judging: all jobs are decided about, though one of them meets a defect of ours.

That one is left as it is, with what runs of it and what was asked of it, and is judged again later, each time after
longer. A defect that no single job makes, as one of the queue as a whole, ends the controller: nobody could say what
may be left out.
"""

from collections.abc import Callable
from dataclasses import replace

from aiops.layers.l2_jobs.action import Decided
from aiops.layers.l2_jobs.defects import Defects, OfOneJobError, Setback
from aiops.layers.l2_jobs.request import Request, job_of
from aiops.layers.l2_jobs.world import World

Decide = Callable[[World, float], Decided]

_LEFT = "nothing is decided about this job for now; what runs of it goes on, and it is looked at again later"

_AT_ONCE = 64
"""So many jobs are found in one tick, whose lines must not wait for long; the next one goes on."""


class Judge:
    """Of one controller; used by one thread."""

    def __init__(self, decide: Decide, defects: Defects) -> None:
        """`decide` decides; `defects` is told of ours that a job has met."""
        self._decide = decide
        self._defects = defects
        self._setbacks: dict[str, Setback] = {}

    def hears(self, request: Request, now: float) -> bool:
        """Whether what is asked can be decided on now; otherwise it waits with its job."""
        return job_of(request) not in self._resting(now)

    def decided(self, world: World, now: float) -> Decided | None:
        """What follows for all jobs but those that rest.

        None where a job was found just now that meets a defect: nothing is decided on this world, and the next one,
        with none of its requests, is to be looked at as a whole.

        Raises:
            Exception: A defect that no single job makes.
        """
        resting, found = self._resting(now), dict[str, Exception]()
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
        return None if found else decided

    def _resting(self, now: float) -> frozenset[str]:
        return frozenset(job for job, one in self._setbacks.items() if now < one.until)
