"""Folders of checkpoints, looked at where jobs write them: as they appear, when one is asked for, before a start."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.layers.core.errors import AiopsError, FailedError, NotFoundError

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l2_jobs.action import SetAside
    from aiops.layers.l2_jobs.checkpoint.background import Remembered, Wants
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
    from aiops.layers.l2_jobs.checkpoint.reader import Reader
    from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor, NodeSurveyor
    from aiops.layers.l2_jobs.job import Job
    from aiops.layers.l2_jobs.record import JobRecord
    from aiops.layers.l2_jobs.shelf import Shelf

EVERY = 10.0
"""Seconds between two looks for new checkpoints of a job that runs."""

AT_ONCE = 4
"""So many jobs' new checkpoints are read at once: it costs their nodes, and what waits is only read later."""

_SAME = 0.001
"""Seconds by which two times of one file may differ, having been written as text in between."""


class Shelves:
    """The folders of all jobs: on a node of the job, or any other that sees them; safe to use from several threads.

    It does so as the job's user: the folder is one that he has named, and on a file server root may be nobody.
    What was proved is remembered, and is not read again while it looks the same; but before a start the newest is.
    """

    def __init__(
        self,
        aiops: App,
        fleet: "Fleet",
        nodes: "Sequence[Node]",
        now: Callable[[], float],
        *,
        warn: Callable[[str], None],
    ) -> None:
        self._aiops = aiops
        self._fleet = fleet
        self._nodes = tuple(nodes)
        self._now = now
        self._warn = warn
        self.silent: Callable[[str], bool] = lambda _node: False
        """Whether a node is known not to answer: it is asked last."""
        self._lock = threading.Lock()
        self._remembered: dict[str, Remembered] = {}
        self._looked: dict[str, float] = {}
        self._looking: set[str] = set()

    def look(self, record: "JobRecord", live: bool) -> "Shelf":
        """What lies in a job's folder.

        Of one that runs only the names are asked, so that a large folder does not look like a storage that stalls.
        Otherwise what it can go on from is read, and the files by which its loader finds the newest lead there.

        Args:
            record: Whose folder.
            live: Whether an attempt may be writing there.

        Raises:
            UnreachableError: No node answers that could tell.
        """
        from aiops.layers.l2_jobs.checkpoint.background import looked_again, none, to_go_on, verified_again
        from aiops.layers.l2_jobs.shelf import Shelf

        began = self._now()
        if record.job.checkpoint is None:
            return Shelf(began, answered=began, live=live)
        try:
            surveyor, reader = self._reader(record, live=live)
            if live:
                found = self._look(record, reader, looked_again, none)
            else:
                found = self._look(record, reader, verified_again, to_go_on(record.below))
            if not live:
                self._lead(record, surveyor, reader, found)
            return Shelf(began, found.checkpoints, answered=self._now(), live=live)
        except NotFoundError as error:
            return Shelf(began, (), error.message if record.step is not None else "", self._now(), live)
        except FailedError as error:
            return Shelf(began, (), error.message, self._now(), live)

    def lying(self, job: "Job", closely: "Level | None" = None) -> "tuple[Checkpoint, ...]":
        """What lies in the folder of a job that was not submitted yet, the newest first.

        Of one that is to go on from there all down to the newest good one are read; of another the names are enough.

        Args:
            job: The job.
            closely: How closely they are read; by default without digests, which the start compares anyway.

        Raises:
            UnreachableError: No node answers that could tell.
        """
        from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
        from aiops.layers.l2_jobs.record import JobRecord

        plan, found = job.checkpoint, list["Checkpoint"]()
        if plan is None:
            return ()
        _, reader = self._reader(JobRecord(job, "queued", self._now()), live=False)
        try:
            listing, places = reader.places(plan.path)
            for format_, place in places:
                sought = plan.resume and not any(one.verified for one in found)
                level = (closely or Level.STRUCTURE) if sought else Level.MARKER
                found.append(reader.look(listing, format_, place, level).checkpoint)
        except NotFoundError:
            return ()
        return tuple(found)

    def set_aside(self, record: "JobRecord", order: "SetAside") -> None:
        """Rename a checkpoint that is bad, or a good one that the order names as it is; else it stays.

        Raises:
            UnreachableError: No node answers that could do it.
            FailedError: The file system refuses.
        """
        from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
        from aiops.layers.l2_jobs.checkpoint.keeper import set_aside

        plan = record.job.checkpoint
        if plan is None:
            return
        surveyor, reader = self._reader(record, live=record.state in {"starting", "running"})
        try:
            listing, places = reader.places(plan.path)
        except NotFoundError:
            return
        for format_, place in places:
            if (f"{listing.root}/{place.path}" if place.path else listing.root) != order.path:
                continue
            seen = reader.look(listing, format_, place, Level.MANIFEST)
            now, then = seen.checkpoint.written, order.written
            same = now is not None and then is not None and abs((now - then).total_seconds()) < _SAME
            if seen.checkpoint.state == "bad" or (same and seen.checkpoint.proved):
                set_aside(surveyor, seen, self._aiops.clock.now(), order.reason if same else None)

    def keep_up(self, records: "Mapping[str, JobRecord]", offer: "Callable[[str, Shelf], None]") -> None:
        """Have what jobs that run have saved since the last look read, beside all else; at once for none of them.

        Args:
            records: All jobs that are not over, by name; what is remembered of others is forgotten.
            offer: Told what was found, where that is other than before.
        """
        now = self._now()
        with self._lock:
            for job in [one for one in self._looked if one not in records]:
                del self._looked[job]
                self._remembered.pop(job, None)
            due = [
                one
                for one in records.values()
                if one.state == "running" and one.job.checkpoint is not None and one.job.id not in self._looking
            ]
            due = [one for one in due if now - self._looked.get(one.job.id, float("-inf")) >= EVERY]
            due.sort(key=lambda one: self._looked.get(one.job.id, float("-inf")))
            due = due[: AT_ONCE - len(self._looking)]
            for record in due:
                self._looking.add(record.job.id)
                self._looked[record.job.id] = now
        for record in due:
            threading.Thread(target=self._keep_up, args=(record, offer), name="shelf", daemon=True).start()

    def _keep_up(self, record: "JobRecord", offer: "Callable[[str, Shelf], None]") -> None:
        from aiops.layers.l2_jobs.checkpoint.background import looked_again, to_go_on
        from aiops.layers.l2_jobs.shelf import Shelf

        job, began = record.job.id, self._now()
        try:
            before = self._known(job).by_place
            _, reader = self._reader(record, live=True)
            found = self._look(record, reader, looked_again, to_go_on(None))
            if found.by_place != before:
                offer(job, Shelf(began, found.checkpoints, live=True))
        except AiopsError:
            return  # whoever asks whether the storage answers finds it out; the next look is soon
        finally:
            with self._lock:
                self._looking.discard(job)

    def _look(
        self, record: "JobRecord", reader: "Reader", how: "Callable[..., Remembered]", wants: "Wants"
    ) -> "Remembered":
        plan = record.job.checkpoint
        assert plan is not None  # noqa: S101 - whoever calls has looked
        found = how(reader, plan.path, self._known(record.job.id), wants)
        with self._lock:
            self._remembered[record.job.id] = found
            self._looked.setdefault(record.job.id, self._now())
        return found

    def _known(self, job: str) -> "Remembered":
        from aiops.layers.l2_jobs.checkpoint.background import Remembered

        with self._lock:
            return self._remembered.get(job) or Remembered()

    def _lead(
        self, record: "JobRecord", surveyor: "LocalSurveyor | NodeSurveyor", reader: "Reader", found: "Remembered"
    ) -> None:
        """Let a loader that goes by a file of its own, as `latest`, find what the next attempt is to go on from."""
        from aiops.layers.l2_jobs.checkpoint.checkpoint import newest
        from aiops.layers.l2_jobs.checkpoint.keeper import point
        from aiops.layers.l2_jobs.checkpoint.reader import Seen

        plan, below = record.job.checkpoint, record.below
        able = [one for one in found.checkpoints if one.step is not None and (below is None or one.step < below)]
        best = newest(able)
        if plan is None or best is None:
            return
        try:
            listing, places = reader.places(plan.path)
            for format_, place in places:
                if found.by_place.get(place.path) is best:
                    point(surveyor, Seen(best, format_, place, listing))
        except FailedError as error:
            self._warn(f"{record.job.id}: its loader could not be led to step {best.step}: {error.message}")

    def _reader(self, record: "JobRecord", *, live: bool) -> "tuple[LocalSurveyor | NodeSurveyor, Reader]":
        """Who looks for a job: the first of its nodes that answers, then any other."""
        from aiops.layers.core.command import Command
        from aiops.layers.core.errors import UnreachableError
        from aiops.layers.l2_jobs.checkpoint.format import read_formats
        from aiops.layers.l2_jobs.checkpoint.reader import SETTLED, Reader
        from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor, NodeSurveyor

        plan = record.job.checkpoint
        formats = read_formats(self._aiops.plugins, "auto" if plan is None else plan.format)
        settled = SETTLED if live else 0.0
        own = record.attempt.allocation.nodes if record.attempt is not None else ()
        chosen = record.job.nodes.chosen
        order = sorted(
            self._nodes, key=lambda node: (self.silent(node.name), node.name not in own, node.name not in chosen)
        )
        trouble: AiopsError | None = None
        for node in order:
            if node.connection.kind == "local" and os.geteuid() == record.job.owner.uid:
                local = LocalSurveyor()
                return local, Reader(local, formats, settled)
            transport = self._fleet.transport(node)
            try:
                answered = not transport.run(Command(("true",), timeout=5.0)).timed_out
            except UnreachableError as error:
                trouble, answered = trouble or error, False
            if not answered:
                continue
            surveyor = NodeSurveyor(transport, record.job.owner)
            return surveyor, Reader(surveyor, formats, settled)
        raise trouble or UnreachableError("no node can tell of checkpoints", code="checkpoint.nodes")
