"""Attempts that run and that a restored store does not know: begun after its backup. Pure, but for asking nodes.

An attempt with a higher number than the store knows of its job is taken over as the job's own, so that nothing is
started beside it. What belongs to no job that the store knows goes on, and is told: nobody can look after it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command, program
from aiops.layers.l2_jobs.action import Decision
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import EngineName
from aiops.layers.l2_jobs.programs import TERMS
from aiops.layers.l2_jobs.record import OVER, JobRecord
from aiops.layers.l2_jobs.term import Term
from aiops.layers.l2_jobs.text import plain

from .given import Given, given_of

SKIPPED = 100
"""So many attempts a job has surely not begun since the last backup: the next one's number is above them all."""

_SECONDS = 45.0
_PACKAGE = "aiops.layers.l2_jobs"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,150}\.[0-9]{1,9}\Z")
"""As the agent has it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What nodes have said.

    Attributes:
        specs: What each rank group that runs was given.
        silent: Nodes that did not answer, with the reason.
        ended: Attempts that have ended there and were let go, by node.
    """

    specs: tuple[Mapping[str, Any], ...]
    silent: Mapping[str, str]
    ended: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What follows for a store.

    Attributes:
        records: Jobs whose attempt is a later one than the store knew.
        strangers: Attempts of jobs that the store does not know, by their keys, with their nodes.
        odd: What nodes have said and nobody can read, in words.
    """

    records: tuple[JobRecord, ...] = ()
    decisions: tuple[Decision, ...] = ()
    strangers: Mapping[str, tuple[str, ...]] | None = None
    odd: tuple[str, ...] = ()


def survey(fleet: Fleet, nodes: Sequence[Node], term: Term) -> Survey:
    """What runs on `nodes`, each of which remembers from now on that `term` is the controller's."""
    source = program((*TERMS, "survivors"), f"main({term.lineage!r}, {term.number!r})", _PACKAGE)

    def ask(transport: Transport) -> Mapping[str, Any]:
        node = transport.node
        done = transport.run(command(node, source, timeout=_SECONDS))
        if not done.ok:
            said = (done.error_text.splitlines() or ["no answer in time"])[-1]
            raise FailedError(f"{node.name} does not say what runs there: {said}", code="survivors.silent")
        found: dict[str, Any] = answer_of(node, done, "survivors.garbled", dict)
        return found

    specs: list[Mapping[str, Any]] = []
    silent: dict[str, str] = {}
    ended: dict[str, tuple[str, ...]] = {}
    for outcome in fleet.each(nodes, ask):
        said = outcome.value or {}
        # Where it is the node knows; what else is in it its job's user may have made up.
        specs += [{**one, "node": outcome.node.name} for one in _list(said.get("specs")) if isinstance(one, dict)]
        ended[outcome.node.name] = tuple(one for one in _list(said.get("ended")) if isinstance(one, str))
        if outcome.error is not None:
            silent[outcome.node.name] = outcome.error.message
    return Survey(tuple(specs), silent, ended)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def overtaken(found: Survey, records: Mapping[str, JobRecord], engines: Mapping[str, EngineName], now: float) -> Found:
    """What a store has to learn of what runs. Pure.

    Args:
        found: What nodes have said. Where one was silent, a later attempt may run there: each job's next number is
            raised above it, so that checkpoints of the older one are refused once a newer one has begun.
        records: The jobs that the store knows, also those that are over for it.
        engines: Whose each node is, by node.
        now: The steady clock.
    """
    attempts, odd = _running(found, engines)
    newest: dict[str, Key] = {}
    for key in attempts:
        newest[key.job] = max(newest.get(key.job, key), key)
    changed, told, strangers = [], [], {}
    for job, key in sorted(newest.items()):
        record = records.get(job)
        if record is None:
            strangers[str(key)] = tuple(sorted(attempts[key]))
        elif key.number > record.launched:
            attempt = _attempt(key, attempts[key], engines)
            words = f"attempt {key.number} runs on {', '.join(attempt.allocation.nodes)}, begun after the backup"
            changed.append(_taken_over(record, attempt, words, now))
            told.append(Decision(job, now, "attempt_taken_over", words, {"known": record.launched}, key.number))
    known = {one.job.id: one for one in changed}
    for key, nodes in _ended(found).items():
        record = known.get(key.job, records.get(key.job))
        if record is None or record.state in OVER or key.number <= record.launched:
            continue
        slots = tuple(Slot(node) for node in nodes)
        attempt = Attempt(key, engines.get(nodes[0], "ssh"), Allocation(slots), port=0, secret="")
        words = f"attempt {key.number} has ended on {', '.join(nodes)}, begun after the backup"
        changed.append(_taken_over(record, attempt, words, now))
        told.append(Decision(key.job, now, "attempt_taken_over", words, {"known": record.launched}, key.number))
    if found.silent:
        later = {one.job.id: one for one in changed}
        raised = [later.get(job, record) for job, record in records.items() if record.launched or job in later]
        changed = [replace(one, launched=one.launched + SKIPPED) for one in raised]
        silent = ", ".join(found.silent)
        words = f"later attempts may run on {silent}: the next number is above them"
        told += [Decision(one.job.id, now, "numbers_skipped", words, dict(found.silent)) for one in changed]
    return Found(tuple(changed), tuple(told), strangers, tuple(odd))


