"""Program: what the Slurm engine runs on nodes, as text."""

from functools import cache
from importlib.resources import files

from aiops.layers.l1_cluster.script import program
from aiops.layers.l2_jobs.programs import LAUNCHER

_PACKAGE = "aiops.plugins.slurm"


@cache
def text_of(module: str) -> str:
    """The source of a module of `remote/`."""
    return files(_PACKAGE).joinpath("remote", f"{module}.py").read_text(encoding="utf-8")


@cache
def keeper() -> str:
    """The program that is srun's task on each node: the keeper, with the launcher in it."""
    launcher = program(LAUNCHER, "__name__", "aiops.layers.l2_jobs")
    return launcher + program(("keeper",), "main(_sys.argv[1], leave=True)", _PACKAGE)
