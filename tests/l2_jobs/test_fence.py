"""When nothing of an attempt can write any more."""

from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.fence import STARTING, fence
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.report import Ended, Heard, PeerHeard, PeerSilent, Report, Silent, Started
from aiops.layers.l2_jobs.watch import Watch

KEY = Key("llama-1", 1)
PLACES = {name: Place(name, "ssh") for name in ("a", "b", "c")}


def attempt(*nodes: str) -> Attempt:
    return Attempt(KEY, "ssh", Allocation(tuple(Slot(node) for node in nodes)), 20000)


def watch(*reports: Report) -> Watch:
    begun = [Heard(node, 1.0, f"{node}1") for node in PLACES] + [Started(KEY, node, 1.0, f"{node}1") for node in PLACES]
    return Watch().after(begun).after(reports)


def test_what_is_heard_runs_for_as_long_as_it_says_nothing_else() -> None:
    held = fence(attempt("a", "b"), watch(), PLACES, 0.0)
    assert held.running == ("a", "b")
    assert not held.closed(1e9)


def test_one_silent_node_is_over_a_lease_after_the_last_word_of_anybody() -> None:
    told = watch(Silent("b", 100.0, ""), Ended(KEY, "a", 103.0, "stopped"))
    held = fence(attempt("a", "b"), told, PLACES, 0.0)
    assert held.until == 103.0 + lease.EXPIRED
    assert not held.closed(103.0 + lease.EXPIRED - 0.01)
    assert held.closed(103.0 + lease.EXPIRED)


def test_while_a_peer_runs_no_time_ends_a_lease() -> None:
    held = fence(attempt("a", "b"), watch(Silent("b", 100.0, "")), PLACES, 0.0)
    assert held.until is None
    assert not held.closed(1e9)


def test_two_silent_nodes_may_hear_each_other() -> None:
    told = watch(Silent("b", 100.0, ""), Silent("c", 101.0, ""), Ended(KEY, "a", 103.0, "stopped"))
    held = fence(attempt("a", "b", "c"), told, PLACES, 0.0)
    assert held.until == 101.0 + lease.PEERS_ONLY + lease.EXPIRED


def test_a_node_without_peers_has_no_lease() -> None:
    held = fence(attempt("b"), watch(Silent("b", 100.0, "")), PLACES, 0.0)
    assert not held.closed(1e9)


def test_proof_of_power_off_or_another_boot_ends_it_at_once() -> None:
    off = {**PLACES, "b": Place("b", "ssh", off=110.0)}
    assert fence(attempt("b"), watch(Silent("b", 100.0, "")), off, 0.0).closed(110.0)
    booted = watch(Silent("b", 100.0, ""), Heard("b", 150.0, "b2"))
    held = fence(attempt("b"), booted, PLACES, 0.0)
    assert held.closed(150.0)
    assert held.dead == {"b": "it has booted since"}


def test_a_proof_of_power_off_holds_for_the_attempt_after_it_has_grown_old() -> None:
    silent = watch(Silent("a", 100.0, ""), Silent("b", 100.0, ""))
    first = fence(attempt("a", "b"), silent, {**PLACES, "a": Place("a", "ssh", off=110.0)}, 0.0)
    assert first.off == {"a": 110.0}
    later = fence(attempt("a", "b"), silent, {**PLACES, "b": Place("b", "ssh", off=150.0)}, 0.0, first.off)
    assert later.off == {"a": 110.0, "b": 150.0}
    assert later.closed(150.0)
    on_again = silent.after([Heard("a", 160.0, "a2"), Silent("a", 170.0, "")])
    assert fence(attempt("a", "b"), on_again, PLACES, 0.0, later.off).off == later.off


def test_a_node_that_goes_on_was_never_off() -> None:
    silent = watch(Silent("b", 100.0, ""))
    misses = silent.after([PeerSilent(KEY, "a", 101.0, "b", 3.0)])
    assert fence(attempt("a", "b"), misses, PLACES, 0.0, {"b": 110.0}).off == {"b": 110.0}
    held = fence(attempt("a", "b"), misses.after([PeerHeard(KEY, "a", 120.0, "b")]), PLACES, 0.0, {"b": 110.0})
    assert (held.off, held.silent) == ({}, ("b",))
    heard = misses.after([Heard("b", 120.0, "b1")])
    held = fence(attempt("a", "b"), heard, PLACES, 0.0, {"b": 110.0})
    assert (held.off, held.running) == ({}, ("a", "b"))


def test_what_was_asked_to_start_may_do_so_late() -> None:
    told = Watch().after([Heard("a", 1.0, "a1"), Ended(KEY, "a", 5.0, "stopped"), Silent("b", 4.0, "")])
    held = fence(attempt("a", "b"), told, PLACES, 0.0)
    assert held.until == 5.0 + STARTING + lease.EXPIRED


def test_an_earlier_controller_was_heard_until_this_one_began() -> None:
    told = watch(Silent("b", 100.0, ""), Ended(KEY, "a", 90.0, "stopped"))
    assert fence(attempt("a", "b"), told, PLACES, 200.0).until == 200.0 + lease.EXPIRED
