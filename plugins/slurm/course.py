"""Course: what follows for an attempt from each new word of Slurm's, of a launcher, of a look at a node. Pure.

Slurm tells of jobs, launchers of rank groups, and only launchers and the nodes themselves are believed about whether
something still runs: Slurm calls a job over whose rank lives on beside a dead slurmd. So a job that is over makes no
`Ended` of a group whose launcher has ever spoken. Of one that never did each node is asked, and says so itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiops.layers.l2_jobs.report import End, Ended, Freed, NotStarted, Report, Scheduled, Started
from aiops.layers.l2_jobs.text import plain
from aiops.layers.l2_jobs.wire import status_of

from .enlisted import FORGOTTEN, Enlisted, Errand, Turn
from .enrolment import Enrolled
from .queue import NEVER, OVER, SlurmJob

GRACE = 2.0
"""Seconds that a launcher's last word may take to come after Slurm calls its job over."""

HOLD = 5.0
"""Seconds that the end of a group which nobody of us has asked for waits for Slurm's word of its job."""

NUDGE = 3.0
"""Seconds between two nudges of a restart that waits: slurmctld itself looks only each half minute or minute whether
the nodes that its predecessor has left are free by now, and learns of each some seconds late while another is lost."""

SOON = 1.0
"""Seconds until the next nudge once a node was given back: slurmctld asks it first whether it is there."""

NUDGES = 10
"""So often at most: then it waits for more than its predecessor's nodes, and Slurm has others to look after."""

AGAIN = 5.0
"""Seconds until Slurm is asked to end a job again that has not ended, and a node that did not answer."""

LONG_NUDGES = 40
"""So often where Slurm keeps a node from it for an attempt of its own before: slurmctld takes up to KillWait and twice
MessageTimeout, and then until its purge, to ask a node again that was lost: 91 s with Slurm's defaults."""

_LONGEST = 2000
"""Letters of a reason: the user may have written it himself, as all of the record of the end."""

_BUSY = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"})


_ENDS_ALL = frozenset({"CANCELLED", "PREEMPTED", "DEADLINE", "REVOKED"})
"""States in which Slurm has ended all that ran, and no node is at fault."""

_NODES_FAULT = frozenset({"NODE_FAIL", "BOOT_FAIL"})


def enrolled(one: Enlisted, at: float, found: Enrolled) -> tuple[Enlisted, tuple[Report, ...]]:
    """What follows once an attempt was given to Slurm, or was found there, or was refused.

    Args:
        one: The attempt.
        at: Now, steady clock.
        found: What came of it.
    """
    reports: list[Report] = [NotStarted(one.key, node, at, *why) for node, why in found.refused.items()]
    one = looked(one, found.answers, at).enlisted
    if found.submitted:
        one = replace(one, state="PENDING")
        reports.append(Scheduled(one.key, at, one.state, "", found.number))
    ended = one.ended.union(found.refused)
    return replace(one, submitting=False, sought=True, number=found.number, ended=ended), tuple(reports)


def seen(one: Enlisted, at: float, found: SlurmJob | None) -> Turn:
    """What follows when Slurm has been asked, and has said `found`; None: it knows no such job.

    Args:
        one: The attempt, whose job is known or must have been found.
        at: Now, steady clock.
        found: The answer; a number that has come to be another user's is none of it.
    """
    if found is not None and found.uid != one.job.owner.uid:
        found = None
    one = replace(one, sought=True)
    state, reason = (found.state, found.last) if found is not None else (FORGOTTEN, "")
    reports: list[Report] = []
    errands: list[Errand] = []
    number = found.number if found is not None else one.number
    completing = one.completing if state == "PENDING" else ()
    if (state, reason, number) != (one.state, one.reason, one.number):
        reports.append(Scheduled(one.key, at, state, reason, number, completing))
    now = replace(one, state=state, reason=reason, number=number, completing=completing)
    if found is not None and not found.over:
        now = replace(now, over_since=None, look_at=None)
        if state == "PENDING" and reason in NEVER and not now.refusal:
            now = replace(now, refusal=f"Slurm will never start it: {reason}", cancel_at=at)
        if now.own and state == "RUNNING":
            fresh = [name for name in now.nodes if name not in now.started and name in now.boots]
            reports += [Started(now.key, name, at, now.boots[name]) for name in fresh]
            now = replace(now, started=now.started.union(fresh))
            if set(now.nodes) - set(now.boots):
                errands.append("look")
        now, nudging = _nudged(now, at)
        errands += nudging
        if now.cancel_at is not None and at >= now.cancel_at:
            ending = hurried(now, at)
            now, errands = ending.enlisted, [*errands, *ending.errands]
        now, explained = _explained(now, at)
        reports += explained
        return Turn(now, tuple(reports), tuple(errands))
    if now.over_since is None:
        now = replace(now, over_since=at, look_at=at + GRACE if now.started and not now.own else at)
    now, explained = _explained(now, at)
    reports += explained
    if now.look_at is not None and at >= now.look_at and now.silent:
        errands.append("look")
        now = replace(now, look_at=at + AGAIN)
    return Turn(replace(now, cancel_at=None), tuple(reports), tuple(errands))


