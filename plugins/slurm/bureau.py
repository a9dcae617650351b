"""Bureau: slurmctld, asked on the head. Every question has a deadline, and none is asked twice by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account

from .commands import show_nodes
from .queue import (
    AWAY,
    USERS,
    SlurmJob,
    cancel,
    comment,
    end_script,
    read_commented,
    read_jobs,
    read_number,
    renamed,
    said,
    show_jobs,
    show_jobs_of,
    signal_steps,
)
from .reading import named, read_nodes
from .submission import Room
from .view import device_count


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

    def rooms(self, nodes: Sequence[Node]) -> tuple[Room, ...]:
        """Nodes as Slurm has them, in the same order.

        Raises:
            AwayError: It does not answer.
            RefusedError: It does not have one of them.
        """
        known = named(nodes, read_nodes(self._asked(show_nodes()).text))
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
