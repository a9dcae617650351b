"""Freeing: whether a node is given back that Slurm keeps for an attempt of which nothing runs any more. Pure.

Slurm calls a job completing on a node until slurmd there has said that nothing of it is left. One that lost its power
never says so, and is asked again only once KillWait and twice MessageTimeout are over, at the next purge; until then
nobody is given the node, be it back since long. A node that is down is waited for no longer: so it is set down, with
`REASON`, and resumed.

That is done only where it can hurt nobody: the node has no other state, no job of anybody else, and its slurmd is a
later one than those jobs; and of those jobs, which are all earlier attempts of the one that waits, it is proved that
nothing runs: the node is in another boot than any in which they were there, and has no process of theirs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.layers.l2_jobs.attempt import Key

from .enlisted import Enlisted, Forerunner
from .queue import Tenant, comment
from .reading import SlurmNode

REASON = "aiops: rebooted, being freed"
"""Of a node that is down for a moment by our doing. Whoever finds one resumes it."""

_BASES = frozenset({"IDLE", "ALLOCATED", "MIXED"})
_FLAGS = frozenset({"COMPLETING", "NOT_RESPONDING", "PLANNED"})
"""`PLANNED`: the backfill scheduler means to give it to a job that waits, mostly to the one that waits for it here."""

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\Z")


@dataclass(frozen=True, slots=True)
class Kept:
    """A node that Slurm keeps from a restart for earlier attempts of the same job, and for nothing else.

    Attributes:
        name: Our name of it.
        node: It in Slurm's words.
        tenants: The jobs there that hold it.
        before: The attempts that they were.
    """

    name: str
    node: SlurmNode
    tenants: tuple[Tenant, ...]
    before: tuple[int, ...]


def completing(node: SlurmNode) -> bool:
    """Whether all that Slurm has of a node is that it completes something there; it may be that it does not answer."""
    base = node.states & _BASES
    return len(base) == 1 and "COMPLETING" in node.states and node.states - base <= _FLAGS


def kept(one: Enlisted, name: str, node: SlurmNode, tenants: Sequence[Tenant], store: str) -> Kept | None:
    """Whether earlier attempts of its job, and they alone, keep a node from an attempt.

    Args:
        one: The attempt, which waits.
        name: Our name of the node.
        node: It in Slurm's words.
        tenants: All jobs that have it or had it.
        store: The name of the store whose attempts ours are.
    """
    holding = tuple(tenant for tenant in tenants if tenant.holds)
    if name not in one.nodes or not completing(node) or not holding:
        return None
    keys = {comment(Key(one.key.job, number), store): number for number in range(1, one.key.number)}
    before = []
    for tenant in holding:
        number = keys.get(tenant.comment)
        if tenant.state != "COMPLETING" or tenant.uid != one.job.owner.uid or number is None:
            return None
        before.append(number)
    return Kept(name, node, holding, tuple(sorted(before)))


def may_be_freed(one: Enlisted, found: Kept) -> bool:
    """Whether a node is to be looked at, so that it may be given back."""
    if found.name in one.freed or "NOT_RESPONDING" in found.node.states or not _later(found.node, found.tenants):
        return False
    return len(_forerunners(one, found)) == len(found.tenants)


def proved_over(one: Enlisted, found: Kept, answer: Mapping[str, Any]) -> bool:
    """Whether nothing of those earlier attempts runs on a node any more.

    Args:
        one: The attempt that waits.
        found: What `may_be_freed` was said of.
        answer: What the node has just said, as `remote/place.py` has it.
    """
    boot, left, known = answer.get("boot_id"), answer.get("left"), _forerunners(one, found)
    if not isinstance(boot, str) or not boot or left != 0 or isinstance(left, bool):
        return False
    return len(known) == len(found.tenants) and all(boot not in each.boots[found.name] for each in known)


def _forerunners(one: Enlisted, found: Kept) -> list[Forerunner]:
    """Those of which it is known in which boot of the node they were there, and which job of Slurm's they were."""
    numbers = {(number, tenant.number) for number, tenant in zip(_numbers(found), found.tenants, strict=True)}
    return [
        each
        for each in one.before
        if each.key.job == one.key.job and (each.key.number, each.number) in numbers and each.boots.get(found.name)
    ]


def _numbers(found: Kept) -> list[int]:
    return [Key.of(tenant.comment.rpartition(":")[2]).number for tenant in found.tenants]


def _later(node: SlurmNode, tenants: Sequence[Tenant]) -> bool:
    """Whether the node's slurmd began after all of these jobs: the earlier one is gone, and this one takes work."""
    times = [node.started or "", *(tenant.began for tenant in tenants)]
    return all(_TIME.match(time) for time in times) and all(time < times[0] for time in times[1:])


def being_freed(node: SlurmNode) -> bool:
    """Whether a node is down by our doing, and by nobody else's."""
    return node.reason == REASON and "DOWN" in node.states and node.states - {"DOWN"} <= _FLAGS
