"""How a deploy asks nodes: facts and whatever else, in one round trip each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aiops.layers.core.clock import Clock
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Fleet, Outcome
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.probe import probe
from aiops.layers.l0_nodes.vendor import Vendor

from .survey import AsksFor


class FleetProber:
    """Asks over the connections of a fleet."""

    def __init__(self, fleet: Fleet, vendors: Sequence[Vendor], clock: Clock) -> None:
        self._fleet = fleet
        self._vendors = tuple(vendors)
        self._clock = clock
        self._asks = {True: fact_asks(self._vendors), False: fact_asks()}

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        """The records of `nodes` as they come."""
        return probe(self._fleet, nodes, asks_for, self._clock)

    def fact_asks(self, node: Node, *, devices: bool = True) -> tuple[Ask, ...]:
        """What is asked of every node for its facts, and with `devices` the vendors' questions too."""
        del node
        return self._asks[devices]

    def facts(self, record: Record, devices_of: Facts | None = None) -> Facts:
        """The facts in a record, with the devices of earlier ones where it was not asked for them."""
        found = facts_of(record, self._vendors)
        if devices_of is None:
            return found
        told = {subject: why for subject, why in devices_of.unknown.items() if _of_devices(subject)}
        rest = {subject: why for subject, why in found.unknown.items() if not _of_devices(subject)}
        return replace(
            found,
            accelerators=devices_of.accelerators,
            driver_mismatch=devices_of.driver_mismatch,
            unknown={**rest, **told},
        )


def _of_devices(subject: str) -> bool:
    return subject.partition(".")[0] == "accelerators"
