"""Asking many nodes at once, one round trip each: the remote probe goes in, raw answers come out."""

import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from aiops.layers.core.clock import Clock
from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError

from .ask import Answer, Ask, Record, answer_of
from .fleet import Fleet, Outcome
from .node import Node
from .transport import Transport

SECONDS = 20.0
"""After so long a node answers with what it has."""

MAX_BYTES = 8 * 1024 * 1024
"""Text of one node in all."""

CLOCK = "probe.clock"
PYTHON = "probe.python"
GRACE = 10.0
"""For starting Python and sending the answers."""

_MARK = b'{"aiops_probe": 1,'
_NOT_FOUND = 127


def probe(
    fleet: Fleet,
    nodes: Iterable[Node],
    asks_for: Callable[[Node], tuple[Ask, ...]],
    clock: Clock,
    seconds: float = SECONDS,
    *,
    keep: bool = True,
) -> Iterator[Outcome[Record]]:
    """Ask every node, as root, and yield the records as they come.

    Args:
        fleet: How nodes are reached.
        nodes: Whom to ask.
        asks_for: What to ask of a node.
        clock: Says when an answer came.
        seconds: After so long a node answers with what it has.
        keep: Whether connections stay open, see `Fleet.each`.
    """

    def ask(transport: Transport) -> tuple[Completed, datetime]:
        node = transport.node
        return transport.run(command(node, asks_for(node), seconds)), clock.now()

    # Read where they are taken, one at a time: read where they come, many would be in memory several times over.
    return map(_read, fleet.each(nodes, ask, keep=keep))


def _read(outcome: Outcome[tuple[Completed, datetime]]) -> Outcome[Record]:
    if outcome.value is None:
        return Outcome(outcome.node, error=outcome.error)
    try:
        return Outcome(outcome.node, value=record_of(outcome.node, *outcome.value))
    except AiopsError as error:
        return Outcome(outcome.node, error=error)


def longest(asks: Iterable[Ask]) -> float:
    """Seconds after which a node answers that is asked `asks`: each that measures alone has its own time on top."""
    return SECONDS + sum(ask.timeout for ask in asks if ask.alone)


def command(node: Node, asks: Iterable[Ask], seconds: float = SECONDS) -> Command:
    """What is run on `node` to have `asks` answered within `seconds`."""
    call = f"\nmain(json.loads({json.dumps(json.dumps(request_of(asks, seconds)))}))\n"
    python = shlex.split(node.connection.python or "") or ["python3"]
    return Command((*python, "-I", "-S", "-"), stdin=(source() + call).encode(), timeout=seconds + GRACE, root=True)


def request_of(asks: Iterable[Ask], seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """What the remote probe's `main` is given to have `asks` answered within `seconds`, by so much text in all."""
    asks = tuple(asks)
    return {
        "seconds": seconds,
        **({"shared_seconds": SECONDS} if any(ask.alone for ask in asks) else {}),
        "max_bytes": max_bytes,
        "asks": [ask.document() for ask in asks],
    }


@cache
def source() -> str:
    """The text of the remote probe."""
    return files("aiops.layers.l0_nodes.remote").joinpath("probe.py").read_text("utf-8")


def record_of(node: Node, done: Completed, at: datetime) -> Record:
    """The record in what the remote probe printed. Pure.

    Raises:
        FailedError: There is none, because Python is missing or something else went wrong there.
    """
    start = done.stdout.rfind(_MARK)
    if start < 0:
        raise _no_record(node, done)
    end = done.stdout.find(b"\n", start)
    try:
        document = json.loads(done.stdout[start : None if end < 0 else end])  # large: not copied more than it must be
        answers = {str(values["name"]): answer_of(values) for values in document["answers"]}
        answers[CLOCK] = Answer(CLOCK, 0, stdout=str(float(document["clock"])))
        answers[PYTHON] = Answer(PYTHON, 0, stdout=str(document["python"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FailedError(
            f"{node.name}: the answers of the probe are garbled: {error}", code="probe.garbled"
        ) from error
    return Record(node.name, at, answers)


def _no_record(node: Node, done: Completed) -> FailedError:
    program = done.command.argv[0]
    said = done.error_text or done.text.strip()
    if done.timed_out:
        return FailedError(
            f"{node.name}: the probe did not end within {done.command.timeout:g} s", code="probe.timeout"
        )
    if done.exit_status == _NOT_FOUND or f"{program}: command not found" in said:
        return FailedError(
            f"{node.name}: there is no `{program}`",
            code="probe.no_python",
            hints=[
                f"install it: `aiops node exec --on {node.name} --root -- apt-get install -y python3`",
                "or name another one: `ansible_python_interpreter` in the inventory",
            ],
        )
    last = said.splitlines()[-1][:300] if said else "it said nothing"
    return FailedError(f"{node.name}: the probe failed with status {done.exit_status}: {last}", code="probe.failed")
