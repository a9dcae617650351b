"""What `plan` and `deploy` share: the world behind a deploy, and its answer."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from aiops.cli.journal import journal_of
from aiops.cli.screen import error_document
from aiops.cli.signals import TerminatedError
from aiops.layers.core.errors import FailedError

from .membership import everyone, tell_unmanaged, unmanaged
from .progress import Progress
from .report import covered, exit_code, failure_of, first_reason, plan_lines
from .retry import failed_among
from .succession import lock_of, succeed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiops.cli.app import App
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.facts import Facts
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l1_cluster.bundle.offer import Offer
    from aiops.layers.l1_cluster.doors import Deployed, Doors
    from aiops.layers.l1_cluster.gate import Gate
    from aiops.layers.l1_cluster.lock import ClusterLock, Lock
    from aiops.layers.l1_cluster.plan import Plan

    from .wish import Wish

DECLINED = "deploy.declined"


class Deployment:
    """One `plan` or `deploy`, from its wish to its answer."""

    def __init__(self, aiops: "App", screen: "Screen", wish: "Wish") -> None:
        from aiops.layers.core.event import EventStream
        from aiops.layers.core.identifier import run_id
        from aiops.layers.l1_cluster.phase import choose, read_phases, shipped_phases
        from aiops.layers.l1_cluster.preflight import require

        self._aiops = aiops
        self._screen = screen
        self._wish = wish
        phases = read_phases(wish.phases or shipped_phases())
        self._phases = choose(phases, wish.only, wish.start)
        self._whole = len(self._phases) == len(phases)
        self._inventory = aiops.inventory(wish.inventory)
        require(self._inventory, {phase.name: phase.needs for phase in self._phases})
        self._nodes = self._inventory.select(wish.on)
        if wish.retry_failed:
            self._nodes = failed_among(aiops, self._inventory, self._nodes, [phase.name for phase in phases], wish)
        self._folder = aiops.home / "clusters" / self._inventory.cluster
        self._events = EventStream(run_id(aiops.clock.now()), aiops.clock)
        self._progress = Progress(screen)
        self._events.subscribe(self._progress.listen)
        self._logs = self._folder / "logs" / self._events.run
        self._command = shlex.join(wish.words(self._inventory.path))

    def perform(self) -> int:
        """Plan or deploy, show it, and give the exit code."""
        try:
            return self._perform()
        except (KeyboardInterrupt, TerminatedError) as cut:
            if not self._wish.dry_run:
                cut.add_note(f"see how far run {self._events.run} came: `aiops run show {self._events.run}`")
                cut.add_note(f"type it again, it goes on where it was: `{self._command}`")
            if self._progress.held:
                from aiops.layers.l0_nodes.nodeset import fold

                cut.add_note(f"until then no new work is given to {fold(self._progress.held)}, drained for a reboot")
            raise

    def _perform(self) -> int:
        from aiops.layers.l1_cluster.deploy import deploy
        from aiops.layers.l1_cluster.doors import Request
        from aiops.layers.l1_cluster.render import PrivateFolder
        from aiops.layers.l1_cluster.secrets import Secrets

        wish = self._wish
        self._screen.note(self._header())
        with ExitStack() as stack:
            journal = None
            if not wish.dry_run:
                recorded = journal_of(self._aiops, self._events, self._inventory.cluster, self._command)
                _, journal = stack.enter_context(recorded)
            private = stack.enter_context(PrivateFolder(self._aiops.environment, self._aiops.home)).path
            stack.callback(self._progress.close)
            forks = wish.forks or self._inventory.settings.forks
            fleet = stack.enter_context(self._aiops.fleet(self._inventory, width=forks))
            head = fleet.transport(self._inventory.head) if self._inventory.head else None
            secrets = Secrets.of(head, self._inventory.cluster, self._folder / "secrets")
            doors = stack.enter_context(self._doors(private, fleet, forks))
            if journal is not None:
                self._await_reboots(doors)
            request = Request(
                self._inventory,
                self._phases,
                self._nodes,
                private,
                dry_run=wish.dry_run,
                write=wish.write,
                logs=self._logs,
                bundle=self._bundle(),
                batch=wish.batch,
                max_fail=wish.max_fail,
                drain_seconds=self._inventory.settings.drain_minutes * 60,
            )
            done = deploy(request, doors, secrets, self._events)
            code = exit_code(done, dry_run=wish.dry_run)
            if journal is not None:
                journal.end(code, "declined" if done.declined else first_reason(done))
        if self._screen.json:
            self._screen.document(self._document(done))
        else:
            self._answer(done)
        return code

    def _header(self) -> str:
        nodes, total = len(self._nodes), len(self._inventory.nodes)
        count = f"{nodes} node{'s' * (nodes != 1)}{'' if nodes == total else f' of {total}'}"
        run = [] if self._wish.dry_run else [f"run {self._events.run}"]
        return " · ".join([self._inventory.cluster, count, *run]) + "\n"

    @contextmanager
    def _doors(self, private: "Path", fleet: "Fleet", forks: int) -> "Iterator[Doors]":
        from aiops.layers.l1_cluster.doors import Doors, this_machine
        from aiops.layers.l1_cluster.draining import workloads_of
        from aiops.layers.l1_cluster.gate import FleetGate
        from aiops.layers.l1_cluster.member import Members
        from aiops.layers.l1_cluster.playbook import Playbook
        from aiops.layers.l1_cluster.prober import FleetProber
        from aiops.layers.l1_cluster.recollection import Recollection

        aiops, inventory = self._aiops, self._inventory
        lock = lock_of(aiops, inventory, fleet)
        playbook = Playbook(private, inventory.path, aiops.environment, aiops.working_folder, forks)
        try:
            if self._wish.dry_run:
                lock.require_known()
            yield Doors(
                prober=FleetProber(fleet, aiops.vendors(), aiops.clock),
                gate=FleetGate(fleet),
                lock=lambda: self._acquire(lock, FleetGate(fleet)),
                applier=playbook,
                confirm=self._confirm,
                clock=aiops.clock,
                here=this_machine(),
                on_start=self._progress.begin,
                on_task=self._progress.end,
                pair_mismatch=self._pair_mismatch,
                memory=Recollection(self._folder / "records"),
                members=Members.of(self._folder),
                workloads=workloads_of(aiops.plugins, inventory, fleet),
            )
        finally:
            playbook.close()

    def _await_reboots(self, doors: "Doors") -> None:
        """Wait for nodes that a run before this one was rebooting when it was cut off."""
        from aiops.layers.l1_cluster.returning import await_returning, returning_of
        from aiops.layers.l1_cluster.run import Runs

        with self._aiops.store() as store:
            away = returning_of(Runs(store), self._inventory.cluster, self._aiops.clock)
        names = [node.name for node in self._nodes if node.name in away]
        if names:
            with self._screen.step("reboots", nodes=names) as step:
                await_returning(doors.prober, self._nodes, away, doors.clock, step.done)
                step.summary = "begun by a run that was cut off"

    def _acquire(self, lock: "ClusterLock", gate: "Gate") -> "Lock":
        from aiops.layers.l1_cluster.owner import Owner

        return succeed(
            lock,
            Owner.here(self._events.run),
            self._command,
            everyone(self._aiops, self._inventory),
            gate=gate,
            screen=self._screen,
            unanswered=f"once it answers (`aiops node ssh -i {self._inventory.path} {lock.place}`): `{self._command}`",
        )

    def _pair_mismatch(self, facts: "Facts") -> str | None:
        """Why a driver that does not fit together keeps its node out: unless this very deploy may mend it."""
        mends = any("driver" in phase.mends for phase in self._phases)
        return None if mends else facts.driver_mismatch

    def _bundle(self) -> "Offer | None":
        """The bundle that the chosen nodes install from, opened; None where none does.

        A deploy that may send it to the head reads all of it first.
        """
        from .offer import offer_of

        offer = offer_of(self._aiops, self._inventory, self._nodes)
        sends = any(want.kind == "tree" for phase in self._phases for want in phase.wants)
        if offer is not None and sends and not self._wish.dry_run:
            offer.bundle.require_whole()
        return offer

    def _confirm(self, plan: "Plan") -> bool:
        for line, indent in (("", 0), *plan_lines(plan)):
            self._screen.note(self._screen.wrapped(line, indent, aside=True))
        return self._screen.confirm("Continue?", yes=self._wish.yes)

    def _document(self, done: "Deployed") -> dict[str, Any]:
        wish = self._wish
        words = "done" if done.ledger.ok and done.stop is None else "failed"
        error = self._error(done)
        return {
            "run": None if wish.dry_run else self._events.run,
            "cluster": self._inventory.cluster,
            "logs": None if wish.dry_run else str(self._logs),
            "outcome": "planned" if wish.dry_run else "declined" if done.declined else words,
            "plan": done.plan.document(),
            "results": [entry.document() for entry in done.ledger],
            "failures": [entry.document() for entry in done.ledger.failures],
            "stopped": done.stop.document() if done.stop else None,
            "drained": list(done.drained),
            "unmanaged": list(unmanaged(self._aiops, self._inventory)),
            **({} if error is None else {"error": error_document(error, self._screen.pasteable)}),
        }

    def _error(self, done: "Deployed") -> FailedError | None:
        """Why the exit code is not 0; None when it is."""
        if done.ledger.failures or done.stop is not None:
            return failure_of(done, self._hints([entry.node for entry in done.ledger.failures]))
        if done.declined:
            return FailedError("nothing was changed", code=DECLINED, hints=[f"look again: `{self._command}`"])
        return None

    def _hints(self, nodes: "Sequence[str]") -> tuple[str, ...]:
        from aiops.layers.l0_nodes.nodeset import fold

        if self._wish.dry_run:
            return (f"see what stops it: `aiops node facts {nodes[0]}`",)
        again = shlex.join(self._wish.again.words(self._inventory.path))
        show = shlex.join(["aiops", "run", "show", self._events.run, *(["--node", fold(nodes)] if nodes else [])])
        return (
            f"read everything with `{show}`",
            *([f"Ansible's own words are in {self._logs}"] if self._logs.is_dir() else []),
            f"then go on with `{again}`",
        )

    def _answer(self, done: "Deployed") -> None:
        screen, wish = self._screen, self._wish
        if wish.dry_run:
            for line, indent in plan_lines(done.plan):
                screen.line(screen.wrapped(line, indent))
        gone = unmanaged(self._aiops, self._inventory)
        tell_unmanaged(screen, self._inventory.path, gone, answer=wish.dry_run)
        error = self._error(done)
        if error is not None and error.code != DECLINED:
            screen.error(error)
        elif done.declined:
            screen.note("nothing was changed")
        elif wish.write is not None:
            screen.hint(f"how to run it by hand is said at the top of {wish.write / 'apply.yml'}")
        elif not wish.dry_run:
            count = len(done.ledger.changed_nodes)
            what = f"{count} of {len(done.plan.nodes)} nodes changed" if count else "nothing had to change"
            cluster, whole = self._inventory.cluster, len(self._nodes) == len(self._inventory.nodes)
            phases = [] if self._whole else [phase.name for phase in self._phases]
            nodes = [] if whole else [node.name for node in self._nodes]
            screen.note(f"{covered(cluster, phases, nodes)} as wanted; {what}")
