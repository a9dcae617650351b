"""How a deploy goes over many nodes: in which batches, and how many failures stop it. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiops.layers.core.errors import AiopsError, InputError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

_SHARE = re.compile(r"(\d{1,9})(%?)", re.ASCII)
_ALL = 100
_WORKER, _HEAD = "workers", "head"


@dataclass(frozen=True, slots=True)
class Share:
    """So many nodes (`4`), or so many of a hundred (`10%`)."""

    number: int
    percent: bool = False

    @classmethod
    def read(cls, text: str, option: str, *, least: int = 1) -> Self:
        """The share that `text` says.

        Args:
            text: `4` or `10%`.
            option: Where it was typed, for the message.
            least: The smallest number that makes sense there.

        Raises:
            InputError: It is neither, or out of bounds (`usage.share`).
        """
        found = _SHARE.fullmatch(text.strip())
        if found is None:
            wrong = "is neither a number of nodes nor a percentage of them"
        elif int(found[1]) < least:
            wrong = f"is less than {least}"
        elif found[2] and int(found[1]) > _ALL:
            wrong = "is more than all nodes"
        else:
            return cls(int(found[1]), bool(found[2]))
        raise InputError(
            f"`{option} {text}` {wrong}",
            code="usage.share",
            hints=[f"as in `{option} 4` or `{option} 10%`"],
        )

    def of(self, total: int) -> int:
        """How many that is of `total` nodes; part of a node is none."""
        return total * self.number // _ALL if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Nodes that go through all phases together.

    Attributes:
        number: Counted from 1.
        of: How many batches there are.
    """

    nodes: tuple[Node, ...]
    number: int = 1
    of: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its nodes."""
        return tuple(node.name for node in self.nodes)

    def __str__(self) -> str:
        return f"batch {self.number} of {self.of}"


def batches(nodes: Sequence[Node], size: Share | None, needed: Collection[str] = ()) -> tuple[Batch, ...]:
    """All of `nodes` in their order: those that serve the others first, then workers, `size` at a time.

    The head, nodes that are no workers and those that are `needed` are one batch of its own, so that workers find it
    done. A worker that is a storage or a login node too is a worker.

    Args:
        nodes: Whom the rollout is about.
        size: Of the workers; a percentage is at least one node. None: all nodes are one batch.
        needed: Names of workers that others cannot do without.
    """
    if size is None:
        return (Batch(tuple(nodes)),)
    first = tuple(node for node in nodes if node.name in needed or not _only_works(node))
    workers = [node for node in nodes if node.name not in needed and _only_works(node)]
    step = max(1, size.of(len(workers)))
    parts = [first] if first else []
    parts += [tuple(workers[start : start + step]) for start in range(0, len(workers), step)]
    return tuple(Batch(part, number, len(parts)) for number, part in enumerate(parts, 1))


def _only_works(node: Node) -> bool:
    return _WORKER in node.roles and _HEAD not in node.roles


def in_words(parts: Sequence[Batch]) -> str:
    """Batches in a line: `5 batches: head, then 4 of at most 2 nodes`; empty where there is but one."""
    if len(parts) < 2:  # noqa: PLR2004 - one is no batch
        return ""
    first, *rest = parts
    largest = max(len(part.nodes) for part in rest)
    several = f"{len(rest)} of {'at most ' if len(rest[-1].nodes) < largest else ''}{largest}"
    nodes = f"node{'s' * (largest != 1)}"
    alike = len(first.nodes) == len(rest[0].nodes) and all(_only_works(node) for node in first.nodes)
    if alike:
        return f"{len(parts)} batches of {'at most ' if len(rest[-1].nodes) < largest else ''}{largest} {nodes}"
    then = f"then {several} {nodes}" if len(rest) > 1 else f"then {fold(rest[0].names)}"
    return f"{len(parts)} batches: {fold(first.names)}, {then}"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a rollout ended before its end.

    Attributes:
        phase: In which phase too many nodes had failed.
        batch: In which batch.
        failed: How many nodes had failed by then.
        total: How many the rollout works on.
        limit: What was allowed; None: any number.
        halted: Nodes of that batch that had not failed and did not come to its end.
        left: Nodes that were not begun.
        error: What ended it, where that is not too many failures: the cluster lock was lost, or its keeper is away.
    """

    phase: str
    batch: Batch
    failed: int
    total: int
    limit: Share | None
    halted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    error: AiopsError | None = None

    @property
    def place(self) -> str:
        """``phase `base` of batch 2 of 5``."""
        return f"phase `{self.phase}`{f' of {self.batch}' if self.batch.of > 1 else ''}"

    def __str__(self) -> str:
        why = f"{self.failed} of {self.total} nodes had failed"
        if self.error is not None:
            why = self.error.message
        elif self.limit is not None:
            why += f", and `--max-fail {self.limit}` allows {self.limit.of(self.total) or 'none'}"
        return f"the rollout stopped in {self.place}: {why}"

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "phase": self.phase,
            "batch": self.batch.number,
            "batches": self.batch.of,
            "failed": self.failed,
            "nodes": self.total,
            "limit": None if self.limit is None else str(self.limit),
            "error": None if self.error is None else {"code": self.error.code, "message": self.error.message},
            "halted": list(self.halted),
            "not_begun": list(self.left),
        }


def too_many(failed: int, total: int, limit: Share | None) -> bool:
    """Whether more nodes have failed than `limit` allows of `total`; without a limit never."""
    return limit is not None and failed > limit.of(total)
