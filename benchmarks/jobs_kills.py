"""The controller is killed again and again; no job is restarted, none launched twice, and its state is whole at once.

    make bench-jobs_kills           the record: 120 kills, a quarter of an hour
    python -m benchmarks.jobs_kills --kills 15

A lab with real jobs of the engine ssh, of one node and of two; the controller is a process of this machine. Half of the
kills are by SIGKILL at a random time, also while it starts, half by SIGKILL of the process at a named failpoint between
two statements, in turn at all that there are. Meanwhile short jobs are asked for, end, and are cancelled all the time.

What ran is told by the jobs themselves, in a file that all hosts share.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.core.errors import AiopsError
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.request import Cancel, Submit

from .jobs_rig import ALL, LONG, SIMULATED, Controller, Outcome, Site, begun, open_actions, site, until
from .measurement import Figure, report

NAME = "bench-jobs-kills"
KILLS = 120
WHOLE_SECONDS = 2.0
MOST = 6
"""Short jobs that are on their way at one time."""

PLACES = (
    *("read", "adopted", "observed", "decided", "heard", "finished", "inserted", "updated", "ended", "begun", "told"),
    *("to be committed", "committed", "before an action", "after an action"),
)
"""All failpoints of the controller, its ledger's commit among them."""

_ONCE = ("read", "adopted")
"""Those that a controller passes only when it begins."""

_FEED_SECONDS = 0.5
_FUSE_SECONDS = 180.0


class Feeder:
    """Asks for short gangs without an end, and cancels some, straight in the store: whether a controller runs or not.

    What was written down must come to its end, once.
    """

    def __init__(self, home: Path, pattern: Job) -> None:
        self._home = home
        self._pattern = pattern
        self._ended = threading.Event()
        self.asked: list[str] = []
        self.cancelled: set[str] = set()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with App({**os.environ, "AIOPS_HOME": str(self._home)}).store() as store:
            ledger, owner = Ledger(store), self._pattern.owner
            for number in itertools.count(1):
                while True:  # as many as this machine carries
                    if self._ended.wait(_FEED_SECONDS):
                        return
                    if sum(ledger.counts().values()) < MOST + len(LONG) and len(ledger.asked()) < MOST:
                        break
                job = replace(self._pattern, id=f"fed-{number}", name="fed", submitted=datetime.now(UTC))
                ledger.append(Submit(job), owner, time.time())
                self.asked.append(job.id)
                if number % 4 == 0 and not self._ended.wait(_FEED_SECONDS):
                    ledger.append(Cancel(job.id, owner), owner, time.time())
                    self.cancelled.add(job.id)

    def end(self) -> None:
        """Ask for no more."""
        self._ended.set()
        self._thread.join(60)


def kills(made: Site, home: Path, options: argparse.Namespace, outcome: Outcome, rng: random.Random) -> None:
    """Kill controllers, one after the other."""
    with App(made.environment(home)).store() as store:
        feeder = Feeder(home, Ledger(store).record("pattern-1").job)
    ends = time.monotonic() + options.minutes * 60
    for number in range(options.kills):
        if time.monotonic() > ends:
            break
        place, seconds = _kill(made, home, number, outcome, rng)
        outcome.killed[place] = outcome.killed.get(place, 0) + 1
        print(f"kill {number + 1}/{options.kills} {place}: whole after {seconds}", file=sys.stderr, flush=True)
    controller = made.controller(home)
    try:
        controller.settled()
        feeder.end()
        until(lambda: controller.ask("status")["jobs"] == {"running": len(LONG)}, 600, "all short jobs have ended")
        if not controller.runs_all(ALL):
            outcome.broken.append("a long job does not run after all kills")
        for job in feeder.asked:
            state = controller.ask("standing", job=job)["state"]
            wanted = {"cancelled", "succeeded"} if job in feeder.cancelled else {"succeeded"}
            if state not in wanted:
                outcome.broken.append(f"{job} is {state}")
        until(lambda: not open_actions(home), 300, "all that was written down is done")
    finally:
        controller.kill()
    outcome.jobs = len(feeder.asked) + len(LONG)
    outcome.count(made)
    outcome.broken += _gaps(made, outcome, feeder)


def _kill(made: Site, home: Path, number: int, outcome: Outcome, rng: random.Random) -> tuple[str, float | None]:
    """Start a controller, and kill it: where it was, and how long it took to know what runs, if it came to that."""
    place = PLACES[number // 2 % len(PLACES)]
    fuse = None if number % 2 else (place, 1 if place in _ONCE else rng.randint(1, 3))
    controller = made.controller(home, fuse)
    seconds = None
    try:
        if number % 4 == 3:  # noqa: PLR2004 - at any time of its start
            time.sleep(rng.uniform(0.1, 6.0))
            return "while it starts", None
        seconds = controller.settled()
        if seconds is not None:
            outcome.whole.append(seconds)
            outcome.used.append(controller.used)
            _look(controller, number, outcome)
        if fuse is None:
            time.sleep(rng.uniform(0.0, 2.5))
        else:
            controller.process.wait(_FUSE_SECONDS)
    except subprocess.TimeoutExpired:
        outcome.broken.append(f"kill {number}: {fuse} was not passed")
    finally:
        controller.kill()
    return "at random" if fuse is None else fuse[0], seconds


def _look(controller: Controller, number: int, outcome: Outcome) -> None:
    """Whether what ran runs, unless the controller has come to its end meanwhile."""
    try:
        if not controller.runs_all(ALL):
            outcome.broken.append(f"kill {number}: a job that ran does not run")
    except AiopsError:
        return


def _gaps(made: Site, outcome: Outcome, feeder: Feeder) -> list[str]:
    """Gangs that were begun in part, and never at all."""
    begun = made.begun()
    broken = []
    for job in feeder.asked:
        ranks = {rank for one, _, rank in begun if one == job}
        if ranks != {0, 1} and job not in feeder.cancelled:
            broken.append(f"{job} was begun on {sorted(ranks)}")
    for name in LONG:
        times = sorted(at for at, *_ in made.steps(name))
        outcome.pause = max(outcome.pause, *(later - at for at, later in itertools.pairwise(times)))
    return broken


def main() -> int:
    """Prove it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no kill after so long")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - drawn by a seed, so that a run can be repeated
    outcome = Outcome()
    with site(NAME, 4) as made:
        home = made.folder / "home"
        controller = begun(made, home)
        controller.ask("submit", **made.job("pattern", 2, "sleep 1"))
        until(lambda: controller.ask("standing", job="pattern-1")["state"] == "succeeded", 300, "a short job")
        controller.kill()
        kills(made, home, options, outcome, rng)
    whole = sorted(outcome.whole)
    figures = [
        Figure("kills of the controller", "", (sum(outcome.killed.values()),), 100.0, at_least=True),
        Figure("jobs meanwhile", "", (outcome.jobs,)),
        Figure("jobs that were restarted", "", (outcome.restarts,), 0.0),
        Figure("rank groups that were begun twice", "", (outcome.twice,), 0.0),
        Figure("what should not have been", "", (len(outcome.broken),), 0.0),
        Figure("from the start of a controller until its state is whole", "s", tuple(outcome.whole), WHOLE_SECONDS),
        Figure("the longest of them", "s", (whole[-1],)),
        Figure("processor of the controller until then", "s", tuple(outcome.used)),
        Figure("the longest time without a step of a job", "s", (outcome.pause,)),
    ]
    details = [{"killed": outcome.killed, "seed": options.seed}, outcome.broken]
    return report("jobs_kills", figures, simulated=SIMULATED, details=details)


if __name__ == "__main__":
    sys.exit(main())
