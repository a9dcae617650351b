"""What the Slurm engine does on the head to a node that slurmctld keeps for jobs of which nothing runs there any more.

Standard library only, Python 3.6. A node is set down and resumed, with one look more right before each of both: what
has changed meanwhile, as by a person who has drained it, stays as it is. Cut off between the two, the node is down with
our reason, and whoever finds such a one calls `resume`.
"""

import json
import re
import signal
import subprocess
import sys

SECONDS = 12.0
"""slurmctld's own clients try for 9 s to reach one that is gone."""

PLANNED = "PLANNED"
"""A part of a state that comes and goes by itself: the backfill scheduler has a plan for the node."""

_SYMBOLS = "*~#!%$@^-+"
_SIGNED = re.compile(r" \[[^\[\]]*@[^\[\]]*\]$")


class SilentError(Exception):
    """slurmctld does not answer, or refuses."""


def run(*words):
    """The output of one of Slurm's commands.

    Raises:
        SilentError: It failed; the words are its own.
    """
    try:
        done = subprocess.run(
            words,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SilentError(str(error)) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").split("\n")
        raise SilentError("`%s`: %s" % (words[0], next((line.strip() for line in lines if line.strip()), "no reason")))
    return done.stdout.decode("utf-8", "replace")


def standing(name):
    """The parts of a node's state, sorted and without `PLANNED`, and the reason that goes with it."""
    state, reason = "", ""
    for line in (one.strip() for one in run("scontrol", "show", "node", name).split("\n")):
        if line.startswith("State=") and not state:
            state = line.split()[0].partition("=")[2]
        elif line.startswith("Reason=") and not reason:
            reason = _SIGNED.sub("", line.partition("=")[2])
    parts = set(part.rstrip(_SYMBOLS) for part in state.split("+"))
    parts |= set(["NOT_RESPONDING"] if "*" in state else [])
    return sorted(parts - {"", PLANNED}), reason


def holding(name, over):
    """Which jobs hold a node, sorted: `NUMBER|STATE` each, less those in a state of `over`."""
    asked = ("squeue", "--all", "--noheader", "--states=all", "--nodelist=" + name, "--format=%i|%T")
    lines = [line.strip() for line in run(*asked).split("\n")]
    return sorted(line for line in lines if line and line.partition("|")[2] not in over)


def free(name, states, jobs, over, reason):
    """Set a node down and resume it, where it and what holds it are as expected.

    Args:
        name: Slurm's name of it.
        states: The parts of its state, sorted.
        jobs: What holds it, as `holding` has it.
        over: States of jobs that hold nothing.
        reason: Why it is down.

    Returns:
        `done`: `freed`; `changed`, `refused`: nothing was done; `down`: it has still to be resumed. `said`: why.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever has asked may be gone: it is not left down for that
    try:
        if holding(name, over) != sorted(jobs) or standing(name)[0] != sorted(set(states) - {PLANNED}):
            return {"done": "changed", "said": ""}
    except SilentError as error:
        return {"done": "refused", "said": str(error)}
    try:
        run("scontrol", "update", "NodeName=" + name, "State=DOWN", "Reason=" + reason)
    except SilentError as error:
        return {"done": "down", "said": str(error)}  # it may have been heard all the same
    return resume(name, reason)


def resume(name, reason):
    """Resume a node that is down for `reason` and nothing else; as `free`."""
    try:
        states, why = standing(name)
        if why == reason and "DOWN" in states and set(states) <= {"DOWN", "COMPLETING", "NOT_RESPONDING"}:
            run("scontrol", "update", "NodeName=" + name, "State=RESUME")
    except SilentError as error:
        return {"done": "down", "said": str(error)}
    return {"done": "freed", "said": ""}


DEEDS = {"free": free, "resume": resume}


def tell(deed, *values):
    """Print what one of `DEEDS` answers."""
    json.dump(DEEDS[deed](*values), sys.stdout)
