"""Judging: all jobs are decided about, though one of them meets a defect of ours.

That one is left as it is, with what runs of it and what was asked of it, and is judged again later, each time after
longer. A defect that no single job makes, as one of the queue as a whole, ends the controller: nobody could say what
may be left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from aiops.layers.l2_jobs.action import Decided
from aiops.layers.l2_jobs.defects import Defects, Setback
from aiops.layers.l2_jobs.request import Request, Submit
from aiops.layers.l2_jobs.world import World

Decide = Callable[[World, float], Decided]

_LEFT = "nothing is decided about this job for now; what runs of it goes on, and it is looked at again later"


class Judge:
    """Of one controller; used by one thread."""

    def __init__(self, decide: Decide, defects: Defects) -> None:
        """`decide` decides; `defects` is told of ours that a job has met."""
        self._decide = decide
        self._defects = defects
        self._setbacks: dict[str, Setback] = {}

    def hears(self, request: Request, now: float) -> bool:
        """Whether what is asked can be decided on now; otherwise it waits with its job."""
        return _job_of(request) not in self._resting(now)

    def decided(self, world: World, now: float) -> Decided | None:
        """What follows for all jobs but those that rest.

        None where a job was found just now that meets a defect: nothing is decided on this world, and the next one,
        with none of its requests, is to be looked at as a whole.

        Raises:
            Exception: A defect that no single job makes.
        """
        world = replace(world, resting=self._resting(now))
        try:
            return self._decide(world, now)
        except Exception as error:  # noqa: BLE001 - raised again where it is not some job's alone
            first = error
        found = self._sought(world, now)
        if not found:
            raise first
        for job, defect in found.items():
            self._defects.met(job, defect, _LEFT)
            self._setbacks[job] = self._setbacks.get(job, Setback()).again(now)
        return None

    def _resting(self, now: float) -> frozenset[str]:
        return frozenset(job for job, one in self._setbacks.items() if now < one.until)

    def _sought(self, world: World, now: float) -> Mapping[str, Exception]:
        """The jobs that meet a defect when they alone are looked at."""
        if self._raised(replace(world, touched=frozenset(), requests=()), now) is not None:
            return {}
        looked_at = world.roster.active if world.touched is None else world.touched
        found = {}
        for job in sorted({*looked_at, *map(_job_of, world.requests)}):
            asked = tuple(one for one in world.requests if _job_of(one) == job)
            error = self._raised(replace(world, touched=frozenset({job}), requests=asked), now)
            if error is not None:
                found[job] = error
        return found

    def _raised(self, world: World, now: float) -> Exception | None:
        try:
            self._decide(world, now)
        except Exception as error:  # noqa: BLE001 - it is told, or the first one is raised again
            return error
        return None


def _job_of(request: Request) -> str:
    return request.job.id if isinstance(request, Submit) else request.job
