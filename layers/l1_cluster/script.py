"""Remote code on its way: modules of `remote/` as text and one call behind them, on the stdin of `python3 -`."""

import json
import shlex
from functools import cache
from importlib.resources import files
from typing import Any

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.node import Node

PACKAGE = "aiops.layers.l1_cluster"

_LOAD = """
import sys as _sys, types as _types
_sys.modules.setdefault("aiops_remote", _types.ModuleType("aiops_remote")).__path__ = []
for _name, _text in {modules!r}:
    _module = _sys.modules["aiops_remote." + _name] = _types.ModuleType("aiops_remote." + _name)
    _module.__package__ = "aiops_remote"
    exec(compile(_text, _name + ".py", "exec"), _module.__dict__)
"""


def script(module: str, call: str) -> str:
    """The source of `remote/MODULE.py` and one call of a function in it.

    Args:
        module: Name of a module of `aiops.layers.l1_cluster.remote`.
        call: Python source; values in it come from `repr`, so that no text of a user's is code.
    """
    return f"{_source(module)}\n\n{call}\n"


def program(modules: tuple[str, ...], call: str, package: str = PACKAGE) -> str:
    """The source of several modules that import each other, and one call of a function of the last of them.

    Args:
        modules: Names as for `script`, each after those that it imports.
        call: As for `script`.
        package: In whose `remote/` the modules are.
    """
    return f"{_bound(modules, package)}_sys.modules['aiops_remote.{modules[-1]}'].{call}\n"


def script_command(node: Node, module: str, call: str, *, timeout: float = 20.0) -> Command:
    """The command that runs `script(module, call)` on `node` as root; nothing of it shows in a process list."""
    return command(node, script(module, call), timeout=timeout)


def command(node: Node, source: str, *, timeout: float, root: bool = True) -> Command:
    """The command that runs a Python program on `node`, as root; nothing of it shows in a process list."""
    python = shlex.split(node.connection.python or "") or ["python3"]
    return Command((*python, "-I", "-S", "-"), stdin=source.encode(), timeout=timeout, root=root)


def answer_of(node: Node, completed: Completed, code: str, *kinds: type) -> Any:
    """What a program of ours that has ended well has printed: JSON of one of `kinds`. It may be secret.

    Raises:
        FailedError: It is something else (`code`): a profile of the shell prints too, or it was cut off.
    """
    try:
        answer = json.loads(completed.stdout)
    except (ValueError, RecursionError):  # the latter: it quotes what a user has written, nested without end
        answer = completed
    if not isinstance(answer, kinds):
        raise FailedError(
            f"{node.name} gave an answer that cannot be understood",
            code=code,
            hints=[f"nothing there may print by itself, see: `aiops node exec --on {node.name} -- true`"],
        )
    return answer


@cache
def _source(module: str, package: str = PACKAGE) -> str:
    return files(package).joinpath("remote", f"{module}.py").read_text(encoding="utf-8")


@cache
def _bound(modules: tuple[str, ...], package: str) -> str:
    return _LOAD.format(modules=[(name, _source(name, package)) for name in modules])
