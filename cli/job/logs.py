"""`aiops job logs`: what the processes of every rank wrote; of a job that failed first what went wrong first."""

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from aiops.cli.app import App
from aiops.cli.cell import clean
from aiops.cli.counter import Counter, counter
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import FollowOption, InventoryOption, JsonOption, OnOption, QuietOption
from aiops.cli.screen import Screen

from .following import AT_REST, LOOK_SECONDS
from .options import AttemptOption, JobArgument

if TYPE_CHECKING:
    from aiops.layers.core.clock import Clock

_TRACED = 64 * 1024 * 1024
"""Bytes of a log that are searched for the first traceback."""


def logs(
    context: typer.Context,
    job: JobArgument,
    *,
    follow: FollowOption = False,
    attempt: AttemptOption = None,
    on: OnOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Print the logs of all ranks of the last attempt; `-f` goes on with what comes, also in later attempts.

    Of a job that failed, the first traceback of the rank that failed first stands before them.
    """
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        found = desk.ask("logs", job=job, attempt=attempt)
        if follow:
            _follow(desk, screen, aiops.clock, found, attempt=attempt, on=on)
            return Exit.DONE
        log = found["log"]
        nodes = _nodes(log, on)
        cause = _cause(desk, found) if attempt is None or (log and log["failed"]) else None
        if json:
            texts = {node: "".join(_text(desk, found["id"], log["number"], node)) for node in nodes}
            screen.document(
                {
                    "job": found["id"],
                    "state": found["state"],
                    "attempt": None if log is None else log["number"],
                    "failed": None if log is None else log["failed"],
                    "traceback": cause,
                    "logs": texts,
                }
            )
            return Exit.DONE
        if log is None or not log["files"]:
            screen.note(f"{found['id']} has written nothing yet: it is {found['state']}")
            return Exit.DONE
        if cause is not None:
            _show_cause(screen, log, cause)
        for node in nodes:
            _print(screen, _text(desk, found["id"], log["number"], node), node if len(nodes) > 1 else None)
    return Exit.DONE


def _nodes(log: dict[str, Any] | None, on: str | None) -> list[str]:
    if log is None:
        return []
    from aiops.layers.l0_nodes.nodeset import expand

    names = [one["node"] for one in log["files"]]
    wanted = None if on is None else set(expand(on))
    order = {node: number for number, node in enumerate(log["nodes"])}
    return sorted((one for one in names if wanted is None or one in wanted), key=lambda one: order.get(one, len(order)))


def _cause(desk: Counter, found: dict[str, Any]) -> list[str] | None:
    """The first traceback of the first rank that failed; None where nothing failed, or none is there."""
    from aiops.layers.l2_jobs.fault.traceback import first_traceback

    log = found["log"]
    if log is None or (found["state"] in {"succeeded", "cancelled"} and not log["failed"]):
        return None
    if not log["failed"] and found["state"] not in {"failed", "held"}:
        return None
    order = [log["failed"]["node"]] if log["failed"] else log["nodes"]
    for node in order:
        text = "".join(_text(desk, found["id"], log["number"], node, most=_TRACED))
        traced = first_traceback(text.splitlines())
        if traced is not None:
            return list(traced.lines)
    return None


def _show_cause(screen: Screen, log: dict[str, Any], cause: list[str]) -> None:
    from aiops.layers.l2_jobs.report import ended_with

    failed = log["failed"]
    who = "what went wrong first" if failed is None else f"rank {failed['rank']} on {failed['node']} failed first"
    status = "" if failed is None else f" (it {ended_with(failed['status'])})"
    screen.line(f"attempt {log['number']}: {who}{status}:")
    for line in cause:
        screen.line(f"  {clean(line)}")
    screen.line("")


def _text(desk: Counter, job: str, attempt: int, node: str, most: int | None = None) -> Iterator[str]:
    """A log from its beginning, in pieces."""
    offset = 0
    decoder = _Decoder()
    while most is None or offset < most:
        piece = desk.ask("log", job=job, attempt=attempt, node=node, offset=offset)
        if piece["next"] == offset:
            break
        offset = piece["next"]
        yield decoder.text(piece["data"])
    yield decoder.rest()


class _Decoder:
    """Text of pieces that may end within a character; what is no text, and holes, show as such."""

    def __init__(self) -> None:
        import codecs

        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, data: str) -> str:
        return self._decoder.decode(base64.b64decode(data)).replace("\0", "")

    def rest(self) -> str:
        return self._decoder.decode(b"", final=True)


class _Lines:
    """Whole lines of pieces."""

    def __init__(self) -> None:
        self._left = ""

    def of(self, text: str) -> list[str]:
        *whole, self._left = (self._left + text).split("\n")
        return whole

    def rest(self) -> list[str]:
        left, self._left = self._left, ""
        return [left] if left else []


def _print(screen: Screen, pieces: Iterator[str], node: str | None) -> None:
    lines = _Lines()
    for piece in pieces:
        _say(screen, lines.of(piece), node)
    _say(screen, lines.rest(), node)


def _say(screen: Screen, lines: list[str], node: str | None) -> None:
    head = f"{node}: " if node else ""
    if lines:
        screen.text("".join(f"{head}{_harmless(line, screen)}\n" for line in lines))


def _harmless(line: str, screen: Screen) -> str:
    """A line for a terminal cannot drive it; elsewhere it is as it was written."""
    return clean(line) if screen.terminal else line.rstrip("\r")


def _follow(
    desk: Counter, screen: Screen, clock: "Clock", found: dict[str, Any], *, attempt: int | None, on: str | None
) -> None:
    """Print what comes until the job is at rest and everything was printed, over all its attempts."""
    reel: _Reel | None = None
    while True:
        ended = found["state"] in AT_REST
        log = found["log"]
        if log is not None and (reel is None or reel.number != log["number"]):
            if reel is not None:
                reel.end()
                screen.note(f"attempt {log['number']} on {', '.join(log['nodes'])}")
            reel = _Reel(desk, screen, found["id"], log)
        if reel is not None and log is not None:
            reel.go_on(_nodes(log, on))
        if ended:
            clock.sleep(LOOK_SECONDS)  # what was written last may come after the word that it has ended
            if reel is not None:
                reel.end()
            screen.note(f"{found['id']} {found['state']}" + (f": {found['reason']}" if found["reason"] else ""))
            return
        clock.sleep(LOOK_SECONDS)
        found = desk.ask("logs", job=found["id"], attempt=attempt)


class _Reel:
    """The logs of one attempt as they are printed."""

    def __init__(self, desk: Counter, screen: Screen, job: str, log: dict[str, Any]) -> None:
        self.number: int = log["number"]
        self._desk = desk
        self._screen = screen
        self._job = job
        self._several = len(log["nodes"]) > 1
        self._places: dict[str, tuple[int, _Decoder, _Lines]] = {}

    def go_on(self, nodes: list[str]) -> None:
        """Print what has come on `nodes`."""
        for node in nodes:
            offset, decoder, lines = self._places.get(node) or (0, _Decoder(), _Lines())
            while True:
                piece = self._desk.ask("log", job=self._job, attempt=self.number, node=node, offset=offset)
                if piece["next"] == offset:
                    break
                offset = piece["next"]
                self._tell(node, lines.of(decoder.text(piece["data"])))
            self._places[node] = (offset, decoder, lines)

    def end(self) -> None:
        """Print what is left, also of a last line without an end."""
        self.go_on(list(self._places))
        for node, (_, decoder, lines) in self._places.items():
            self._tell(node, lines.of(decoder.rest()) + lines.rest())

    def _tell(self, node: str, lines: list[str]) -> None:
        if not self._screen.json:
            _say(self._screen, lines, node if self._several else None)
            return
        for line in lines:
            self._screen.record({"attempt": self.number, "node": node, "line": line})
