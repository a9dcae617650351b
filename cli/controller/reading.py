"""Reading the logs of an attempt that has ended: what the fault catalogue makes of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.layers.core.plugin import Plugins
    from aiops.layers.l2_jobs.attempt import Key
    from aiops.layers.l2_jobs.controller.ledger import Ledger
    from aiops.layers.l2_jobs.controller.logs import Logs
    from aiops.layers.l2_jobs.fault.fault import Fault
    from aiops.layers.l2_jobs.strand import Reader

MOST = 64 * 1024 * 1024
"""Bytes of the end of each log that are read: the cause of an end does not stand before."""


def signs_of(plugins: "Plugins") -> "Callable[[], Reader]":
    """Makes what watches one log as it grows: the class of a line the catalogue knows, and whether it is urgent."""
    from aiops.layers.l2_jobs.fault.catalogue import signatures_of
    from aiops.layers.l2_jobs.fault.index import Index
    from aiops.layers.l2_jobs.fault.watcher import Watcher

    index = Index(signatures_of(plugins))

    def made() -> "Reader":
        watcher = Watcher(index=index)

        def read(line: str) -> tuple[str, bool] | None:
            sign = watcher.feed(line)
            return None if sign is None else (sign.kind, sign.immediate)

        return read

    return made


def diagnosed(plugins: "Plugins", ledger: "Ledger", logs: "Logs", key: "Key", at: float) -> "Fault | None":
    """The fault that the logs of an attempt tell of; None where they tell of none.

    The log of the node on which a process failed first is read first: what others tell is often its echo.
    """
    from aiops.layers.l2_jobs.fault.catalogue import signatures_of
    from aiops.layers.l2_jobs.fault.diagnosis import diagnose

    signatures = signatures_of(plugins)
    rows = [row for row in ledger.attempts(key.job) if row.attempt.key == key]
    first = rows[0].failed_node if rows else None
    for node in sorted(logs.nodes(key), key=lambda name: (name != first, name)):
        fault = diagnose(logs.lines(key, node, MOST), signatures).fault(at)
        if fault is not None:
            evidence = tuple(one if one.node else replace(one, node=node) for one in fault.evidence)
            return replace(fault, nodes=fault.nodes or (node,), evidence=evidence)
    return None
