"""The fence on every node: a step that carries a lower epoch than the node has seen is refused."""

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.l0_nodes.transport import Transport

from .remote.fence import PATH, STALE_STATUS
from .script import script, script_command


def fence_script(epoch: int) -> str:
    """A Python program for the stdin of `python3 -I -`, to be run as root as the first task of every changing step.

    It ends with 0 when the step may go on, with `STALE_STATUS` (75) when another owner has been here, and with 1 when
    the node cannot tell. In a playbook: `command: {argv: [python3, -I, -], stdin: "{{ aiops_fence }}"}`.
    """
    return script("fence", f"main({epoch:d})")


def fence(transport: Transport, epoch: int, path: str = PATH) -> None:
    """Raise the fence of one node to `epoch`.

    Raises:
        ConflictError: The node has seen a higher epoch (`lock.stale`): our lock was taken over.
        FailedError: The node cannot keep it (disk full, read-only).
        UnreachableError: The node cannot be reached.
    """
    node = transport.node
    completed = transport.run(script_command(node, "fence", f"main({epoch:d}, {path!r})"))
    if completed.exit_status == STALE_STATUS:
        raise ConflictError(
            f"`{node.name}` refuses this run: {completed.error_text}",
            code="lock.stale",
            hints=["another has taken the cluster lock over: `aiops cluster lock show`"],
        )
    if not completed.ok:
        reason = "no answer in time" if completed.timed_out else completed.error_text.rpartition("\n")[2]
        raise FailedError(
            f"`{node.name}` cannot keep the fence: {reason}",
            code="lock.fence",
            hints=[f"look at its disk: `aiops node exec --on {node.name} -- df -h /var`"],
        )
