"""Whether a node may be repaired at all, by where it stands, and whether it is given back afterwards. Pure."""

from collections.abc import Sequence

from aiops.layers.l1_cluster.draining import PREFIX, Standing
from aiops.layers.l1_cluster.reboot import running

from .hold_reason import OPERATOR, POLICY, REASON
from .node_state import IN_SERVICE, NodeState, StateChange


def refusal(node: str, state: NodeState, standing: Standing | None) -> tuple[str, str] | None:
    """Why a node is not touched, and what to do about it; None where it may be repaired.

    Only a node on which nothing runs and nothing will: we have drained it, or nobody gives it work and we have taken
    it out of service.

    Args:
        node: Its name.
        state: What it was when that was last written down.
        standing: With whoever runs work there; None: nobody gives it any.
    """
    if state == "rma":
        return "it is out for service", f"once it is back and in order: `aiops node resume {node}`"
    if standing is None:
        return (f"it is in service ({state})", f"first {_drain(node)}") if state in IN_SERVICE else None
    told = standing.reason or "no reason is given"
    refusals: dict[str, tuple[str, str] | None] = {
        "unknown": (f"it is not known what runs there: {told}", "once that is known: the same command again"),
        "in_service": ("it is in service", f"first {_drain(node)}"),
        "draining": (
            running(standing.work) or "what ran there has not ended yet",
            f"wait for that: `aiops node show {node}`",
        ),
        "down": (f"it is down, and we have not drained it: {told}", f"first {_drain(node)}")
        if state in IN_SERVICE
        else None,
        "drained": _of_others(node, standing.reason),
    }
    return refusals[standing.state]


def _of_others(node: str, reason: str) -> tuple[str, str] | None:
    if reason.startswith((REASON, OPERATOR)):
        return None
    if reason.startswith(PREFIX):
        return f"a deploy holds it: {reason}", f"let that end, or take it over: {_drain(node)}"
    told = reason or "no reason is given"
    return f"somebody else has drained it: {told}", "ask them; it is not ours to repair"


def _drain(node: str) -> str:
    return f"`aiops node drain {node} --reason TEXT`"


def of_policy(standing: Standing | None, changes: Sequence[StateChange]) -> bool:
    """Whether a node was drained for its health, so that it is given back once it is well; else a person does it.

    Args:
        standing: With whoever runs work there; None: nobody gives it any, and the register tells who drained it.
        changes: Of the node, oldest first.
    """
    if standing is not None and standing.state in {"draining", "drained"}:
        return standing.reason.startswith(REASON)
    drained = [change for change in changes if change.after == "draining"]
    return bool(drained) and drained[-1].actor == POLICY


def way_to_drained(before: NodeState) -> tuple[NodeState, ...]:
    """The states that a node whose work has ended goes through, from the one that was last written down."""
    if before in IN_SERVICE:
        return ("draining", "drained")
    return ("drained",) if before == "draining" else ()
