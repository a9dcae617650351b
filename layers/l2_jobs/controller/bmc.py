"""The BMC of a node, asked for the controller: at once, and once more where it says `off`."""

import time
from collections.abc import Callable

from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.power import PowerAnswer, ask_power
from aiops.layers.l2_jobs.power import APART, PowerTold

_PAUSE = APART + 0.1
"""Seconds from the first answer to the second question; more than it takes, since clocks round."""


def told_of_power(
    node: Node,
    now: Callable[[], float],
    *,
    ask: Callable[[Node], PowerAnswer] = ask_power,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[PowerTold, ...]:
    """What a node's BMC says; one `off` proves nothing, so it is asked for twice.

    Args:
        node: The node.
        now: The steady clock.
        ask: Who asks; it never fails.
        pause: Waits for so many seconds.
    """
    first = _told(node, now, ask)
    if first.state != "off":
        return (first,)
    while (left := first.at + _PAUSE - now()) > 0:
        pause(left)
    return first, _told(node, now, ask)


def _told(node: Node, now: Callable[[], float], ask: Callable[[Node], PowerAnswer]) -> PowerTold:
    asked = now()
    said = ask(node)
    return PowerTold(node.name, asked, now(), said.state, said.words)
