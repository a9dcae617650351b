"""The first step of a deploy: reach all nodes, learn their facts, keep out those that preflight refuses."""

from collections.abc import Mapping

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.nodeset import fold

from .installers import await_installers
from .ledger import Entry, Outcome
from .preflight import Situation, excluded, preflight, require_supported
from .slurm_release import slurm_release
from .survey import describe
from .underway import Underway

CONNECT = "connect"
PREFLIGHT = "preflight"


def arrive(under: Underway) -> None:
    """Ask all nodes of the inventory for their facts; chosen ones that cannot be worked on have then failed.

    Raises:
        InputError: The operating system of a chosen node is not supported.
    """
    request, survey = under.request, under.survey
    chosen = {node.name for node in request.nodes}
    errors: dict[str, AiopsError] = {}
    step = under.step(CONNECT, "Reach all nodes", [node.name for node in request.nodes])
    with step as since:
        for node, error in survey.learn(request.inventory.nodes):
            if error is not None:
                errors[node.name] = error
            if node.name in chosen:
                outcome: Outcome = "ok" if error is None else "failed"
                under.enter(Entry(CONNECT, node.name, outcome, since(), error.message if error else ""))
        if not request.dry_run:
            errors |= await_installers(survey, under.doors, request.nodes)
        step.summary = describe(facts for name, facts in survey.facts.items() if name in chosen)
    _preflight(under, errors)


def _preflight(under: Underway, errors: Mapping[str, AiopsError]) -> None:
    request, survey, doors = under.request, under.survey, under.doors
    nodes, cluster = request.nodes, survey.cluster
    require_supported(request.inventory.path, nodes, survey.facts)
    clock = next((phase.name for phase in request.phases if "clock" in phase.mends), None)
    brings_slurm = any("slurm" in phase.provides for phase in request.phases)
    findings = preflight(
        Situation(
            nodes,
            survey.facts,
            errors,
            doors.here,
            clock,
            doors.pair_mismatch,
            installs=not request.dry_run,
            everyone=request.inventory.nodes,
            slurm=(lambda name: slurm_release(cluster.node(name), cluster.bundle)) if brings_slurm else None,
        )
    )
    refused = excluded(findings)
    under.events.emit(
        "preflight_finished",
        nodes=len(nodes),
        refused=sorted(refused),
        machines={name: facts.machine_id for name, facts in survey.facts.items() if facts.machine_id},
        findings=[{**finding.document(), "folded": fold(finding.nodes)} for finding in findings],
    )
    for node in nodes:
        if node.name in refused and under.ledger.failure(node.name) is None:
            reasons = [one.message for one in findings if one.severity == "error" and node.name in one.nodes]
            under.enter(Entry(PREFLIGHT, node.name, "failed", 0.0, "; ".join(reasons)))
