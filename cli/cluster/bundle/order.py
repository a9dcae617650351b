"""What an inventory orders of a bundle, and what is said of it on the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.bundle.target import Target

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.facts import Facts
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.bundle.lock import EnvironmentWish
    from aiops.layers.l1_cluster.bundle.workspace import Wanted

DEFAULT = (Target("bookworm", "amd64"),)
"""Where neither the command line nor an inventory says for what."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted for an inventory.

    Attributes:
        environments: Python environments by target.
        folder: What their lock files are named from: that of the inventory.
        dummies: As `--simulated` has them.
        output: The bundle that its deploys take.
    """

    wanted: "Mapping[Target, tuple[Wanted, ...]]"
    environments: "Mapping[Target, tuple[EnvironmentWish, ...]]"
    folder: Path
    dummies: tuple[str, ...]
    output: Path


def order_of(
    aiops: "App", screen: "Screen", named: Path | None, targets: Sequence[Target], *, vendor: bool
) -> Order | None:
    """What the inventory orders; None where none is named and none is there.

    Args:
        aiops: The outside world.
        screen: Told which inventory it is, and what is not known.
        named: The inventory of the command line.
        targets: The only ones, where some were named.
        vendor: Whether packages of accelerator vendors are wanted in any case.

    Raises:
        InputError: The inventory has mistakes or names several bundles, or the one named is not there.
    """
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l1_cluster.bundle.choice import named_bundle
    from aiops.layers.l1_cluster.bundle.needs import needs_of

    try:
        path = aiops.locate(named)
    except InputError as error:
        if named is not None or aiops.environment.get("AIOPS_INVENTORY") or error.code != "inventory.missing":
            raise
        return None
    inventory = aiops.inventory(named)
    needs = needs_of(inventory, _facts(aiops, inventory), targets, DEFAULT[0], vendor=vendor)
    count = len(inventory.nodes)
    screen.note(f"for {aiops.nickname(str(path))}: {inventory.cluster}, {count} node{'s' * (count != 1)}\n")
    if needs.left_out:
        screen.warn(f"the release of {fold(needs.left_out)} is left out: add it with `--for`")
    if needs.assumed and not targets:
        shown = ", ".join(map(str, needs.wanted))
        screen.note(
            f"nothing is known of the release of {fold(needs.assumed)}; built for {shown} (`--for` names others)"
        )
    bundle = named_bundle(inventory)
    return Order(
        needs.wanted,
        needs.environments,
        path if path.is_dir() else path.parent,
        tuple(f"{one}:{driver}" if driver else one for one, driver in needs.dummies),
        aiops.working_folder / bundle if bundle else aiops.home / "bundle",
    )


def _facts(aiops: "App", inventory: "Inventory") -> "dict[str, Facts]":
    """What the nodes said in earlier deploys; nobody is asked, for the cluster may be elsewhere."""
    from aiops.layers.l0_nodes.fact_reading import facts_of
    from aiops.layers.l1_cluster.recollection import Recollection

    memory = Recollection(aiops.home / "clusters" / inventory.cluster / "records")
    vendors = aiops.vendors()
    records = ((node.name, memory.of(node.name)) for node in inventory.nodes)
    return {name: facts_of(record, vendors) for name, record in records if record is not None}
