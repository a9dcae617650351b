"""Batches and limits of a rollout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.rollout import Share, batches, in_words, too_many

WORKERS = frozenset({"workers"})
shares = st.one_of(
    st.builds(Share, st.integers(1, 2000)),
    st.builds(Share, st.integers(1, 100), st.just(True)),
)
roles = st.sampled_from(
    [
        WORKERS,
        WORKERS,
        frozenset({"head"}),
        frozenset({"head", "workers"}),
        frozenset({"workers", "storage"}),
        frozenset({"workers", "login"}),
        frozenset({"storage"}),
        frozenset[str](),
    ]
)


def works(node: Node) -> bool:
    return "workers" in node.roles and "head" not in node.roles


clusters = st.lists(roles, max_size=40).map(
    lambda found: [Node(f"n{number}", roles=one) for number, one in enumerate(found)]
)


@given(nodes=clusters, size=st.none() | shares)
def test_every_node_is_in_exactly_one_batch_and_those_that_serve_come_first(
    nodes: list[Node], size: Share | None
) -> None:
    parts = batches(nodes, size)
    assert sorted(name for part in parts for name in part.names) == sorted(node.name for node in nodes)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert {part.of for part in parts} <= {len(parts)}
    assert all(part.nodes for part in parts) or not nodes
    if size is not None:
        kinds = [{works(node) for node in part.nodes} for part in parts]
        assert all(kind == {True} for kind in kinds[1:])
        assert all(len(kind) == 1 for kind in kinds)
        workers = sum(works(node) for node in nodes)
        limit = max(1, size.of(workers))
        assert all(len(part.nodes) <= limit for part, kind in zip(parts, kinds, strict=True) if kind == {True})


@given(nodes=clusters, size=shares)
def test_the_order_of_the_inventory_is_kept(nodes: list[Node], size: Share) -> None:
    order = [node.name for part in batches(nodes, size) for node in part.nodes if works(node)]
    assert order == [node.name for node in nodes if works(node)]


@given(shares)
def test_a_share_reads_what_it_writes(share: Share) -> None:
    assert Share.read(str(share), "--batch") == share


@given(st.text(max_size=6) | st.from_regex(r"[0-9]{1,4}%?", fullmatch=True))
def test_any_text_is_a_share_or_refused(text: str) -> None:
    caught = None
    share = Share(1)
    try:
        share = Share.read(text, "--batch")
    except InputError as error:
        caught = error.code
    assert share.number >= 1
    assert not share.percent or share.number <= 100
    assert caught in {None, "usage.share"}


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "-1%", "abc", "1.5", "10 %", "%", "1e3", "٣", "1_0"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(InputError, match="--batch"):
        Share.read(text, "--batch")


@pytest.mark.parametrize(("text", "total", "allowed"), [("0", 8, 0), ("1", 8, 1), ("5%", 8, 0), ("25%", 8, 2)])
def test_a_limit_is_what_may_fail(text: str, total: int, allowed: int) -> None:
    limit = Share.read(text, "--max-fail", least=0)
    assert not too_many(allowed, total, limit)
    assert too_many(allowed + 1, total, limit)


def test_without_a_limit_nothing_is_too_much() -> None:
    assert not too_many(1000, 1000, None)


@pytest.mark.parametrize(
    ("heads", "workers", "size", "words"),
    [
        (1, 8, "25%", "5 batches: h0, then 4 of 2 nodes"),
        (1, 8, "3", "4 batches: h0, then 3 of at most 3 nodes"),
        (1, 8, "100%", "2 batches: h0, then w[0-7]"),
        (0, 8, "4", "2 batches of 4 nodes"),
        (0, 5, "2", "3 batches of at most 2 nodes"),
        (0, 3, "1", "3 batches of 1 node"),
        (0, 3, "2", "2 batches: w[0-1], then w2"),
        (1, 0, "2", ""),
    ],
)
def test_batches_in_words(heads: int, workers: int, size: str, words: str) -> None:
    nodes = [Node(f"h{number}", roles=frozenset({"head"})) for number in range(heads)]
    nodes += [Node(f"w{number}", roles=WORKERS) for number in range(workers)]
    assert in_words(batches(nodes, Share.read(size, "--batch"))) == words


def test_hyperconverged_nodes_go_a_few_at_a_time_too() -> None:
    """Workers that are storage nodes as well are no batch of their own; the one that serves the others comes first."""
    nodes = [Node(f"n{number}", roles=frozenset({"workers", "storage"})) for number in range(4)]
    assert [part.names for part in batches(nodes, Share(1), ["n2"])] == [("n2",), ("n0",), ("n1",), ("n3",)]
    head = Node("h", roles=frozenset({"workers", "head"}))
    assert [part.names for part in batches([*nodes, head], Share(2))] == [("h",), ("n0", "n1"), ("n2", "n3")]
