"""Options that mean one thing everywhere, declared once."""

from pathlib import Path
from typing import Annotated

import typer

from aiops.layers.core.errors import InputError

InventoryOption = Annotated[
    Path | None,
    typer.Option("-i", "--inventory", metavar="FILE", help="The inventory. [AIOPS_INVENTORY, ./inventory.yml]"),
]
InventoryArgument = Annotated[
    Path | None, typer.Argument(metavar="[INVENTORY]", help="The inventory. [AIOPS_INVENTORY, ./inventory.yml]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no hints.")]
VerboseOption = Annotated[int, typer.Option("-v", "--verbose", count=True, help="More detail; -vv for all.")]
OnOption = Annotated[
    str | None,
    typer.Option("--on", "--limit", "--node", metavar="NODES", help="Node set, e.g. `gpu[01-04],@workers`."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")]
FollowOption = Annotated[bool, typer.Option("-f", "--follow", help="Go on as more comes.")]


def chosen_inventory(argument: Path | None, option: Path | None) -> Path | None:
    """The inventory that was named, by position or by `-i`; None where neither was.

    Raises:
        InputError: Both name one, and not the same.
    """
    if argument is not None and option is not None and argument != option:
        raise InputError(
            f"two inventories are named: {argument} and {option}", code="usage.inventory", hints=["name one of them"]
        )
    return argument or option
