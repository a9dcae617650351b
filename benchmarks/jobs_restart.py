"""From a fault to the first new step of all ranks: real torch on four nodes, engine ssh, engine slurm, Slurm's requeue.

    make bench-jobs_restart
    python -m benchmarks.jobs_restart --faults 3 --slurm-faults 0 --no-requeue --alone 1         for trying

Faults are drawn by a seed: a rank or a launcher killed with -9, a host's power lost, a host cut off; two nodes stand
by. aiops' own share is what is left of that time without two things:

- the start of torch, measured by itself in the same run: torchrun with the words that aiops gives it, on four nodes, by
  ssh, from the moment when the last of them begins it until all ranks have stepped, going on from a checkpoint; the
  median;
- the lease, for a host that is lost: `lease.EXPIRED`, in which nobody may take over, since it may still write.
"""

import argparse
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from aiops.layers.l2_jobs.lease import EXPIRED

from .jobs_detection import deploy_slurm
from .jobs_slurm import requeue
from .measurement import BrokenError, Figure, report
from .torch_environment import THERE
from .torch_site import EXAMPLE, PACE, PACED, RANK, SHARED, SIMULATED, Shape, Site, percentile, site, torch_lab

NAME = "bench-jobs-restart"
SEED = 20261128
FAULTS, SLURM_FAULTS, ALONE = 30, 8, 5
NODES, SPARE, REQUEUED = 4, 2, 3
SSH_LIMIT, SHARE_LIMIT, MORE = 15.0, 3.0, 10.0
"""Seconds (issue 5, line 2)."""

_MIX = ("rank", "power", "launcher", "cut", "rank")
_SLURM_MIX = ("rank", "power", "rank", "cut")
_LEASE = {"rank": 0.0, "launcher": 0.0, "power": EXPIRED, "cut": EXPIRED}
_AGAIN = 180.0


@dataclass(frozen=True, slots=True)
class Restart:
    """One fault and what followed, in seconds from the moment before it was done.

    Attributes:
        found: Until the decision that there is a fault.
        chosen: Until the next attempt was decided on.
        stepped: Until all of its ranks had stepped.
    """

    kind: str
    found: float
    chosen: float
    stepped: float


class Course:
    """One job that is hurt again and again."""

    def __init__(self, here: Site, shape: Shape, chance: random.Random) -> None:
        self._here = here
        self._shape = shape
        self._chance = chance
        self.job = here.submit(shape)

    def suffer(self, kind: str) -> Restart:
        """One fault, and the restart after it; the host that was hurt is well again in the end."""
        here, name = self._here, self._shape.name
        number, nodes = here.steady(self.job, name, seconds=_AGAIN)
        time.sleep(self._chance.uniform(0, 1))
        node, after = self._chance.choice(nodes), here.last(self.job)
        began = self._hurt(kind, node)
        found = here.found(self.job, after, _AGAIN).decision
        chosen = here.found(self.job, after, _AGAIN, "job_started").decision
        here.until(lambda: self._stepped(number) is not None, _AGAIN, f"an attempt after {number} steps")
        stepped = self._stepped(number)
        assert stepped is not None
        restart = Restart(kind, *(round(at - began, 3) for at in (found.at, chosen.at, stepped)))
        print(f"{self._shape.engine}: {restart}, {found.message}", file=sys.stderr, flush=True)
        if kind in {"power", "cut"}:
            here.heal(node)
        return restart

    def _hurt(self, kind: str, node: str) -> float:
        here = self._here
        if kind == "rank":
            return here.kill(node, RANK)
        if kind == "launcher":
            return here.kill_launcher(node)
        began = time.time()
        here.lab.fault(node, "power-loss" if kind == "power" else "network-cut")
        return began

    def _stepped(self, number: int) -> float | None:
        """When all ranks of an attempt after `number` had stepped."""
        first: dict[int, dict[int, float]] = {}
        for one in self._here.steps(self._shape.name):
            if one.attempt > number:
                first.setdefault(one.attempt, {}).setdefault(one.rank, one.at)
        whole = [max(ranks.values()) for ranks in first.values() if len(ranks) == self._shape.nodes]
        return min(whole, default=None)


def alone(here: Site, nodes: Sequence[str], source: str, number: int) -> float:
    """Seconds that torch needs to start on these nodes and to make its first step, without aiops.

    Args:
        here: The site.
        nodes: Where its ranks run.
        source: The name of a job, from whose newest checkpoint it goes on.
        number: Which time it is.
    """
    name = f"alone{number}"
    (here.shared / name).mkdir()
    here.trace(name).touch()
    newest = f"{SHARED}/{source}/step-{here.saved(source)}"
    address = here.lab.state.host(nodes[0]).address
    script = f"{SHARED}/{PACED.name} {SHARED}/{name}.trace {SHARED}/pace {SHARED}/{EXAMPLE.name} --steps 1000000"
    running = []
    for rank, node in enumerate(nodes):
        line = (
            "card=$(ip -o -4 address show | awk '$4 ~ /^10\\./ { print $2; exit }'); date +%s.%N; "
            f"AIOPS_RESUME={newest} GLOO_SOCKET_IFNAME=$card {THERE}/bin/torchrun --nnodes={len(nodes)} "
            f"--node-rank={rank} --nproc-per-node=1 --rdzv-backend=static --rdzv-id={name} --master-addr={address} "
            f"--master-port={29700 + number} --max-restarts=0 --monitor-interval=0.1 {script} "
            f"--checkpoints {SHARED}/{name} >/dev/null 2>&1"
        )
        words = [*here.ssh(node), line]
        running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
    try:
        here.until(lambda: len({one.rank for one in here.steps(name)}) == len(nodes), _AGAIN, f"{name} steps")
    finally:
        for node in nodes:
            here.on(node, f"pkill -KILL -f '[{name[0]}]{name[1:]}.trace'", expect=(0, 1, 255))
    begun = max(float(one.communicate(timeout=30)[0].split()[0]) for one in running)
    first: dict[int, float] = {}
    for step in here.steps(name):
        first.setdefault(step.rank, step.at)
    return round(max(first.values()) - begun, 3)


