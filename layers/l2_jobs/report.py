"""Reports: what engines and the lines to nodes tell the controller, as values. Whoever tells twice does no harm.

`at` is the controller's steady clock (`steady.py`): seconds since the epoch that never run backwards in one process.
"""

import signal
from dataclasses import dataclass
from typing import Literal

from .attempt import Key

End = Literal["done", "failed", "stopped", "lease", "time_limit", "superseded", "lost"]
"""Why a rank group is no more. `done`, `failed`: its processes ended by themselves, with 0 or not. `stopped`: we asked.
`lease`: it heard neither head nor peer and has ended its processes. `superseded`: it saw a newer attempt, or a later
controller than its own. `lost`: its unit is gone and has left no word (the node has booted, somebody killed the
launcher)."""

Phase = Literal["start", "step", "save", "evaluate"]


def ended_with(status: int | None) -> str:
    """How a process ended, in words: `ended with 1`, `was killed by SIGKILL`; of -N it was signal N."""
    if status is None or status >= 0:
        return f"ended with {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


@dataclass(frozen=True, slots=True)
class Heard:
    """A node answered."""

    node: str
    at: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The line to a node broke, or nothing came on it for `lease.MISSED`; `Heard` comes again once it can be made.

    From `at` on no beat of the head goes to that node until it is heard again: its lease is counted from there.
    """

    node: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Deposed:
    """A node has seen a later controller of the same store, and refuses this one: it may not decide any more.

    Attributes:
        term: The later one's.
    """

    node: str
    at: float
    term: int


@dataclass(frozen=True, slots=True)
class Started:
    """A rank group runs, or ran already when it was to be started."""

    key: Key
    node: str
    at: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A rank group could not be started, and nothing of it runs.

    Attributes:
        causer: As of a fault: `node` when the node is at fault, `user` when the job is (no such folder, no such user).
    """

    key: Key
    node: str
    at: float
    reason: str
    causer: str


@dataclass(frozen=True, slots=True)
class Stepped:
    """A rank told where it is.

    Attributes:
        rank: Of all ranks of the attempt; the node's first where only its output tells.
        loss: NaN and infinities come as such; None where none was told.
        total: Steps that it means to make in all, where it says so.
        tokens: That it was trained on since what it told last, where it says so and both were heard.
        printed: Whether it tells no steps itself, and its output was read.
        seconds: What this step took, by the clock of its node; None where that was not seen.
    """

    key: Key
    node: str
    at: float
    rank: int
    step: int
    phase: Phase = "step"
    loss: float | None = None
    total: int | None = None
    tokens: float | None = None
    printed: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Exited:
    """A process of a rank group ended while the group goes on ending or living.

    Attributes:
        status: Its exit status; -N when signal N ended it; None where its own parent was the only one to see it.
        oom: Whether the kernel killed it for want of memory; None where that is not known.
    """

    key: Key
    node: str
    at: float
    rank: int
    status: int | None
    oom: bool | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing of a rank group runs any more on that node: the launcher's last word, or its unit's.

    Attributes:
        status: The first bad exit status of its processes; None where there is none to tell.
    """

    key: Key
    node: str
    at: float
    end: End
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """A rank group has not heard another one for `seconds`."""

    key: Key
    node: str
    at: float
    peer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PeerHeard:
    """It hears it again."""

    key: Key
    node: str
    at: float
    peer: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A rank group has stopped its processes, for it hears nobody; `thawed` when it goes on."""

    key: Key
    node: str
    at: float
    thawed: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """A line of output, or of the kernel's log, that a signature of the fault catalogue knows.

    Attributes:
        key: None for the kernel's log.
        kind: The class of the fault.
        immediate: Whether it is a fault though all processes still run.
    """

    key: Key | None
    node: str
    at: float
    kind: str
    text: str
    immediate: bool
    rank: int | None = None
    source: Literal["log", "kernel"] = "log"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What Slurm says of an attempt, in Slurm's words: PENDING, RUNNING, NODE_FAIL ...

    Attributes:
        completing: Nodes that Slurm keeps from it, since an earlier attempt of the job is not over there in its eyes.
    """

    key: Key
    at: float
    state: str
    reason: str = ""
    handle: str = ""
    completing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Freed:
    """A node that Slurm kept from an attempt was given back to it: it has booted, and nothing of `before` runs there.

    Attributes:
        before: The earlier attempts for which Slurm kept it.
        said: What came of it, where that was not all of it.
    """

    key: Key
    node: str
    at: float
    before: tuple[int, ...]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An engine as a whole cannot be asked (slurmctld does not answer); `Available` once it can."""

    engine: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Available:
    """An engine answers."""

    engine: str
    at: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The ready probe of a service succeeded, or does no longer."""

    key: Key
    at: float
    ready: bool


@dataclass(frozen=True, slots=True)
class Halted:
    """A rank stands still by a signal (SIGSTOP) that is not its launcher's, or does no longer."""

    key: Key
    node: str
    at: float
    rank: int
    halted: bool = True


Report = (
    Heard
    | Silent
    | Deposed
    | Started
    | NotStarted
    | Stepped
    | Exited
    | Ended
    | PeerSilent
    | PeerHeard
    | Frozen
    | Signed
    | Scheduled
    | Freed
    | Unavailable
    | Available
    | Ready
    | Halted
)
