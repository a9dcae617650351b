"""Who holds a node out of service; so whether it may be repaired, and whether it is given back afterwards. Pure."""

from collections.abc import Sequence
from typing import Literal

from aiops.layers.l1_cluster.draining import PREFIX, Standing
from aiops.layers.l1_cluster.reboot import running

from .hold_reason import OPERATOR, POLICY, REASON
from .node_state import IN_SERVICE, NodeState, StateChange

Holder = Literal["health", "operator", "deploy", "others"]
"""`health`: we have drained it for its health. `operator`: a person has, by our command. `deploy`: a deploy of ours
holds it. `others`: anybody else, or nobody says who."""


def holder_of(standing: Standing | None) -> Holder | None:
    """Who holds a node out of service, by the reason that is kept of it.

    Args:
        standing: With whoever runs work there.

    Returns:
        None where nobody holds it: it is in service, or it is not known, or nobody gives it work.
    """
    if standing is None or standing.state not in {"draining", "drained", "down"}:
        return None
    if standing.reason.startswith(REASON):
        return "health"
    if standing.reason.startswith(OPERATOR):
        return "operator"
    return "deploy" if standing.reason.startswith(PREFIX) else "others"


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
        "down": _of_others(node, standing),
        "drained": _of_others(node, standing),
    }
    return refusals[standing.state]


def _of_others(node: str, standing: Standing) -> tuple[str, str] | None:
    holder, told = holder_of(standing), standing.reason or "no reason is given"
    if holder in {"health", "operator"}:
        return None
    if holder == "deploy":
        return f"a deploy holds it: {told}", f"let that end, or take it over: {_drain(node)}"
    if standing.state == "down":
        return f"it is down, and not by us: {told}", f"see why; once it is up again: {_drain(node)}"
    return f"somebody else has drained it: {told}", "ask them; it is not ours to repair"


def _drain(node: str) -> str:
    return f"`aiops node drain {node} --reason TEXT`"


def of_policy(standing: Standing | None, changes: Sequence[StateChange]) -> bool:
    """Whether a node was drained for its health, so that it is given back once it is well; else a person does it.

    Args:
        standing: With whoever runs work there; None: nobody gives it any, and the register tells who drained it.
        changes: Of the node, oldest first.
    """
    holder = holder_of(standing)
    if holder is not None:
        return holder == "health"
    drained = [change for change in changes if change.after == "draining"]
    return bool(drained) and drained[-1].actor == POLICY


def way_to_drained(before: NodeState) -> tuple[NodeState, ...]:
    """The states that a node whose work has ended goes through, from the one that was last written down."""
    if before in IN_SERVICE:
        return ("draining", "drained")
    return ("drained",) if before == "draining" else ()
