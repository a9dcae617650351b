"""A deploy's plan, from what was seen on the nodes; and its files for plain Ansible."""

from pathlib import Path

from .course import batches_of
from .decision import wants_reboot
from .likeness import in_words as alike
from .plan import PhasePlan, Plan
from .render import variables_of, write_by_hand
from .rollout import in_words
from .underway import Underway


def forecast(under: Underway) -> Plan:
    """What the deploy would change; kept in `under.planned` too."""
    phases = []
    living = under.living
    for phase in under.request.phases:
        part = [node.name for node in living if phase.covers(node.roles)]
        changes = {name: under.survey.differences(phase.name, name) for name in part}
        phases.append(
            PhasePlan(
                phase.name,
                phase.title,
                {name: found for name, found in changes.items() if found},
                tuple(name for name, found in changes.items() if not found),
            )
        )
    under.planned = {(one.phase, node): found for one in phases for node, found in one.changes.items()}
    known = {node.name for node in living}
    nodes = tuple(node.name for node in under.request.nodes)
    unknown = tuple(name for name in nodes if name not in known)
    rollout = in_words(batches_of(under))
    rebooted = {node for one in phases for node, found in one.changes.items() if wants_reboot(found)}
    drained = under.reboots.note([node for node in living if node.name in rebooted])
    notes = (
        *([f"Rolled out in {rollout}"] if rollout else []),
        *([drained] if drained else []),
        *alike(under.survey.likenesses),
    )
    return Plan(tuple(phases), nodes, unknown, notes)


def write_forecast(under: Underway, folder: Path, plan: Plan) -> None:
    """Write what Ansible would be given into `folder`, as far as it can be told before the first phase is done.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    request = under.request
    written = {}
    for index, (phase, planned) in enumerate(zip(request.phases, plan.phases, strict=True)):
        remaining = [later.name for later in request.phases[index:]]
        nodes = [node for node in request.nodes if node.name in planned.changes]
        works = {}
        for node in nodes:
            changes = planned.changes[node.name]
            reboot = under.reboots_now(node, changes, remaining)
            works[node.name] = under.work(phase, node, changes, reboot=reboot)
        under.note_refreshed(works)
        if works:
            cluster = under.survey.cluster
            written[phase.name] = works, {node.name: variables_of(phase, node, cluster, None) for node in nodes}
    under.secrets.keep()
    write_by_hand(folder, written)
