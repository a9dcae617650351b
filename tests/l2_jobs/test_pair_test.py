"""Pair tests: whoever is bad is named, and nobody else, whatever the number of nodes and whoever does not answer."""

from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.pair_test import Pair, PairResult, PairVerdict, judge, next_round

Meeting = Callable[[Pair], PairResult]


def told(
    nodes: Sequence[str], test: Meeting, spares: Sequence[str] = (), most: int = 1000
) -> tuple[PairVerdict, list[tuple[Pair, ...]]]:
    """All rounds of `nodes`."""
    results: list[PairResult] = []
    rounds: list[tuple[Pair, ...]] = []
    while len(rounds) < most and (pairs := next_round(nodes, spares, results)):
        rounds.append(pairs)
        results += [test(pair) for pair in pairs]
    assert len(rounds) < 1000
    return judge(nodes, results), rounds


def names(count: int, kind: str = "gpu") -> list[str]:
    return [f"{kind}{number:02}" for number in range(count)]


def among(bad: set[str], silent: frozenset[str] = frozenset()) -> Meeting:
    def test(pair: Pair) -> PairResult:
        mute = tuple(node for node in pair.nodes if node in silent)
        return PairResult(pair, None if mute else not bad & set(pair.nodes), "no connection", mute)

    return test


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[str], set[str]]:
    nodes = names(draw(st.integers(3, 24)))
    order = draw(st.permutations(nodes))
    return order, set(order[: draw(st.integers(0, (len(nodes) - 1) // 2))])


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_exactly_the_bad_ones_are_named_where_they_are_less_than_half(cluster: tuple[list[str], set[str]]) -> None:
    order, bad = cluster
    nodes = sorted(order)
    verdict, rounds = told(nodes, among(bad))
    assert set(verdict.bad) == verdict.proved == bad
    assert set(verdict.well) == set(nodes) - bad
    assert not verdict.unknown
    assert not verdict.network
    for pairs in rounds:
        several = [node for pair in pairs for node in pair.nodes]
        assert len(several) == len(set(several)), "a node is in one pair at a time"


@given(st.integers(2, 12), st.integers(0, 3), st.data())
@settings(max_examples=300, deadline=None)
def test_a_good_node_is_never_named_whoever_is_bad_or_silent(count: int, spare: int, data: st.DataObject) -> None:
    nodes, spares = names(count), names(spare, "spare")
    bad = set(data.draw(st.lists(st.sampled_from([*nodes, *spares]))))
    silent = frozenset(data.draw(st.lists(st.sampled_from([*nodes, *spares]), max_size=4)))
    verdict, _ = told(nodes, among(bad, silent), spares)
    assert set(verdict.bad) <= bad
    assert not set(verdict.well) & (bad | silent)
    assert silent & set(nodes) <= set(verdict.unknown), "who does not answer is unknown, and never well"
    assert set(nodes) <= set(verdict.bad) | set(verdict.well) | set(verdict.unknown)


@given(st.integers(3, 16), st.data())
def test_one_bad_node_takes_three_rounds_at_most(count: int, data: st.DataObject) -> None:
    nodes = names(count)
    bad = data.draw(st.sampled_from(nodes))
    verdict, rounds = told(nodes, among({bad}))
    assert list(verdict.bad) == [bad]
    assert len(rounds) <= 3


def test_all_pass_and_nobody_is_suspect_any_more() -> None:
    for count in range(2, 9):
        verdict, rounds = told(names(count), among(set()))
        assert verdict.well == tuple(names(count))
        assert len(rounds) == 1 + count % 2


def test_where_nothing_passes_it_is_the_network_and_nobody_is_blamed() -> None:
    for count in range(3, 9):
        verdict, rounds = told(names(count), among(set(names(count))))
        assert verdict.network
        assert not verdict.bad
        assert len(verdict.unknown) == count
        assert len(rounds) <= 3


def test_two_nodes_need_a_third_one() -> None:
    verdict, _ = told(names(2), among({"gpu00"}))
    assert not verdict.bad
    assert not verdict.network, "two nodes that cannot talk say nothing of the network"
    assert verdict.unknown == ("gpu00", "gpu01")
    for spares in (1, 2, 3):
        for bad in names(2):
            verdict, rounds = told(names(2), among({bad}), names(spares, "spare"))
            assert list(verdict.bad) == [bad]
            assert len(rounds) <= 3


def test_a_spare_that_is_bad_blames_nobody_else() -> None:
    verdict, _ = told(names(2), among({"gpu01", "spare00"}), names(2, "spare"))
    assert "gpu00" in verdict.well
    assert "gpu00" not in verdict.bad


def test_a_way_between_two_nodes_that_is_broken_is_no_nodes_fault() -> None:
    def test(pair: Pair) -> PairResult:
        return PairResult(pair, set(pair.nodes) != {"gpu00", "gpu01"})

    verdict, _ = told(names(4), test)
    assert not verdict.bad
    assert verdict.well == tuple(names(4))


def test_what_the_sites_own_test_says_names_a_node_and_proves_nothing() -> None:
    """It runs as the job's owner, who may have it fail wherever he likes."""

    def test(pair: Pair) -> PairResult:
        fails = "gpu02" in pair.nodes
        return PairResult(pair, not fails, own=fails)

    verdict, _ = told(names(4), test)
    assert list(verdict.bad) == ["gpu02"]
    assert not verdict.proved
