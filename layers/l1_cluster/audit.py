"""Who changed what on a cluster, when, in which run: the journals of this machine and what the lock's keeper remembers.

The journal knows every change of the runs whose store this is. Runs from other machines keep theirs there; of them the
lock's history tells who, when and for which command. Pure; the asking is elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiops.layers.core.clock import rfc3339
from aiops.layers.core.event import Event
from aiops.layers.l0_nodes.nodeset import fold

from .owner import Owner
from .past import Past
from .run_record import Result, Run

SIGHT_LOST = "sight_lost"
"""Work was begun on a node, and nobody could look at what came of it."""

KINDS = (
    "resource_changed",
    "reboot_finished",
    "node_draining",
    "node_resumed",
    "node_retired",
    "repair_started",
    SIGHT_LOST,
)
"""The events that tell of something changed."""

_NAMED = 3
_NOUNS = {"file": "files", "package": "packages", "service": "services", "sysctl": "kernel settings", "user": "users"}
_LOOKS = frozenset({"connect", "preflight", "verify"})


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that was done.

    Attributes:
        nodes: Where; empty where that is not known from here, or where it was done to the lock.
        phase: In which phase; None outside of one.
        what: In words.
        change: `{key, action, found, expected}` of a resource that was changed; None for anything else.
        source: `journal`, or `lock` for what only the lock's keeper knows.
    """

    at: datetime
    user: str
    host: str
    run: str | None
    nodes: tuple[str, ...]
    phase: str | None
    what: str
    change: Mapping[str, Any] | None = None
    source: str = "journal"

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        names = ("user", "host", "run", "phase", "what", "source")
        values = {name: getattr(self, name) for name in names}
        return {"at": rfc3339(self.at), **values, "nodes": list(self.nodes), "change": self.change}


def deeds(
    runs: Sequence[Run], events: Iterable[Event], cut_off: Iterable[Result], past: Iterable[Past]
) -> tuple[Deed, ...]:
    """All that is known to have been done, oldest first.

    Args:
        runs: The runs whose journals are here.
        events: Theirs, of `KINDS`.
        cut_off: Nodes on which a phase of theirs had begun and never ended.
        past: The tenures of the lock.
    """
    by_run = {run.id: run for run in runs}
    found = [
        _told(by_run[event.run], event)
        for event in events
        if event.run in by_run and event.data.get("key") != "reboot"  # `reboot_finished` tells of it
    ]
    for one in cut_off:
        if one.phase not in _LOOKS and one.run in by_run:
            owner, ended = by_run[one.run].owner, by_run[one.run].ended
            what = "cut off: what it had changed by then was not written down"
            # It was cut off when the run ended; where nobody wrote that down either, some time after it began.
            found.append(Deed(ended or one.at, owner.user, owner.host, one.run, (one.node,), one.phase, what))
    for tenure in past:
        found += _of_tenure(tenure, elsewhere=tenure.owner.run not in by_run)
    return tuple(sorted(found, key=lambda deed: deed.at))


def chosen(
    found: Iterable[Deed],
    *,
    since: datetime | None = None,
    run: str | None = None,
    nodes: Collection[str] | None = None,
) -> tuple[Deed, ...]:
    """Those of `found` since a moment, of one run, on some nodes.

    What was done elsewhere, no one here knows on which nodes, is never left out for its nodes.
    """
    return tuple(
        deed
        for deed in found
        if (since is None or deed.at >= since)
        and (run is None or deed.run == run)
        and (nodes is None or not deed.nodes or set(deed.nodes) & set(nodes))
    )


