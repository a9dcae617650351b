"""Options that mean the same with a job file and with a recipe."""

from typing import Annotated

import typer

NodesOption = Annotated[str | None, typer.Option("--nodes", metavar="N", help="On N nodes, or `2-4`.")]
EngineOption = Annotated[str | None, typer.Option("--engine", metavar="NAME", help="By `ssh` or `slurm`.")]
PriorityOption = Annotated[int | None, typer.Option("--priority", metavar="P", help="0 to 100; more goes first.")]
QueueOption = Annotated[str | None, typer.Option("--queue", metavar="NAME", help="In this queue.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Start it and do not follow.")]
AllowChangedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-changed",
        metavar="WHAT",
        help="With --resume and a recipe: though its `base`, `data`, `recipe`, `code` or `environment` changed.",
    ),
]
