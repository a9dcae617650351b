"""What the controller has done beside asking engines: drains and messages, by L1, and tests of nodes in pairs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.screen import Screen
from aiops.layers.core.errors import ConflictError, FailedError

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.health.notifier import Notifier
    from aiops.layers.l2_jobs.action import TryPairs
    from aiops.layers.l2_jobs.pair_test import Paired
    from aiops.layers.l2_jobs.record import JobRecord

    from .sites import Sites

CHECK = "jobs.fault"
"""The check by whose name L1 keeps a node that a job's fault was on."""

OUTBOX = "job_notices.json"


def drain(
    aiops: App, screen: Screen, store: "Store", fleet: "Fleet", *, inventory: "Inventory", node: str, reason: str
) -> None:
    """Have L1 take a node out of service as if a check had found it critical: by its policy, limits and breaker.

    Raises:
        ConflictError: Another changes the cluster now.
        FailedError: Whoever runs work there refuses.
    """
    from aiops.cli.health.acting import LOCK, act, follow, ward_of
    from aiops.layers.l1_cluster.health.conduct import decide
    from aiops.layers.l1_cluster.health.finding import Finding
    from aiops.layers.l1_cluster.health.round import Report
    from aiops.layers.l1_cluster.health.site import read_site

    chosen = [one for one in inventory.nodes if one.name == node]
    if not chosen:
        return
    finding = Finding(node, CHECK, "critical", reason)
    report = Report(aiops.clock.now(), "quick", 0.0, (node,), (finding,), {node: "critical"}, 1)
    groups = {group for one in inventory.nodes for group in one.groups}
    policy = read_site(inventory.settings, (), groups).policy
    ward = ward_of(aiops, store, fleet, inventory=inventory, nodes=chosen, report=report)
    conduct = decide(ward, policy)
    follow(store, inventory, conduct, ward)
    words = ["aiops", "controller", "run"]
    acted = act(aiops, screen, fleet, inventory=inventory, ward=ward, conduct=conduct, words=words)
    if LOCK in acted.waiting:
        raise ConflictError(acted.waiting[LOCK], code="lock.held")
    for line in (*acted.done, *acted.waiting.values()):
        screen.note(line)


def try_pairs(
    fleet: "Fleet",
    sites: "Sites",
    record: "JobRecord",
    order: "TryPairs",
    *,
    now: Callable[[], float],
    waits: Callable[[], bool],
    own: tuple[str, ...] = (),
) -> "Paired":
    """Have the nodes of a job test each other, where its ranks find them; see `carry_out`.

    Raises:
        FailedError: There is no time left (`job.pair_test`).
    """
    from aiops.layers.l2_jobs.pair_probe import End
    from aiops.layers.l2_jobs.pair_round import carry_out

    names = {name for pair in order.pairs for name in pair.nodes if name in sites.nodes}
    seats = {name: sites.seat(record.job, name) for name in names}
    ends = {name: End(sites.nodes[name], seat.address) for name, seat in seats.items()}
    vendors = {name: seat.vendor for name, seat in seats.items()}
    return carry_out(fleet, ends, record, order, vendors=vendors, now=now, waits=waits, own=own)


def notify(aiops: App, inventory: "Inventory", notifiers: "Sequence[Notifier]", job: str, message: str) -> None:
    """Put words about a job into the outbox, and send what is in it; what cannot be sent now is sent with the next.

    Raises:
        FailedError: It cannot be written down.
    """
    from aiops.layers.core.home import ensure_folder
    from aiops.layers.core.identifier import token
    from aiops.layers.l1_cluster.health.news import News
    from aiops.layers.l1_cluster.health.notice import Change, Notice
    from aiops.layers.l1_cluster.health.outbox import advance, deliver, read_outbox, write_outbox

    if not notifiers:
        return
    folder = aiops.home / "clusters" / inventory.cluster
    at = aiops.clock.now()
    path = folder / OUTBOX

    def made(several: tuple[Change, ...]) -> Notice:
        return Notice(token(), inventory.cluster, at, several)

    try:
        ensure_folder(folder)
        outbox = advance(
            read_outbox(path),
            News(came=(Change("came", f"{job}: {message}"),)),
            deeds=(),
            names=[one.name for one in notifiers],
            make=made,
            until=at,
        )
        write_outbox(path, outbox)
        left, _ = deliver(outbox, notifiers, aiops.clock)
        if left != outbox:
            write_outbox(path, left)
    except OSError as error:
        raise FailedError(f"{path}: {error.strerror}", code="outbox.unwritable") from error
