"""The open lines of a controller, as `line.Lines` asks them to be: one thread for all nodes.

A defect of ours that is met while one node's line is served closes that line alone; one that is met while a rank
group's order is taken keeps that group's orders waiting. Both are tried again, each time later. Only a defect of the
loop itself ends the thread, and with it the controller (`controller/vigil.py`).
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiops.layers.core.errors import AiopsError, NotFoundError
from aiops.layers.l0_nodes.fleet import Fleet, Outcome
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Channel, Transport

from .attempt import Key
from .defects import Defects
from .node_line import NodeLine
from .orders import Call, Order, Orders
from .programs import agent_command
from .report import Heard, Report, Stepped
from .steady import Steady
from .strand import Reader, Strand
from .term import Term

_TICK = 0.1
_MANY = 50_000
"""Reports that wait to be taken; then, of what is told again anyway, only the newest stay."""


def read_nothing(line: str) -> None:
    """A reader that knows no signs."""
    del line


class OpenLines:
    """All lines; safe to use from several threads."""

    def __init__(
        self,
        fleet: Fleet,
        nodes: Mapping[str, Node],
        steady: Steady,
        *,
        logs: Callable[[Key, str, int, bytes], None],
        kept: Callable[[Key, str], int] = lambda _key, _node: 0,
        reader: Callable[[], Reader] = lambda: read_nothing,
        root: bool = True,
        base: str | None = None,
        term: Term | None = None,
        defects: Defects | None = None,
    ) -> None:
        """Connect to nobody yet.

        Args:
            fleet: Reaches the nodes.
            nodes: Those of the inventory, by name.
            steady: Says when something was heard.
            logs: Keeps a piece of output, which begins at so many bytes; called by the lines' own thread.
            kept: How many bytes of a rank group's output are kept already.
            reader: Makes what reads a log for signs of faults, one for each log.
            root: Whether agents run as root; without, only jobs of the login's own user can be started.
            base: The folder of attempts on nodes; None for the usual one.
            term: Of the controller, which nodes obey no more once they have seen a later one.
            defects: Is told of ours that a node's words have met.
        """
        self._fleet = fleet
        self._nodes = nodes
        self._steady = steady
        self._logs = logs
        self._kept = kept
        self._reader = reader
        self._root = root
        self._base = base
        self._term = term
        self._defects = defects or Defects()
        self._lines: dict[str, NodeLine] = {}
        self._mail: deque[tuple[str, Key | None, Order]] = deque()
        """What the thread is to do for a node: an order for a rank group, or what became of opening its line."""
        self._orders = Orders(self._defects)
        self._ring = threading.Event()
        self._reports: deque[Report] = deque()
        self._came = threading.Condition()
        self._news: set[str] = set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    # -- what controllers ask

    def start(self, key: Key, node: str, spec: Mapping[str, Any]) -> None:
        """Have the launcher of a rank group run on `node`, once, and follow it."""
        owner = int(spec["user"]["uid"])
        self._post(node, key, lambda: self._line(node).add(self._strand(key, node, owner, spec), self._steady()))

    def follow(self, key: Key, node: str, owner: int, *, awaited: bool = False) -> None:
        """Follow a launcher that somebody else has started, or will start."""

        def begin() -> None:
            strand = self._strand(key, node, owner, None)
            strand.awaited = awaited
            self._line(node).add(strand, self._steady())

        self._post(node, key, begin)

    def stop(self, key: Key, node: str, seconds: float) -> None:
        """Have a launcher ask its processes to leave."""
        self._post(node, key, lambda: self._line(node).stop(key, seconds))

    def kill(self, key: Key, node: str) -> None:
        """End a rank group at once."""

        def end() -> None:
            line = self._line(node)
            line.kill(line.strands.get(key) or self._ended(key, node), self._steady())

        self._post(node, key, end, ends=True)

    def dump(self, key: Key, node: str) -> None:
        """Have the stacks of its processes written to its log."""
        self._post(node, key, lambda: self._line(node).dump(key))

    def release(self, key: Key, node: str) -> None:
        """Forget a rank group that has ended."""
        self._post(node, key, lambda: self._line(node).release(key, self._steady()), ends=True)

    def reports(self, keys: Sequence[Key] | None = None) -> list[Report]:
        """What has come since the last call, of those attempts, or all that nobody else has taken."""
        with self._came:
            if keys is None:
                found = list(self._reports)
                self._reports.clear()
                return found
            wanted = frozenset(keys)
            found = [one for one in self._reports if getattr(one, "key", None) in wanted]
            if found:
                self._reports = deque(one for one in self._reports if getattr(one, "key", None) not in wanted)
            return found

    def wait(self, seconds: float) -> None:
        """Wait until a report has come, or `seconds` have passed."""
        with self._came:
            if not self._reports:
                self._came.wait(seconds)

    def close(self) -> None:
        """Let go of all nodes."""
        self._closed = True
        self._ring.set()
        if self._thread is not None:
            self._thread.join(5.0)

    # -- the thread

    def _post(self, node: str, key: Key | None, call: Call, *, ends: bool = False) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name="lines", daemon=True)
                self._thread.start()
        self._mail.append((node, key, Order(call, ends)))
        self._ring.set()

    def _serve(self) -> None:
        ticked = 0.0
        while not self._closed:
            self._ring.wait(_TICK)
            self._ring.clear()
            while self._mail:
                node, key, order = self._mail.popleft()
                if key is None:
                    self._guarded(node, order.call)
                else:
                    self._orders.take(node, key, order, self._steady())
            now = self._steady()
            while self._news:
                node = self._news.pop()
                self._guarded(node, partial(self._lines[node].news, now))
            if now - ticked >= _TICK:
                ticked = now
                for line in self._lines.values():
                    self._guarded(line.name, partial(self._tick, line, now))
                self._orders.again(now)
            self._connect(now)
        for line in self._lines.values():
            with suppress(Exception):  # the others are let go of too
                line.close()

    def _guarded(self, node: str, call: Call) -> None:
        """Serve a line; one that meets a defect is closed, and opened again later."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this node's alone
            self._hurt(node, error)

    def _hurt(self, node: str, error: Exception) -> None:
        why = self._defects.met(node, error, "its line is closed, and opened again later; other nodes are heard")
        line = self._lines.get(node)
        if line is not None:
            line.hurt(why, self._steady())

    def _tick(self, line: NodeLine, now: float) -> None:
        if line.tick(now):
            self._fleet.forget(self._nodes[line.name])

    def _connect(self, now: float) -> None:
        due = [line for line in self._lines.values() if line.wants_channel(now)]
        if not due:
            return
        for line in due:
            line.connecting = True
            if line.name not in self._nodes:
                error = NotFoundError(f"there is no node `{line.name}` in the inventory", code="node.unknown")
                line.failed(error, now)
        nodes = [self._nodes[line.name] for line in due if line.name in self._nodes]
        # A thread for each round: one that waits for a dead node must not keep the next round from its nodes.
        threading.Thread(target=self._open, args=(nodes,), name="lines-open", daemon=True).start()

    def _open(self, nodes: Sequence[Node]) -> None:
        """Open the lines to `nodes`; of each it is said what became of it, or its line would never be tried again."""
        left = [node.name for node in nodes]

        def work(transport: Transport) -> Channel | Exception:
            try:
                command = agent_command(transport.node, root=self._root, base=self._base, term=self._term)
                return transport.open(command)
            except AiopsError:
                raise
            except Exception as defect:  # noqa: BLE001 - told by the thread that serves this node's line
                return defect

        try:
            for outcome in self._fleet.each(nodes, work):
                left.remove(outcome.node.name)
                if self._closed and outcome.value is not None and not isinstance(outcome.value, Exception):
                    outcome.value.close()  # nobody takes it any more
                    continue
                self._post(outcome.node.name, None, partial(self._opened, outcome))
        except Exception as defect:  # noqa: BLE001 - of one whose connection cannot be made; nobody says which
            for name in left:
                self._post(name, None, partial(self._hurt, name, defect))

    def _opened(self, outcome: Outcome[Channel | Exception]) -> None:
        line, now = self._lines[outcome.node.name], self._steady()
        if isinstance(outcome.value, Exception):
            raise outcome.value
        if outcome.value is None:
            line.failed(outcome.error or AiopsError("it cannot be reached", code="line.unknown"), now)
            return
        for key in line.opened(outcome.value, now):
            if not self._orders.wait(line.name, key):
                self._orders.take(line.name, key, Order(partial(line.again, key)), now)

        def came() -> None:
            self._news.add(line.name)
            self._ring.set()

        outcome.value.on_news(came)

    def _line(self, node: str) -> NodeLine:
        if node not in self._lines:
            self._lines[node] = NodeLine(node, self._tell, self._keep, self._reader)
        return self._lines[node]

    def _strand(self, key: Key, node: str, owner: int, spec: Mapping[str, Any] | None) -> Strand:
        return Strand(key, node, owner, spec, self._reader(), log=self._kept(key, node))

    def _ended(self, key: Key, node: str) -> Strand:
        """One that is not known here and is only to be ended: that waits for no folder of logs."""
        with suppress(Exception):
            return self._strand(key, node, -1, None)
        return Strand(key, node, -1, None, read_nothing)

    def _keep(self, key: Key, node: str, offset: int, data: bytes) -> None:
        try:
            self._logs(key, node, offset, data)
        except OSError:
            return  # the controller says so itself when its disk is full; what runs goes on

    def _tell(self, report: Report) -> None:
        with self._came:
            if len(self._reports) >= _MANY:
                self._thin()
            self._reports.append(report)
            self._came.notify_all()

    def _thin(self) -> None:
        newest: dict[object, Report] = {}
        for one in self._reports:
            name: object = id(one)
            if isinstance(one, Heard):
                name = (Heard, one.node)
            elif isinstance(one, Stepped):
                name = (one.key, one.rank)
            newest.pop(name, None)
            newest[name] = one
        self._reports = deque(newest.values())
