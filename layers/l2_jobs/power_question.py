"""Power question: whose BMC is to be asked while the head does not hear it, and what is said of its answers. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from .action import AskPower, Notify
from .defects import About
from .draft import Draft
from .hearing import Hearing
from .node import Place
from .power import Power, PowerTold
from .record import JobRecord
from .roster import HOLDING
from .world import World

CHECKS = 4
"""Nodes that are heard and asked about at once: whoever is silent is not to wait behind a check of all addresses."""

_MARK = "power"


def with_proofs(world: World, now: float) -> World:
    """The same world, with what of its places is proved to be without power now."""
    found: dict[str, Place] = {}
    for node, power in world.power.items():
        place, off = world.places.get(node), power.off(world.watch.node(node), now)
        if place is not None and place.off != off:
            found[node] = replace(place, off=off)
    return replace(world, places={**world.places, **found}) if found else world


def ask_power(draft: Draft) -> None:
    """Have the BMC asked of each silent node that holds a rank group, and tell its jobs what it has said.

    Of one that is heard it is asked once, so that a wrong address is known before anything rests on it.
    """
    world, now = draft.world, draft.now
    if world.touched is not None:  # time passes for all: they are looked at when all jobs are
        return
    checks = sum(one.asking and world.watch.node(node).up for node, one in world.power.items())
    for node, jobs in sorted(world.roster.users.items()):
        place, hearing, power = world.places.get(node), world.watch.node(node), world.power.get(node)
        if place is None or not place.bmc or (hearing.silent is None and not hearing.up):
            continue
        if hearing.up and power is not None and not power.wrong(hearing):
            continue
        waiting = [record for job in sorted(jobs) if (record := _waits(draft, job, node))]
        if hearing.silent is not None:
            due = power is None or power.due(hearing, now)
        else:
            due = power is None and checks < CHECKS
            checks += due and bool(waiting)
        if due and waiting:
            draft.do(AskPower(node))
        if power is not None:
            for record in waiting:
                if record.job.id not in world.resting:
                    with About(record.job.id):
                        _tell(draft, record, place, power, hearing)


def _waits(draft: Draft, job: str, node: str) -> JobRecord | None:
    """A job of whose attempt something may run on a node, as far as it has told."""
    record = draft.record(job)
    if record is None or record.attempt is None or record.state not in HOLDING:
        return None
    group = draft.world.watch.track(record.attempt.key).group(node)
    return None if group.over else record


def _tell(draft: Draft, record: JobRecord, place: Place, power: Power, hearing: Hearing) -> None:
    """Say what a BMC has come to, each answer once in one silence."""
    told = power.told
    if power.wrong(hearing):
        _tell_wrong(draft, record, place.name, power)
        return
    if told is None or hearing.silent is None or told.asked < hearing.silent:
        return
    if told.state == "off" and place.off is None:
        return  # told once so far
    mark = f"{_MARK} {place.name} {hearing.silent:.1f} {told.state}"
    if mark in record.told:
        return
    silence, node = f"{_MARK} {place.name} {hearing.silent:.1f} ", f"{_MARK} {place.name} "
    others = tuple(one for one in record.told if one.startswith(silence) or not one.startswith(node))
    record = draft.put(replace(record, told=(*others, mark)))
    draft.say(record, "power_asked", _words(place.name, told, power), _evidence(told, power, hearing))


def _tell_wrong(draft: Draft, record: JobRecord, node: str, power: Power) -> None:
    """Say once that a BMC is another's: the operator has named it wrongly."""
    mark = f"{_MARK} {node} wrong"
    if mark in record.told or power.odd is None:
        return
    said = power.odd.words
    words = (
        f"the BMC that the inventory names for {node} says that it is without power ({said}), and {node} answers: "
        "it is not believed; look at its `aiops_power_status`"
    )
    jobs = [*draft.world.roster.jobs.values(), *draft.records.values()]
    first = not any(one.startswith(f"{_MARK} ") and one.endswith(" wrong") for each in jobs for one in each.told)
    record = draft.put(replace(record, told=(*record.told, mark)))
    draft.say(record, "power_asked", words, {"node": node, "power": "wrong", "said": said, "asked": [power.odd.asked]})
    if first:
        draft.do(Notify(record.job.id, words))


def _words(node: str, told: PowerTold, power: Power) -> str:
    begin = f"the head does not hear {node}, and its BMC"
    match told.state:
        case "on":
            return f"{begin} says that it has power ({told.words}): what runs there may go on"
        case "off":
            apart = power.offs[-1].asked - power.offs[0].at
            return f"{begin} has said twice, {apart:.1f} s apart, that it is without power ({told.words})"
        case _:
            return f"{begin} does not say whether it has power: {told.words}"


def _evidence(told: PowerTold, power: Power, hearing: Hearing) -> Mapping[str, object]:
    return {
        "node": told.node,
        "power": told.state,
        "said": told.words,
        "silent": hearing.silent,
        "asked": [one.asked for one in power.offs] if told.state == "off" else [told.asked],
    }
