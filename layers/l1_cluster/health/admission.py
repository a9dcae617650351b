"""Which nodes may be tested deeply: those to which nobody gives work, and on which none runs any more. Pure.

The tests take all of a node for minutes, so a job on it would be slowed down, and would falsify what is measured. What
is not known is taken for in service.
"""

import shlex
from collections.abc import Mapping, Sequence

from aiops.layers.core.errors import ConflictError, Problem
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l1_cluster.draining import Standing

_OUT = ("drained", "down")


def require_out_of_service(nodes: Sequence[Node], standings: Mapping[str, Standing], command: str) -> None:
    """Refuse where one of `nodes` is in service.

    Args:
        nodes: That are to be tested.
        standings: Where they stand with whoever runs work there; a node that is not in it is given no work by anybody.
        command: What the user typed without its node set, for the hints: `aiops health --level deep`.

    Raises:
        ConflictError: Some are, or it is not known of some; all of them are named (`health.in_service`).
    """
    kept = {node.name: standings[node.name] for node in nodes if node.name in standings}
    busy = {name: one for name, one in kept.items() if one.state not in _OUT}
    if not busy:
        return
    serving = [name for name, one in busy.items() if one.state == "in_service"]
    leaving = {name: one for name, one in busy.items() if one.state == "draining"}
    unknown = {name: one for name, one in busy.items() if one.state == "unknown"}
    free = [node.name for node in nodes if node.name not in busy]
    problems = [Problem(f"in service: {fold(serving)}")] if serving else []
    problems += [Problem(f"{name}: work still runs there: {', '.join(one.work)}") for name, one in leaving.items()]
    problems += [Problem(f"{name}: it is not known what runs there: {one.reason}") for name, one in unknown.items()]
    problems += [Problem(f"out of service: {fold(free)}")] if free else []
    hints = []
    if serving:
        hints.append(f"take them out of service: `aiops node drain {shlex.quote(fold(serving))} --reason TEXT`")
    if leaving:
        hints.append(f"wait for what runs there: `aiops node show {next(iter(leaving))}`")
    if unknown:
        hints.append("once whoever runs work there answers: the same command again")
    if free:
        hints.append(f"test only those that are out of service: `{command} --on {shlex.quote(fold(free))}`")
    raise ConflictError(
        f"deep tests are for nodes that are out of service, and {fold(busy)} "
        f"{'is' if len(busy) == 1 else 'are'} not; nothing was asked",
        code="health.in_service",
        hints=hints,
        problems=problems,
    )
