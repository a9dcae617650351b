"""`aiops cluster deploy`."""

from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import (
    DryRunOption,
    InventoryArgument,
    InventoryOption,
    JsonOption,
    OnOption,
    QuietOption,
    VerboseOption,
    YesOption,
    chosen_inventory,
)

OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="PHASE", help="Only this phase, or several by commas.")
]
FromOption = Annotated[str | None, typer.Option("--from", metavar="PHASE", help="This phase and those after it.")]
ForksOption = Annotated[
    int | None, typer.Option("--forks", metavar="N", min=1, help="How many nodes are worked on at once.")
]
PhasesOption = Annotated[
    Path | None, typer.Option("--phases", metavar="DIR", help="Phases of your own instead of the shipped ones.")
]


def deploy(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    only: OnlyOption = None,
    start: FromOption = None,
    on: OnOption = None,
    forks: ForksOption = None,
    phases: PhasesOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Bring the nodes to what the phases want of them; a second run changes nothing."""
    from .deployment import Deployment, Wish

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet, verbose=verbose)
    wish = Wish(
        chosen_inventory(inventory, inventory_option),
        only=only,
        start=start,
        on=on,
        forks=forks,
        dry_run=dry_run,
        yes=yes,
        phases=phases,
    )
    return Deployment(aiops, screen, wish).perform()
