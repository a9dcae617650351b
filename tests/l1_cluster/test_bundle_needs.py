"""What a bundle must hold for an inventory, worked out without asking any node."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import Settings
from aiops.layers.l1_cluster.bundle.needs import Needs, needs_of
from aiops.layers.l1_cluster.bundle.target import Target

BOOKWORM, TRIXIE, ARM = Target("bookworm", "amd64"), Target("trixie", "amd64"), Target("noble", "arm64")


def needs(
    nodes: Mapping[str, Mapping[str, Any]],
    *targets: Target,
    facts: Mapping[str, Facts] | None = None,
    vendor: bool = False,
) -> Needs:
    made = tuple(
        Node(name, roles=frozenset({"workers"}), aiops={f"aiops_{key}": value for key, value in own.items()})
        for name, own in nodes.items()
    )
    inventory = Inventory(Path("inventory.yml"), "lab-a", made, {"workers": tuple(nodes)}, Settings())
    return needs_of(inventory, facts or {}, targets, BOOKWORM, vendor=vendor)


def said(name: str, codename: str, architecture: str = "x86_64", *, accelerators: int = 0) -> Facts:
    shown = (BusAccelerators("nvidia", accelerators, ()),) if accelerators else ()
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Facts(name, at, os_codename=codename, architecture=architecture, bus_accelerators=shown)


def by(found: Needs, target: Target) -> dict[str, str]:
    return {str(one): one.by for one in found.wanted[target]}


def test_each_release_gets_what_its_own_nodes_want() -> None:
    found = needs(
        {
            "gpu01": {"expect": {"os": "debian 12"}, "packages": ["tree"]},
            "gpu02": {"expect": {"os": "Debian 13"}, "packages": ["fzf"], "hold": ["fzf", "linux-image-amd64"]},
            "gpu03": {"expect": {"os": "debian 13"}, "packages": ["fzf"]},
        }
    )
    assert set(found.wanted) == {BOOKWORM, TRIXIE}
    assert by(found, BOOKWORM)["tree"] == "aiops_packages of gpu01"
    assert by(found, TRIXIE)["fzf"] == "aiops_packages of gpu[02-03]"
    assert by(found, TRIXIE)["linux-image-amd64"] == "aiops_hold of gpu02"
    assert by(found, TRIXIE)["chrony"] == "phase time"
    assert "fzf" not in by(found, BOOKWORM)
    assert (found.assumed, found.left_out) == ((), ())


def test_environments_are_had_of_the_bundle_whatever_packages_come_from() -> None:
    found = needs(
        {
            "head": {"expect": {"os": "debian 12"}},
            "gpu01": {"expect": {"os": "debian 12"}, "repository": "system", "environments": ["trainer"]},
            "gpu02": {"expect": {"os": "debian 13"}, "repository": "system", "packages": ["tree"]},
        }
    )
    assert set(found.wanted) == {BOOKWORM}
    assert [one.by for one in found.environments[BOOKWORM]] == ["aiops_environments of gpu01"]
    assert "tree" not in by(found, BOOKWORM)


def test_what_a_node_said_counts_more_than_what_is_expected_of_it() -> None:
    found = needs({"gpu01": {"expect": {"os": "debian 12"}}}, facts={"gpu01": said("gpu01", "noble", "aarch64")})
    assert set(found.wanted) == {ARM}


def test_a_node_of_unknown_release_may_run_any_and_is_told() -> None:
    found = needs({"gpu01": {"packages": ["tree"]}, "gpu02": {"expect": {"os": "debian 13"}}})
    assert set(found.wanted) == {TRIXIE}
    assert by(found, TRIXIE)["tree"] == "aiops_packages of gpu01"
    assert found.assumed == ("gpu01",)
    assert set(needs({"gpu01": {}}).wanted) == {BOOKWORM}
    assert set(needs({"gpu01": {}}, ARM, TRIXIE).wanted) == {ARM, TRIXIE}


@pytest.mark.parametrize("system", ["debian", "rocky 9", "ubuntu 20.04"])
def test_a_release_that_no_bundle_is_for_is_as_good_as_unknown(system: str) -> None:
    assert needs({"gpu01": {"expect": {"os": system}}}).assumed == ("gpu01",)


def test_nodes_of_releases_that_were_not_asked_for_are_told() -> None:
    found = needs({"gpu01": {"expect": {"os": "debian 13"}, "packages": ["fzf"]}}, BOOKWORM)
    assert found.left_out == ("gpu01",)
    assert "fzf" not in by(found, BOOKWORM)


def test_nodes_with_sources_of_their_own_want_nothing() -> None:
    found = needs({"gpu01": {"repository": "system", "packages": ["tree"], "expect": {"os": "debian 13"}}})
    assert set(found.wanted) == {BOOKWORM}
    assert "tree" not in by(found, BOOKWORM)


def test_drivers_are_wanted_at_each_exact_version_with_who_wants_them() -> None:
    cards = {"vendor": "nvidia", "count": 8}
    found = needs(
        {
            "gpu01": {"accelerators": cards, "driver_version": "580.95.05"},
            "gpu02": {"driver_version": "570.86.10"},
            "head": {},
        }
    )
    wanted = by(found, BOOKWORM)
    assert wanted["nvidia-fabricmanager=580.95.05-*"] == "driver 580.95.05 of gpu01"
    assert wanted["nvidia-fabricmanager=570.86.10-*"] == "driver 570.86.10 of gpu02"
    assert wanted["nvidia-container-toolkit"] == "phase accelerator"
    assert found.dummies == ()


def test_without_accelerators_no_vendors_packages_are_wanted() -> None:
    assert "nvidia-container-toolkit" not in by(needs({"head": {}}), BOOKWORM)
    assert "nvidia-container-toolkit" in by(needs({"head": {}}, vendor=True), BOOKWORM)
    facts = {"head": said("head", "bookworm", accelerators=8)}
    assert "nvidia-container-toolkit" in by(needs({"head": {}}, facts=facts), BOOKWORM)
    none = {"accelerator_packages": "none", "driver_version": "580.95.05"}
    assert "nvidia-container-toolkit" not in by(needs({"head": none}, facts=facts), BOOKWORM)


def test_the_labs_dummies_are_those_of_its_nodes() -> None:
    lab = {"accelerator_packages": "simulated"}
    cards = {"accelerators": {"vendor": "nvidia", "count": 4}}
    found = needs({"head": lab, "gpu01": {**lab, **cards}, "gpu02": {**lab, **cards, "driver_version": "580.82.07"}})
    assert found.dummies == (("nvidia", None), ("nvidia", "580.82.07"))
    assert "nvidia-container-toolkit" not in by(found, BOOKWORM)
