"""Environments as a phase: what a node has of the bundle, and the programs that bring it there."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l1_cluster.golden_nodes import LAB_HOST, FixedSecrets, a_cluster, a_node

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.draft import ENVIRONMENTS
from aiops.layers.l1_cluster.bundle.environment import WheelFile, bundle_document, document_name
from aiops.layers.l1_cluster.bundle.lock import EnvironmentWish
from aiops.layers.l1_cluster.bundle.manifest import Artefact, Manifest
from aiops.layers.l1_cluster.bundle.needs import needs_of
from aiops.layers.l1_cluster.bundle.offer import NotOfferedError, Offer
from aiops.layers.l1_cluster.bundle.signing import PublicKey
from aiops.layers.l1_cluster.bundle.target import Target
from aiops.layers.l1_cluster.context import ClusterContext
from aiops.layers.l1_cluster.desired import Desired
from aiops.layers.l1_cluster.environments import programs_of
from aiops.layers.l1_cluster.phase import read_phases, shipped_phases
from aiops.layers.l1_cluster.resource import File

HOST = replace(LAB_HOST, architecture="x86_64")
WHEEL = WheelFile("wheels/pool/aa/tiny-1.0-py3-none-any.whl", "a" * 64)
PHASE = next(phase for phase in read_phases(shipped_phases()) if phase.name == "environments")


def an_offer(folder: Path, *targets: str) -> Offer:
    (folder / ENVIRONMENTS).mkdir()
    path = f"{ENVIRONMENTS}/trainer.json"
    (folder / path).write_bytes(bundle_document("trainer", ("tiny",), dict.fromkeys(targets, ("3.11", (WHEEL,)))))
    artefacts = (Artefact("environment", path, "", 1, "trainer.json"),)
    manifest = Manifest("", "0.1.0", ("bookworm/amd64",), "F", "c0ffee", artefacts)
    return Offer(Bundle(folder, manifest, PublicKey("F", "")), folder / "parcels")


def a_site(folder: Path, *targets: str, **variables: Any) -> ClusterContext:
    return replace(a_cluster(HOST, **variables), bundle=an_offer(folder, *targets))


def wanted(cluster: ClusterContext) -> list[File]:
    found = Desired(PHASE, FixedSecrets()).of(cluster.node("gpu01"), cluster)
    assert all(isinstance(one, File) for one in found)
    return [one for one in found if isinstance(one, File)]


def test_a_node_has_a_manifest_for_each_name_and_nothing_without(tmp_path: Path) -> None:
    cluster = a_site(tmp_path, "bookworm/amd64", environments=["trainer"])
    (plan,) = cluster.environments(cluster.node("gpu01"))
    assert [one.path for one in wanted(cluster)] == ["/opt/aiops/env", "/opt/aiops/env/trainer/manifest.json"]
    assert wanted(cluster)[1].content == plan.manifest.encode()
    assert wanted(a_cluster(HOST)) == []


def test_a_bundle_without_it_is_told_with_the_command(tmp_path: Path) -> None:
    cluster = a_site(tmp_path, "trixie/arm64", environments=["trainer"])
    with pytest.raises(InputError) as caught:
        wanted(cluster)
    assert "no environment `trainer` for bookworm/amd64" in caught.value.problems[0].message
    assert "aiops cluster bundle build" in caught.value.problems[0].message


def test_without_a_bundle_there_are_none() -> None:
    cluster = a_cluster(HOST, environments=["trainer"])
    with pytest.raises(InputError) as caught:
        wanted(cluster)
    assert "there is none" in caught.value.problems[0].message


def test_the_head_builds_what_all_want_and_a_node_takes_its_own(tmp_path: Path) -> None:
    cluster = a_site(tmp_path, "bookworm/amd64", environments=["trainer"])
    programs = programs_of(cluster, cluster.node("gpu01"))
    assert programs["head"] == "head"
    for name in ("build", "take"):
        ast.parse(programs[name])
    assert "a" * 64 in programs["build"].splitlines()[-1]
    assert "http://10.0.0.1:8990/built" in programs["take"].splitlines()[-1]
    assert programs_of(cluster, cluster.node("gpu02"))["build"] == programs["build"]
    assert programs_of(a_cluster(HOST), a_cluster(HOST).node("gpu01")) == {}


def test_a_shared_folder_is_handed_on(tmp_path: Path) -> None:
    cluster = a_site(tmp_path, "bookworm/amd64", environments=["trainer"], environments_folder="/shared/env")
    assert programs_of(cluster, cluster.node("gpu01"))["take"].rstrip().endswith("'/shared/env')")


def test_a_bundle_is_asked_for_what_nodes_name() -> None:
    node = Node("gpu01", roles=frozenset({"workers"}), aiops={"aiops_environments": ["trainer"]})
    inventory = Inventory(Path("inventory.yml"), "test", (node,), {})
    assert needs_of(inventory, {}, (), Target("bookworm", "amd64"), vendor=False).environments == {
        Target("bookworm", "amd64"): (EnvironmentWish("trainer", "aiops_environments of gpu01"),)
    }


def test_groups_with_a_lock_of_their_own_are_asked_for_apart() -> None:
    own = {"aiops_environments": ["trainer", "trainer"], "aiops_environment_locks": {"trainer": "locks/cuda.lock"}}
    nodes = (
        Node("cpu01", roles=frozenset({"workers"}), aiops={"aiops_environments": ["trainer"]}),
        *(Node(name, roles=frozenset({"workers"}), aiops=own) for name in ("gpu01", "gpu02")),
    )
    inventory = Inventory(Path("inventory.yml"), "test", nodes, {})
    target = Target("bookworm", "amd64")
    assert needs_of(inventory, {}, (), target, vendor=False).environments[target] == (
        EnvironmentWish("trainer", "aiops_environments of cpu01"),
        EnvironmentWish("trainer", "aiops_environments of gpu[01-02]", "locks/cuda.lock"),
    )


def test_a_node_with_a_lock_of_its_own_has_another_digest_under_the_same_name(tmp_path: Path) -> None:
    """And what the bundle was not built with is told by the file's name, never given the shipped one instead."""
    offer = an_offer(tmp_path, "bookworm/amd64")
    cuda = WheelFile("wheels/pool/bb/tiny-1.0+cuda-py3-none-any.whl", "b" * 64)
    path = f"{ENVIRONMENTS}/{document_name('trainer', 'locks/cuda.lock')}"
    (tmp_path / path).write_bytes(bundle_document("trainer", ("tiny",), {"bookworm/amd64": ("3.11", (cuda,))}))
    more = (*offer.bundle.manifest.artefacts, Artefact("environment", path, "", 1, "x"))
    offer = replace(offer, bundle=replace(offer.bundle, manifest=replace(offer.bundle.manifest, artefacts=more)))
    variables = {"environments": ["trainer"], "environment_locks": {"trainer": "locks/cuda.lock"}}
    own = a_node("gpu03", "workers", HOST, "10.0.0.13", **variables)
    other = a_node("gpu04", "workers", HOST, "10.0.0.14", **{**variables, "environment_locks": {"trainer": "other"}})
    cluster = replace(a_cluster(HOST, own, other, environments=["trainer"]), bundle=offer)
    (plain,), (with_lock,) = cluster.environments(cluster.node("gpu01")), cluster.environments(cluster.node("gpu03"))
    assert plain.named == with_lock.named
    assert (plain.wheels, with_lock.wheels) == ((WHEEL,), (cuda,))
    with pytest.raises(NotOfferedError, match="no environment `trainer` by other for bookworm/amd64"):
        cluster.environments(cluster.node("gpu04"))


def test_a_lock_for_an_environment_that_nobody_has_is_a_mistake() -> None:
    own = {"aiops_environments": ["trainer"], "aiops_environment_locks": {"trianer": "locks/cuda.lock"}}
    nodes = tuple(Node(name, roles=frozenset({"workers"}), aiops=own) for name in ("gpu01", "gpu02"))
    with pytest.raises(InputError) as caught:
        needs_of(Inventory(Path("i.yml"), "test", nodes, {}), {}, (), Target("bookworm", "amd64"), vendor=False)
    assert "gpu[01-02] names `trianer`" in caught.value.problems[0].message
