"""Who can take part in a phase: nodes that have not failed, that lack no role, and that it can be worked out for."""

from collections.abc import Sequence

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.node import Node

from .decision import needed_roles
from .ledger import Entry
from .phase import Phase
from .underway import Underway


def workable(under: Underway, phase: Phase, nodes: Sequence[Node]) -> list[Node]:
    """Those of `nodes` that can go on; of the others it is written down why they are blocked, or have failed."""
    going = []
    for node in _unblocked(under, phase, nodes):
        try:
            under.survey.resources(phase.name, node.name)
        except InputError as error:
            under.fail(phase.name, {node.name: error})
        else:
            going.append(node)
    return going


def _unblocked(under: Underway, phase: Phase, nodes: Sequence[Node]) -> list[Node]:
    missing = ""
    for role in needed_roles(phase, under.request.phases):
        failure = under.ledger.all_failed(node.name for node in under.request.inventory.role(role))
        if failure is not None:
            missing = f"it needs {role}: {failure.node} failed in phase `{failure.phase}`"
    living = []
    for node in nodes:
        failure = under.ledger.failure(node.name)
        reason = f"it failed in phase `{failure.phase}`" if failure is not None else missing
        if reason:
            under.enter(Entry(phase.name, node.name, "blocked", 0.0, reason))
        else:
            living.append(node)
    return living
