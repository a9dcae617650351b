"""The programs that run on nodes for jobs, as text: the launcher, and the agent that brings it along."""

import shlex
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.script import program

from .term import Term

_PACKAGE = "aiops.layers.l2_jobs"
LAUNCHER = (
    *(
        "beat",
        "lease",
        "processes",
        "spool",
        "output",
        "steps",
        "fence",
        "stacks",
        "peers",
        "control",
        "readiness",
        "work",
    ),
    "launcher",
)
"""Its modules, each after those that it imports."""

_AGENT = (
    *("lease", "processes", "spool", "errands", "units", "kernel", "folders", "terms", "follower", "group", "head"),
    "agent",
)
PAIR = ("pair_wire", "pair")
_BOOT = """
import os, zlib
def take(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            raise SystemExit("the channel closed before the program had come")
        data += piece
    return data
exec(compile(zlib.decompress(take(int(take(8)))), "agent", "exec"))
"""
"""Reads a program of so many bytes, in eight digits, from stdin; what follows there is the program's own."""


@cache
def launcher_program() -> str:
    """The launcher, to be run as `python3 -I -S FILE FOLDER`."""
    return program(LAUNCHER, "main(_sys.argv[1], leave=True)", _PACKAGE)


@cache
def _agent(base: str | None, term: Term | None) -> bytes:
    said = None if term is None else (term.lineage, term.number)
    return _packed(program(_AGENT, f"serve({launcher_program()!r}, {base!r}, {said!r})", _PACKAGE))


def _packed(source: str) -> bytes:
    packed = zlib.compress(source.encode(), 9)
    return b"%08d%s" % (len(packed), packed)


def agent_command(node: Node, *, root: bool = True, base: str | None = None, term: Term | None = None) -> Command:
    """The command that runs the agent on `node`; the channel goes on behind it.

    Args:
        node: Where it runs.
        root: Whether as root; otherwise it can only start what its own user owns.
        base: The folder of all attempts; None for the usual one.
        term: Of the controller; a node that has seen a later one refuses it. None where nobody is to be told apart.
    """
    return _talking(node, _agent(base, term), root=root)


def listener_command(node: Node, spec: Mapping[str, Any]) -> Command:
    """The command that listens on `node` for the other one of a pair, and says where as soon as it does."""
    return _talking(node, _packed(program(PAIR, f"listen({dict(spec)!r})", _PACKAGE)), root=True)


def _talking(node: Node, packed: bytes, *, root: bool) -> Command:
    python = shlex.split(node.connection.python or "") or ["python3"]
    return Command((*python, "-I", "-S", "-c", _BOOT), stdin=packed, root=root)
