"""`aiops cluster plan`."""

from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryArgument, InventoryOption, JsonOption, OnOption, QuietOption, chosen_inventory

from .deploy import BatchOption, ForksOption, FromOption, OnlyOption, PhasesOption, RetryOption

WriteOption = Annotated[
    Path | None,
    typer.Option("--write", metavar="DIR", help="Write what plain ansible-playbook needs to do it into a new DIR."),
]


def plan(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    only: OnlyOption = None,
    start: FromOption = None,
    on: OnOption = None,
    retry_failed: RetryOption = False,
    batch: BatchOption = None,
    forks: ForksOption = None,
    phases: PhasesOption = None,
    write: WriteOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show what a deploy would change, per phase and node, and change nothing."""
    from aiops.layers.l1_cluster.rollout import Share

    from .deployment import Deployment
    from .wish import Wish

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    wish = Wish(
        chosen_inventory(inventory, inventory_option),
        only=only,
        start=start,
        on=on,
        retry_failed=retry_failed,
        batch=Share.read(batch, "--batch") if batch is not None else None,
        forks=forks,
        dry_run=True,
        write=write,
        phases=phases,
    )
    return Deployment(aiops, screen, wish).perform()
