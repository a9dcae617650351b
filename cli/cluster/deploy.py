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
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Only nodes that earlier runs have left failed or unfinished.")
]
BatchOption = Annotated[
    str | None,
    typer.Option("--batch", metavar="N|P%", help="So many workers at a time, each batch through all phases."),
]
MaxFailOption = Annotated[
    str | None, typer.Option("--max-fail", metavar="N|P%", help="Stop once more nodes than this have failed.")
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
    retry_failed: RetryOption = False,
    batch: BatchOption = None,
    max_fail: MaxFailOption = None,
    forks: ForksOption = None,
    phases: PhasesOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> int:
    """Bring the nodes to what the phases want of them; a second run changes nothing.

    The phases, in their order: repository, base, accelerator, aiops, export, time, storage, environments, scheduler,
    jobs, monitoring.
    """
    from aiops.layers.l1_cluster.rollout import Share

    from .deployment import Deployment
    from .wish import Wish

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet, verbose=verbose)
    wish = Wish(
        chosen_inventory(inventory, inventory_option),
        only=only,
        start=start,
        on=on,
        retry_failed=retry_failed,
        batch=Share.read(batch, "--batch") if batch is not None else None,
        max_fail=Share.read(max_fail, "--max-fail", least=0) if max_fail is not None else None,
        forks=forks,
        dry_run=dry_run,
        yes=yes,
        phases=phases,
    )
    return Deployment(aiops, screen, wish).perform()
