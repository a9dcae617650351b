"""The remedy: the next step of the ladder for one node, and why; or why there is none. Pure.

A node is repaired only while nothing runs on it and we have drained it, for what is its own and was read: never on a
guess. A step that was taken and did not help is followed by the next one. What has been repaired five times within a
week, or asks for service, is for service (`rma`), which only a person ends.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.layers.l0_nodes.vendor import Reset
from aiops.layers.l1_cluster.draining import Standing

from .attempt import IN_VAIN, PLAYED, REPAIRS, WINDOW, attempts, since_service, step_of, undone
from .episode import Episode
from .means import Means
from .node_state import UNDERWAY, NodeState, StateChange
from .repairable import refusal
from .settling import APART
from .verdict import Action

_HIGHER: Mapping[Action, Action] = {
    "restart_app": "reboot",
    "reset_device": "reboot",
    "restart_service": "reboot",
    "reboot": "service",
}
"""What is done where a step did not help, or cannot be taken: a service does not mend a device, nor the other way."""

_FIRST: tuple[Action, ...] = ("service", "reboot", "reset_device", "restart_service", "restart_app")
"""Which of several steps comes first: a boot is a reset and a restart too; of these two, the device's comes first."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one node.

    Attributes:
        at: When this is.
        standing: With whoever runs work there; None: nobody gives it any.
        episodes: Those that go on.
        changes: Its changes of state within `WINDOW`, oldest first.
        means: None: nobody has asked the node, and each step is taken for possible.
    """

    node: str
    at: datetime
    state: NodeState
    standing: Standing | None
    episodes: Sequence[Episode] = ()
    changes: Sequence[StateChange] = ()
    means: Means | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What is to be done.

    Attributes:
        step: The step of the ladder; `service`: the node becomes `rma`; None: nothing is done, and `why` says why not.
        well: With no step: whether there is nothing to repair, so that nothing has failed either.
        finding: The check behind it; empty where there is none.
        hint: What a person can do instead or next, with a command.
        resets: With `reset_device`; `units` with `restart_service`.
        passed: Steps that were passed over, and why.
        resumed: Whether a run before this one began it and was cut off.
        held: With no step: whether there is one, and a person is to see first why it could not be done.
    """

    node: str
    step: Action | None
    why: str
    finding: str = ""
    well: bool = False
    hint: str = ""
    resets: tuple[Reset, ...] = ()
    units: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    resumed: bool = False
    held: bool = False

    @property
    def cause(self) -> str:
        """As the register keeps it: the step, and what for; `attempts` reads it."""
        return f"{self.step}: {self.why}"


def present(episodes: Iterable[Episode], looked: datetime | None, deep: Collection[str]) -> tuple[Episode, ...]:
    """Those that the last look saw: what it no longer saw is repaired no more, though it goes on for ten minutes yet.

    Args:
        episodes: Of one node, those that go on.
        looked: When it was last looked at; None where that is not known.
        deep: Ids of checks that most looks do not make: what they found is there until they have been made again.
    """
    return tuple(one for one in episodes if looked is None or one.check in deep or looked - one.seen <= APART)


def remedy_of(case: Case, wish: Action | None = None) -> Remedy:
    """What is to be done on a node.

    Args:
        case: What is known of it.
        wish: The step that a person wants; None: the one that its findings ask for.
    """
    refused = refusal(case.node, case.state, case.standing)
    if refused is not None:
        return Remedy(case.node, None, refused[0], hint=refused[1])
    if case.state in UNDERWAY and wish is None:
        return _taken_up(case)
    if wish is not None:
        return _wished(case, wish)
    return _due(case) if _wanted(case) else _nothing(case)


def _due(case: Case) -> Remedy:
    """The next step, unless so many were taken that it is for service, or could not be done."""
    then = _next(case)
    vain = undone(since_service(case.changes))
    if len(vain) >= IN_VAIN and then.step in PLAYED:
        why = f"{len(vain)} tries in a row were not done; last: {vain[-1]}"
        hint = f"see why, then: `aiops node repair {case.node} --action {then.step}`"
        return Remedy(case.node, None, why, then.finding, hint=hint, held=True)
    made = [one for one in attempts(case.changes, case.at) if one.step in PLAYED]
    worst = _worst(_wanted(case))
    if len(made) >= REPAIRS:
        why = f"{len(made)} repairs within {WINDOW.days} days did not last; {told_of(worst)}"
        return Remedy(case.node, "service", why, worst.check)
    return then


def _wanted(case: Case) -> list[Episode]:
    """The findings to be cured: critical ones where there are such, else those a person may look after."""
    own = [one for one in case.episodes if one.counted and one.owner == "node" and one.action != "none"]
    critical = [one for one in own if one.verdict == "critical"]
    return critical or [one for one in own if one.verdict == "warn" and one.action != "service"]


def _worst(several: Sequence[Episode]) -> Episode:
    return min(several, key=lambda one: _FIRST.index(one.action))


def told_of(episode: Episode) -> str:
    """A finding in words: `gpu.ecc_uncorrected: GPU 3: 2 uncorrected memory errors`."""
    about = f"{episode.about}: " if episode.about else ""
    return f"{episode.check}: {about}{episode.message}"


