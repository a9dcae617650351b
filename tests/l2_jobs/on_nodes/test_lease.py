"""The lease of a rank group."""

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs import lease as times
from aiops.layers.l2_jobs.remote.lease import FREEZE, KILL, RUN, Lease

TIMES = {
    "missed": times.MISSED,
    "freeze": times.FREEZE,
    "kill": times.KILL,
    "peers_only": times.PEERS_ONLY,
}


def test_a_group_without_peers_goes_on_as_long_as_its_node() -> None:
    assert Lease(TIMES, [], 0.0).verdict(1e9) == RUN


def test_alone_it_is_frozen_and_then_ended() -> None:
    lease = Lease(TIMES, ["b", "c"], 100.0)
    lease.heard_head(101.0)
    assert lease.verdict(104.9) == RUN
    assert lease.verdict(105.0) == FREEZE
    assert lease.verdict(106.49) == FREEZE
    assert lease.verdict(106.5) == KILL


def test_one_peer_is_enough_and_any_word_thaws() -> None:
    lease = Lease(TIMES, ["b", "c"], 0.0)
    lease.heard_peer("c", 4.2)
    assert lease.verdict(4.5) == RUN
    lease.heard_head(9.0)
    assert lease.verdict(9.1) == RUN


def test_without_the_head_a_gang_goes_on_for_so_long() -> None:
    lease = Lease(TIMES, ["b"], 0.0)
    lease.heard_peer("b", times.PEERS_ONLY)
    assert lease.verdict(times.PEERS_ONLY - 0.1) == RUN
    assert lease.verdict(times.PEERS_ONLY + 0.1) == FREEZE
    lease.heard_peer("b", times.PEERS_ONLY + 1.5)
    assert lease.verdict(times.PEERS_ONLY + 1.5) == KILL


def test_a_silent_peer_is_told_once_and_again_after_it_was_heard() -> None:
    lease = Lease(TIMES, ["b"], 0.0)
    assert lease.newly_silent(2.4) == []
    assert lease.newly_silent(2.5) == [("b", 2.5)]
    assert lease.newly_silent(9.0) == []
    assert lease.heard_peer("b", 9.5)
    assert not lease.heard_peer("b", 9.6)
    assert lease.newly_silent(12.1) == [("b", 2.5)]


def test_a_stranger_renews_nothing() -> None:
    lease = Lease(TIMES, ["b"], 0.0)
    assert not lease.heard_peer("x", 5.0)
    assert lease.verdict(5.5) == KILL


@given(
    st.lists(st.tuples(st.sampled_from(["head", "b", "c"]), st.floats(0, 100)), max_size=30),
    st.floats(0, 200),
)
def test_nothing_runs_so_long_after_the_last_word(words: list[tuple[str, float]], later: float) -> None:
    """What the head counts on: at EXPIRED after the last word that it can have heard, it has ended."""
    lease, last = Lease(TIMES, ["b", "c"], 0.0), 0.0
    for who, at in words:
        last = max(last, at)
        lease.heard_head(at) if who == "head" else lease.heard_peer(who, at)
    now = last + later
    expected = KILL if later >= times.KILL else FREEZE if later >= times.FREEZE else RUN
    assert lease.verdict(last + times.EXPIRED) == KILL
    if abs(later - times.KILL) > 1e-6 and abs(later - times.FREEZE) > 1e-6:
        assert lease.verdict(now) == expected
