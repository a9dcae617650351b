"""Packages that the inventory adds and the bundle lacks are told before anything is changed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.variables import NodeVariables
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.manifest import Artefact, Manifest
from aiops.layers.l1_cluster.bundle.offer import Offer
from aiops.layers.l1_cluster.bundle.signing import PublicKey
from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.context import ClusterContext, NodeContext
from aiops.layers.l1_cluster.offered import require_offered
from aiops.layers.l1_cluster.plan import PhasePlan, Plan

NAMES = ("gpu01", "gpu02")


def _cluster(repository: str = "bundle", *, bundled: bool = True) -> ClusterContext:
    variables = NodeVariables.model_validate(
        {"aiops_packages": ["tree", "tmux"], "aiops_hold": ["linux-image-amd64"], "aiops_repository": repository}
    )
    at = datetime(2026, 11, 21, tzinfo=UTC)
    nodes = tuple(
        NodeContext(
            name, name, frozenset(), (), variables, Facts(name, at, os_codename="bookworm", architecture="x86_64")
        )
        for name in NAMES
    )
    tmux = Artefact("deb", "apt/tmux.deb", "", 1, "tmux", "3.3a-3", "amd64", "bookworm")
    manifest = Manifest("", "0.1.0", ("bookworm/amd64",), "F", "c0ffee", (tmux,))
    offer = Offer(Bundle(Path("/nowhere"), manifest, PublicKey("F", "")), Path("/parcels"))
    return ClusterContext("lab-a", nodes, offer if bundled else None)


def _plan(*changes: Change) -> Plan:
    return Plan((PhasePlan("base", "", dict.fromkeys(NAMES, changes)),), NAMES)


def _install(name: str) -> Change:
    return Change(f"package:{name}", "install", "installed", "absent")


def test_a_package_that_the_bundle_lacks_is_told_with_its_nodes_and_the_command() -> None:
    with pytest.raises(InputError) as caught:
        require_offered(_plan(_install("tree"), _install("tmux"), _install("linux-image-amd64")), _cluster())
    assert [problem.message for problem in caught.value.problems] == [
        "package tree, for gpu[01-02]",
        "package linux-image-amd64, for gpu[01-02]",
    ]
    assert "`aiops cluster bundle build`" in caught.value.hints[0]


def test_what_is_there_or_comes_from_elsewhere_is_not_asked_of_the_bundle() -> None:
    held = Change("package:linux-image-amd64", "hold", "held", "not held")
    require_offered(_plan(_install("tmux"), held), _cluster())
    require_offered(_plan(_install("tree")), _cluster("system"))
    require_offered(_plan(_install("tree")), _cluster(bundled=False))
