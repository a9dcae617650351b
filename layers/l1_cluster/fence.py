"""The fence on every node: a step that carries a lower epoch than the node has seen is refused."""

from .script import script


def fence_script(epoch: int) -> str:
    """A Python program for the stdin of `python3 -I -`, to be run as root as the first task of every changing step.

    It ends with 0 when the step may go on, with `STALE_STATUS` (75) when another owner has been here, and with 1 when
    the node cannot tell. In a playbook: `command: {argv: [python3, -I, -], stdin: "{{ aiops_fence }}"}`.
    """
    return script("fence", f"main({epoch:d})")
