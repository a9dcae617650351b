"""Beginning: an attempt that was begun until all of it runs, and what is waited for until then. Pure."""

from dataclasses import replace

from .attempt import Attempt
from .draft import Draft
from .record import JobRecord
from .text import plain
from .track import Track

_LONGEST = 200
"""Letters of Slurm's reason: it may name many nodes."""


def being_started(number: int) -> str:
    """The reason of a job whose attempt was begun and has not said anything yet."""
    return f"attempt {number} is being started"


def begun(draft: Draft, record: JobRecord, attempt: Attempt, track: Track) -> JobRecord:
    """Look after a job that is `starting`: it runs once all of its groups do."""
    if record.state != "starting":
        return record
    record = _freed(draft, record, track)
    if not all(track.group(node).started is not None for node in attempt.allocation.nodes):
        return draft.put(replace(record, reason=_waits(attempt, track)))
    record = draft.turn(record, state="running", reason="runs", began=draft.now)
    draft.say(record, "job_running", f"runs on {', '.join(attempt.allocation.nodes[:8])}")
    return record


def _waits(attempt: Attempt, track: Track) -> str:
    """Why it does not run yet; what Slurm waits for is Slurm's to say."""
    number, said = attempt.key.number, track.scheduled
    if said is None or said.state != "PENDING":
        return being_started(number)
    slurm = "" if said.reason in {"", "None"} else plain(f" (Slurm: {said.reason})", _LONGEST)
    if not said.completing:
        return f"attempt {number} waits{slurm}" if slurm else being_started(number)
    which = "is" if len(said.completing) == 1 else "are"
    names = ", ".join(said.completing[:4])
    return f"attempt {number} waits: {names} {which} still completing the attempt before{slurm}"


def _freed(draft: Draft, record: JobRecord, track: Track) -> JobRecord:
    """Tell of nodes that the engine has given back to Slurm for this attempt, of each once."""
    for one in track.freed:
        mark = f"freed {one.node}"
        if mark in record.told:
            continue
        record = draft.put(replace(record, told=(*record.told, mark)))
        which = "attempt" if len(one.before) == 1 else "attempts"
        words = (
            f"{one.node} was given back to Slurm, which was still completing {which} "
            f"{', '.join(map(str, one.before))} there: it has booted since, and nothing of that runs on it"
        )
        words += f"; {one.said}" if one.said else ""
        draft.say(record, "node_freed", words, {"node": one.node, "attempts": list(one.before)})
    return record
