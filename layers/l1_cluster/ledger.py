"""Our own ledger of a deploy: what became of every node in every phase. The exit code comes from here alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "changed", "failed", "blocked"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "changed", "failed", "blocked")


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one node in one phase.

    Attributes:
        outcome: `ok` (as wanted already), `changed`, `failed`, or `blocked` (not tried, because of an earlier failure).
        reason: Why it failed or is blocked, in one line.
        item: Where it failed within the phase: Ansible's task, or the resource that is not as wanted; may be empty.
        tail: The last lines of what failed.
    """

    phase: str
    node: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    tail: tuple[str, ...] = field(default=())
    item: str = ""

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "phase": self.phase,
            "node": self.node,
            "outcome": self.outcome,
            "seconds": round(self.seconds, 3),
            "reason": self.reason or None,
            "item": self.item or None,
            "tail": list(self.tail),
        }


class Ledger:
    """All entries of one deploy, in the order they were made."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._failures: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Write down what became of a node; its first failure is the one that is remembered."""
        self._entries.append(entry)
        if entry.outcome == "failed":
            self._failures.setdefault(entry.node, entry)

    def amend(self, entry: Entry) -> None:
        """Put `entry` in the place of what was written of the same node and phase: more is known of it now."""
        key = entry.phase, entry.node
        self._entries = [entry if (one.phase, one.node) == key else one for one in self._entries]
        if entry.node in self._failures and self._failures[entry.node].phase == entry.phase:
            self._failures[entry.node] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def failures(self) -> tuple[Entry, ...]:
        """The first failure of every node that failed."""
        return tuple(self._failures.values())

    def failure(self, node: str) -> Entry | None:
        """The first failure of `node`, or None."""
        return self._failures.get(node)

    @property
    def blocked(self) -> tuple[Entry, ...]:
        """What was not tried."""
        return tuple(entry for entry in self._entries if entry.outcome == "blocked")

    @property
    def held_up(self) -> tuple[Entry, ...]:
        """What was not tried first on each node that has not failed itself."""
        first = {entry.node: entry for entry in reversed(self.blocked) if entry.node not in self._failures}
        return tuple(reversed(first.values()))

    @property
    def changed_nodes(self) -> tuple[str, ...]:
        """Nodes that something changed on."""
        return tuple(dict.fromkeys(entry.node for entry in self._entries if entry.outcome == "changed"))

    @property
    def ok(self) -> bool:
        """Whether every node was brought to what every phase wants."""
        return not self._failures and not self.blocked

    def all_failed(self, nodes: Iterable[str]) -> Entry | None:
        """The first failure among `nodes` when all of them failed, else None."""
        failures = [self._failures.get(node) for node in nodes]
        return failures[0] if failures and all(failures) else None