def folded(found: Iterable[Deed], *, whole: bool) -> tuple[Deed, ...]:
    """Equal deeds of one run in one, over their nodes.

    Args:
        found: Deeds, oldest first.
        whole: Whether each change keeps a line of its own; else those of a phase are told together.
    """
    groups: dict[tuple[Any, ...], list[Deed]] = {}
    for deed in found:
        # What was found may differ from node to node; where it is not shown, it is no reason for a line more.
        same = deed.what if whole or deed.change is None else (deed.change["action"], deed.change["key"])
        groups.setdefault((deed.run, deed.user, deed.host, deed.phase, same), []).append(deed)
    equal = [_over_nodes(members) for members in groups.values()]
    if whole:
        return tuple(equal)
    together: dict[tuple[Any, ...], list[Deed]] = {}
    for deed in equal:
        # Only changes of resources are summed up; all else stays a line.
        key = (deed.run, deed.user, deed.host, deed.phase, deed.nodes, None if deed.change else deed.what)
        together.setdefault(key, []).append(deed)
    return tuple(_summed(members) if members[0].change else members[0] for members in together.values())


def _told(run: Run, event: Event) -> Deed:
    data, nodes = event.data, (event.node,) if event.node else ()
    change = None
    match event.kind:
        case "reboot_finished":
            what = "rebooted"
        case "node_draining":
            what = f"set draining: {data.get('reason') or event.message}"
        case "node_resumed":
            what = "given back to the workload manager"
        case "repair_started":
            what = f"repaired: {event.message}"
        case "sight_lost" | "node_retired":
            what = event.message
        case _:
            what = event.message
            change = {name: data.get(name) for name in ("key", "action", "found", "expected")}
    return Deed(event.at, run.owner.user, run.owner.host, run.id, nodes, data.get("phase"), what, change)


def _of_tenure(tenure: Past, *, elsewhere: bool) -> Iterable[Deed]:
    owner = tenure.owner
    if elsewhere:
        words = f"`{tenure.purpose}`" if tenure.purpose else "a run"
        what = f"{words}, {_end(tenure)}; its journal is on {owner.host}"
        yield Deed(tenure.since, owner.user, owner.host, owner.run, (), None, what, source="lock")
    if tenure.ended is None or tenure.how == "released":
        return
    by = tenure.by or Owner("unknown", "unknown", "", "", 0, 0, "")
    of = f"{owner.user} on {owner.host} (run {owner.run})"
    words = {
        "by_hand": f"took the cluster lock away from {of}",
        "stale": f"took the cluster lock over from {of}, who had not renewed it since {rfc3339(tenure.renewed)}",
        "dead": f"took the cluster lock over from {of}, whose process was gone",
    }[tenure.how or "by_hand"]
    yield Deed(tenure.ended, by.user, by.host, by.run or None, (), None, words, source="lock")


def _end(tenure: Past) -> str:
    if tenure.ended is None:
        return "under way"
    if tenure.how == "released":
        return f"ended {rfc3339(tenure.ended)}"
    return f"cut off, last heard of {rfc3339(tenure.renewed)}"


def _over_nodes(members: Sequence[Deed]) -> Deed:
    one = members[0]
    nodes = tuple(sorted({node for member in members for node in member.nodes}))
    return Deed(one.at, one.user, one.host, one.run, nodes, one.phase, one.what, one.change, one.source)


def _summed(members: Sequence[Deed]) -> Deed:
    """The changes of one phase on the same nodes: few of a kind are named, many are counted."""
    groups: dict[tuple[str, str], list[str]] = {}
    for member in members:
        change = member.change or {}
        kind, _, subject = str(change["key"]).partition(":")
        groups.setdefault((str(change["action"]), kind), []).append(subject or kind)
    words = []
    for (action, kind), subjects in groups.items():
        if len(subjects) <= _NAMED:
            words.append(f"{action} {', '.join(subjects)}")
        else:
            words.append(f"{action} {len(subjects)} {_NOUNS.get(kind, f'{kind}s')}")
    one = members[0]
    return Deed(one.at, one.user, one.host, one.run, one.nodes, one.phase, "; ".join(words), one.change, one.source)


def where(deed: Deed) -> str | None:
    """Its nodes, folded; None where they are not known."""
    return fold(deed.nodes) if deed.nodes else None
