"""Asking lost nodes once more at the end of a deploy, so that the reason that is told is the true one."""

from dataclasses import replace

from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.nodeset import fold

from .loss import Loss, explain
from .underway import Underway

SECONDS = 30.0
"""How long after it was lost a node has to be back: a small machine reboots within that."""

_STEP = 2.0


def recheck(under: Underway) -> None:
    """Ask the nodes that failed on the way, and write down why, where more is known now."""
    losses = under.losses
    if not losses:
        return
    silent = fold(name for name, loss in losses.items() if loss.silent)
    under.events.emit("nodes_asked_again", "ask again those that failed on the way", nodes=list(losses), silent=silent)
    clock = under.doors.clock
    answers = _ask(under, losses)
    while waiting := {
        name: loss
        for name, loss in losses.items()
        if loss.silent and isinstance(answers[name], AiopsError) and clock.monotonic() < loss.at + SECONDS
    }:
        clock.sleep(_STEP)
        answers |= _ask(under, waiting)
    for name, loss in losses.items():
        reason = explain(loss, answers[name])
        failure = under.ledger.failure(name)
        if reason and failure is not None:
            tail = [line for line in failure.tail if failure.reason not in line]
            under.amend(replace(failure, reason=reason, tail=(failure.reason, *tail)))


def _ask(under: Underway, losses: dict[str, Loss]) -> dict[str, Facts | AiopsError]:
    prober = under.doors.prober
    nodes = [node for node in under.request.nodes if node.name in losses]
    answers: dict[str, Facts | AiopsError] = {
        name: UnreachableError(f"{name} gave no answer", code="probe.silent") for name in losses
    }
    for outcome in prober.probe(nodes, prober.fact_asks):
        if outcome.value is not None:
            answers[outcome.node.name] = prober.facts(outcome.value)
        elif outcome.error is not None:
            answers[outcome.node.name] = outcome.error
    return answers
