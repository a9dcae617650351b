"""Footing: what a job would stand on at each node. Asked in two rounds, one of them of a single node.

Whether a folder is the same on two nodes is proved, not guessed from names and numbers of devices: a mark that one
leaves there is seen by the other. It is gone again when the rounds have ended, or the next such job takes it away.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command, program

from .job import Job

_PACKAGE = "aiops.layers.l2_jobs"
_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder as the job's user finds it.

    Attributes:
        why: Why it will not do; None where it does.
        same: Whether it is the one that the first node sees; None where that was not asked, or could not be.
    """

    path: str
    why: str | None = None
    same: bool | None = None


@dataclass(frozen=True, slots=True)
class Footing:
    """What a node has of what a job needs.

    Attributes:
        uid: The number of its account there; None where there is no such account.
        silent: Why it could not be asked; empty where it has answered.
    """

    node: str
    uid: int | None = None
    gid: int | None = None
    grounds: tuple[Ground, ...] = ()
    silent: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """What is asked of nodes.

    Attributes:
        folders: Paths, each with whether it is written to; those must be the same on all.
        token: Names the mark; unguessable, so that nobody can leave it beforehand.
    """

    user: str
    folders: tuple[tuple[str, bool], ...]
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def command(self, node: Node, action: str) -> Command:
        """What runs on a node.

        Args:
            node: The node.
            action: With the mark: `leave`, `see` or `take`.
        """
        folders = [{"path": path, "write": write} for path, write in self.folders]
        spec = {"user": self.user, "folders": folders, "token": self.token, "action": action}
        return command(node, program(("footing",), f"main({spec!r})", _PACKAGE), timeout=_SECONDS)


def need_of(job: Job) -> Need:
    """What `job` needs of a node. Where it begins must be there, where it saves must be the same everywhere."""
    folders = [(job.folder, False)]
    if job.checkpoint is not None:
        folders.append((job.checkpoint.path, True))
    return Need(job.owner.user, tuple(folders))


def footings(fleet: Fleet, nodes: Sequence[Node], need: Need) -> dict[str, Footing]:
    """What each of `nodes` says; the first that answers well leaves the mark, the others look for it."""
    found: dict[str, Footing] = {}
    waiting = list(nodes)
    while waiting:
        first = waiting.pop(0)
        found[first.name] = _asked(fleet, first, need, "leave")
        if any(ground.same for ground in found[first.name].grounds) or not any(write for _, write in need.folders):
            break
    else:
        return found
    try:
        for outcome in fleet.each(waiting, lambda transport: _ask(transport, need, "see"), keep=False):
            name = outcome.node.name
            found[name] = outcome.value or Footing(name, silent=outcome.error.message if outcome.error else "")
    finally:
        _asked(fleet, first, need, "take")
    return found


def _asked(fleet: Fleet, node: Node, need: Need, action: str) -> Footing:
    try:
        return _ask(fleet.transport(node), need, action)
    except AiopsError as error:
        return Footing(node.name, silent=error.message)


def _ask(transport: Transport, need: Need, action: str) -> Footing:
    node = transport.node
    done = transport.run(need.command(node, action))
    if not done.ok:
        raise failed(node, done, "job.footing")
    return _read(node.name, answer_of(node, done, "job.footing", dict))


def failed(node: Node, done: Completed, code: str) -> FailedError:
    """The error of a node whose question ended badly."""
    said = "it did not answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason"])[-1]
    return FailedError(f"{node.name} could not be asked: {said}", code=code)


def _read(name: str, answer: Mapping[str, Any]) -> Footing:
    account, folders = answer.get("account"), answer.get("folders")
    if account is None:
        return Footing(name)
    if not isinstance(folders, list):
        silent = "a folder of the job did not answer in time: its file server may be away"
        return Footing(name, account["uid"], account["gid"], silent=silent)
    grounds = tuple(Ground(str(one["path"]), one["why"], one["seen"]) for one in folders)
    return Footing(name, account["uid"], account["gid"], grounds)
