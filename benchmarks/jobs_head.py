"""A head that is cut off, or lost and restored elsewhere: no job is restarted or run twice.

    make bench-jobs_head            the record: 10 minutes of partition, a quarter of an hour
    python -m benchmarks.jobs_head --minutes 0.5

A lab with real jobs of the engine ssh, of one node and of two; the controller is a process of this machine.

- partition: this machine drops all that goes to or comes from the nodes, which go on hearing each other;
- lost: the store is gone with its head, another home restores the newest backup from a node, and goes on;
- lost, old: the same with a backup from before the partition, and with jobs begun, restarted and ended since.

What ran is told by the jobs themselves, in a file that all hosts share.
"""

import argparse
import itertools
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from .jobs_rig import ALL, LONG, SHARED, SIMULATED, Outcome, Site, begun, open_actions, site, until
from .measurement import Figure, report

NAME = "bench-jobs-head"
MINUTES = 10.0
_WATCHED_SECONDS = 45.0
"""So long after a head was restored nothing may be begun: longer than leases."""


def partition(made: Site, home: Path, seconds: float, outcome: Outcome) -> None:
    """Cut the head off, and have it hear the nodes again."""
    controller = made.controller(home)
    try:
        controller.settled()
        until(lambda: controller.runs_all(ALL), 300, "jobs run")
        with made.cut():
            cut = time.time()
            time.sleep(seconds)
        ended = time.time()
        until(lambda: controller.runs_all(ALL), 300, "jobs run after the partition")
        until(lambda: made.steps("long-a")[-1][0] > ended + 20, 300, "steps after the partition")  # a lease, and more
        if not controller.runs_all(ALL):
            outcome.broken.append("a job did not outlive the partition")
        for job in ALL:
            kinds = [one["kind"] for one in controller.ask("standing", job=job)["decisions"]]
            print(job, kinds, file=sys.stderr, flush=True)
    finally:
        controller.kill()
    for name in LONG:
        times = [at for at, *_ in made.steps(name) if cut <= at <= ended]
        outcome.pause = max([outcome.pause, *(later - at for at, later in itertools.pairwise(times))])
    outcome.count(made)


def lost(made: Site, home: Path, another: Path, outcome: Outcome, *, old: Path | None) -> None:
    """Restore a store that is gone in another home, and see that what runs is adopted and nothing begun."""
    before = made.begun()
    expected = dict(ALL)
    if old is not None:
        expected["long-b-1"] = 2
    home.rename(home.with_name(home.name + ".lost"))
    source = [] if old is None else ["--from", str(old)]
    begun = time.monotonic()
    made.aiops(another, "controller", "restore", "--yes", *source)
    print(f"restored after {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
    controller = made.controller(another)
    try:
        seconds = controller.settled(120)
        until(lambda: controller.runs_all(expected), 300, "what ran is adopted")
        outcome.whole.append(seconds or 0.0)
        time.sleep(_WATCHED_SECONDS)
        if not controller.runs_all(expected):
            outcome.broken.append("a job that was adopted does not run any more")
        listed = {one["id"]: (one["state"], one["reason"]) for one in controller.ask("list", every=True, last=1000)}
        print(listed, file=sys.stderr, flush=True)
    finally:
        controller.kill()
    after = made.begun()
    again = after - before
    outcome.restarts = len({(job, attempt) for job, attempt, _ in again})
    outcome.twice = sum(count for one, count in again.items() if one in before)
    outcome.broken += [f"{job} attempt {attempt} was begun" for job, attempt, _ in again]


def since_the_backup(made: Site, home: Path) -> None:
    """A job is restarted, one begins, and two end, of which one only waited at the time of the backup."""
    controller = made.controller(home)
    try:
        controller.settled()
        controller.ask("submit", **made.long("late", 2))
        (made.shared / "go").touch()
        os.kill(made.pids(f"{SHARED}/trace-long-b")[0], signal.SIGKILL)
        until(lambda: controller.runs_all({"long-b-1": 2, "late-1": 1}), 300, "a restart, and another job")
        until(lambda: controller.ask("standing", job="ends-1")["state"] == "succeeded", 300, "a job has ended")
        until(lambda: not open_actions(home), 300, "all is done")
    finally:
        controller.kill()


def _backup(made: Site, home: Path) -> tuple[Path, float]:
    """A backup as it is now, with a job that is about to end in it; a copy of its file, and when it was made."""
    controller = made.controller(home)
    try:
        controller.settled()
        if not (made.shared / "go").exists() and "ends-1" not in {one["id"] for one in controller.ask("list")}:
            controller.ask("submit", **made.job("ends", 2, f"while ! test -e {SHARED}/go; do sleep 0.2; done"))
        until(lambda: controller.runs_all({"ends-1": 1}), 300, "a job that will end")
        taken = time.time()
        made.aiops(home, "controller", "backup")
    finally:
        controller.kill()
    node = next(iter(made.nodes))
    kept = sorted((made.lab.root(node) / f"var/lib/aiops-backup/{made.lab.state.name}").glob("*.backup"))
    copy = made.folder / kept[-1].name
    shutil.copy(kept[-1], copy)
    return copy, taken


def main() -> int:
    """Prove it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of partition")
    options = parser.parse_args()
    found = {name: Outcome() for name in ("partition", "lost", "lost, old backup")}
    with site(NAME, 4) as made:
        first, second, third = (made.folder / name for name in ("first", "second", "third"))
        begun(made, first).kill()
        old, taken = _backup(made, first)
        partition(made, first, options.minutes * 60, found["partition"])
        _backup(made, first)
        lost(made, first, second, found["lost"], old=None)
        since_the_backup(made, second)
        age = time.time() - taken
        lost(made, second, third, found["lost, old backup"], old=old)
    figures = [
        Figure("partition", "s", (options.minutes * 60,)),
        Figure("partition: jobs that were restarted", "", (found["partition"].restarts,), 0.0),
        Figure("partition: the longest time without a step", "s", (found["partition"].pause,)),
        Figure("lost head: jobs that were begun again", "", (found["lost"].restarts,), 0.0),
        Figure("lost head: from the new controller's start until its state is whole", "s", tuple(found["lost"].whole)),
        Figure("age of the old backup", "s", (age,)),
        Figure("lost head, old backup: jobs that were begun again", "", (found["lost, old backup"].restarts,), 0.0),
        Figure("what should not have been", "", (sum(len(one.broken) for one in found.values()),), 0.0),
    ]
    details = [{name: one.broken for name, one in found.items()}]
    return report("jobs_head", figures, simulated=SIMULATED, details=details)


if __name__ == "__main__":
    sys.exit(main())
