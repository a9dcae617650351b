"""Bureau: slurmctld, asked on the head. Every question has a deadline, and none is asked twice by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account

from .commands import show_nodes
from .freeing import REASON
from .program import freeing
from .queue import (
    AWAY,
    OVER,
    SECONDS,
    USERS,
    SlurmJob,
    Tenant,
    cancel,
    comment,
    end_script,
    read_commented,
    read_jobs,
    read_number,
    read_tenants,
    renamed,
    said,
    show_jobs,
    show_jobs_of,
    show_tenants,
    signal_steps,
)
from .reading import SlurmNode, named, read_nodes
from .submission import Room
from .view import device_count

_DEED_SECONDS = 5 * SECONDS
"""A deed asks slurmctld five times at most."""


class AwayError(FailedError):
    """slurmctld does not answer: nothing is known, and nothing follows from it."""


class GarbledError(AwayError):
    """It answers in words that are no job."""


class RefusedError(FailedError):
    """Slurm will not have it.

    Attributes:
        causer: As of a fault: `user` or `scheduler`.
    """

    def __init__(self, message: str, causer: str) -> None:
        super().__init__(message, code="slurm.refused")
        self.causer = causer


class Bureau:
    """Asks slurmctld."""

    def __init__(self, head: Transport, store: str) -> None:
        """Connect to nobody yet.

        Args:
            head: Where Slurm's commands are run, as root.
            store: The name of the store whose attempts these are.
        """
        self._head = head
        self.store = store

    def jobs(self, numbers: Sequence[str]) -> Mapping[str, SlurmJob]:
        """Those of the jobs that Slurm still knows; without numbers it is only asked whether it answers.

        Raises:
            AwayError: It does not answer.
        """
        return {job.number: job for job in self._read(show_jobs(numbers or ["1"]))}

    def find(self, key: Key, owner: Account) -> SlurmJob | None:
        """The job that bears an attempt's lineage: of several the one that can still run, then the first.

        Raises:
            GarbledError: Slurm answers in words of which none is a job.
            AwayError: It does not answer.
        """
        mark = comment(key, self.store)
        found = [
            replace(job, last="")
            for job in self._read(show_jobs_of(owner.uid), read_commented)
            if job.last == mark and job.uid == owner.uid
        ]
        return min(found, key=lambda job: (job.over, int(job.number)), default=None)

    def nodes(self) -> list[SlurmNode]:
        """All nodes that Slurm has.

        Raises:
            AwayError: It does not answer.
        """
        return read_nodes(self._asked(show_nodes()).text)

    def tenants(self, node: str) -> tuple[Tenant, ...]:
        """The jobs that have a node, or had it; `node` is Slurm's name of it.

        Raises:
            AwayError: It does not answer.
        """
        return read_tenants(self._asked(show_tenants(node)))

    def free(self, node: SlurmNode, tenants: Sequence[Tenant]) -> tuple[str, str]:
        """Have Slurm wait no longer for jobs of which nothing runs on a node; as `remote/freeing.py` tells it.

        Args:
            node: The node.
            tenants: All that hold it.

        Raises:
            AwayError: The head does not answer, or not in time: it may have been done all the same.
        """
        jobs = sorted(f"{one.number}|{one.state}" for one in tenants)
        return self._done("free", node.name, sorted(node.states), jobs, sorted(OVER | {"PENDING"}), REASON)

    def resume(self, node: SlurmNode) -> None:
        """Resume a node that is down by our doing.

        Raises:
            AwayError: The head does not answer, or not in time.
        """
        self._done("resume", node.name, REASON)

    def _done(self, deed: str, *values: object) -> tuple[str, str]:
        """What came of a deed of `remote/freeing.py`, and why.

        Raises:
            AwayError: The head does not answer, or not in time.
        """
        call = f"tell({', '.join(repr(one) for one in (deed, *values))})"
        done = self._run(command(self._head.node, freeing(call), timeout=_DEED_SECONDS))
        if not done.ok:
            raise AwayError(said(done), code="slurm.silent")
        try:
            answer = answer_of(self._head.node, done, "slurm.garbled", dict)
        except FailedError as error:
            raise AwayError(error.message, code=error.code) from error
        return str(answer.get("done")), str(answer.get("said") or "")

    def rooms(self, nodes: Sequence[Node]) -> tuple[Room, ...]:
        """Nodes as Slurm has them, in the same order.

        Raises:
            AwayError: It does not answer.
            RefusedError: It does not have one of them.
        """
        known = named(nodes, self.nodes())
        missing = [node.name for node in nodes if node.name not in known]
        if missing:
            raise RefusedError(f"Slurm has no node {', '.join(missing)}", "scheduler")
        rooms = []
        for node in nodes:
            one = known[node.name]
            try:
                devices = device_count(one.gres)
            except UnreadableError:
                devices = None
            rooms.append(Room(one.name, devices, one.processors, one.memory_mib))
        return tuple(rooms)

    def submit(self, command: Command) -> str:
        """Give Slurm a job; return its number.

        Raises:
            AwayError: It does not answer, or not in time: the job may be there all the same.
            RefusedError: It refuses.
        """
        done = self._run(command)
        if done.ok:
            return self._number(done)
        words = said(done)
        raise RefusedError(words, "user" if USERS.search(done.error_text) else "scheduler")

    def cancel(self, number: str, owner: Account) -> None:
        """Have Slurm end a job, all of it.

        Raises:
            AwayError: Slurm does not answer.
        """
        self._run(cancel(number, owner.uid))  # one that is over says so, which is well

    def nudge(self, number: str, key: Key) -> None:
        """Have Slurm look whether it can start a job; nothing of it is changed.

        Raises:
            AwayError: It does not answer.
        """
        self._run(renamed(number, comment(key, self.store)))

    def end(self, number: str, owner: Account) -> None:
        """Have a job's script end what it has started at once, write down the end, and end itself.

        Raises:
            AwayError: Slurm does not answer.
        """
        self._run(end_script(number, owner.uid))

    def ask(self, number: str, owner: Account) -> None:
        """Ask what a job runs to save and leave.

        Raises:
            AwayError: Slurm does not answer.
        """
        if number:
            self._run(signal_steps(number, owner.uid))

    def _number(self, done: Completed) -> str:
        try:
            return read_number(done)
        except FailedError as error:
            raise AwayError(error.message, code=error.code) from error

    def _read(
        self, command: Command, reading: Callable[[Completed], tuple[SlurmJob, ...]] = read_jobs
    ) -> tuple[SlurmJob, ...]:
        try:
            return reading(self._run(command))
        except AwayError:
            raise
        except FailedError as error:
            family = GarbledError if error.code == "slurm.garbled" else AwayError
            raise family(error.message, code=error.code) from error

    def _asked(self, command: Command) -> Completed:
        done = self._run(command)
        if not done.ok:
            raise AwayError(said(done), code="slurm.silent")
        return done

    def _run(self, command: Command) -> Completed:
        """Run one of Slurm's commands on the head.

        Raises:
            AwayError: The head or slurmctld does not answer.
        """
        try:
            done = self._head.run(command)
        except AiopsError as error:
            raise AwayError(error.message, code="slurm.silent") from error
        if done.timed_out or (not done.ok and AWAY.search(done.error_text)):
            raise AwayError(f"{self._head.node.name}: {said(done)}", code="slurm.silent")
        return done
