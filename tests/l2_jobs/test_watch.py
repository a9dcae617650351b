"""Whoever tells twice does no harm; and what is touched is looked at."""

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.report import (
    Available,
    Ended,
    Exited,
    Freed,
    Frozen,
    Heard,
    NotStarted,
    PeerHeard,
    PeerSilent,
    Ready,
    Report,
    Scheduled,
    Signed,
    Silent,
    Started,
    Stepped,
    Unavailable,
)
from aiops.layers.l2_jobs.watch import Watch, touched

KEYS = st.sampled_from([Key("a-1", 1), Key("a-1", 2), Key("b-2", 1)])
NODES = st.sampled_from(["n1", "n2", "n3"])
TIMES = st.floats(0, 1000)
LOSSES = st.none() | st.floats(allow_nan=True)
REPORTS = st.one_of(
    st.builds(Heard, NODES, TIMES, st.sampled_from(["b1", "b2"])),
    st.builds(Silent, NODES, TIMES, st.just("")),
    st.builds(Started, KEYS, NODES, TIMES, st.just("b1")),
    st.builds(NotStarted, KEYS, NODES, TIMES, st.just(""), st.sampled_from(["node", "user"])),
    st.builds(
        Stepped,
        KEYS,
        NODES,
        TIMES,
        st.integers(0, 3),
        st.integers(0, 50),
        st.sampled_from(["start", "step", "save"]),
        LOSSES,
    ),
    st.builds(Exited, KEYS, NODES, TIMES, st.integers(0, 3), st.integers(-15, 5)),
    st.builds(Ended, KEYS, NODES, TIMES, st.sampled_from(["done", "failed", "lost", "lease"])),
    st.builds(PeerSilent, KEYS, NODES, TIMES, NODES, st.floats(0, 9)),
    st.builds(PeerHeard, KEYS, NODES, TIMES, NODES),
    st.builds(Frozen, KEYS, NODES, TIMES, st.booleans()),
    st.builds(Signed, st.none() | KEYS, NODES, TIMES, st.just("hang"), st.just("x"), st.booleans()),
    st.builds(Scheduled, KEYS, TIMES, st.sampled_from(["PENDING", "RUNNING"])),
    st.builds(Freed, KEYS, NODES, TIMES, st.just((1,))),
    st.builds(Unavailable, st.just("ssh"), TIMES, st.just("")),
    st.builds(Available, st.just("ssh"), TIMES),
    st.builds(Ready, KEYS, TIMES, st.booleans()),
)


@given(st.lists(REPORTS, max_size=40))
def test_the_last_report_told_twice_is_told_once(reports: list[Report]) -> None:
    once = Watch().after(reports)
    assert once.after(reports[-1:]) == once


@given(st.lists(REPORTS, max_size=40), st.integers(0, 40))
def test_reports_may_come_in_one_piece_or_in_many(reports: list[Report], at: int) -> None:
    assert Watch().after(reports) == Watch().after(reports[:at]).after(reports[at:])


@given(st.lists(REPORTS, max_size=30), REPORTS)
def test_what_a_report_is_about_is_looked_at(reports: list[Report], last: Report) -> None:
    before = Watch().after(reports)
    jobs = touched([last], before)
    after = before.after([last])
    if jobs is None:
        return
    same = {key: track for key, track in after.tracks.items() if key.job not in jobs}
    assert same == {key: track for key, track in before.tracks.items() if key.job not in jobs}
    assert after.engines == before.engines
    assert {n: (h.up, h.boot_id) for n, h in after.nodes.items()} == {
        n: (h.up, h.boot_id) for n, h in before.nodes.items()
    }


def test_what_is_released_is_forgotten() -> None:
    watch = Watch().after([Started(Key("a-1", 1), "n1", 1.0, "b"), Started(Key("b-2", 1), "n1", 1.0, "b")])
    assert set(watch.without({Key("a-1", 1)}).tracks) == {Key("b-2", 1)}
