"""What a command has that changes something of a cluster beside deploys: a journal, the fleet, the cluster's lock."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cluster.membership import everyone
from .cluster.succession import lock_of, succeed
from .journal import journal_of

if TYPE_CHECKING:
    from aiops.layers.core.event import EventStream
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.draining import Workload
    from aiops.layers.l1_cluster.lock import Lock
    from aiops.layers.l1_cluster.owner import Owner
    from aiops.layers.l1_cluster.run import Journal

    from .app import App
    from .screen import Screen


@dataclass(frozen=True)
class Changing:
    """A change under way.

    Attributes:
        lock: Held until the end of the block.
        workloads: Who runs work on the nodes.
    """

    store: "Store"
    events: "EventStream"
    journal: "Journal"
    fleet: "Fleet"
    lock: "Lock"
    workloads: "tuple[Workload, ...]"
    owner: "Owner"


@contextmanager
def changing(
    aiops: "App",
    screen: "Screen",
    inventory: "Inventory",
    words: Sequence[str],
    fleet: "Fleet | None" = None,
    *,
    only_if_free: bool = False,
) -> Iterator[Changing]:
    """Begin a run and take the lock.

    Args:
        aiops: The outside world.
        screen: Where it is said whom the lock was taken over from.
        inventory: Of the cluster.
        words: The command, for the journal and for others who look at the lock.
        fleet: Connections that are open already.
        only_if_free: Whether no run is begun while another holds the lock: what comes again every few minutes would
            fill the list of runs with failed ones.

    Raises:
        ConflictError: Another holds the lock.
        FailedError: The head, which keeps it, does not answer; or the store cannot be written.
    """
    from aiops.layers.core.event import EventStream
    from aiops.layers.core.identifier import run_id
    from aiops.layers.l1_cluster.draining import workloads_of
    from aiops.layers.l1_cluster.gate import FleetGate
    from aiops.layers.l1_cluster.owner import Owner

    events = EventStream(run_id(aiops.clock.now()), aiops.clock)
    owner, command = Owner.here(events.run), shlex.join(words)
    with ExitStack() as stack:
        if fleet is None:
            fleet = stack.enter_context(aiops.fleet(inventory))
        lock = lock_of(aiops, inventory, fleet)
        if only_if_free:
            lock.require_free()
        store, journal = stack.enter_context(journal_of(aiops, events, inventory.cluster, command))
        held = stack.enter_context(
            succeed(
                lock,
                owner,
                command,
                everyone(aiops, inventory),
                gate=FleetGate(fleet),
                screen=screen,
                unanswered=f"once it answers (`aiops node ssh -i {inventory.path} {lock.place}`): `{command}`",
            )
        )
        workloads = workloads_of(aiops.plugins, inventory, fleet)
        yield Changing(store, events, journal, fleet, held, workloads, owner)