def _nothing(case: Case) -> Remedy:
    own, look = [one for one in case.episodes if one.counted and one.owner == "node"], _look(case)
    critical = [one for one in own if one.verdict == "critical"]
    if critical:
        return Remedy(case.node, None, f"no step of ours cures {told_of(critical[0])}", critical[0].check, hint=look)
    unread = [one for one in own if one.verdict == "unknown"]
    if unread:
        guess = f"what cannot be read is not repaired on a guess: {told_of(unread[0])}"
        return Remedy(case.node, None, guess, unread[0].check, hint=look)
    others = [one for one in case.episodes if one.counted and one.verdict == "critical"]
    if others:
        why = f"what is found is not the node's own ({others[0].owner}): {told_of(others[0])}"
        return Remedy(case.node, None, why, others[0].check, hint=f"`aiops health explain {others[0].check}`")
    return Remedy(
        case.node, None, "nothing is to be repaired", well=True, hint=f"give it back: `aiops node resume {case.node}`"
    )


def _look(case: Case) -> str:
    return f"look again: `aiops health --on {case.node}`"


def _next(case: Case) -> Remedy:
    """The step that the findings ask for, each one higher than what was tried and did not help, or cannot be done."""
    tried = {one.step for one in attempts(since_service(case.changes), case.at)}
    steps: dict[Action, list[Episode]] = {}
    passed: list[str] = []
    for episode in _wanted(case):
        step, over = _possible(case, episode, tried)
        passed += [one for one in over if one not in passed]
        steps.setdefault(step, []).append(episode)
    step = next(one for one in _FIRST if one in steps)
    if step == "service" and steps[step][0].verdict != "critical":
        why = f"every step was taken, and this is only a warning: {told_of(steps[step][0])}"
        hint = f"have it serviced all the same: `aiops node repair {case.node} --action service`"
        return Remedy(case.node, None, why, steps[step][0].check, hint=hint, passed=tuple(passed))
    return _remedy(case, step, steps[step], tuple(passed))


def _possible(case: Case, episode: Episode, tried: set[Action]) -> tuple[Action, list[str]]:
    step = episode.action
    passed: list[str] = []
    while step in _HIGHER:
        why = "it was taken and did not help" if step in tried else _impossible(case, step, episode)
        if why is None:
            break
        passed.append(f"{step}: {why}")
        step = _HIGHER[step]
    return step, passed


def _impossible(case: Case, step: Action, episode: Episode) -> str | None:
    if case.means is None:
        return None
    if step == "reset_device" and episode.key not in case.means.resets:
        return f"no way is known to reset {episode.about or 'its devices'} while the node runs"
    if step == "restart_service" and not case.means.units.get(episode.key):
        return f"{episode.check} does not say which service"
    return None


def _remedy(case: Case, step: Action, episodes: Sequence[Episode], passed: tuple[str, ...] = ()) -> Remedy:
    first = episodes[0]
    if step == "reboot" and case.means is not None and case.means.here:
        return _ours(case, first.check)
    means, more = case.means or Means(), f" and {len(episodes) - 1} more" if len(episodes) > 1 else ""
    resets = [one for episode in episodes for one in means.resets.get(episode.key, ())]
    units = [unit for episode in episodes for unit in means.units.get(episode.key, ())]
    return Remedy(
        case.node,
        step,
        f"{told_of(first)}{more}",
        first.check,
        resets=_once(resets) if step == "reset_device" else (),
        units=tuple(dict.fromkeys(units)) if step == "restart_service" else (),
        passed=passed,
    )


def _ours(case: Case, finding: str = "") -> Remedy:
    hint = "reboot it yourself, or repair it from another machine"
    return Remedy(case.node, None, "it needs a reboot, and aiops runs on it", finding, hint=hint)


def _wished(case: Case, wish: Action) -> Remedy:
    """The step that a person wants: for what is found where it asks for it, else as such."""
    means = case.means or Means()
    asking = [one for one in _wanted(case) if one.action == wish]
    if asking and all(_impossible(case, wish, one) is None for one in asking):
        return _remedy(case, wish, asking)
    found = _wanted(case)
    why, finding = (told_of(_worst(found)), _worst(found).check) if found else ("a person wants it", "")
    if wish == "reboot" and means.here:
        return _ours(case, finding)
    if wish == "reset_device":
        if not means.every:
            why, hint = "no way is known to reset its devices while it runs", "`--action reboot` does it too"
            return Remedy(case.node, None, why, finding, hint=hint)
        return Remedy(case.node, wish, why, finding, resets=means.every)
    if wish == "restart_service":
        return Remedy(case.node, None, "nothing that is found there names a service", finding, hint=_look(case))
    return Remedy(case.node, wish, why, finding)


def _taken_up(case: Case) -> Remedy:
    """What is left of a repair that was cut off: all of it, or only the look that follows it."""
    begun = next((one for one in reversed(case.changes) if one.after == "repairing"), None)
    step = None if begun is None else step_of(begun)
    if begun is None or step is None or case.state == "validating":
        return Remedy(case.node, "restart_app", "it was to be looked at after its repair", resumed=True)
    why = begun.cause.partition(": ")[2]
    asking = [one for one in _wanted(case) if one.action == step]
    means = case.means or Means()
    resets = _once([one for episode in asking for one in means.resets.get(episode.key, ())]) or means.every
    units = tuple(dict.fromkeys(unit for episode in asking for unit in means.units.get(episode.key, ())))
    lacks = {"reset_device": not resets, "restart_service": not units, "reboot": means.here}.get(step, False)
    if lacks and case.means is not None:
        why = f"{why}; the step cannot be taken any more"
        return Remedy(case.node, "restart_app", why, begun.finding, resumed=True)
    return Remedy(
        case.node,
        step,
        why,
        begun.finding,
        resets=resets if step == "reset_device" else (),
        units=units if step == "restart_service" else (),
        resumed=True,
    )


def _once(resets: Iterable[Reset]) -> tuple[Reset, ...]:
    return tuple(dict.fromkeys(resets))
