"""Real runs of `aiops health` on booted, deployed hosts with jobs running through Slurm: nothing may be found.

Jobs of a few seconds, some of which ask for GPUs, are kept in the queue all the while; the runs follow each other
without a pause. Whatever a run finds is a false alarm; so is an exit status other than 0.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, aiops, report

NAME = "bench-health-runs"
RUNS = 200
_JOBS = r"""
set -e
[ "$(squeue --noheader | wc -l)" -lt %(least)d ] || exit 0
for number in $(seq %(count)d); do
  sbatch --quiet --output=/dev/null --wrap="i=0; while [ \$i -lt 200000 ]; do i=\$((i + 1)); done; sleep 2"
  sbatch --quiet --output=/dev/null --gres=gpu:1 --wrap='nvidia-smi -L; sleep 3'
done
"""
_READY = "sinfo --noheader --Node --format=%T"
_DEADLINE = 180.0


def _wait_for_slurm(made: Rig) -> None:
    deadline = time.monotonic() + _DEADLINE
    while set((seen := made.on("head", _READY)).split()) != {"idle"}:
        if time.monotonic() > deadline:
            raise BrokenError(f"Slurm's nodes are not idle: {seen}")
        time.sleep(1)


def main() -> int:
    """Run them, and report; exit 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    seconds, statuses, found, jobs = list[float](), Counter[int](), Counter[str](), 0
    with rig(NAME, options.nodes) as made:
        made.deploy()
        _wait_for_slurm(made)
        for _ in range(options.runs):
            made.on("head", _JOBS % {"least": 2 * options.nodes, "count": 2 * options.nodes})
            ran = aiops("health", "-i", made.inventory, "--json", "--fail-on", "warn", expect=(0, 3, 4))
            told = json.loads(ran.stdout)
            seconds.append(ran.seconds)
            statuses[ran.exit_status] += 1
            found.update(f"{one['node']} {one['check']}: {one['message']}" for one in told["findings"])
        ended = made.on("head", "scontrol show job | grep -c JobState=COMPLETED || sacct --noheader -X | wc -l")
        jobs = int(ended.split()[0]) if ended.split() else 0
    print(*found.items(), sep="\n", file=sys.stderr)
    return report(
        "health_runs",
        [
            Figure("runs", "", (float(options.runs),)),
            Figure("nodes, the head included", "", (float(options.nodes + 1),)),
            Figure("findings, those that do not count yet included", "", (float(found.total()),), 0.0),
            Figure("runs that did not end with 0", "", (float(options.runs - statuses[0]),), 0.0),
            Figure("jobs that Slurm still knows as completed", "", (float(jobs),)),
            Figure("a run, median", "s", (round(statistics.median(seconds), 2),)),
        ],
        simulated=SIMULATED,
        details=[{"exit statuses": dict(statuses), "found": dict(found)}],
    )


if __name__ == "__main__":
    sys.exit(main())
