"""Job files become jobs: read, compiled, and held against the nodes, so that what can never run is told at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.layers.core.errors import InputError

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l2_jobs.controller.desk import Submission
    from aiops.layers.l2_jobs.dry_run import LaunchPlan
    from aiops.layers.l2_jobs.feasibility import Offer
    from aiops.layers.l2_jobs.footing import Footing
    from aiops.layers.l2_jobs.job import Account, Job
    from aiops.layers.l2_jobs.node import Place
    from aiops.layers.l2_jobs.record import JobRecord
    from aiops.layers.l2_jobs.stack import Stack
    from aiops.layers.l2_jobs.world import Settings

    from .shelves import Shelves
    from .sites import Sites


class Compiler:
    """Makes jobs for the nodes of one cluster; safe to use from several threads."""

    def __init__(
        self,
        aiops: App,
        fleet: "Fleet",
        sites: "Sites",
        shelves: "Shelves",
        now: Callable[[], float],
        *,
        settings: "Settings",
    ) -> None:
        self._aiops = aiops
        self._fleet = fleet
        self._sites = sites
        self._shelves = shelves
        self._now = now
        self._settings = settings

    def job(self, submission: "Submission", account: "Account", number_of: Callable[[str], int]) -> "Job":
        """The job of a job file, which may run on this cluster.

        Raises:
            InputError: It says something wrong, or could never run here; all mistakes together, with lines.
        """
        from aiops.layers.l2_jobs.feasibility import candidates
        from aiops.layers.l2_jobs.footing import footings, need_of
        from aiops.layers.l2_jobs.job_file import read_job_file
        from aiops.layers.l2_jobs.job_override import overrides_of
        from aiops.layers.l2_jobs.stack import stacks
        from aiops.layers.l2_jobs.submission import Cluster
        from aiops.layers.l2_jobs.submission import submission as checked

        file = read_job_file(
            submission.text, submission.file, folder=submission.folder, overrides=overrides_of(**submission.overrides)
        )

        def look(job: "Job", able: "Sequence[Place]") -> "Mapping[str, Footing]":
            return footings(self._fleet, [self._sites.nodes[place.name] for place in able], need_of(job))

        def ask(job: "Job", able: "Sequence[Place]") -> "Mapping[str, Stack]":
            return stacks(self._fleet, [self._sites.nodes[place.name] for place in able], job)

        require_permitted(account, list(self._sites.nodes.values()), some=True)
        cluster = Cluster(tuple(self._sites.learned().values()), self._offer(), look, self._shelves.lying, ask)
        job = checked(file, account, 0, self._aiops.clock.now(), cluster)
        require_permitted(account, [self._sites.nodes[one.name] for one in candidates(job, cluster.places)])
        number = number_of(job.name)  # only what is right takes a number
        return replace(job, id=f"{job.name}-{number}")

    def plan(self, submission: "Submission", account: "Account", alive: "Mapping[str, JobRecord]") -> "LaunchPlan":
        """What would run of a job file now, beside the jobs that are there; nothing is changed.

        Raises:
            InputError: As for `job`.
        """
        from aiops.layers.l2_jobs.action import Launch
        from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
        from aiops.layers.l2_jobs.container import contained_specs, containers_of
        from aiops.layers.l2_jobs.controller.rows import folder_of, taken
        from aiops.layers.l2_jobs.decide import decide
        from aiops.layers.l2_jobs.dry_run import explain_launch
        from aiops.layers.l2_jobs.record import JobRecord
        from aiops.layers.l2_jobs.roster import Roster
        from aiops.layers.l2_jobs.shelf import Shelf
        from aiops.layers.l2_jobs.world import World

        job = self.job(submission, account, lambda _name: 0)
        now = self._now()
        places = self._sites.examine(list(self._sites.nodes))
        own = folder_of(job)
        holder = next((one.job.id for one in alive.values() if own is not None and folder_of(one.job) == own), None)
        if own is not None and holder is not None:
            raise taken(own, holder)
        shelves = {}
        if job.checkpoint is not None and job.checkpoint.resume:
            shelves[job.id] = Shelf(now, self._shelves.lying(job, Level.MANIFEST), answered=now)
        roster = Roster.of([*alive.values(), JobRecord(job, "queued", now)])
        decided = decide(World(roster, places=places, shelves=shelves, began=now, settings=self._settings), now)
        attempts = (one.attempt for one in decided.actions if isinstance(one, Launch) and one.attempt.key.job == job.id)
        attempt = next(attempts, None)
        given: Mapping[str, Mapping[str, Any]] = {}
        if attempt is not None and job.launch != "srun":
            seats = {node: self._sites.seat(job, node) for node in attempt.allocation.nodes}
            given = contained_specs(job, attempt, seats, lambda: containers_of(self._aiops.plugins))
        return explain_launch(job, attempt, list(places.values()), given)

    def _offer(self) -> "Offer":
        from aiops.layers.l2_jobs.feasibility import Offer

        plugins = self._aiops.plugins
        return Offer(
            tuple(one.name for one in plugins.names("container")),
            tuple(one.name for one in plugins.names("checkpoint_format")),
        )


def require_permitted(account: "Account", nodes: "Sequence[Node]", *, some: bool = False) -> None:
    """Refuse a job of root that could be placed where such jobs do not run.

    Args:
        account: Whose it is.
        nodes: Those that it may be placed on.
        some: Whether it will do that some of them allow it.

    Raises:
        InputError: Not all of them do (`job.root`).
    """
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l0_nodes.variables import variables_of

    refusing = [node.name for node in nodes if not variables_of(node).aiops_jobs_as_root]
    if account.uid != 0 or not refusing or (some and len(refusing) < len(nodes)):
        return
    hints = ["submit it as yourself, or set `aiops_jobs_as_root: true` for these nodes in the inventory"]
    if len(refusing) < len(nodes):
        hints.append("or choose nodes that allow it: `nodes.only` in the job file")
    raise InputError(f"jobs do not run as root on {fold(refusing)}", code="job.root", hints=hints)
