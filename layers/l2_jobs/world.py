"""World: everything that a decision rests on, as one value. `decide` looks at nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .attempt import Key
from .fault.fault import Fault
from .node import Place
from .pair_test import Paired
from .power import Power
from .record import JobRecord
from .request import Request
from .roster import Roster
from .shelf import Shelf
from .watch import Watch


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers that a site may set.

    Attributes:
        verdict_age: Seconds for which a verdict of health will do for a start.
        budget: Restarts of a job by causer, where its own `restarts.budget` does not say.
        ports: The ports of rendezvous, from the first to the one after the last.
        spares: Well nodes that are kept free for restarts, of each engine.
        pair_test: The site's own test of two nodes, beside ours; empty for none.
        logs_days: So long the logs of a job that is over are kept, from the last that was written of them.
    """

    verdict_age: float = 60.0
    budget: Mapping[str, int] = field(
        default_factory=lambda: {"node": 20, "network": 20, "framework": 10, "process": 10, "user": 3}, hash=False
    )
    ports: tuple[int, int] = (20000, 32000)
    spares: int = 0
    pair_test: tuple[str, ...] = ()
    logs_days: float = 90.0


@dataclass(frozen=True, slots=True)
class World:
    """What is known when a decision is made.

    Attributes:
        roster: All jobs that are not over.
        watch: What reports have told since the controller began, folded.
        places: All nodes that work may be placed on, by name.
        shelves: Checkpoints, by job; a job that was never looked at is not in it.
        diagnoses: What the reading of an attempt's logs has come to: its fault, None where it says nothing; an attempt
            that is not in it was not read yet.
        power: What BMCs have said of silent nodes; a node whose BMC was never asked is not in it.
        paired: What came of the last round of pairs, by job.
        requests: What clients ask, oldest first. All of them are answered by this decision.
        over: Jobs that are over, as far as a request names them.
        ports: Ports that were given on a node in the last hour.
        began: When this controller began (steady clock): what ran before may have heard an earlier one until then.
        seed: A secret number of at least 128 bits, of this process: secrets and ports are drawn from it.
        settled: Whether the controller knows what runs; until then nothing is started and nothing is called a fault.
        touched: Only these jobs, requests and the queue are looked at; None for all. Time passes for all of them, so
            all are to be looked at at least once a second.
        resting: Jobs that are left as they are, for deciding about them meets a defect (`controller/judging.py`). All
            else is looked at as without them, and what `touched` says.
    """

    roster: Roster
    watch: Watch = field(default_factory=Watch)
    places: Mapping[str, Place] = field(default_factory=dict, hash=False)
    shelves: Mapping[str, Shelf] = field(default_factory=dict, hash=False)
    diagnoses: Mapping[Key, Fault | None] = field(default_factory=dict, hash=False)
    power: Mapping[str, Power] = field(default_factory=dict, hash=False)
    paired: Mapping[str, Paired] = field(default_factory=dict, hash=False)
    requests: tuple[Request, ...] = ()
    over: Mapping[str, JobRecord] = field(default_factory=dict, hash=False)
    ports: Mapping[str, frozenset[int]] = field(default_factory=dict, hash=False)
    began: float = 0.0
    seed: int = 0
    settled: bool = True
    touched: frozenset[str] | None = None
    resting: frozenset[str] = frozenset()
    settings: Settings = field(default_factory=Settings)
