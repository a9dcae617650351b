"""Enrolment: an attempt is given to Slurm, once, with its folder made on each of its nodes before."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import variables_of
from aiops.layers.l2_jobs.attempt import Attempt
from aiops.layers.l2_jobs.container import Container, contained, contained_specs
from aiops.layers.l2_jobs.engine import EngineContext
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.spec import Seat, seat_of, visible_devices

from .bureau import Bureau, RefusedError
from .enlisted import Traces
from .groundwork import Found, Groundwork
from .program import keeper
from .submission import FOLDER, LAUNCHER, Terms, environment, sbatch, script

Files = Mapping[str, Mapping[str, str]]
"""By node, the texts of the files that are laid into the folder of an attempt, by name."""

Why = Mapping[str, tuple[str, str]]
"""By node, why it cannot take part, and the causer."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it.

    Attributes:
        number: Slurm's number of the job; empty where there is none.
        submitted: Whether it is new.
        answers: What nodes have said.
        refused: Why nothing was begun; empty where something was, or may have been.
    """

    number: str = ""
    submitted: bool = False
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: Why = field(default_factory=dict)


class Enrolment:
    """Gives attempts to Slurm."""

    def __init__(self, context: EngineContext, bureau: Bureau, groundwork: Groundwork) -> None:
        """Ask nobody yet.

        Args:
            context: What all engines are given.
            bureau: Asks slurmctld.
            groundwork: Asks the nodes.
        """
        self._inventory = context.inventory
        self._vendor = context.vendor
        self._containers = context.containers
        self._bureau = bureau
        self._groundwork = groundwork
        self._term = context.term

    def enrol(self, job: Job, attempt: Attempt, wanted: Callable[[], bool]) -> Enrolled:
        """Have Slurm run an attempt, unless it has, or has had, it already.

        Args:
            job: The job.
            attempt: The attempt.
            wanted: Asked last before it is submitted, once its nodes know of it.

        Raises:
            AwayError: slurmctld does not answer; the same call later finds what there is.
            DeposedError: One of its nodes has seen a later controller; nothing was submitted.
        """
        nodes = [self._inventory.node(name) for name in attempt.allocation.nodes]
        try:
            rooms = self._bureau.rooms(nodes)
            found = self._bureau.find(attempt.key, job.owner)
            if found is not None:
                return Enrolled(found.number)
            seats = {node.name: seat_of(job, node, self._vendor(node.name)) for node in nodes}
            placed = self._groundwork.place(
                attempt.key, job.owner, files_of(job, attempt, seats, self._containers), nodes
            )
            if bad := _unfit(placed):
                first = next(iter(bad.values()))[0]
                others = dict.fromkeys(attempt.allocation.nodes, (f"nothing of it was begun: {first}", "scheduler"))
                return Enrolled(answers=placed.answers, refused={**others, **bad})
            traces = Traces().after(placed.answers, attempt.key.number)
            if traces.begun or not wanted():
                return Enrolled(traces.number, answers=placed.answers)
            first_seat = seats[nodes[0].name]
            around = around_command(job, attempt, first_seat, self._containers)
            text = script(job, attempt, rooms, first_seat.address, around=around, term=self._term)
            number = self._bureau.submit(sbatch(job, attempt, rooms, self._terms(nodes), text))
            return Enrolled(number, submitted=True, answers=placed.answers)
        except InputError as error:
            return Enrolled(refused=dict.fromkeys(attempt.allocation.nodes, (error.message, "user")))
        except RefusedError as error:
            return Enrolled(refused=dict.fromkeys(attempt.allocation.nodes, (error.message, error.causer)))

    def _terms(self, nodes: Sequence[Node]) -> Terms:
        """The partition, account and QOS of `nodes`.

        Raises:
            RefusedError: They are in different partitions.
        """
        variables = [variables_of(node) for node in nodes]
        partitions = sorted({one.aiops_slurm_partition for one in variables})
        if len(partitions) > 1:
            raise RefusedError(f"its nodes are in different partitions of Slurm: {', '.join(partitions)}", "user")
        return Terms(
            self._bureau.store,
            partitions[0],
            variables[0].aiops_slurm_account or "",
            variables[0].aiops_slurm_qos or "",
        )


def require_whole(attempt: Attempt, inventory: Inventory) -> None:
    """Refuse what Slurm cannot be given: nodes that are not its own, and parts of devices. Pure.

    Raises:
        InputError: A node belongs to another engine (`jobs.other_engine`), or a part is asked for (`jobs.no_shares`).
    """
    for slot in attempt.allocation.slots:
        if variables_of(inventory.node(slot.node)).aiops_engine != "slurm":
            raise InputError(
                f"{slot.node} is not Slurm's: it belongs to the engine ssh",
                code="jobs.other_engine",
                hints=[f"`aiops node show {slot.node}` shows its aiops_engine; a node is drained before it moves"],
            )
        if slot.share < 1:
            raise InputError(
                f"{slot.node}: Slurm gives whole devices, not parts of them",
                code="jobs.no_shares",
                hints=["shares are for nodes with `aiops_engine: ssh`"],
            )


def around_command(
    job: Job, attempt: Attempt, seat: Seat, containers: Callable[[], Mapping[str, Container]]
) -> tuple[str, ...]:
    """The options of srun that put the user's own command into a container; none where it is to be in none.

    Raises:
        InputError: There is no such kind of container, or nobody has said how its devices get into one.
    """
    if job.launch != "srun" or job.image is None:
        return ()
    spec = {
        "key": str(attempt.key),
        "node_rank": 0,
        "argv": list(job.command),
        "environment": environment(job, attempt, seat.address),
    }
    found = contained(
        spec,
        job,
        vendor=seat.vendor,
        devices=attempt.allocation.slots[0].devices,
        spool=f"{FOLDER}/{attempt.key}",
        containers=containers(),
    )
    return tuple(found["argv"][: -len(job.command)])


def files_of(
    job: Job,
    attempt: Attempt,
    seats: Mapping[str, Seat],
    containers: Callable[[], Mapping[str, Container]] = dict,
) -> Files:
    """What is laid into the attempt's folder on each node: the keeper, and what its launcher is given.

    Pure. A launcher finds a tombstone where its attempt was ended before Slurm began it, and then begins nothing.
    """
    if job.launch == "srun":
        return {node: {} for node in attempt.allocation.nodes}
    found = {}
    given = contained_specs(job, attempt, seats, containers)
    for slot in attempt.allocation.slots:
        more = {
            "tombstone": f"{FOLDER}/.ended/{attempt.key}",
            "visible": sorted(set(visible_devices(seats[slot.node].vendor, slot.devices)) - {"CUDA_DEVICE_ORDER"}),
        }
        spec = {**given[slot.node], **more}
        found[slot.node] = {LAUNCHER: keeper(), "spec.json": json.dumps(spec)}
    return found


def _unfit(placed: Found) -> dict[str, tuple[str, str]]:
    """Nodes that cannot take part: none of a gang does then."""
    silent = {node: (error.message, "node") for node, error in placed.errors.items()}
    refusing = {
        node: (f"{node}: {answer['refused']}", str(answer.get("causer") or "node"))
        for node, answer in placed.answers.items()
        if "refused" in answer
    }
    return {**silent, **refusing}
