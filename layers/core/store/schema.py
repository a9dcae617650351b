"""Schemas: a layer's tables under a name and a number, and the steps that lead from number to number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.operations import Operations
    from sqlalchemy import MetaData

Upgrade = Callable[["Operations"], None]


@dataclass(frozen=True, slots=True)
class Schema:
    """A layer's tables.

    Attributes:
        name: The layer's name (`l1_cluster`); every table of it starts with a word of that layer.
        number: 1, 2, 3 ...; raised by every change to `metadata`.
        metadata: The tables as they are at `number`; a fresh database gets them as they stand.
        upgrades: For each number from 2 on, what turns the number before into it.
    """

    name: str
    number: int
    metadata: "MetaData" = field(repr=False, compare=False)
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = set(range(2, self.number + 1))
        if self.number < 1 or set(self.upgrades) != steps:
            raise ValueError(f"schema `{self.name}` at {self.number} needs exactly the upgrades {sorted(steps)}")
