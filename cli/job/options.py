"""What the verbs of jobs take alike."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or its name for the newest job of that name.")
]
AttemptOption = Annotated[
    int | None, typer.Option("--attempt", metavar="N", min=1, help="This attempt instead of the last.")
]


def moment(seconds: float | None) -> datetime | None:
    """A time of the controller's clock, for a table."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def nodes_of(names: list[str]) -> str | None:
    """Nodes in few words: `gpu[01-16]`."""
    from aiops.layers.l0_nodes.nodeset import fold

    return fold(names) if names else None


def progress_of(progress: dict[str, Any] | None, *, pace: bool = False) -> str | None:
    """`step 12,400/50,000   loss 1.839`, and with `pace` also `41.0k tokens/s   21h left`."""
    from aiops.cli.duration import spell

    if progress is None or progress["step"] is None:
        return None
    total, tokens, each = progress["total"], progress["tokens_per_second"], progress["seconds_per_step"]
    words = [f"step {progress['step']:,}" + (f"/{total:,}" if total else "")]
    if progress["loss"] is not None:
        words.append(f"loss {loss_of(progress['loss'])}")
    if pace and tokens:
        words.append(f"{_thousands(tokens)} tokens/s")
    elif pace and each:
        words.append(f"{spell(each)} a step" if each >= 1 else f"{1 / each:.1f} steps/s")
    if pace and progress["seconds_left"]:
        words.append(f"{spell(progress['seconds_left'])} left")
    if progress["phase"] in {"save", "evaluate"}:
        words.append("saves" if progress["phase"] == "save" else "evaluates")
    return "   ".join(words)


def loss_of(loss: float | str) -> str:
    """A loss, which is text where it is no finite number."""
    return loss if isinstance(loss, str) else f"{loss:.4g}"


def _thousands(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"  # noqa: PLR2004 - what a k is
