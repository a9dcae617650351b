"""What is told after a look from cron: what has changed, once, on the screen (which cron mails) and by notifiers."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from aiops.layers.core.errors import FailedError

from .acting import LOCK, REPAIRS

if TYPE_CHECKING:
    from pathlib import Path

    from aiops.layers.l1_cluster.health.episode import Episode
    from aiops.layers.l1_cluster.health.news import News
    from aiops.layers.l1_cluster.health.notice import Change, Notice
    from aiops.layers.l1_cluster.health.outbox import Outbox
    from aiops.layers.l1_cluster.health.round import Report

    from .acting import Acted
    from .looking import Looking

_OUTBOX = "health-notices.json"


def folder_of(looking: "Looking") -> "Path":
    """Where it is remembered what was told of a cluster.

    Raises:
        OSError: It cannot be made.
    """
    from aiops.layers.core.home import ensure_folder

    return ensure_folder(looking.aiops.home / "clusters" / looking.inventory.cluster)


def tell(looking: "Looking", report: "Report", acted: "Acted") -> None:
    """Tell what has changed since it was last told, by a look and what was done about it, less repairs."""
    from aiops.layers.l1_cluster.health.news import news, ongoing, unended

    now = ongoing(report.findings, acted.waiting)
    lasting = {
        *unended(_episodes(looking, report)),
        *(f"repair: {name}" for name in report.errors),  # of who does not answer it is not known any better
        *([REPAIRS] if acted.more else []),  # that is known after them
    }
    _tell(looking, report, acted.done, lambda told: news(told, now, lasting))


def tell_repairs(looking: "Looking", report: "Report", acted: "Acted", *, alone: bool) -> None:
    """Tell what has become of repairs.

    Args:
        looking: The look before them.
        report: What that has come to.
        acted: What has become of them.
        alone: Whether nobody else tells now; else he, or the next look, tells notifiers.
    """
    from aiops.layers.l1_cluster.health.news import news, ongoing

    # Who repairs now, or deploys, is at work; what is still ill then is taken up by the next look.
    now = ongoing((), {key: words for key, words in acted.waiting.items() if key != LOCK})
    if alone:
        tried = set() if LOCK in acted.waiting else {REPAIRS}
        _tell(looking, report, acted.done, lambda told: news(told, now, set(told) - tried))
        return
    for line in (*(one.line for one in now.values()), *acted.done):
        looking.screen.line(line)


def _tell(
    looking: "Looking", report: "Report", done: Iterable[str], of: "Callable[[Mapping[str, Change]], News]"
) -> None:
    """Tell what `of` makes of what was told before; a full disk, or one that is read-only, fails nothing."""
    from aiops.layers.l1_cluster.health.outbox import read_outbox

    path = looking.aiops.home / "clusters" / looking.inventory.cluster / _OUTBOX
    before = read_outbox(path)
    found = of(before.known)
    # Told first: who is killed in between tells it twice, which is better than never.
    for line in (*(one.line for one in (*found.came, *found.over)), *done):
        looking.screen.line(line)
    try:
        folder_of(looking)
        _notify(looking, report, path, before, found)
    except (OSError, FailedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        looking.screen.warn(f"what was told cannot be written down, and is told again by the next look: {reason}")


def _notify(looking: "Looking", report: "Report", path: "Path", before: "Outbox", found: "News") -> None:
    """Write down what was told, and tell the notifiers; what cannot be sent now, the next run sends.

    A notifier that begins to fail is told of once, as a warning; it fails nothing.

    Raises:
        OSError: What is to be sent cannot be written down.
        FailedError: The store cannot be read.
    """
    from aiops.layers.core.identifier import token
    from aiops.layers.l1_cluster.health.news import deeds
    from aiops.layers.l1_cluster.health.notice import Notice
    from aiops.layers.l1_cluster.health.outbox import advance, deliver, write_outbox
    from aiops.layers.l1_cluster.health.register import Register

    aiops, cluster = looking.aiops, looking.inventory.cluster
    since = before.until or report.at
    with aiops.store() as store:
        changes = [one for one in Register(store, cluster).changes(since) if one.at > since]

    def made(several: "tuple[Change, ...]") -> "Notice":
        return Notice(token(), cluster, report.at, several, report.simulated)

    outbox = advance(
        before,
        found,
        deeds=deeds(changes),
        names=[one.name for one in looking.notifiers],
        make=made,
        until=max([since, *(one.at for one in changes)]),
    )
    if outbox != before:
        write_outbox(path, outbox)
    if not any(outbox.pending.values()):
        return
    left, warnings = deliver(outbox, looking.notifiers, aiops.clock)
    for words in warnings:
        looking.screen.warn(words)
    if left != outbox:
        write_outbox(path, left)


def _episodes(looking: "Looking", report: "Report") -> "Iterable[Episode]":
    """What goes on on all nodes of the cluster, also on those that this look has not asked."""
    from aiops.layers.l1_cluster.health.history import HealthHistory

    names = [node.name for node in looking.inventory.nodes]
    with looking.aiops.store() as store:
        return HealthHistory(store, looking.inventory.cluster).recall(names, report.at).open.values()
