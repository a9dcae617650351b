"""The controller with everything around it, as it runs on a head, or inside `aiops train` where nobody else decides."""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError, FailedError

from .compiling import Compiler
from .deeds import drain, notify, try_pairs
from .shelves import Shelves
from .sites import Sites

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l2_jobs.attempt import Key
    from aiops.layers.l2_jobs.controller.controller import Controller
    from aiops.layers.l2_jobs.controller.desk import Desk, Submission
    from aiops.layers.l2_jobs.controller.hands import ThreadedHands
    from aiops.layers.l2_jobs.controller.keeper import Keeper
    from aiops.layers.l2_jobs.controller.ledger import Failpoint, Ledger
    from aiops.layers.l2_jobs.controller.logs import Logs
    from aiops.layers.l2_jobs.defects import Defects
    from aiops.layers.l2_jobs.engine import EngineContext
    from aiops.layers.l2_jobs.fault.fault import Fault
    from aiops.layers.l2_jobs.job import Account
    from aiops.layers.l2_jobs.line import Lines
    from aiops.layers.l2_jobs.open_lines import OpenLines
    from aiops.layers.l2_jobs.power import PowerTold
    from aiops.layers.l2_jobs.record import JobRecord
    from aiops.layers.l2_jobs.steady import Steady
    from aiops.layers.l2_jobs.survey import Surveyor
    from aiops.layers.l2_jobs.term import Term

TIDY_SECONDS = 3600.0
"""So often what is old is let go."""

KEPT_SECONDS = 7 * 86400.0
"""So long it is kept what was asked and done; what was decided, and why, is kept for good."""

REFRESH_SECONDS = 2.0
"""So often it is asked whether somebody has drained a node, or given it back."""


@dataclass
class Running:
    """A controller that is ready to run.

    Attributes:
        desk: Where its clients are answered.
        keeper: Who backs the store up; None where there is no other node.
        ended: Ends the loop.
        fallen: The threads that have ended by a defect, with what it was.
        tidy: Lets go of what is old; it may take long, and has a thread of its own.
    """

    controller: "Controller"
    desk: "Desk"
    ledger: "Ledger"
    sites: Sites
    lines: "Lines"
    hands: "ThreadedHands"
    shelves: Shelves
    keeper: "Keeper | None"
    clock: Callable[[], float]
    ended: threading.Event
    fallen: list[tuple[str, BaseException]] = field(default_factory=list)
    tidy: Callable[[], object] = bool

    def fall(self, thread: str, defect: BaseException) -> None:
        """End, since a thread has ended that something depends on."""
        self.fallen.append((thread, defect))
        self.ended.set()

    def run(self) -> None:
        """Decide and act until `ended` is set.

        Raises:
            FailedError: A thread has ended by a defect (`controller.defect`).
        """
        refreshed = kept = tidied = 0.0
        transitions = -1
        while not self.ended.is_set():
            now = self.clock()
            if now - refreshed >= REFRESH_SECONDS:
                refreshed = now
                self.hands.offer(self.sites.refresh())
                self.shelves.keep_up(self.controller.world.roster.jobs, self.hands.offer_shelf)
            if now - tidied >= TIDY_SECONDS:
                tidied = now
                threading.Thread(target=self.tidy, name="tidy", daemon=True).start()
            if not self.controller.tick():
                self.lines.wait(0.1)
            if self.keeper is not None and (
                now - kept >= self.keeper.seconds or transitions != self.controller.transitions
            ):
                kept, transitions = now, self.controller.transitions
                self.keeper.want()
        if self.fallen:
            thread, defect = self.fallen[0]
            raise FailedError(
                f"the controller has ended: its thread `{thread}` failed with {type(defect).__name__}: {defect}",
                code="controller.defect",
                hints=[
                    "jobs go on; its service starts it again, elsewhere `aiops controller run` does",
                    "this is a defect of aiops: please report it with what is written above",
                ],
            )


