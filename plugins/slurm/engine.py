"""The engine `slurm`: every attempt is a job of Slurm's, whose rank groups have the same launchers as on any node.

Slurm says when a job waits, runs and is over; launchers say what becomes of rank groups, over the lines to their nodes;
`course` makes reports of both. Here is what it takes to ask: one thread asks slurmctld, once a second for all
attempts, and what waits for somebody (a submission, the end of a job, a look at nodes) has a thread of its own.

Nothing is run twice. A job bears its lineage as its comment, which is looked for before one is submitted; and its
script refuses to begin where one has begun before, for the time that slurmctld has forgotten what it ran.

A head that was lost and comes back changes nothing: before anything is submitted, signalled or ended the attempt's
nodes are asked whether they have seen a later controller, and a script that begins later looks at its own node.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic

from aiops.layers.core.errors import AiopsError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import variables_of
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import Engine, EngineContext
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import Available, Deposed, Report, Unavailable
from aiops.layers.l2_jobs.steady import Steady

from . import course
from .bureau import AwayError, Bureau, GarbledError
from .completion import Completion
from .enlisted import Enlisted, Turn
from .enrolment import Enrolment, require_whole
from .errands import Errands
from .freeing import Kept
from .groundwork import DeposedError, Groundwork

PAUSE = 1.0
"""Seconds between two questions to slurmctld."""

_SHARE = 10.0
"""A question that took longer is followed by a pause so many times as long, for slurmctld has others to serve."""

_LONGEST = 5.0
"""The most seconds that such a pause is."""

MEND, MEND_IDLE = 2.0, 60.0
"""Seconds between two looks for nodes that are down by our doing, until one was answered; the latter while there is no
attempt: Slurm may not be deployed then."""

_SPARE = 5.0
"""Seconds beyond those that an attempt has to save and leave, until Slurm is asked to end it."""


class SlurmEngine:
    """Runs attempts as jobs of Slurm's."""

    name = "slurm"

    def __init__(self, context: EngineContext, bureau: Bureau) -> None:
        """Connect to nobody yet; `bureau` asks slurmctld."""
        self._inventory = context.inventory
        self._lines = context.lines
        self._defects = context.defects
        self._now = Steady(context.clock)
        self._bureau = bureau
        self._groundwork = Groundwork(context.fleet, context.term)
        self._enrolment = Enrolment(context, bureau, self._groundwork)
        self._completion = Completion(context.inventory, bureau, self._groundwork)
        self._served = any(
            variables_of(node).aiops_engine == "slurm" for node in context.inventory if "workers" in node.roles
        )
        self._mend_at = 0.0
        self._lock = threading.RLock()
        self._ones: dict[Key, Enlisted] = {}
        self._strangers: set[Key] = set()
        """Attempts that were to be ended and are not known here."""
        self._reports: list[Report] = []
        self._away = ""
        """Why slurmctld does not answer; empty while it does."""
        self._deposed = False
        """Whether a node has seen a later controller; then nothing more is done."""
        self._errands = Errands()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what the controller asks

    def start(self, job: Job, attempt: Attempt) -> None:
        """Give an attempt to Slurm; while slurmctld does not answer it is tried again, until it is ended.

        Raises:
            InputError: A node belongs to another engine, or a part of a device is asked for.
        """
        require_whole(attempt, self._inventory)
        with self._lock:
            if attempt.key in self._ones:
                return
            before = self._completion.before(attempt.key)
            self._ones[attempt.key] = Enlisted(job, attempt, submitting=True, before=before)
        self._send(attempt.key, "submit", self._submit)
        self._run()

    def stop(self, key: Key, *, seconds: float) -> None:
        """Have its launchers stop; Slurm ends what is left a little later, and at once what has not begun."""
        with self._lock:
            one = self._ones.get(key)
            if one is None or one.wish != "run":
                return
            runs = course.runs(one)
            wait = seconds + _SPARE if runs else 0.0
            one = self._ones[key] = replace(one, wish="stop", cancel_at=self._now() + wait)
        if not one.own:
            for node in one.nodes:
                self._lines.stop(key, node, seconds)
        elif runs:
            self._send(key, "ask", lambda now: self._latest(now).ask(now.number, now.job.owner))
        self._wake(one, cancel=not runs)

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        """End its launchers there, and Slurm's job with the last of them."""
        with self._lock:
            one = self._ones.get(key)
            if one is None:
                self._strangers.add(key)
            else:
                one = self._ones[key] = course.killed(one, nodes, self._now())
        if one is None or not one.own:
            for node in nodes:
                self._lines.kill(key, node)
        if one is not None:
            self._wake(one, cancel=one.wish == "end")

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        """Follow attempts that an earlier controller has submitted."""
        with self._lock:
            new = {key: pair for key, pair in running.items() if key not in self._ones}
            fresh = {key: Enlisted(*pair, before=self._completion.before(key)) for key, pair in new.items()}
            self._ones |= fresh
        for one in fresh.values():
            self._follow(one)
        self._run()

    def release(self, key: Key) -> None:
        """Forget an attempt, here and on its nodes."""
        with self._lock:
            one = self._ones.pop(key, None)
            self._strangers.discard(key)
            if one is not None:
                self._completion.let_go(one)
        for node in one.nodes if one is not None else ():
            self._lines.release(key, node)

    def reports(self) -> list[Report]:
        """What Slurm, launchers and nodes have told."""
        if self._served:
            self._run()
        with self._lock:
            found, self._reports = self._reports, []
            for report in self._lines.reports((*self._ones, *self._strangers)):
                one = self._ones.get(getattr(report, "key", None) or Key("", 0))
                if one is None:
                    found.append(report)
                    continue
                try:
                    self._ones[one.key], passed = course.told(one, report)
                except Exception as error:  # noqa: BLE001 - whatever it is, the others' words are told
                    self._defects.met(str(one.key), error, "a word of it is left out")
                else:
                    found += [passed] if passed is not None else []
        return found

    def close(self) -> None:
        """Ask nobody any more; what runs goes on."""
        self._closing.set()
        self._errands.close()
        if self._thread is not None:
            self._thread.join(PAUSE)

    # -- the thread that asks slurmctld

    def _run(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._watch, name="slurm-engine", daemon=True)
                self._thread.start()

    def _wake(self, one: Enlisted, *, cancel: bool) -> None:
        if cancel and one.number:
            self._take(one.key, course.hurried)
        self._run()

    def _watch(self) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            began = monotonic()
            try:
                self._ask()
            except AiopsError as error:
                self._answers(error.message)
            pause = min(max(PAUSE, (monotonic() - began) * _SHARE), _LONGEST)

    def _ask(self) -> None:
        """One question for all attempts, and what follows from the answer.

        Raises:
            AwayError: There was none.
        """
        with self._lock:
            ones = [one for one in self._ones.values() if not one.settled]
        if self._completion.owed and monotonic() >= self._mend_at:
            self._mend_at = monotonic() + (MEND if ones else MEND_IDLE)
            self._errands.send("mend", partial(self._guarded, "slurm", self._mend))
        if not ones and not self._away:
            return
        known = self._bureau.jobs([one.number for one in ones if one.number])
        for one in ones:
            if one.number:
                self._take(one.key, partial(course.seen, found=known.get(one.number)))
            elif one.submitting:
                self._send(one.key, "submit", self._submit)
            else:
                with suppress(GarbledError):  # words that are no job keep no other attempt waiting
                    found = None if one.sought else self._bureau.find(one.key, one.job.owner)
                    self._take(one.key, partial(course.seen, found=found))
        self._answers("")

    def _answers(self, reason: str) -> None:
        """Take note of whether slurmctld answers; only the change is told."""
        with self._lock:
            if bool(reason) != bool(self._away):
                at = self._now()
                self._reports.append(Unavailable(self.name, at, reason) if reason else Available(self.name, at))
            self._away = reason

    def _take(self, key: Key, work: Callable[[Enlisted, float], Turn]) -> None:
        """Have what was learned of an attempt change what is known, and do what follows."""
        with self._lock:
            one = self._ones.get(key)
            if one is None:
                return
            try:
                turn = work(one, self._now())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this attempt's alone
                self._defects.met(str(key), error, "what was found of it is left out")
                return
            self._ones[key], self._reports = turn.enlisted, [*self._reports, *turn.reports]
        if one.own and turn.enlisted.settled and not one.settled:
            for node in one.nodes:  # no launcher ever says its last word there
                self._lines.kill(key, node)
        works = {"end": self._end, "cancel": self._cancel, "nudge": self._nudge, "look": self._look}
        for errand in turn.errands:
            self._send(key, errand, works[errand])

    # -- errands, each in a thread of its own

    def _send(self, key: Key, name: str, work: Callable[[Enlisted], object]) -> None:
        """Have `work` done with what is known of an attempt, unless it is being done."""

        def errand() -> None:
            one = self._ones.get(key)
            if one is not None:
                self._guarded(str(key), partial(work, one))

        self._errands.send((name, str(key)), errand)

    def _guarded(self, about: str, work: Callable[[], object]) -> None:
        """Do `work`, unless there is a later controller."""
        if self._deposed:
            return
        try:
            work()
        except DeposedError as error:
            self._depose(error)
        except AiopsError as error:
            self._answers(error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this attempt's alone
            self._defects.met(about, error, "what was to be done for it in Slurm is tried again")

    def _submit(self, one: Enlisted) -> None:
        """Give an attempt to Slurm; followed before that, for its lease begins with its first launcher.

        Raises:
            AwayError: slurmctld does not answer; it is tried again.
            DeposedError: A node has seen a later controller.
        """

        def wanted() -> bool:
            self._follow(one)
            now = self._ones.get(one.key)
            return now is not None and now.wish == "run"

        enrolled = self._enrolment.enrol(one.job, one.attempt, wanted)
        with self._lock:
            now = self._ones.get(one.key)
            if now is not None:
                self._ones[one.key], reports = course.enrolled(now, self._now(), enrolled)
                self._reports += reports
        if enrolled.submitted and (now is None or now.wish != "run"):  # it was released, or ended, meanwhile
            self._bureau.cancel(enrolled.number, one.job.owner)
        if not enrolled.refused:
            self._follow(one)

    def _mend(self) -> None:
        """Resume what is down by our doing; whether slurmctld answers is told by what is asked for attempts.

        Raises:
            DeposedError: A node has seen a later controller.
        """
        with suppress(AwayError):
            self._completion.mend()

    def _nudge(self, one: Enlisted) -> None:
        """Have Slurm look whether it can start a restart, with those nodes that are free by now, and known to be.

        Raises:
            AwayError: slurmctld does not answer.
            DeposedError: A node has seen a later controller.
        """
        found = self._completion.survey(one)
        names = tuple(each.name for each in found.kept)
        self._take(one.key, partial(course.surveyed, completing=names))
        for each in found.due:
            self._free(one.key, each)
        self._bureau.nudge(one.number, one.key)

    def _free(self, key: Key, found: Kept) -> None:
        """Give a node back to Slurm that is proved to be free, once for each attempt.

        Raises:
            AwayError: The head does not answer, or slurmctld.
        """
        with self._lock:
            one = self._ones.get(key)
            if one is None or not course.waits(one) or found.name in one.freed:
                return
        said: str | None = "nobody has said what came of it"
        try:
            said = self._completion.free(found)
        finally:
            if said is not None:
                self._take(key, partial(course.freed, node=found.name, before=found.before, said=said))

    def _end(self, one: Enlisted) -> None:
        if one.number and one.over_since is None:
            self._latest(one).end(one.number, one.job.owner)

    def _cancel(self, one: Enlisted) -> None:
        if one.number and one.over_since is None:
            self._latest(one).cancel(one.number, one.job.owner)

    def _latest(self, one: Enlisted) -> Bureau:
        """Slurmctld, for what changes something there.

        Raises:
            DeposedError: A node of the attempt has seen a later controller.
        """
        self._groundwork.require_latest(self._nodes(one.nodes))
        return self._bureau

    def _nodes(self, names: Sequence[str]) -> list[Node]:
        return [self._inventory.node(name) for name in names]

    def _depose(self, error: DeposedError) -> None:
        """Tell that there is a later controller, once; it is this one's end."""
        with self._lock:
            if not self._deposed:
                self._deposed = True
                self._reports.append(Deposed(error.node, self._now(), error.term))

    def _look(self, one: Enlisted) -> None:
        """Ask nodes of which nothing was heard; what is left of a user's own command is ended there."""
        names = one.silent if one.over_since is not None else tuple(set(one.nodes) - set(one.boots))
        if one.own and one.over_since is not None:
            found = self._groundwork.sweep(one.key, one.job.owner, one.number, self._nodes(names))
        else:
            found = self._groundwork.look(one.key, one.job.owner, self._nodes(names))
        self._take(one.key, lambda now, at: course.looked(now, found.answers, at))

    def _follow(self, one: Enlisted) -> None:
        for node in one.nodes:
            self._lines.follow(one.key, node, one.job.owner.uid, awaited=True)


@hookimpl
def engine(context: EngineContext) -> Engine | None:
    """The engine; None for a cluster without a head, where there is no slurmctld to ask."""
    head = context.inventory.head
    if head is None:
        return None
    return SlurmEngine(context, Bureau(context.fleet.transport(head), context.inventory.cluster))
