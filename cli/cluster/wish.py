"""What was typed for a plan or a deploy."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.rollout import Share


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `plan` and `deploy`.

    Attributes:
        retry_failed: Only nodes that earlier runs have left failed, blocked or interrupted.
        batch: How many workers go through all phases together.
        max_fail: How many nodes may fail before the rollout stops.
        write: Where a plan is written for running by hand.
        phases: Another folder of phases than the shipped one.
    """

    inventory: Path | None
    only: str | None = None
    start: str | None = None
    on: str | None = None
    retry_failed: bool = False
    batch: "Share | None" = None
    max_fail: "Share | None" = None
    forks: int | None = None
    dry_run: bool = False
    yes: bool = False
    write: Path | None = None
    phases: Path | None = None

    def words(self, inventory: Path) -> tuple[str, ...]:
        """The deploy that says the same."""
        options = (
            ("--only", self.only),
            ("--from", self.start),
            ("--on", self.on),
            ("--batch", self.batch),
            ("--max-fail", self.max_fail),
            ("--forks", self.forks),
            ("--phases", self.phases),
        )
        given = [word for option, value in options if value is not None for word in (option, str(value))]
        retry = ["--retry-failed"] if self.retry_failed else []
        return ("aiops", "cluster", "deploy", str(inventory), *retry, *given)

    @property
    def again(self) -> Self:
        """The same for what has failed."""
        return replace(self, retry_failed=True)
