"""Reset: every node undoes what was deployed to it, by its own memory of what was there before.

One program per node, over the fleet, behind the fence; Ansible is not used. The workers go first, the head, which keeps
the cluster's lock, goes last. A node that fails stops no other. Whatever is cut off goes on when it is asked again.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.fleet import Outcome as FleetOutcome
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.transport import Transport

from .admission import insist
from .doors import HeldLock
from .draining import Workload
from .gate import STALE
from .keeper import FOLDER
from .ledger import Entry, Ledger, Outcome
from .member import Members
from .remote.fence import STALE_STATUS
from .remote.notebook import pack
from .script import answer_of, command, program, script
from .status import RESET
from .step import Beginning, Step
from .stranger import Machine, strangers
from .undone import Undo, Undone

CONNECT = "connect"
LOST = "lock.lost"
MODULES = (
    "sight",
    "notebook",
    "repack",
    "memory",
    "paths",
    "purge",
    "evidence",
    "units",
    "accounts",
    "machine",
    "reset",
)
NODE_SECONDS = 1800.0
"""How long one node may take; removing many packages from a slow disk takes minutes."""

LOOK_SECONDS = 120.0
_FORGET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be reset.

    Attributes:
        cluster: The cluster's name.
        nodes: The chosen ones.
        head: The cluster's head, whether chosen or not; None where it has none.
        whole: Whether these are all nodes, so that lock and secrets on the head go too.
        boot: The boot id of this machine; empty where it is not known.
        others: The nodes of the inventory that are not chosen.
        gone: The names of those chosen that are not in the inventory any more.
    """

    cluster: str
    nodes: tuple[Node, ...]
    head: Node | None
    whole: bool
    boot: str = ""
    others: tuple[Node, ...] = ()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Doors:
    """What a reset reaches the world through.

    Attributes:
        lock: Takes the cluster lock.
        confirm: Asked once, with what would be undone in lines; False: nothing is done.
        members: Who is remembered; a node that was reset is forgotten.
        workloads: Who may run work on the nodes: what runs there ends, and is named before.
    """

    fleet: Fleet
    lock: Callable[[], AbstractContextManager[HeldLock]]
    confirm: Callable[[Sequence[str]], bool]
    members: Members
    clock: Clock
    workloads: tuple[Workload, ...] = ()


@dataclass(slots=True)
class Ended:
    """The end of a reset, or of a dry run.

    Attributes:
        planned: What each node that answers would undo.
        undone: What each has; empty after a dry run.
        work: What runs on nodes that are to be reset, and would end.
        declined: It was shown and refused; nothing was done.
        machines: Which machine each node is.
    """

    ledger: Ledger
    planned: dict[str, Undone] = field(default_factory=dict)
    undone: dict[str, Undone] = field(default_factory=dict)
    work: dict[str, tuple[str, ...]] = field(default_factory=dict)
    declined: bool = False
    machines: dict[str, Machine] = field(default_factory=dict)


def look(request: Request, doors: Doors, events: EventStream) -> Ended:
    """Ask every node what it would undo; nothing is changed."""
    ended = Ended(Ledger())
    _look(request, doors, events, ended)
    return ended


def reset(request: Request, doors: Doors, events: EventStream) -> Ended:
    """Have every node undo what was deployed to it.

    Raises:
        ConflictError: The cluster lock is held by another, or was lost on the way.
        UnreachableError: The head, which keeps the lock, does not answer.
        FailedError: The lock cannot be kept, or who is remembered cannot be read.
    """
    ended = Ended(Ledger())
    with doors.lock() as lock:
        _look(request, doors, events, ended)
        if any(one.known for one in ended.planned.values()) and not doors.confirm(summary(ended)):
            ended.declined = True
            return ended
        with _step(RESET, "Undo what was deployed", request.nodes, (doors, events, ended)) as since:
            for wave in waves(request):
                _undo(wave, request, doors, lock, (events, ended, since))
    if request.whole and ended.ledger.ok and request.head is not None:
        _forget_lock(doors.fleet.transport(request.head))
    return ended


