"""How a deploy asks nodes: facts and whatever else, in one round trip each."""

from collections.abc import Iterator, Sequence

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
        self._asks = fact_asks(self._vendors)

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        """The records of `nodes` as they come."""
        return probe(self._fleet, nodes, asks_for, self._clock)

    def fact_asks(self, node: Node) -> tuple[Ask, ...]:
        """What is asked of every node for its facts, the vendors' questions too."""
        del node
        return self._asks

    def facts(self, record: Record) -> Facts:
        """The facts in a record."""
        return facts_of(record, self._vendors)