@contextmanager
def assembled(
    aiops: App,
    screen: Screen,
    inventory: "Inventory",
    *,
    system: bool = False,
    failpoint: "Failpoint | None" = None,
) -> Iterator[Running]:
    """A controller of the jobs in AIOPS_HOME, begun; it is the only one as long as the block lasts.

    Args:
        aiops: The outside world.
        screen: Where it is said what was done to nodes.
        inventory: Of its cluster.
        system: Whether every user of this machine may ask it, at `/run/aiops`.
        failpoint: Called between any two statements; tests end the process there.

    Raises:
        ConflictError: Another controller runs on this store (`controller.held`).
        InputError: The inventory, or what the site says of health, is wrong.
    """
    from aiops.layers.l1_cluster.draining import workloads_of
    from aiops.layers.l1_cluster.health.notifier import read_notifiers
    from aiops.layers.l2_jobs.controller.controller import Controller
    from aiops.layers.l2_jobs.controller.desk import Desk
    from aiops.layers.l2_jobs.controller.hands import Deeds, ThreadedHands
    from aiops.layers.l2_jobs.controller.ledger import Ledger, nothing
    from aiops.layers.l2_jobs.controller.logs import Logs
    from aiops.layers.l2_jobs.controller.vigil import vigil
    from aiops.layers.l2_jobs.controller.writer import sole_writer
    from aiops.layers.l2_jobs.decide import decide
    from aiops.layers.l2_jobs.defects import Defects
    from aiops.layers.l2_jobs.site import read_site
    from aiops.layers.l2_jobs.steady import Steady

    from .reading import diagnosed

    with ExitStack() as stack:
        stack.enter_context(sole_writer(aiops.home, cluster=inventory.cluster))
        store = stack.enter_context(aiops.store())
        fleet = stack.enter_context(aiops.fleet(inventory))
        steady = Steady(aiops.clock)
        settings = read_site(inventory.settings)
        ledger, logs, defects = Ledger(store, failpoint or nothing), Logs(aiops.home), Defects(screen.warn)
        stack.callback(logs.close)
        lines = _lines(aiops, fleet, inventory, steady, keeps=(ledger, logs), defects=defects)
        stack.callback(lines.close)
        sites = Sites(
            aiops, store, fleet, inventory, workloads=workloads_of(aiops.plugins, inventory, fleet), now=steady
        )
        engines = engines_of(
            aiops, _context(aiops, inventory, fleet, lines, sites=sites, term=ledger.term(), defects=defects)
        )
        for engine in engines.values():
            stack.callback(engine.close)
        shelves = Shelves(aiops, fleet, list(sites.nodes.values()), steady, warn=screen.warn)
        notifiers = read_notifiers(inventory.settings, aiops.plugins, aiops.environment)

        def read(key: "Key") -> "Fault | None":
            return diagnosed(aiops.plugins, ledger, logs, key, steady())

        def written(job: str) -> "JobRecord | None":
            return controller.world.roster.jobs.get(job)

        hands = ThreadedHands(
            Deeds(
                drain=lambda node, reason: drain(
                    aiops, screen, store, fleet, inventory=inventory, node=node, reason=reason
                ),
                set_aside=shelves.set_aside,
                notify=lambda job, message: notify(aiops, inventory, notifiers, job, message),
                examine=sites.examine,
                diagnose=read,
                verify=shelves.look,
                pair=lambda record, order, waits: try_pairs(
                    fleet, sites, record, order, now=steady, waits=waits, own=settings.pair_test
                ),
                warn=screen.warn,
                ask_power=_asker(sites, steady),
                current=written,
            )
        )
        stack.callback(hands.close)
        _take_over_survivors(aiops, screen, ledger, fleet, sites)
        controller = Controller(
            ledger,
            engines,
            decide,
            hands,
            steady,
            dump=lines.dump,
            others=lines.reports,
            settings=settings,
            failpoint=failpoint or nothing,
            defects=defects,
        )
        controller.begin(sites.known())
        shelves.silent = lambda name: controller.world.watch.node(name).silent is not None
        keeper = _keeper(stack, aiops, screen, store, inventory=inventory, fleet=fleet)

        def status() -> Mapping[str, Any]:
            return {
                "cluster": inventory.cluster,
                "pid": os.getpid(),
                "nodes": len(sites.nodes),
                "settled": controller.world.settled,
                "engines": {name: _engine_words(controller, name) for name in engines},
                "backup": None if keeper is None else keeper.document(),
                "logs": logs.trouble or None,
                "power": _power_words(controller),
            }

        def planned(submission: "Submission", account: "Account") -> dict[str, Any]:
            plan = compiler.plan(submission, account, controller.world.roster.jobs)
            return {"document": plan.document(), "lines": list(plan.lines())}

        compiler = Compiler(aiops, fleet, sites, shelves, steady, settings=settings)
        desk = Desk(
            ledger,
            logs,
            compile_job=compiler.job,
            plan=planned,
            surveyor=_surveyor(aiops, fleet, sites),
            now=steady,
            look=lambda: None,
            progress=controller.progress,
            status=status,
        )
        _open_doors(stack, aiops, desk, system=system)
        ended = threading.Event()
        running = Running(controller, desk, ledger, sites, lines, hands, shelves, keeper, steady, ended)
        running.tidy = lambda: _tidy(
            screen, ledger, logs, controller.world.roster.jobs, days=settings.logs_days, now=steady()
        )
        stack.enter_context(vigil(running.fall))
        yield running


def _surveyor(aiops: App, fleet: "Fleet", sites: Sites) -> "Surveyor":
    """Who asks nodes for users; our own questions, and those of root, are asked as we reach nodes."""
    from aiops.layers.l2_jobs.survey import Surveyor

    return Surveyor(fleet, sites.nodes, aiops.clock, os.geteuid())


def _lines(
    aiops: App,
    fleet: "Fleet",
    inventory: "Inventory",
    steady: "Steady",
    *,
    keeps: "tuple[Ledger, Logs]",
    defects: "Defects",
) -> "OpenLines":
    """The lines to all nodes; what comes on them is kept, and read for signs of faults as it comes."""
    ledger, logs = keeps
    from aiops.layers.l2_jobs.open_lines import OpenLines

    from .reading import signs_of

    return OpenLines(
        fleet,
        {node.name: node for node in inventory.nodes},
        steady,
        logs=logs.write,
        kept=logs.size,
        term=ledger.term(),
        reader=signs_of(aiops.plugins),
        defects=defects,
    )


