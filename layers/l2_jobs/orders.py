"""Orders for rank groups on nodes, each taken once and in its turn; one that meets a defect is taken again later."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from .attempt import Key
from .defects import Defects, Setback

Call = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a rank group.

    Attributes:
        ends: Whether it ends the group, or lets it go: what waits to begin or to guide it is not wanted any more.
    """

    call: Call
    ends: bool = False


@dataclass(slots=True)
class _Delayed:
    """Orders for one rank group, of which the first has met a defect."""

    setback: Setback
    orders: deque[Order] = field(default_factory=deque)


class Orders:
    """Of one controller's lines; used by one thread.

    What is asked of one group is done in the order in which it was asked, so that nothing is begun after it was let go;
    but what ends it waits for nothing that cannot be begun. No other group waits for it.
    """

    def __init__(self, defects: Defects) -> None:
        """`defects` is told of ours that an order has met."""
        self._defects = defects
        self._delayed: dict[tuple[str, Key], _Delayed] = {}

    def take(self, node: str, key: Key, order: Order, now: float) -> None:
        """Do it, or have it wait behind those that wait already."""
        delayed = self._delayed.get((node, key))
        if delayed is not None and order.ends:
            delayed.orders = deque(one for one in delayed.orders if one.ends)
        if delayed is not None and delayed.orders:
            delayed.orders.append(order)
            return
        self._delayed.pop((node, key), None)
        if not self._done(node, key, order):
            self._delayed[node, key] = _Delayed(Setback().again(now), deque([order]))

    def wait(self, node: str, key: Key) -> bool:
        """Whether some wait for one rank group."""
        return (node, key) in self._delayed

    def again(self, now: float) -> None:
        """Do what waits and is due."""
        for (node, key), delayed in list(self._delayed.items()):
            while delayed.orders and now >= delayed.setback.until:
                if self._done(node, key, delayed.orders[0]):
                    delayed.orders.popleft()
                else:
                    delayed.setback = delayed.setback.again(now)
            if not delayed.orders:
                del self._delayed[node, key]

    def _done(self, node: str, key: Key, order: Order) -> bool:
        try:
            order.call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this group's alone
            self._defects.met(f"{key} on {node}", error, "what was asked there is tried again")
            return False
        return True
