"""What a node prints besides the answer of our program is that node's failure, and is never quoted."""

from pathlib import Path

import pytest
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.keeper import HeadKeeper
from aiops.layers.l1_cluster.secrets import Secrets

HEAD = Node("head", connection=Connection(address="10.0.0.1"))


@pytest.mark.parametrize("printed", [b"", b"Welcome!\n{}", b'{"answer": "hel', b"1", b"[]", b"\xff"])
def test_a_garbled_answer_is_an_error_of_the_head(printed: bytes, tmp_path: Path) -> None:
    head = FakeTransport(HEAD, {"python3": lambda _: (0, printed, b"")})
    with pytest.raises(FailedError, match="head gave an answer that cannot be understood") as lock:
        HeadKeeper(head).ask({"verb": "show"})
    assert lock.value.code == "lock.garbled"
    assert "aiops node exec --on head" in lock.value.hints[0]
    with pytest.raises(FailedError) as secret:
        Secrets.of(head, "test", tmp_path).get("munge.key")
    assert secret.value.code == "secret.garbled"
    assert "Welcome" not in str(secret.value)