def _context(
    aiops: App,
    inventory: "Inventory",
    fleet: "Fleet",
    lines: "OpenLines",
    *,
    sites: Sites,
    term: "Term",
    defects: "Defects",
) -> "EngineContext":
    """What engines are given."""
    from aiops.layers.l2_jobs.container import containers_of
    from aiops.layers.l2_jobs.engine import EngineContext

    return EngineContext(
        inventory,
        fleet,
        aiops.clock,
        lines,
        sites.vendor,
        containers=lambda: containers_of(aiops.plugins),
        term=term,
        defects=defects,
    )


def _tidy(screen: Screen, ledger: "Ledger", logs: "Logs", alive: "Collection[str]", *, days: float, now: float) -> None:
    """Let go of what is old; where that fails it is told, and tried again an hour later."""
    try:
        ledger.prune(now - KEPT_SECONDS)
        logs.prune(alive, days)
    except (AiopsError, OSError) as error:
        screen.warn(f"what is old could not be let go of: {error}")


def _open_doors(stack: ExitStack, aiops: App, desk: "Desk", *, system: bool) -> None:
    """Answer in AIOPS_HOME, and on the head's own controller all users of this machine."""
    from aiops.layers.l2_jobs.controller.door import Door
    from aiops.layers.l2_jobs.controller.visitor import FILE, SYSTEM_SOCKET

    stack.callback(Door(aiops.home / FILE, desk.answer).close)
    if system:
        SYSTEM_SOCKET.parent.mkdir(exist_ok=True)
        SYSTEM_SOCKET.parent.chmod(0o755)  # whatever the umask of a service is
        stack.callback(Door(SYSTEM_SOCKET, desk.answer, everybody=True).close)


def _take_over_survivors(aiops: App, screen: Screen, ledger: "Ledger", fleet: "Fleet", sites: Sites) -> None:
    """Learn what was begun after the backup that this store was restored from, once, before anything is decided."""
    from aiops.layers.l2_jobs.action import Decided
    from aiops.layers.l2_jobs.controller.backup import RESTORED
    from aiops.layers.l2_jobs.controller.rows import Entry
    from aiops.layers.l2_jobs.controller.survivors import overtaken, survey

    mark = aiops.home / RESTORED
    if not mark.exists():
        return
    now = aiops.clock.now().timestamp()
    found = survey(fleet, list(sites.nodes.values()), ledger.term())
    for name, why in found.silent.items():
        screen.warn(f"{name} does not say what runs there, and gets no work until it is heard: {why}")
    named = {str(one.get("key", "")).rpartition(".")[0] for one in found.specs}
    known = {**ledger.alive(), **ledger.written(named)}
    learned = overtaken(found, {**ledger.submitted(named), **known}, sites.engines, now)
    if learned.records:
        ledger.commit(Decided(learned.records, learned.decisions), Entry(now), known)
    for words in learned.odd:
        screen.warn(words)
    for key, nodes in (learned.strangers or {}).items():
        screen.warn(f"{key} runs on {', '.join(nodes)}, and this store knows no such job: nobody looks after it")
    for job in {key.rpartition(".")[0] for key in learned.strangers or {}}:
        ledger.skip_number(job)
    mark.unlink(missing_ok=True)


def engines_of(aiops: App, context: Any) -> dict[str, Any]:
    """The engines of a cluster, by name; imports their plugins.

    Raises:
        PluginError: One of them cannot be used.
    """
    from aiops.layers.l2_jobs.engine import EngineHooks

    found = aiops.plugins.hooks("engine", EngineHooks).engine(context=context)
    return {one.name: one for one in found if one is not None}


def _engine_words(controller: "Controller", name: str) -> str:
    trouble = controller.world.watch.engines.get(name)
    return "answers" if trouble is None else trouble.reason


def _asker(sites: Sites, steady: "Steady") -> "Callable[[str], Sequence[PowerTold]]":
    """Who asks the BMC of a node."""
    from aiops.layers.l2_jobs.controller.bmc import told_of_power

    return lambda node: told_of_power(sites.nodes[node], steady)


def _power_words(controller: "Controller") -> list[str]:
    """The nodes whose BMCs proved nothing when they were asked last."""
    from aiops.layers.l2_jobs.power import unproved

    return list(unproved(controller.world.power, controller.world.watch))


def _keeper(
    stack: ExitStack, aiops: App, screen: Screen, store: "Store", *, inventory: "Inventory", fleet: Any
) -> "Keeper | None":
    """Who backs the store up to other nodes, until `stack` ends; None where there is none, or PostgreSQL keeps it."""
    from aiops.layers.l2_jobs.controller.backup import others
    from aiops.layers.l2_jobs.controller.keeper import Keeper

    nodes = others(inventory)
    if not nodes or aiops.environment.get("AIOPS_DB"):
        return None
    keeper = Keeper(store, fleet, nodes, inventory.cluster, clock=aiops.clock, warn=screen.warn)
    stack.callback(keeper.close)
    return keeper