def waves(request: Request) -> list[list[Node]]:
    """Who goes together: workers, then nodes that serve others, then the head, which keeps the lock. Pure."""

    def place(node: Node) -> int:
        if request.head is not None and node.name == request.head.name:
            return 2
        return 1 if node.roles & {"storage", "login"} and "workers" not in node.roles else 0

    found: dict[int, list[Node]] = {}
    for node in request.nodes:
        found.setdefault(place(node), []).append(node)
    return [found[number] for number in sorted(found)]


def summary(ended: Ended) -> tuple[str, ...]:
    """What would be undone, equal nodes folded, what stays below it, then what runs there and would end. Pure."""
    nodes: dict[tuple[str, ...], list[str]] = {}
    for name, undone in ended.planned.items():
        nodes.setdefault(undone.lines, []).append(name)
    lines = [f"{fold(names)}: {line}" for lines, names in nodes.items() for line in lines]
    return (*lines, *(f"{name}: this ends there: {', '.join(work)}" for name, work in ended.work.items()))


_Telling = tuple[EventStream, Ended, Callable[[], float]]


def _look(request: Request, doors: Doors, events: EventStream, ended: Ended) -> None:
    step = _step(CONNECT, "Reach all nodes", request.nodes, (doors, events, ended))
    with step as since:

        def ask(transport: Transport) -> tuple[Undone, Machine]:
            return _ask(transport, program(MODULES, _call(request)), LOOK_SECONDS)

        found = {outcome.node.name: outcome for outcome in doors.fleet.each(request.nodes, ask)}
        ended.machines = {name: one.value[1] for name, one in found.items() if one.value is not None}
        others = _machines(request.others, doors.fleet) if request.gone else {}
        wrong = strangers(ended.machines, others, request.gone, doors.members.machines())
        for name, outcome in found.items():
            reason = outcome.error.message if outcome.error is not None else wrong.get(name, "")
            if outcome.value is not None:
                undone = outcome.value[0]
                reason = reason or ("" if undone.known else _shortfall(undone.failed))
                if not reason:
                    ended.planned[name] = undone
            _enter(ended, events, Entry(CONNECT, name, "failed" if reason else "ok", since(), reason))
        deployed = [name for name, undone in ended.planned.items() if undone.known]
        known = [node for node in request.nodes if node.name in deployed]
        for workload in doors.workloads if known else ():
            standings = workload.standings(known)
            for name, standing in standings.items():
                unknown = (f"not known: {standing.reason}",) if standing.state == "unknown" else ()
                if standing.work or unknown:
                    ended.work[name] = (*ended.work.get(name, ()), *standing.work, *unknown)
        step.summary = f"{len(deployed)} remember{'s' * (len(deployed) == 1)} a deploy"


def _machines(nodes: Sequence[Node], fleet: Fleet) -> dict[str, Machine]:
    """Which machine each of `nodes` is; those that do not answer are left out."""

    def ask(transport: Transport) -> Machine:
        node = transport.node
        done = transport.run(command(node, script("machine", "main()"), timeout=LOOK_SECONDS, root=False))
        said = answer_of(node, done, "reset.garbled", dict)
        return Machine(said["machine"], said["boot"])

    return {one.node.name: one.value for one in fleet.each(nodes, ask) if one.value is not None}


def _undo(wave: Sequence[Node], request: Request, doors: Doors, lock: HeldLock, telling: _Telling) -> None:
    events, ended, _ = telling
    alive = [node for node in wave if ended.ledger.failure(node.name) is None]
    for node in wave:
        if node not in alive:
            _enter(ended, events, Entry(RESET, node.name, "blocked", 0.0, "it could not be looked at"))

    def work(transport: Transport) -> tuple[Undone, Machine]:
        lock.guard()  # a wave may last for hours
        name = transport.node.name
        head = request.head is not None and name == request.head.name
        whole = request.whole and head and ended.ledger.ok

        def ask(epoch: int) -> tuple[Undone, Machine]:
            call = _call(request, epoch=epoch, machine=ended.machines[name].id, whole=whole)
            return _ask(transport, script("fence", f"main({epoch:d})\n\n{program(MODULES, call)}"), NODE_SECONDS)

        return insist(lock, ask)

    clean: list[str] = []
    lost: AiopsError | None = None
    try:
        for outcome in doors.fleet.each(alive, work):
            if outcome.error is not None and outcome.error.code == LOST:
                lost = outcome.error
            if _ended_on(outcome, telling):
                clean.append(outcome.node.name)
    finally:
        doors.members.forget(clean, {ended.machines[name].id for name in clean})
    if lost is not None:
        raise lost


