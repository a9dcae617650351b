"""What notifiers are told after a look from cron: what has changed, once, by each of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from aiops.layers.l1_cluster.health.node_state import StateChange
    from aiops.layers.l1_cluster.health.notice import Change, Notice
    from aiops.layers.l1_cluster.health.round import Report

    from .looking import Looking

_OUTBOX = "health-notices.json"


def notify(looking: "Looking", report: "Report", waiting: Mapping[str, str]) -> None:
    """Tell the notifiers what has changed since they were last told; what cannot be sent now, the next run sends.

    A notifier that begins to fail is told of once, as a warning; it fails nothing.

    Args:
        looking: The look.
        report: What it has come to.
        waiting: Why something is not done, by a key that stays the same while that lasts.

    Raises:
        OSError: What is to be sent cannot be written down.
    """
    if not looking.notifiers:
        return
    from aiops.layers.core.home import ensure_folder
    from aiops.layers.core.identifier import token
    from aiops.layers.l1_cluster.health.notice import Notice
    from aiops.layers.l1_cluster.health.outbox import advance, deliver, read_outbox, write_outbox

    aiops, cluster = looking.aiops, looking.inventory.cluster
    path = ensure_folder(aiops.home / "clusters" / cluster) / _OUTBOX
    before = read_outbox(path)
    since = before.until or report.at
    done = _deeds(looking, since)

    def made(changes: "tuple[Change, ...]") -> "Notice":
        return Notice(token(), cluster, report.at, changes, report.simulated)

    outbox = advance(
        before,
        standing(report, waiting),
        deeds=[deed(one) for one in done],
        names=[one.name for one in looking.notifiers],
        make=made,
        until=max([since, *(one.at for one in done)]),
    )
    if outbox != before:
        write_outbox(path, outbox)
    if not any(outbox.pending.values()):
        return
    left, fresh = deliver(outbox, looking.notifiers, aiops.clock)
    write_outbox(path, left)
    for name, why in fresh.items():
        looking.screen.warn(f"notifier `{name}` could not be told, and is tried again at each run: {why}")


def standing(report: "Report", waiting: Mapping[str, str]) -> "dict[str, Change]":
    """What goes on now, by a key under which it is known again. Pure."""
    from aiops.layers.l1_cluster.health.notice import Change

    found = {
        f"{one.node} {one.check} {one.about} {one.verdict}": Change(
            "came",
            one.words,
            one.node,
            one.check,
            one.about or None,
            one.verdict,
            one.action,
            one.owner,
        )
        for one in report.findings
        if one.counts
    }
    return {**found, **{key: Change("came", message) for key, message in waiting.items()}}


def deed(change: "StateChange") -> "Change":
    """What the policy has done. Pure."""
    from aiops.layers.l1_cluster.health.notice import Change

    return Change(
        "drained" if change.after == "draining" else "resumed",
        change.cause,
        change.node,
        change.finding or None,
        run=change.run or None,
    )


def _deeds(looking: "Looking", since: "datetime") -> "list[StateChange]":
    """What the policy has done since, by the register, in which it was written before it was done."""
    from aiops.layers.l1_cluster.health.hold_reason import POLICY
    from aiops.layers.l1_cluster.health.register import Register

    with looking.aiops.store() as store:
        changes = Register(store, looking.inventory.cluster).changes(since)
    return [one for one in changes if one.at > since and one.actor == POLICY and one.after in {"draining", "ready"}]
