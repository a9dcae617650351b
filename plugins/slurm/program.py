"""Program: what the Slurm engine runs on nodes, as text."""

from functools import cache

from aiops.layers.l1_cluster.script import program
from aiops.layers.l2_jobs.programs import LAUNCHER, TERMS

_PACKAGE = "aiops.plugins.slurm"
_JOBS = "aiops.layers.l2_jobs"


def batch(call: str) -> str:
    """The batch script's program, with one call of `main`, whose values are literals."""
    return _known(TERMS) + program(("batch",), call, _PACKAGE)


def placing(call: str) -> str:
    """The program that makes folders on nodes, looks at them and sweeps, with one call of `tell`."""
    return _known(TERMS) + program(("place",), call, _PACKAGE)


def freeing(call: str) -> str:
    """The program that gives a node back to Slurm, on the head, with one call of `tell`."""
    return program(("freeing",), call, _PACKAGE)


@cache
def keeper() -> str:
    """The program that is srun's task on each node: the keeper, with the launcher in it."""
    return _known(LAUNCHER) + program(("keeper",), "main(_sys.argv[1], leave=True)", _PACKAGE)


@cache
def _known(modules: tuple[str, ...]) -> str:
    """Modules that those of ours may import."""
    return program(modules, "__name__", _JOBS)