def waits(one: Enlisted) -> bool:
    """Whether it is a restart, and wanted, and Slurm has it in its queue."""
    return one.state == "PENDING" and one.wish == "run" and one.key.number > 1


def surveyed(one: Enlisted, at: float, completing: tuple[str, ...]) -> Turn:
    """What follows once it is known which nodes Slurm keeps from a restart for an earlier attempt of it."""
    if completing == one.completing or not waits(one):
        return Turn(one)
    told = Scheduled(one.key, at, one.state, one.reason, one.number, completing)
    return Turn(replace(one, completing=completing), (told,))


def freed(one: Enlisted, at: float, node: str, before: tuple[int, ...], said: str) -> Turn:
    """What follows once a node was given back to Slurm, which hears of it within `SOON`: told, and never done again.

    Args:
        one: The attempt for which that was done.
        at: Now, steady clock.
        node: Its name.
        before: The earlier attempts for which Slurm has kept it.
        said: What came of it, where that was not all.
    """
    known = replace(one, freed=one.freed | {node}, nudge_at=at + SOON)
    return Turn(known, (Freed(one.key, node, at, before, said),))


def _nudged(one: Enlisted, at: float) -> tuple[Enlisted, tuple[Errand, ...]]:
    """Whether Slurm is to look now whether it can start a restart that waits."""
    most = LONG_NUDGES if one.completing else NUDGES
    if not waits(one) or one.nudged >= most:
        return one, ()
    if one.nudge_at is None or at < one.nudge_at:
        return replace(one, nudge_at=one.nudge_at or at + NUDGE), ()
    return replace(one, nudge_at=at + NUDGE, nudged=one.nudged + 1), ("nudge",)


def _explained(one: Enlisted, at: float) -> tuple[Enlisted, tuple[Ended, ...]]:
    """The ends that were held back and are told now: with Slurm's word where its job is over, or has not come in time.

    Slurm's own time limit is one, whatever the launcher knew; and a group that Slurm has ended was not lost.
    """
    if one.over_since is None and one.wish == "run":
        due = tuple(report for report, until in one.held if at >= until)
    else:
        due = tuple(report for report, _ in one.held)
    nodes = frozenset(report.node for report in due)
    one = replace(one, ended=one.ended | nodes, held=tuple(held for held in one.held if held[0].node not in nodes))
    return one, tuple(_by_slurm(one, report) for report in due)


def _by_slurm(one: Enlisted, report: Ended) -> Ended:
    if one.wish != "run" or report.node in one.killed:
        return replace(report, end="stopped")
    if one.over_since is None or one.state not in OVER - {"COMPLETED"}:
        return report
    end: End = "time_limit" if one.state == "TIMEOUT" else "stopped" if one.state in _ENDS_ALL else report.end
    return replace(report, end=end, reason="; ".join(word for word in (report.reason, _slurms(one)) if word))


def told(one: Enlisted, report: Report) -> tuple[Enlisted, Report | None]:
    """What follows from a word of a launcher or of the agent beside it; the report as it is passed on, if it is."""
    match report:
        case Started(node=node):
            begun = {node: report.boot_id, **one.begun}
            return replace(one, started=one.started | {node}, begun=begun), report
        case Ended(node=node) | NotStarted(node=node):
            if one.own or node in one.ended:  # a user's own command has no launcher, and its end is told by a look
                return one, None
            if isinstance(report, Ended) and report.end in {"lost", "stopped"}:
                return _unasked(one, report)
            return replace(one, ended=one.ended | {node}), report
    return one, report


def _unasked(one: Enlisted, report: Ended) -> tuple[Enlisted, Report | None]:
    """An end that nobody of us may have asked for. Was it Slurm? It is told once that is known."""
    if one.wish == "run" and report.node not in one.killed and one.over_since is None and one.number:
        held = () if any(known.node == report.node for known, _ in one.held) else ((report, report.at + HOLD),)
        return replace(one, held=one.held + held), None
    return replace(one, ended=one.ended | {report.node}), _by_slurm(one, report)


