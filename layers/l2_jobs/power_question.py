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

CHECKS = 8
"""Nodes that are heard and asked about at once: whoever is silent is not to wait behind a check of all addresses."""

_MARK = "power"


def with_proofs(world: World, now: float) -> World:
    """The same world, with what of its places is proved to be without power now."""
    found: dict[str, Place] = {}
    for node, power in world.power.items():
        place, off = world.places.get(node), power.off(world.watch.node(node), now)
        if off is not None and not _trusted(world, node, power):
            off = None
        if place is not None and place.off != off:
            found[node] = replace(place, off=off)
    return replace(world, places={**world.places, **found}) if found else world


def _trusted(world: World, node: str, power: Power) -> bool:
    """Whether a BMC has said `on` of its node while that was heard; jobs keep it, beyond the end of a controller."""
    jobs = world.roster.users.get(node, frozenset())
    return power.seen or any(node in world.roster.jobs[job].powered for job in jobs)


def ask_power(draft: Draft) -> None:
    """Have the BMC asked of each silent node that holds a rank group, and tell its jobs what it has said.

    Of one that is heard it is asked until it says `on`, so that a wrong address is known before anything rests on it.
    """
    world, now = draft.world, draft.now
    if world.touched is not None:  # time passes for all: they are looked at when all jobs are
        return
    checks = sum(one.asking and world.watch.node(node).up for node, one in world.power.items())
    unchecked: list[tuple[float, str]] = []
    for node, jobs in sorted(world.roster.users.items()):
        place, hearing, power = world.places.get(node), world.watch.node(node), world.power.get(node)
        if place is None or not place.bmc or (hearing.silent is None and not hearing.up):
            continue
        waiting = [record for job in sorted(jobs) if (record := _waits(draft, job, node))]
        unproved = any(node not in record.off for record in waiting)
        if unproved and hearing.silent is not None and (power is None or power.due(hearing, now)):
            draft.do(AskPower(node))
        elif waiting and hearing.up and (power is None or power.unchecked(now)):
            unchecked.append((power.asked if power is not None else float("-inf"), node))
        if power is not None:
            for record in waiting:
                if record.job.id not in world.resting:
                    with About(record.job.id):
                        _tell(draft, record, place, power, hearing)
    for _, node in sorted(unchecked)[: max(0, CHECKS - checks)]:  # one that never answers keeps none from its turn
        draft.do(AskPower(node))


def keep_checked(draft: Draft) -> None:
    """Have jobs, those that have just got them too, keep which BMCs have said `on` of their nodes while heard."""
    world = draft.world
    if world.touched is not None:
        return
    for job in sorted(world.roster.active | draft.records.keys()) if world.power else ():
        record = draft.record(job)
        if record is None or record.attempt is None or record.state not in HOLDING or job in world.resting:
            continue
        known = {node: power for node in record.attempt.allocation.nodes if (power := world.power.get(node))}
        powered = {node: at for node, at in record.powered.items() if node not in known or known[node].odd is None}
        powered |= {node: one.asked for node, one in known.items() if one.seen and node not in powered}
        if powered != record.powered:
            draft.put(replace(record, powered=powered))


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
    state: str = told.state
    if state == "off" and place.off is None:
        if power.off(hearing, draft.now) is None:
            return  # told once so far
        state = "untrusted"
    mark = f"{_MARK} {place.name} {hearing.silent:.1f} {state}"
    if mark in record.told:
        return
    silence, node = f"{_MARK} {place.name} {hearing.silent:.1f} ", f"{_MARK} {place.name} "
    others = tuple(one for one in record.told if one.startswith(silence) or not one.startswith(node))
    record = draft.put(replace(record, told=(*others, mark)))
    draft.say(record, "power_asked", _words(place.name, state, told, power), _evidence(state, told, power, hearing))


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


def _words(node: str, state: str, told: PowerTold, power: Power) -> str:
    begin = f"the head does not hear {node}, and its BMC"
    match state:
        case "on":
            return f"{begin} says that it has power ({told.words}): what runs there may go on"
        case "off":
            apart = power.offs[-1].asked - power.offs[0].at
            return f"{begin} has said twice, {apart:.1f} s apart, that it is without power ({told.words})"
        case "untrusted":
            return (
                f"{begin} says that it is without power ({told.words}), which is not believed: it never said `on` of "
                f"{node} while that was heard, so it may be another's"
            )
        case _:
            return f"{begin} does not say whether it has power: {told.words}"


def _evidence(state: str, told: PowerTold, power: Power, hearing: Hearing) -> Mapping[str, object]:
    return {
        "node": told.node,
        "power": state,
        "said": told.words,
        "silent": hearing.silent,
        "asked": [one.asked for one in power.offs] if told.state == "off" else [told.asked],
    }
