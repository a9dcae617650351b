"""What is asked of Slurm on the head, as values."""

from collections.abc import Sequence

from aiops.layers.core.command import Command

_SECONDS = 60.0
_FIRST_PRINTED, _DELETE = " ", "\x7f"

JOB_FORMAT = "%i|%T|%u|%N"
"""Nothing in it is a user's free text, so that no job can speak for another."""


def show_nodes() -> Command:
    """All nodes, those in no partition too, a field or a few to a line."""
    return Command(("scontrol", "show", "node"), timeout=_SECONDS, root=True)


def show_jobs() -> Command:
    """All jobs, also those of hidden partitions and those that are just ending."""
    argv = ("squeue", "--all", "--noheader", "--states=all", f"--format={JOB_FORMAT}")
    return Command(argv, timeout=_SECONDS, root=True)


def drain(names: Sequence[str], reason: str) -> Command:
    """Give the nodes called `names` no new work."""
    words = ("scontrol", "update", f"NodeName={','.join(names)}", "State=DRAIN", f"Reason={plain(reason)}")
    return Command(words, timeout=_SECONDS, root=True)


def resume(names: Sequence[str]) -> Command:
    """Give them work again."""
    return Command(("scontrol", "update", f"NodeName={','.join(names)}", "State=RESUME"), timeout=_SECONDS, root=True)


def plain(reason: str) -> str:
    """A reason as scontrol keeps it: one line, and no quotation mark, which it takes off at both ends. Pure."""
    letters = (letter if _FIRST_PRINTED <= letter != _DELETE else " " for letter in reason.replace('"', "'"))
    return " ".join("".join(letters).split())
