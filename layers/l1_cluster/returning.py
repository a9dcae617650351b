"""Nodes that an interrupted run was rebooting come back by themselves: the next one waits for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiops.layers.core.clock import Clock
from aiops.layers.core.event import Event
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.node import Node

from .run import Runs
from .survey import Prober

REBOOT_STARTED = "reboot_started"
SECONDS = 1800.0
"""After so long a reboot has failed: as long as Ansible waits for one."""

_ENDS = ("reboot_finished", "node_finished")
_STEP = 2.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_ASK = Ask("returning", argv=("systemctl", "is-system-running"), paths=(_BOOT_ID,))


@dataclass(frozen=True, slots=True)
class Returning:
    """A node whose reboot was begun, and its end not seen.

    Attributes:
        boot_id: Of the boot before it; None where it was not known.
        at: When it was begun.
    """

    boot_id: str | None
    at: datetime


def returning(events: Iterable[Event]) -> dict[str, Returning]:
    """By node, the reboots that were begun in `events`, oldest first, and of which nothing was heard since. Pure."""
    found: dict[str, Returning] = {}
    for event in events:
        if event.node is None:
            continue
        if event.kind == REBOOT_STARTED:
            found[event.node] = Returning(event.data.get("boot_id"), event.at)
        elif event.kind in _ENDS:
            found.pop(event.node, None)
    return found


def returning_of(runs: Runs, cluster: str, clock: Clock) -> dict[str, Returning]:
    """The nodes of `cluster` that its latest runs were rebooting when they were cut off, and that may come back yet."""
    since = clock.now() - timedelta(seconds=SECONDS)
    going_on = [run.id for run in runs.running(cluster)]
    found = returning(runs.recently_told(cluster, (REBOOT_STARTED, *_ENDS), since, but=going_on))
    return {node: one for node, one in found.items() if _lasts(one, clock)}


def await_returning(
    prober: Prober,
    nodes: Sequence[Node],
    returning: Mapping[str, Returning],
    clock: Clock,
    on_back: Callable[[str], None] | None = None,
) -> None:
    """Wait until those of `nodes` that are `returning` have booted, or stay up, or have been away too long.

    Args:
        prober: Asks them.
        nodes: The chosen ones.
        returning: See `returning_of`.
        clock: The time.
        on_back: Told of each as it is back, for a screen.
    """
    waiting = [node for node in nodes if node.name in returning]
    while waiting := [node for node in waiting if _lasts(returning[node.name], clock)]:
        records = {one.node.name: one.value for one in prober.probe(waiting, lambda _node: (_ASK,))}
        back = {node.name for node in waiting if is_back(returning[node.name], records.get(node.name))}
        if on_back is not None:
            for name in sorted(back):
                on_back(name)
        waiting = [node for node in waiting if node.name not in back]
        if waiting:
            clock.sleep(_STEP)


def is_back(before: Returning, record: Record | None) -> bool:
    """Whether a node answers, and not only because it has not gone down yet. Pure.

    Args:
        before: How it was.
        record: What it says now; None where it does not answer.
    """
    if record is None:
        return False
    answer = record.answer(_ASK.name)
    boot_id = answer.files.get(_BOOT_ID, "").strip()
    return boot_id != before.boot_id or answer.stdout.strip() != "stopping"


def _lasts(one: Returning, clock: Clock) -> bool:
    return (clock.now() - one.at).total_seconds() < SECONDS