def _running(found: Survey, engines: Mapping[str, EngineName]) -> tuple[dict[Key, dict[str, Given | None]], list[str]]:
    """What was given to each group that runs, None where that cannot be read; and what is odd, in words."""
    attempts: dict[Key, dict[str, Given | None]] = {}
    odd: list[str] = []
    for spec in found.specs:
        name, node = spec.get("key"), spec.get("node")
        if not isinstance(name, str) or _KEY.match(name) is None or not isinstance(node, str) or node not in engines:
            odd.append(f"an attempt runs somewhere that says neither its key nor its node: {plain(repr(spec), 80)}")
            continue
        given: Given | None = None
        try:
            given = given_of(spec, engines)
        except ValueError as error:
            odd.append(f"{name} runs on {node}, and what it was given cannot be read: {plain(str(error), 200)}")
        attempts.setdefault(Key.of(name), {})[node] = given
    return attempts, odd


def _ended(found: Survey) -> dict[Key, tuple[str, ...]]:
    """The newest attempt of each job that has ended and was let go, with the nodes that say so."""
    nodes: dict[Key, list[str]] = {}
    for node, keys in sorted(found.ended.items()):
        for one in keys:
            if _KEY.match(one) is not None:
                nodes.setdefault(Key.of(one), []).append(node)
    newest: dict[str, Key] = {}
    for key in nodes:
        newest[key.job] = max(newest.get(key.job, key), key)
    return {key: tuple(nodes[key]) for _, key in sorted(newest.items())}


def _taken_over(record: JobRecord, attempt: Attempt, words: str, now: float) -> JobRecord:
    """A record with an attempt that it did not know; what it says of the attempt before is over."""
    return replace(
        record,
        state="running",
        since=now,
        reason=words,
        attempt=attempt,
        launched=attempt.key.number,
        after=None,
        until=None,
        fault=None,
        asked="",
        asked_at=None,
        began=now,
        ended=None,
    )


def _attempt(key: Key, groups: Mapping[str, Given | None], engines: Mapping[str, EngineName]) -> Attempt:
    """An attempt by what its rank groups were given; a group that has ended is known by its peers' word of it.

    Of one whose words do not parse it is known that it runs, and where: that much is root's.
    """
    known = {node: one for node, one in groups.items() if one is not None}
    first = next(iter(known.values()), None)
    ranks = {node: one.rank for node, one in known.items()}
    others = [*groups, *(peer for one in known.values() for peer in one.peers)]
    missing = [node for node in dict.fromkeys(others) if node not in ranks]
    count = max(first.nodes if first is not None else 0, len(ranks) + len(missing))
    free = [rank for rank in range(count) if rank not in ranks.values()]
    ranks |= dict(zip(missing, free, strict=False))
    order = sorted(ranks, key=lambda name: ranks[name])
    slots = tuple(Slot(node, known[node].devices, known[node].share) if node in known else Slot(node) for node in order)
    return Attempt(
        key,
        engines.get(slots[0].node, "ssh"),
        Allocation(slots),
        port=first.port if first is not None else 0,
        resume=first.resume if first is not None else None,
        secret=first.secret if first is not None else "",
    )