def course(here: Site, shape: Shape, kinds: Sequence[str], chance: random.Random) -> list[Restart]:
    """All faults of one engine; those before it broke, where it does."""
    made: list[Restart] = []
    if not kinds:
        return made
    try:
        here.begin()
        running = Course(here, shape, chance)
        made.extend(running.suffer(kind) for kind in kinds)
        here.aiops("job", "cancel", running.job)
        here.aiops("job", "wait", running.job, expect=(0, 1))
    except BrokenError as error:
        print(f"{shape.engine} broke after {len(made)} of {len(kinds)} faults: {error}", file=sys.stderr, flush=True)
    return made


def main() -> int:
    """Measure; the exit status."""
    options = _options()
    chance = random.Random(options.seed)  # noqa: S311 - a seed is what is wanted
    kinds = [_MIX[number % len(_MIX)] for number in range(options.faults)]
    slurm_kinds = [_SLURM_MIX[number % len(_SLURM_MIX)] for number in range(options.slurm_faults)]
    chance.shuffle(kinds)
    chance.shuffle(slurm_kinds)
    starts: list[float] = []
    requeued: list[float] = []
    with torch_lab(NAME, NODES + SPARE + (REQUEUED if options.requeue else 0)) as (app, lab):
        workers = [host.name for host in lab.hosts if host.role != "head"]
        ours = workers[: NODES + SPARE]
        with site(lab, app, ours) as here:
            here.pace(PACE)
            if options.slurm_faults or options.requeue:
                deploy_slurm(here, workers)
            beside = threading.Thread(target=lambda: requeued.append(requeue(here.on, ",".join(ours))), daemon=True)
            if options.requeue:
                beside.start()
            over_ssh = course(here, Shape("ssh", NODES, ",".join(ours)), kinds, chance)
            starts += [alone(here, ours[:NODES], "ssh", number) for number in range(options.alone)]
            if options.requeue:
                beside.join()
        with site(lab, app, ours, engine="slurm") as here:
            shape = Shape("slurm", NODES, ",".join(ours), engine="slurm")
            under_slurm = course(here, shape, slurm_kinds, chance)
    figures = _figures(over_ssh, under_slurm, starts, requeued)
    figures += [
        Figure("faults, engine ssh", "", (float(len(over_ssh)),), float(options.faults), at_least=True),
        Figure("faults, engine slurm", "", (float(len(under_slurm)),), float(options.slurm_faults), at_least=True),
    ]
    details = [{"seed": options.seed, "ssh": [asdict(one) for one in over_ssh]}]
    details += [{"slurm": [asdict(one) for one in under_slurm], "torch alone": starts}]
    return report("jobs_restart", figures, simulated=SIMULATED, details=details)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=FAULTS)
    parser.add_argument("--slurm-faults", type=int, default=SLURM_FAULTS)
    parser.add_argument("--alone", type=int, default=ALONE, help="starts of torch by itself")
    parser.add_argument("--requeue", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=SEED)
    return parser.parse_args()


def _figures(
    over_ssh: list[Restart], under_slurm: list[Restart], starts: list[float], requeued: list[float]
) -> list[Figure]:
    figures: list[Figure] = []
    if starts:
        figures.append(Figure("torch by itself: begun to all ranks' first step", "s", tuple(starts)))
    for engine, restarts in (("ssh", over_ssh), ("slurm", under_slurm)):
        if not restarts:
            continue
        stepped = [one.stepped for one in restarts]
        bound = SSH_LIMIT if engine == "ssh" else None
        figures += [
            Figure(f"{engine}: fault to first new step of all ranks, p50", "s", tuple(stepped), bound),
            Figure(f"{engine}: the same, p95", "s", (percentile(stepped, 0.95),)),
            *(
                Figure(f"{engine}, {kind}: the same, p50", "s", tuple(values))
                for kind in _LEASE
                if (values := [one.stepped for one in restarts if one.kind == kind])
            ),
        ]
        if starts:
            start = statistics.median(starts)
            own = tuple(round(one.stepped - start - _LEASE[one.kind], 3) for one in restarts)
            bound = SHARE_LIMIT if engine == "ssh" else None
            figures.append(Figure(f"{engine}: aiops' own share beyond torch's start and lease, p50", "s", own, bound))
    more = _more(over_ssh, under_slurm)
    if more:
        figures.append(Figure("slurm less ssh, medians of the same kinds of faults", "s", tuple(more), MORE))
    if requeued:
        figures.append(Figure("Slurm's own requeue: node set down to running again, no torch", "s", tuple(requeued)))
    return figures


def _more(over_ssh: list[Restart], under_slurm: list[Restart]) -> list[float]:
    found = []
    for kind in _LEASE:
        one = [other.stepped for other in under_slurm if other.kind == kind]
        two = [other.stepped for other in over_ssh if other.kind == kind]
        if one and two:
            found.append(round(statistics.median(one) - statistics.median(two), 3))
    return found


if __name__ == "__main__":
    sys.exit(main())
