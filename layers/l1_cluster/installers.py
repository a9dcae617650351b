"""Waiting for other programs that are installing packages on the nodes of a deploy."""

from collections.abc import Sequence

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node

from .doors import Doors
from .survey import Survey

SECONDS = 300.0
_STEP = 5.0


def await_installers(survey: Survey, doors: Doors, nodes: Sequence[Node]) -> dict[str, AiopsError]:
    """Wait until nobody else installs packages: a nightly upgrade, what an interrupted deploy left behind.

    After `SECONDS` it returns all the same: a node that is still installing then is for preflight to judge.

    Returns:
        By node, why it was lost on the way.
    """
    errors: dict[str, AiopsError] = {}
    deadline = doors.clock.monotonic() + SECONDS
    while doors.clock.monotonic() < deadline:
        facts = survey.facts
        known = [node for node in nodes if node.name in facts and node.name not in errors]
        busy = [node for node in known if facts[node.name].package_lock_held]
        if not busy:
            break
        if doors.on_start is not None:
            for node in busy:
                doors.on_start(node.name, "Wait for another program to install packages")
        doors.clock.sleep(_STEP)
        errors |= {node.name: error for node, error in survey.learn(busy) if error is not None}
    return errors
