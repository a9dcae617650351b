"""Actions: what `decide` wants done, as data. Each is written down before it is taken; taking it twice is harmless."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .attempt import Attempt, Key
from .pair_test import Pair
from .record import JobRecord


@dataclass(frozen=True, slots=True)
class Launch:
    """Have an attempt run: `Engine.start`."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask an attempt to save and leave: `Engine.stop`."""

    key: Key
    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End an attempt on nodes: `Engine.kill`."""

    key: Key
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dump:
    """Have the stacks of all ranks written to their logs, before a hung attempt is ended."""

    key: Key


@dataclass(frozen=True, slots=True)
class Release:
    """An attempt has ended and is written down: `Engine.release`."""

    key: Key


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask L1 to take a node out of service; L1's policy and breaker decide."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rename a checkpoint, so that nobody goes on from it.

    Attributes:
        written: When it was changed last, of one that verifies and that a job goes back behind: only what is still the
            same is renamed. None for what does not verify; it stays where it does after all.
    """

    job: str
    path: str
    reason: str
    written: datetime | None = None


@dataclass(frozen=True, slots=True)
class Examine:
    """Have L1 look at nodes now: what it finds comes as `Place.verdict` with `verdict_at`, also when it found nothing.

    A node that is already being looked at is not looked at twice.
    """

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Have the logs of an attempt read that has ended, or is about to; the answer comes in `World.diagnoses`."""

    key: Key


@dataclass(frozen=True, slots=True)
class Verify:
    """Have a job's folder of checkpoints looked at now; the answer comes in `World.shelves`, with a new `looked`.

    Attributes:
        live: Whether an attempt may be writing there: asked is only whether the folder answers, and nothing is read.
    """

    job: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class TryPairs:
    """Have nodes tested with each other; what comes of it is in `World.paired`, with the same numbers.

    Attributes:
        key: The attempt after which it is done; nothing of it runs.
        number: Of the round, from 1.
        port: The first of those that its attempt had on each of its nodes.
    """

    key: Key
    number: int
    pairs: tuple[Pair, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people: a job was held, has recovered, failed or ended."""

    job: str
    message: str


@dataclass(frozen=True, slots=True)
class AskPower:
    """Have the BMC of a silent node asked whether it has power; the answers come in `World.power`."""

    node: str


Action = (
    Launch
    | Stop
    | Kill
    | Dump
    | Release
    | Drain
    | SetAside
    | Examine
    | Diagnose
    | Verify
    | TryPairs
    | Notify
    | AskPower
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a job, and on what evidence; `aiops job explain` tells it.

    Attributes:
        kind: A past participle: `job_started`, `fault_found`, `node_replaced`, `checkpoint_rejected`, `job_held` ...
        evidence: JSON-ready values that it rests on.
    """

    job: str
    at: float
    kind: str
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What one tick has come to: written in one transaction, then done.

    Attributes:
        records: Jobs that have changed, as they are now.
    """

    records: tuple[JobRecord, ...] = ()
    decisions: tuple[Decision, ...] = ()
    actions: tuple[Action, ...] = ()
