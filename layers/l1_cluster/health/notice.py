"""What notifiers send: what has come and what is over since they were last told, as a value. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from aiops.layers.core.clock import rfc3339

FORMAT = 1
"""Of the documents that are sent: a number that only changes when a field changes its meaning."""

Turn = Literal["came", "over", "drained", "resumed", "repaired", "not_repaired", "retired"]
_DEEDS: tuple[Turn, ...] = ("drained", "resumed", "repaired", "not_repaired", "retired")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that has changed.

    Attributes:
        turn: `came`: it is found and counts, or something waits for a person. `over`: it is no longer so. `drained`,
            `resumed`: the policy has taken a node out of service, or given it back. `repaired`, `not_repaired`: it has
            repaired one that works again, or that stays drained. `retired`: it has put one out for service.
        message: In one line, with the thing it is about, less the names of node and check.
        node: The node; None: it is about the whole cluster. So for the others that do not apply.
        run: The run that it was done in.
    """

    turn: Turn
    message: str
    node: str | None = None
    check: str | None = None
    about: str | None = None
    verdict: str | None = None
    action: str | None = None
    owner: str | None = None
    run: str | None = None

    @property
    def line(self) -> str:
        """`gpu07 critical: gpu.temp: GPU 3: 96 °C, limit 92 °C`, as cron mails it."""
        if self.turn in _DEEDS:
            run = f" (run {self.run})" if self.run else ""
            return _one_line(f"{_words(self.turn)} {self.node}: {self.message}{run}")
        words = f"{self.node} {self.verdict}: {self.check}: {self.message}" if self.node else self.message
        return _one_line(f"over: {words}" if self.turn == "over" else words)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Change":
        """The change that was written down.

        Raises:
            KeyError: A part is missing.
        """
        return cls(**{field.name: document[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Notice:
    """One message.

    Attributes:
        id: The same each time that it is sent: what was delivered twice is known by it.
        simulated: Whether some of the cluster's nodes are hosts of the lab.
        test: Whether it only shows that it arrives.
    """

    id: str
    cluster: str
    at: datetime
    changes: tuple[Change, ...] = ()
    simulated: bool = False
    test: bool = False

    @property
    def subject(self) -> str:
        """`lab-a: 2 critical, 1 warn, 1 over`."""
        words = [
            f"{count} {word}"
            for word in ("critical", "unknown", "warn")
            if (count := sum(one.turn == "came" and one.verdict == word for one in self.changes))
        ]
        words += [
            f"{count} {_words(turn)}"
            for turn in (*_DEEDS, "over")
            if (count := sum(one.turn == turn for one in self.changes))
        ]
        simulated = " (simulated)" if self.simulated else ""
        told = "a test" if self.test else ", ".join(words) or "something waits for you"
        return _one_line(f"{self.cluster}{simulated}: {told}")

    @property
    def text(self) -> str:
        """All of it in plain words, a line each."""
        lines = [f"aiops health of {self.subject}", *(one.line for one in self.changes)]
        lines += ["This is a test of the notifier: nothing has happened."] if self.test else []
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """JSON-ready values, as they are sent and written down."""
        return {
            "aiops": FORMAT,
            "id": self.id,
            "cluster": self.cluster,
            "at": rfc3339(self.at),
            "simulated": self.simulated,
            "test": self.test,
            "text": self.text,
            "changes": [asdict(one) for one in self.changes],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Notice":
        """The notice that was written down.

        Raises:
            KeyError: A part is missing.
            ValueError: A part is something else.
        """
        changes: Sequence[Mapping[str, Any]] = document["changes"]
        return cls(
            document["id"],
            document["cluster"],
            datetime.fromisoformat(document["at"]),
            tuple(Change.of(one) for one in changes),
            document["simulated"],
            document["test"],
        )


def _words(turn: str) -> str:
    return turn.replace("_", " ")


def _one_line(text: str) -> str:
    """What a node has said may hold line ends and worse."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
