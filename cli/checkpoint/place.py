"""Where the checkpoints are that a command is about: a path of this machine or of a node, or a job's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.layers.core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l0_nodes.transport import Transport
    from aiops.layers.l2_jobs.checkpoint.format import Formats
    from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor, NodeSurveyor

WhereArgument = Annotated[
    str, typer.Argument(metavar="JOB|PATH", help="A job, or a folder of checkpoints (a path has a `/` in it).")
]
NodeOption = Annotated[
    str | None,
    typer.Option("--on", "--limit", "--node", metavar="NODES", help="The node whose path it is. [this machine]"),
]
FormatOption = Annotated[
    str, typer.Option("--format", metavar="NAME", help="Only this format; `glob:PATTERN,MARKER` for any files.")
]


@dataclass(frozen=True)
class Where:
    """Where to look.

    Attributes:
        path: Absolute.
        format: As `format:` of a job.
        node: None for this machine.
    """

    path: str
    format: str
    node: str | None = None


@dataclass(frozen=True)
class Place:
    """An open way to what a command is about."""

    where: Where
    surveyor: "LocalSurveyor | NodeSurveyor"
    formats: "Formats"
    transport: "Transport"


def named_job(what: str) -> bool:
    """Whether a command line names a job, and no path."""
    return "/" not in what and what not in {".", ".."}


def job_place(aiops: App, name: str, format_: str) -> Where:
    """Where a job writes its checkpoints, as its own nodes see it.

    Raises:
        NotFoundError: There is no such job (`job.unknown`).
        InputError: It writes none.
    """
    from aiops.cli.counter import counter

    try:
        with counter(aiops) as desk:
            shown = desk.ask("show", job=name)
    except NotFoundError as error:
        path = f"a path has a `/` in it: `aiops checkpoint list ./{name}`"
        raise NotFoundError(error.message, code=error.code, hints=[*error.hints, path]) from error
    plan, attempt = shown["job"]["checkpoint"], shown["attempt"]
    if plan is None:
        raise InputError(
            f"{shown['id']} has no checkpoints: its job file names no folder for them",
            code="checkpoint.none",
            hints=[f"see what it is: `aiops job show {shown['id']}`"],
        )
    nodes = attempt["nodes"] if attempt is not None else shown["job"]["nodes"]["chosen"]
    return Where(plan["path"], plan["format"] if format_ == "auto" else format_, nodes[0] if nodes else None)


def found(aiops: App, what: str, format_: str, on: str | None) -> Where:
    """Where to look, as a command line says it.

    Raises:
        InputError: The path is of a node and not absolute.
        NotFoundError: There is no such job.
    """
    if named_job(what):
        return job_place(aiops, what, format_)
    if on is not None and not what.startswith("/"):
        raise InputError(
            f"`{what}` is not the absolute path of a folder on {on}",
            code="checkpoint.path",
            hints=["write it from the root on: `/shared/runs/llama`"],
        )
    return Where(what if on is not None else str(aiops.working_folder / Path(what).expanduser()), format_, on)


@contextmanager
def place(
    aiops: App, where: Where, inventory: Path | None, progress: Callable[[int], None] | None = None
) -> Iterator[Place]:
    """The way to where checkpoints are.

    Raises:
        InputError: There is no such format or node, or it is not one node.
    """
    from aiops.layers.l0_nodes.local import LocalTransport
    from aiops.layers.l0_nodes.node import Connection, Node
    from aiops.layers.l2_jobs.checkpoint.format import read_formats
    from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor, NodeSurveyor

    formats = read_formats(aiops.plugins, where.format)
    with ExitStack() as stack:
        if where.node is None:
            here = stack.enter_context(LocalTransport(Node("this machine", connection=Connection("local"))))
            yield Place(where, LocalSurveyor(progress), formats, here)
            return
        read = aiops.inventory(inventory)
        node = _one(where.node, read.select(where.node))
        fleet = stack.enter_context(aiops.fleet(read, [node], root=False))
        transport = fleet.transport(node)
        yield Place(where, NodeSurveyor(transport), formats, transport)


def _one(asked: str, nodes: "tuple[Node, ...]") -> "Node":
    if len(nodes) != 1:
        raise InputError(
            f"`{asked}` are {len(nodes)} nodes; a path is looked at on one",
            code="checkpoint.nodes",
            hints=[f"name one of them: `--on {nodes[0].name}`"],
        )
    return nodes[0]
