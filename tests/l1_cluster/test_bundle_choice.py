"""Which bundle an inventory names: one for all nodes, whichever are chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import Settings
from aiops.layers.l1_cluster.bundle.choice import named_bundle


def inventory(nodes: Mapping[str, Mapping[str, Any]]) -> Inventory:
    made = tuple(
        Node(
            name,
            roles=frozenset({"head" if name == "head" else "workers"}),
            aiops={f"aiops_{key}": value for key, value in own.items()},
        )
        for name, own in nodes.items()
    )
    return Inventory(Path("inventory.yml"), "lab-a", made, {}, Settings())


def test_several_bundles_are_refused_each_with_its_nodes() -> None:
    with pytest.raises(InputError) as caught:
        named_bundle(inventory({"head": {"bundle": "/a"}, "w1": {"bundle": "/a"}, "w2": {"bundle": "/b"}}))
    assert caught.value.code == "bundle.several"
    assert [one.message for one in caught.value.problems] == [
        "`aiops_bundle: /a`, for head,w1",
        "`aiops_bundle: /b`, for w2",
    ]


@pytest.mark.parametrize(
    ("nodes", "path"),
    [
        ({"head": {}, "w1": {}}, None),
        ({"head": {}, "w1": {"bundle": "/b"}}, "/b"),
        ({"head": {"bundle": "b"}, "w1": {"bundle": "./b/"}, "w2": {}}, "b"),
        ({"head": {"bundle": "/b", "repository": "system"}, "w1": {}}, "/b"),
        ({"head": {"bundle": "/b"}, "w1": {"bundle": "/c", "repository": "system"}}, "/b"),
    ],
)
def test_who_says_none_takes_that_of_the_others(nodes: Mapping[str, Mapping[str, Any]], path: str | None) -> None:
    assert named_bundle(inventory(nodes)) == path
