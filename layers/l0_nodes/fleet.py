"""Many nodes at once. The only place with fan-out; a node's failure is a value, never an exception mid-loop."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

from aiops.layers.core.errors import AiopsError

from .node import Node
from .transport import Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of the work on one node: a value, or the error that stopped it."""

    node: Node
    value: T | None = None
    error: AiopsError | None = None


class Fleet:
    """Connections to nodes, one per node per process, opened when first needed and closed together."""

    def __init__(self, connect: Callable[[Node], Transport], *, width: int = 32) -> None:
        """Prepare; nothing is connected yet.

        Args:
            connect: Makes the transport of a node; called once per node.
            width: How many nodes are worked on at once.
        """
        self._connect = connect
        self._width = width
        self._transports: dict[str, Transport] = {}
        self._passing: set[Transport] = set()
        """Those that are closed as soon as they have been used once, and are nobody else's."""
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """How many nodes are worked on at once."""
        return self._width

    def transport(self, node: Node) -> Transport:
        """The one transport of `node`; made on the first call."""
        with self._lock:
            if node.name not in self._transports:
                self._transports[node.name] = self._connect(node)
            return self._transports[node.name]

    def each(self, nodes: Iterable[Node], work: Callable[[Transport], T], *, keep: bool = True) -> Iterator[Outcome[T]]:
        """Do `work` on every node, `width` at a time; yield outcomes as they come.

        The threads are daemons and nobody joins them: leaving early (an error, Ctrl-C) begins no further node and waits
        for none, and what still runs on nodes ends by its own timeout, or when the connections are closed.

        Only `AiopsError` is a node's failure; anything else is a defect of ours and is raised.

        Args:
            nodes: Whom to work on.
            work: What is done with each.
            keep: Whether connections stay open for what comes next. Each costs a thread and an open file, of which a
                process may often have 1,024: what asks a large fleet once keeps none but those that are open already.
        """
        waiting = deque(nodes)
        # So many are begun and not yet taken: answers that came faster than they are judged would fill the memory.
        room = threading.Semaphore(self._width)
        finished: SimpleQueue[Outcome[T] | BaseException] = SimpleQueue()

        def worker() -> None:
            while True:
                room.acquire()
                try:
                    node = waiting.popleft()
                except IndexError:
                    return
                try:
                    finished.put(self._one(node, work, keep=keep))
                except BaseException as defect:  # noqa: BLE001 - raised again where the outcomes are taken
                    finished.put(defect)

        count = len(waiting)
        for number in range(min(self._width, count)):
            threading.Thread(target=worker, name=f"fleet-{number}", daemon=True).start()
        try:
            for _ in range(count):
                outcome = finished.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
                room.release()
        finally:
            waiting.clear()
            room.release(count + self._width)  # whoever waits for it finds nothing to begin

    def _one(self, node: Node, work: Callable[[Transport], T], *, keep: bool) -> Outcome[T]:
        passing = None
        try:
            with self._lock:
                if not keep and node.name not in self._transports:
                    passing = self._connect(node)
                    self._passing.add(passing)
            return Outcome(node, value=work(passing or self.transport(node)))
        except AiopsError as error:
            return Outcome(node, error=error)
        finally:
            if passing is not None:
                passing.close()
                with self._lock:
                    self._passing.discard(passing)

    def forget(self, node: Node) -> None:
        """Close the connection to `node`, which nobody hears on it any more; the next use makes a new one."""
        with self._lock:
            transport = self._transports.pop(node.name, None)
        if transport is not None:
            transport.close()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            transports = [*self._transports.values(), *self._passing]
            self._transports, self._passing = {}, set()
        for transport in transports:
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
