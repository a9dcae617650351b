"""Slurm's daemons on a node, told by its processes: asked where no slurmctld could tell of them."""

from aiops.layers.core.command import Command

_SECONDS = 60.0
_DAEMONS = ("slurmd", "slurmstepd")
"""The one of the node, and those that hold its jobs: they outlive the other."""


def show_processes() -> Command:
    """The names of all processes; those that end meanwhile are left out."""
    return Command(("sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null; :"), timeout=_SECONDS, root=True)


def daemons_in(processes: str) -> tuple[str, ...]:
    """Slurm's daemons in the answer to `show_processes`. Pure."""
    names = {line.strip() for line in processes.splitlines()}
    return tuple(name for name in _DAEMONS if name in names)