def looked(one: Enlisted, answers: Mapping[str, Mapping[str, Any]], at: float) -> Turn:
    """What follows from what `remote/place.py` has found on nodes.

    Args:
        one: The attempt.
        answers: By node, what those say that answered.
        at: Now, steady clock.
    """
    boots = {node: answer["boot_id"] for node, answer in answers.items() if isinstance(answer.get("boot_id"), str)}
    one = replace(one, boots={**one.boots, **boots}, traces=one.traces.after(answers, one.key.number))
    ran = one.traces.begun or not set(answers).issuperset(one.silent)  # its script ran on one that does not answer
    reports: list[Report] = []
    for node, answer in answers.items():
        # Before Slurm calls it over a look finds nothing out but the boot; what could not be ended has not ended.
        if one.over_since is None or node in one.ended or answer.get("left"):
            continue
        if one.own and (ran or node in one.started):
            reports.append(_own_end(one, node, at))
        elif answer.get("launched"):  # the line to its node tells the rest
            continue
        else:
            reports.append(_never(one, node, at))
        one = replace(one, ended=one.ended | {node})
    return Turn(one, tuple(reports))


def _own_end(one: Enlisted, node: str, at: float) -> Report:
    """The end of a user's own command, swept from `node`: by the record of the end, and Slurm's word beside it."""
    record = one.traces.end or {}
    if (overtaken := _overtaken(one, node, at)) is not None:
        return overtaken
    status, reason = status_of(record.get("status")), plain(str(record.get("reason") or ""), _LONGEST)
    if reason and status is None:
        return NotStarted(one.key, node, at, reason, "user")
    return Ended(one.key, node, at, _end(one, status), status, reason or _slurms(one))


def _overtaken(one: Enlisted, node: str, at: float) -> Ended | None:
    """The end of an attempt whose script has seen a later controller and has run nothing; None of any other."""
    record = one.traces.end or {}
    if record.get("end") != "superseded" or record.get("status") is not None:
        return None
    return Ended(one.key, node, at, "superseded", None, plain(str(record.get("reason") or ""), _LONGEST))


def _end(one: Enlisted, status: int | None) -> End:
    if one.wish != "run":
        return "stopped"
    if status == 0:
        return "done"
    if one.state == "TIMEOUT":
        return "time_limit"
    return "lost" if status is None else "failed"


def _never(one: Enlisted, node: str, at: float) -> Report:
    """Nothing of the attempt has ever run on `node`, and nothing will: Slurm has no job for it any more."""
    if one.wish != "run":
        return Ended(one.key, node, at, "stopped", None, "it had not begun")
    if (overtaken := _overtaken(one, node, at)) is not None:
        return overtaken
    if one.refusal:
        return NotStarted(one.key, node, at, one.refusal, "user")
    reason = "; ".join(word for word in (_slurms(one), one.traces.said) if word)
    return NotStarted(one.key, node, at, reason, "node" if one.state in _NODES_FAULT else "scheduler")


def _slurms(one: Enlisted) -> str:
    """Slurm's words of how it stands."""
    if one.state == FORGOTTEN:
        return f"Slurm knows no job {one.number} any more" if one.number else "Slurm was never given it"
    why = f" ({one.reason})" if one.reason not in {"", "None"} else ""
    return f"Slurm's job {one.number} is {one.state}{why}"


def killed(one: Enlisted, nodes: Sequence[str], at: float) -> Enlisted:
    """What is known once it is to be ended at once on `nodes`.

    Slurm ends its job when that is all that is left of it. Before it has begun, or where nobody tells of the single
    groups, a gang of which one is to be ended ends as a whole.
    """
    one = replace(one, killed=one.killed.union(nodes))
    if one.own or not runs(one) or one.ended.union(one.killed).issuperset(one.nodes):
        return replace(one, wish="end", cancel_at=at)
    return one


def hurried(one: Enlisted, at: float) -> Turn:
    """What is done to end it now.

    Its script is asked first. Once that has ended Slurm finds nothing left on its nodes, and they are free at once;
    where Slurm itself has to end what runs there, slurmd looks only now and then whether it is gone.
    """
    first = one.state == "RUNNING" and not one.asked
    return Turn(replace(one, asked=one.asked or first, cancel_at=at + AGAIN), (), ("end" if first else "cancel",))


def runs(one: Enlisted) -> bool:
    """Whether Slurm has begun it, so that there is somebody who can save and leave."""
    return one.state in _BUSY or bool(one.started)
