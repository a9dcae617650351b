"""The cluster's lock: finding it, and taking it for a command that changes things."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiops.cli.duration import spell
from aiops.layers.core.errors import FailedError, UnreachableError

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.gate import Gate
    from aiops.layers.l1_cluster.lock import ClusterLock, Lock
    from aiops.layers.l1_cluster.owner import Owner
    from aiops.layers.l1_cluster.tenure import Tenure


def lock_of(aiops: "App", inventory: "Inventory", fleet: "Fleet", *, headless: bool = False) -> "ClusterLock":
    """The cluster's lock, which its head keeps, or this machine where there is none.

    Args:
        aiops: The outside world.
        inventory: Of the cluster.
        fleet: Reaches the head.
        headless: Whether a cluster that had a head may be without one now.
    """
    from aiops.layers.l1_cluster.lock import ClusterLock

    keeper = fleet.transport(inventory.head) if inventory.head else None
    folder = aiops.home / "clusters" / inventory.cluster / "lock"
    return ClusterLock.of(keeper, folder, aiops.clock, headless=headless)


def succeed(
    lock: "ClusterLock",
    owner: "Owner",
    command: str,
    nodes: "Sequence[Node]",
    *,
    gate: "Gate",
    screen: "Screen",
    unanswered: str,
) -> "Lock":
    """Take the lock; where the owner before us may still be at work, shut it out of all nodes that answer.

    Args:
        lock: The cluster's.
        owner: We.
        command: What is done under it, for others to see.
        nodes: All of the cluster. One that does not answer now is told before the first step on it.
        gate: Tells nodes our epoch.
        screen: Where it is said.
        unanswered: What to type where the head does not answer.

    Raises:
        ConflictError: Another holds it, or the head is another cluster's.
        FailedError: The head, without which nothing can be changed, does not answer; or it cannot keep the lock.
    """
    from aiops.layers.l1_cluster.admission import admit

    try:
        held = lock.acquire(owner, command)
    except UnreachableError as error:
        raise FailedError(
            f"the head `{lock.place}` keeps the cluster's lock and does not answer, "
            f"so nothing can be changed: {error.message.removeprefix(f'{lock.place}: ')}",
            code="lock.head_unreachable",
            hints=[*error.hints, unanswered],
        ) from error
    try:
        words = _words(held.tenure)
        if words:
            screen.note(words)
        if not held.tenure.clean:
            admit(gate, held, nodes)
    except BaseException:
        held.release()
        raise
    return held


def _words(tenure: "Tenure") -> str:
    """What the operator is to know of how we came to the lock; empty where that is nothing."""
    if tenure.previous is not None:
        before = tenure.previous
        why = "its process is gone" if tenure.reason == "dead" else f"not renewed for {spell(before.age)}"
        return f"the cluster lock is taken over from {before.owner}: {why}"
    if tenure.renamed is not None:
        return (
            f"this cluster was called `{tenure.renamed}` until now; what was done to it under that name stays there: "
            f"`aiops run list --cluster {tenure.renamed}`"
        )
    return ""
