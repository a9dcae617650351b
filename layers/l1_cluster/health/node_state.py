"""The state of a node, and how it may change. Pure.

```
new -> ready <-> degraded -> draining -> drained -> repairing -> validating -> ready
```
`rma` is sticky: only a person takes a node out of it. Every change says when, from what, why, by which finding, who
acted and in which run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from aiops.layers.core.errors import ConflictError

NodeState = Literal["new", "ready", "degraded", "draining", "drained", "repairing", "validating", "rma"]
STATES: tuple[NodeState, ...] = get_args(NodeState)

_NEXT: Mapping[NodeState, frozenset[NodeState]] = {
    "new": frozenset({"ready", "degraded", "draining", "rma"}),
    "ready": frozenset({"degraded", "draining", "rma"}),
    "degraded": frozenset({"ready", "draining", "rma"}),
    "draining": frozenset({"drained", "ready", "degraded", "rma"}),  # given back before it was drained
    "drained": frozenset({"repairing", "validating", "ready", "degraded", "rma"}),
    "repairing": frozenset({"validating", "drained", "rma"}),
    "validating": frozenset({"ready", "degraded", "drained", "repairing", "rma"}),
    "rma": frozenset({"drained"}),  # it is back from service, and is looked at first
}
IN_SERVICE: frozenset[NodeState] = frozenset({"new", "ready", "degraded"})
"""States in which a node may be given work."""

UNDERWAY: frozenset[NodeState] = frozenset({"repairing", "validating"})
"""States in which a run is at work on a node, or was when it was killed."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of a node's state.

    Attributes:
        cause: In a few words: the operator's reason, or what the policy says.
        finding: The check behind it; empty where there is none.
        actor: Who: `alice on head`, `policy`.
        run: The run it was done in; empty where the state only follows what was seen.
    """

    node: str
    at: datetime
    before: NodeState
    after: NodeState
    cause: str
    finding: str = ""
    actor: str = ""
    run: str = ""

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "node": self.node,
            "at": self.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "from": self.before,
            "to": self.after,
            "cause": self.cause,
            "finding": self.finding or None,
            "actor": self.actor or None,
            "run": self.run or None,
        }


def allowed(before: NodeState, after: NodeState) -> bool:
    """Whether a node may go from one state to another."""
    return after in _NEXT[before]


def require(node: str, before: NodeState, after: NodeState) -> None:
    """Refuse a change that is not allowed.

    Raises:
        ConflictError: It is not, with what can be done instead (`node.state`).
    """
    if allowed(before, after):
        return
    hints = {
        "rma": f"once it is back and in order: `aiops node resume {node}`",
        "draining": f"wait until it is drained, or give it back: `aiops node resume {node}`",
        "repairing": f"let its repair come to an end, or go on with it: `aiops node repair {node}`",
        "validating": f"let its repair come to an end, or go on with it: `aiops node repair {node}`",
    }
    raise ConflictError(
        f"{node} is {before}, so it cannot become {after}",
        code="node.state",
        hints=[hints.get(before, f"drain it first: `aiops node drain {node} --reason TEXT`")],
    )
