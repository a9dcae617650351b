"""Following a job: where it stands, again and again, until it has ended or waits for a person."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiops.cli.exit import Exit

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.layers.core.clock import Clock

LOOK_SECONDS = 0.3
AT_REST = frozenset({"succeeded", "failed", "cancelled", "held"})


def standings(
    desk: "Counter",
    clock: "Clock",
    job: str,
    *,
    request: int | None = None,
    after: int = 0,
    seconds: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Where a job stands, each with the decisions since the one before; the last one is at rest, or time is up.

    Args:
        desk: Who answers.
        clock: The time.
        job: Its id.
        request: What was asked of it, which must have been taken up before its rest counts.
        after: The number of the last decision that is known.
        seconds: So long at most; None for ever.

    Raises:
        UnreachableError: The controller has gone away.
    """
    ends = None if seconds is None else clock.monotonic() + seconds
    while True:
        found: dict[str, Any] = desk.ask("standing", job=job, after=after, request=request)
        after = max([after, *(one["number"] for one in found["decisions"])])
        yield found
        if (found["state"] in AT_REST and found["heard"]) or (ends is not None and clock.monotonic() >= ends):
            return
        clock.sleep(LOOK_SECONDS)


def exit_of_job(state: str) -> Exit:
    """The exit code of who has followed a job to its rest: a job that failed, is held or was cancelled is 1."""
    return Exit.DONE if state == "succeeded" else Exit.FAILED
