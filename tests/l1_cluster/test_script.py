"""What programs of ours have printed on a node, read on the controller."""

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.script import answer_of


def answered(said: bytes) -> object:
    return answer_of(Node("n1"), Completed(Command(("python3",)), 0, said, b"", 0.1), "x.garbled", dict)


def test_an_answer_is_of_the_kind_that_was_asked_for() -> None:
    assert answered(b'{"a": [1]}\n') == {"a": [1]}


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"hello {}", b"\xff", b'{"a": ' * 100_000, b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_what_is_none_is_that_nodes_failure(said: bytes) -> None:
    """Also one that is nested without end: it may quote what a user has written there."""
    with pytest.raises(FailedError, match="n1 gave an answer that cannot be understood") as caught:
        answered(said)
    assert caught.value.code == "x.garbled"