def _ended_on(outcome: FleetOutcome[tuple[Undone, Machine]], telling: _Telling) -> bool:
    """Tell what became of one node; whether all was undone there."""
    events, ended, since = telling
    name = outcome.node.name
    if outcome.value is None:
        reason = outcome.error.message if outcome.error is not None else "it gave no answer"
        _enter(ended, events, Entry(RESET, name, "failed", since(), reason))
        return False
    undone, _ = outcome.value
    ended.undone[name] = undone
    for one in undone.done:
        values = {key: getattr(one, key) for key in one.__slots__}
        events.emit("resource_changed", one.done, node=name, phase=RESET, **values)
    reason = _shortfall(undone.failed)
    word: Outcome = "failed" if reason else "changed" if undone.done else "ok"
    _enter(ended, events, Entry(RESET, name, word, since(), reason))
    return not reason


def _call(request: Request, *, epoch: int | None = None, machine: str = "", whole: bool = False) -> str:
    """The call of the program on a node; without an epoch it only tells what it would do."""
    asked = {
        "dry": epoch is None,
        "epoch": epoch,
        "machine": machine,
        "whole": request.cluster if whole else "",
        "boot": request.boot,
        "prefix": sys.prefix,
    }
    return f"main({pack(asked)!r})"


def _ask(transport: Transport, source: str, seconds: float) -> tuple[Undone, Machine]:
    node = transport.node
    completed = transport.run(command(node, source, timeout=seconds))
    if completed.timed_out:
        raise FailedError(f"{node.name} did not end within {seconds:.0f} s", code="reset.timeout")
    if not completed.ok:
        reason = completed.error_text.rpartition("\n")[2] or f"status {completed.exit_status}"
        if completed.exit_status == STALE_STATUS:
            raise ConflictError(f"{node.name}: {reason}", code=STALE)
        raise FailedError(f"{node.name}: {reason}", code="reset.failed")
    answer = answer_of(node, completed, "reset.garbled", dict)
    undone = Undone(
        answer["known"],
        tuple(Undo(**one) for one in answer["done"]),
        tuple((one["what"], one["why"]) for one in answer["kept"]),
        tuple((one["key"], one["reason"]) for one in answer["failed"]),
        answer["reboot"],
    )
    return undone, Machine(answer["machine"], answer["boot"])


def _forget_lock(head: Transport) -> None:
    """Remove the lock of a cluster that is no more, unless another has taken it since.

    Raises:
        FailedError: It cannot be removed.
    """
    done = head.run(command(head.node, program(("lock", "forget"), f"main({FOLDER!r})"), timeout=_FORGET_SECONDS))
    if not done.ok:
        raise FailedError(
            f"the cluster's lock stays on {head.node.name}: {done.error_text.rpartition(chr(10))[2]}",
            code="reset.lock",
            hints=["run the same command again"],
        )


def _shortfall(failed: Collection[tuple[str, str]]) -> str:
    if not failed:
        return ""
    key, reason = next(iter(failed))
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{key}: {reason}{more}"


def _enter(ended: Ended, events: EventStream, entry: Entry) -> None:
    ended.ledger.add(entry)
    values = {key: value for key, value in entry.document().items() if key != "node"}
    events.emit("node_finished", entry.reason, node=entry.node, **values)


def _step(phase: str, title: str, nodes: Iterable[Node], what: tuple[Doors, EventStream, Ended]) -> Step:
    doors, events, ended = what
    return Step(events, doors.clock, ended.ledger, Beginning(phase, title, [node.name for node in nodes]))
