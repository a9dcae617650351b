"""Deploy: lock, look, plan, ask, then phase by phase: apply, look again, write down.

What a phase did is judged by looking at the nodes once more, never by what Ansible says of itself. A node that fails
is left out of later phases and stops no other; nodes that are as they should be are not touched.

The parts, in the order they come: `arrival` (facts, preflight), `forecast` (the plan), `course` (batches and phases,
each of which is a `turn`), `recheck` (why nodes were lost). They share one `Underway`. What happens once per deploy
hooks in here, what happens around each batch in `course`, around each phase in `turn`.
"""

from aiops.layers.core.errors import InputError
from aiops.layers.core.event import EventStream

from .arrival import CONNECT, arrive
from .course import Course
from .doors import Deployed, Doors, Request
from .forecast import forecast, write_forecast
from .offered import require_offered
from .patience import PatientLock
from .plan import Plan
from .preflight import require
from .recheck import recheck
from .secrets import Secrets
from .underway import Underway


def deploy(request: Request, doors: Doors, secrets: Secrets, events: EventStream) -> Deployed:
    """Bring the chosen nodes to what the chosen phases want of them.

    Raises:
        InputError: A role that a phase needs is empty, a node's operating system is not supported, or a phase cannot
            be worked out for a node; nothing was changed.
        ConflictError: The cluster lock is held by another, or was lost before anything was changed.
        UnreachableError: The head, which keeps the lock, does not answer.
        FailedError: Ansible cannot be run, or the head has been away for long before anything was changed.
    """
    require(request.inventory, {phase.name: phase.needs for phase in request.phases})
    under = Underway(request, doors, secrets, events)
    if request.dry_run:
        plan = _prepare(under)
        if request.write is not None:
            write_forecast(under, request.write, plan)
        return Deployed(plan, under.ledger)
    with doors.lock() as held:
        lock = PatientLock(held, doors.clock, events)
        plan = _prepare(under)
        if plan.changed_phases and not doors.confirm(plan):
            return Deployed(plan, under.ledger, declined=True)
        lock.guard()  # the answer may have taken long
        secrets.keep()
        if doors.members is not None:
            facts = under.survey.facts.items()
            doors.members.keep(under.living, {name: one.machine_id for name, one in facts if one.machine_id})
        stop = Course(under, lock).run()
        recheck(under)
        return Deployed(plan, under.ledger, stop=stop, drained=tuple(under.reboots.draining.held))


def _prepare(under: Underway) -> Plan:
    """Look at all nodes and plan; nothing is changed."""
    arrive(under)
    # The one look that reads every byte of what the head serves: what is put there later is compared as it comes.
    thorough = not under.request.dry_run
    unseen = under.survey.observe(under.living, [phase.name for phase in under.request.phases], thorough=thorough)
    for error in unseen.values():
        if isinstance(error, InputError):
            raise error  # nothing was changed yet: mend the phase first
    under.fail(CONNECT, unseen)
    plan = forecast(under)
    require_offered(plan, under.survey.cluster)
    under.events.emit(
        "plan_made",
        plan.summary,
        phases={phase.phase: list(phase.lines) for phase in plan.changed_phases},
        nodes=list(plan.changed_nodes),
        planned={one.phase: [node for node, changes in one.changes.items() if changes] for one in plan.changed_phases},
    )
    return plan
