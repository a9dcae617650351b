"""One round of pairs, carried out: our own test, and the site's for those that have passed it, in the time there is."""

from collections.abc import Callable, Mapping

from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.fleet import Fleet

from . import pair_trial
from .action import TryPairs
from .pair_own import SECONDS, OwnTest, own_pairs
from .pair_probe import End, probe_pairs
from .pair_test import Paired
from .record import JobRecord
from .spec import PORTS

_LEAVING = 4.0
"""Seconds in which all processes of a test are gone."""


def carry_out(
    fleet: Fleet,
    ends: Mapping[str, End],
    record: JobRecord,
    order: TryPairs,
    *,
    vendors: Mapping[str, str | None],
    now: Callable[[], float],
    waits: Callable[[], bool],
    own: tuple[str, ...] = (),
) -> Paired:
    """Have the nodes of a job test each other, over the addresses and ports that its ranks have.

    Args:
        fleet: The way to the nodes.
        ends: The nodes, by name; one that is no longer there is not in it.
        record: Of the job.
        order: Whom to test with whom.
        vendors: Who made the nodes' accelerators.
        now: The steady clock: once the job goes on, nothing of a test may be left on its nodes.
        waits: Whether the job still waits for it: nothing more is begun otherwise.
        own: The site's own test, for the pairs that have passed ours.

    Raises:
        FailedError: There is no time left (`job.pair_test`).
    """
    until = pair_trial.SECONDS + (record.trial.began if record.trial is not None else 0.0) - _LEAVING
    if now() >= until:
        raise FailedError(f"the nodes of {order.key} are not tested any more: its time is over", code="job.pair_test")
    results = probe_pairs(fleet, ends, order.pairs, range(order.port + 1, order.port + PORTS))
    seconds = min(SECONDS, until - now())
    if own and seconds > 0 and record.trial is not None and waits():
        most = record.job.devices.count  # a spare is kept whole, and lends as many as the job has of a node
        slots = record.trial.slots
        devices = {slot.node: (vendors[slot.node], slot.devices[:most]) for slot in slots if slot.node in vendors}
        results = own_pairs(fleet, ends, results, OwnTest(own, record.job, order.port, devices, seconds))
    return Paired(order.key.number, order.number, results)
