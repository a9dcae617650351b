"""The audit: every change with its person, machine, time and run; what is only known elsewhere is said to be there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.event import Event
from aiops.layers.l1_cluster.audit import KINDS, SIGHT_LOST, Deed, chosen, deeds, folded, where
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.past import Past
from aiops.layers.l1_cluster.run_record import Result, Run

START = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
ANN = Owner("ann", "ctl1", "boot", "pid:[1]", 7, 1, "r-1")
BOB = Owner("bob", "ctl2", "boot", "pid:[1]", 8, 1, "r-2")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(owner: Owner = ANN) -> Run:
    return Run(owner.run, "lab-a", "aiops cluster deploy", "0.1.0", owner, START, None, "done", 0, None)


def event(kind: str, seconds: float, node: str = "gpu01", of: str = "r-1", message: str = "", **data: Any) -> Event:
    return Event(at(seconds), of, int(seconds) + 1, kind, node, message, {"phase": "base", **data})


def changed(seconds: float, node: str, key: str, action: str = "create", found: str = "absent") -> Event:
    message = f"{key} was {found}, {action}d"
    data = {"key": key, "action": action, "found": found, "expected": "x"}
    return event("resource_changed", seconds, node, message=message, **data)


def tenure(owner: Owner, since: float, ended: float | None = None, **more: Any) -> Past:
    values = {"epoch": 5, "purpose": "aiops cluster deploy inventory.yml", "renewed": at(since + 3)}
    return Past(owner, since=at(since), ended=None if ended is None else at(ended), **{**values, **more})


def test_a_change_has_its_person_machine_time_and_run() -> None:
    (deed,) = deeds([run()], [changed(5, "gpu01", "file:/etc/motd")], [], [])
    assert (deed.user, deed.host, deed.run, deed.nodes, deed.phase) == ("ann", "ctl1", "r-1", ("gpu01",), "base")
    assert deed.at == at(5)
    assert deed.what == "file:/etc/motd was absent, created"
    assert deed.document()["change"] == {
        "key": "file:/etc/motd",
        "action": "create",
        "found": "absent",
        "expected": "x",
    }


def test_what_is_more_than_a_resource() -> None:
    events = [
        event("node_draining", 1, reason="aiops: reboot in base, run r-1: new kernel"),
        changed(2, "gpu01", "reboot", "reboot"),
        event("reboot_finished", 3),
        event("node_resumed", 4),
    ]
    assert [deed.what for deed in deeds([run()], events, [], [])] == [
        "set draining: aiops: reboot in base, run r-1: new kernel",
        "rebooted",
        "given back to the workload manager",
    ]


def test_a_node_that_answered_no_more_may_have_been_changed() -> None:
    message = "lost: what was changed by then is not known"
    (deed,) = deeds([run()], [event(SIGHT_LOST, 5, message=message)], [], [])
    assert (deed.nodes, deed.phase, deed.what, deed.change) == (("gpu01",), "base", message, None)
    assert SIGHT_LOST in KINDS


def test_a_phase_that_was_cut_off_may_have_changed_something() -> None:
    cut = [Result("r-1", phase, "gpu01", "interrupted", None, None, at(9)) for phase in ("connect", "base", "verify")]
    (deed,) = deeds([run()], [], cut, [])
    assert (deed.phase, deed.nodes) == ("base", ("gpu01",))
    assert "not written down" in deed.what
    assert deed.at == at(9)
    (deed,) = deeds([replace(run(), ended=at(70))], [], cut, [])
    assert deed.at == at(70)


def test_runs_of_other_machines_are_known_by_the_lock() -> None:
    past = [
        tenure(ANN, 0, 10, how="released"),
        tenure(BOB, 20, 30, how="released"),
        tenure(replace(BOB, run="r-3"), 40, 110, how="stale", by=ANN),
        tenure(replace(BOB, run="r-4"), 120),
    ]
    found = deeds([run()], [], [], past)
    assert [(deed.run, deed.user, deed.source) for deed in found] == [
        ("r-2", "bob", "lock"),
        ("r-3", "bob", "lock"),
        ("r-1", "ann", "lock"),
        ("r-4", "bob", "lock"),
    ]
    ended, cut, taken, running = (deed.what for deed in found)
    assert ended == "`aiops cluster deploy inventory.yml`, ended 2026-11-22T01:00:30Z; its journal is on ctl2"
    assert "cut off, last heard of 2026-11-22T01:00:43Z" in cut
    assert "from bob on ctl2 (run r-3), who had not renewed it since 2026-11-22T01:00:43Z" in taken
    assert "under way" in running
    assert all(deed.nodes == () for deed in found)


def test_a_lock_that_was_taken_away_by_hand_is_told_with_who_did_it() -> None:
    (deed,) = deeds([run()], [], [], [tenure(ANN, 0, 10, how="by_hand", by=BOB)])
    assert (deed.user, deed.host) == ("bob", "ctl2")
    assert deed.what == "took the cluster lock away from ann on ctl1 (run r-1)"
    (deed,) = deeds([run()], [], [], [tenure(ANN, 0, 10, how="by_hand")])
    assert deed.user == "unknown"


def test_what_is_asked_for() -> None:
    events = [changed(1, "gpu01", "file:/a"), changed(50, "gpu02", "file:/b")]
    found = deeds([run()], events, [], [tenure(BOB, 20, 30, how="released")])
    assert len(chosen(found)) == 3
    assert [deed.run for deed in chosen(found, since=at(20))] == ["r-2", "r-1"]
    assert [deed.run for deed in chosen(found, run="r-2")] == ["r-2"]
    # Nobody here knows which nodes bob's run was about: it may have been these.
    assert [(deed.run, deed.nodes) for deed in chosen(found, nodes=["gpu02"])] == [("r-2", ()), ("r-1", ("gpu02",))]


def test_equal_changes_are_one_line() -> None:
    events = [changed(number, node, f"file:/{number}") for node in ("gpu01", "gpu02") for number in range(5)]
    events += [changed(7, node, "file:/etc/hosts", "write", f"other content ({node})") for node in ("gpu01", "gpu02")]
    events += [changed(8, "gpu02", "package:chrony", "install")]
    found = deeds([run()], events, [], [tenure(BOB, 20, 30, how="released")])
    lines = folded(found, whole=False)
    assert [(where(one), one.what) for one in lines[:-1]] == [
        ("gpu[01-02]", "create 5 files; write /etc/hosts"),
        ("gpu02", "install chrony"),
    ]
    assert where(lines[-1]) is None
    assert len(folded(found, whole=True)) == 5 + 2 + 1 + 1


EVENTS = st.lists(
    st.tuples(st.sampled_from(["gpu01", "gpu02", "gpu03"]), st.sampled_from(["/a", "/b", "/c", "/d", "/e"])),
    unique=True,
)


@given(EVENTS, st.booleans())
def test_folding_loses_nothing(pairs: list[tuple[str, str]], whole: bool) -> None:
    events = [changed(number, node, f"file:{path}") for number, (node, path) in enumerate(pairs)]
    lines: tuple[Deed, ...] = folded(deeds([run()], events, [], []), whole=whole)
    assert {node for one in lines for node in one.nodes} == {node for node, _ in pairs}
    if whole:
        assert sum(len(one.nodes) for one in lines) == len(pairs)
