"""Taking the cluster's lock for a command that changes things, and saying whom it was taken over from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiops.cli.duration import spell

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.gate import Gate
    from aiops.layers.l1_cluster.lock import ClusterLock, Lock
    from aiops.layers.l1_cluster.owner import Owner
    from aiops.layers.l1_cluster.tenure import Tenure


def succeed(
    lock: "ClusterLock", owner: "Owner", purpose: str, nodes: "Sequence[Node]", *, gate: "Gate", screen: "Screen"
) -> "Lock":
    """Take the lock; where the owner before us may still be at work, shut it out of all nodes that answer.

    Args:
        lock: The cluster's.
        owner: We.
        purpose: The command, for others to see.
        nodes: All of the cluster. One that does not answer now is told before the first step on it.
        gate: Tells nodes our epoch.
        screen: Where it is said.

    Raises:
        ConflictError: Another holds it, or the head is another cluster's.
        UnreachableError: The head cannot be asked.
        FailedError: The head cannot keep it.
    """
    from aiops.layers.l1_cluster.admission import admit

    held = lock.acquire(owner, purpose)
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
