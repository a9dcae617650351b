"""What is known of a run: who did what to which cluster, how it ended, and what it did to each node."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from aiops.layers.core.clock import rfc3339

from .owner import Owner

RUNNING = "running"
DONE = "done"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """One command on one cluster.

    Attributes:
        command: What was typed, as words on one line.
        aiops: The version that ran it.
        status: `running`, `done`, `failed` or `interrupted`; the latter also when its process is gone.
        exit: The exit code, once it ended by itself.
        reason: Why it ended, in one line, when there is something to say.
    """

    id: str
    cluster: str
    command: str
    aiops: str
    owner: Owner
    started: datetime
    ended: datetime | None
    status: str
    exit: int | None
    reason: str | None

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "id": self.id,
            "cluster": self.cluster,
            "command": self.command,
            "aiops": self.aiops,
            "user": self.owner.user,
            "host": self.owner.host,
            "pid": self.owner.pid,
            "started": rfc3339(self.started),
            "ended": rfc3339(self.ended) if self.ended else None,
            "status": self.status,
            "exit": self.exit,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What one phase did to one node.

    Attributes:
        outcome: `ok` (nothing to do), `changed`, `failed`, `blocked` (an earlier phase failed there), or `interrupted`
            (the run ended before the phase did).
        seconds: How long that took; None when it was not measured.
        reason: Why it failed, in one line.
    """

    run: str
    phase: str
    node: str
    outcome: str
    seconds: float | None
    reason: str | None
    at: datetime

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "at": rfc3339(self.at)}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a run came that was cut off.

    Attributes:
        phase: The phase it was in; None where it had begun none.
        nodes: Those that the phase had not ended on.
        at: Its last sign of life.
    """

    phase: str | None
    nodes: tuple[str, ...]
    at: datetime

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"phase": self.phase, "nodes": list(self.nodes), "at": rfc3339(self.at)}


def run_of(row: Mapping[str, Any]) -> Run:
    """The run in a row of its table."""
    names = ("user", "host", "boot_id", "namespace", "pid", "process_start")
    owner = Owner(run=row["id"], **{name: row[name] for name in names})
    status = row["status"]
    if status == RUNNING and owner.ended():
        status = INTERRUPTED
    return Run(
        row["id"],
        row["cluster"],
        row["command"],
        row["aiops"],
        owner,
        datetime.fromisoformat(row["started"]),
        datetime.fromisoformat(row["ended"]) if row["ended"] else None,
        status,
        row["exit"],
        row["reason"],
    )


def result_of(row: Mapping[str, Any]) -> Result:
    """The result in a row of its table."""
    return Result(
        row["run"],
        row["phase"],
        row["node"],
        row["outcome"],
        row["seconds"],
        row["reason"],
        datetime.fromisoformat(row["at"]),
    )
