"""Remote code on its way: the text of a module of `remote/` and one call behind it, on the stdin of `python3 -`."""

import shlex
from functools import cache
from importlib.resources import files

from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.node import Node


def script(module: str, call: str) -> str:
    """The source of `remote/MODULE.py` and one call of a function in it.

    Args:
        module: Name of a module of `aiops.layers.l1_cluster.remote`.
        call: Python source; values in it come from `repr`, so that no text of a user's is code.
    """
    return f"{_source(module)}\n\n{call}\n"


@cache
def _source(module: str) -> str:
    return files("aiops.layers.l1_cluster").joinpath("remote", f"{module}.py").read_text(encoding="utf-8")


def script_command(node: Node, module: str, call: str, *, timeout: float = 20.0) -> Command:
    """The command that runs `script(module, call)` on `node` as root; nothing of it shows in a process list."""
    python = shlex.split(node.connection.python or "") or ["python3"]
    return Command((*python, "-I", "-S", "-"), stdin=script(module, call).encode(), timeout=timeout, root=True)
