"""One suite on both engines: 50 jobs that end in all ways, each over SSH and under Slurm, must have the same verdicts.

    make bench-jobs_engines          python -m benchmarks.jobs_engines --scenarios 8 for trying

A verdict is the state in which a job came to rest, how many attempts it took, and of each fault its class, its causer,
whether it may be tried again and whether the node is bad. The program steps without torch; torchrun is torch's own.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aiops.cli.app import App

from .jobs_site import OVER, SHARED, SIMULATED, Site, site
from .measurement import Figure, report
from .torch_environment import THERE as TORCH
from .torch_environment import torch_environment

NAME = "bench-jobs-engines"
SCENARIOS = 50
ENGINES = ("ssh", "slurm")
_SSH, _SLURM = 4, 4
_LONGEST = 1500.0
_STEPS = 4
"""That a job which is to be cancelled has made by then."""

_TELL_EVERY = 30.0
_AT_ONCE = 6
_STEPPER = f"{SHARED}/stepper.py"


@dataclass(frozen=True)
class Scenario:
    """One job.

    Attributes:
        options: Of stepper.py.
        rests: The state in which it must come to rest.
        command: Instead of stepper.py, in the words of YAML.
        more: Further lines of its job file.
        cancel: Whether it is cancelled when it steps.
    """

    name: str
    options: str
    rests: str = "succeeded"
    nodes: int = 1
    launch: str = "command"
    command: str = ""
    more: str = ""
    cancel: bool = False


_REGEX = 'progress: {regex: "step (?P<step>\\\\d+).*loss (?P<loss>[\\\\d.]+)"}\nlimits: {hang: 12s}'

_SLOW = "--rate 0.9 --steps 16"
"""Steps longer than a second, so that each is told: of faster ones chance says which, and some must be timed."""

_BOTH = (
    Scenario("done", ""),
    Scenario("done-on-two", "", nodes=2),
    Scenario("crash", "--fault crash@8"),
    Scenario("exit-3", "--fault exit@8:status=3"),
    Scenario("killed", "--fault kill@8"),
    Scenario("segfault", "--fault segfault@8"),
    Scenario("bug-at-start", "--fault bug@0:attempt=any", "failed"),
    Scenario("bug-again", "--fault bug@8:attempt=any", "failed"),
    Scenario("no-progress", "--save-every 100 --fault kill@8:attempt=any", "held"),
    Scenario("oom", "--fault oom@8"),
    Scenario("ecc-in-the-log", "--fault ecc@8"),
    Scenario("nccl", "--fault nccl@8"),
    Scenario("hang", f"{_SLOW} --fault hang@10"),
    Scenario("stands-still", f"{_SLOW} --fault stop@10"),
    Scenario("nan", f"{_SLOW} --fault nan@8"),
    Scenario("no-space", "--fault enospc@10"),
    Scenario("torn", "--fault torn@10"),
    Scenario("second-rank-killed", "--fault kill@8:rank=1", nodes=2),
    Scenario("asked-to-hold", "--fault crash@8", "held", more="on_fault: hold"),
    Scenario("hang-in-the-output", f"{_SLOW} --mute --fault hang@10", more=_REGEX),
)
"""As `command` and under torchrun."""

_COMMANDS = (
    Scenario("oom-again", "--fault oom@8:attempt=any", "failed"),
    Scenario("nan-again", f"{_SLOW} --fault nan@8:attempt=any", "held"),
    Scenario("second-rank-hangs", f"{_SLOW} --fault hang@10:rank=1", nodes=2),
    Scenario("second-rank-has-a-bug", "--fault bug@8:rank=1:attempt=any", "failed", nodes=2),
    Scenario("no-such-program", "", "failed", command="[no-such-program]"),
    Scenario("false", "", "failed", command="[sh, -c, 'exit 5']"),
    Scenario("true", "", command="[true]"),
    Scenario("leaves-a-child", "--fault orphan@8"),
    Scenario("cancelled", "--steps 0", "cancelled", cancel=True),
    Scenario("stubborn-cancelled", "--steps 0 --fault stubborn@2", "cancelled", more="limits: {stop: 3s}", cancel=True),
)

SUITE = (
    *_BOTH,
    *(Scenario(f"torchrun-{s.name}", s.options, s.rests, s.nodes, "torchrun", more=s.more) for s in _BOTH),
    *_COMMANDS,
)


_DECIDED = {"job_requeued", "job_waiting", "job_held", "job_failed"}


def _text(one: Scenario, name: str, engine: str) -> str:
    words = ["--steps", "24", "--rate", "4", "--save-every", "5", *one.options.split()]
    before = [f"{TORCH}/bin/torchrun", _STEPPER] if one.launch == "torchrun" else ["python3", _STEPPER]
    command = one.command or "[" + ", ".join(f"'{word}'" for word in [*before, *words]) + "]"
    return (
        f"aiops: 1\nname: {name}\ncommand: {command}\nlaunch: {one.launch}\nengine: {engine}\nnodes: {one.nodes}\n"
        f"devices: 1\nfolder: {SHARED}\ncheckpoint: {{path: {SHARED}/checkpoints/{name}}}\n{one.more}\n"
    )


def _verdict(site: Site, job: str) -> dict[str, Any]:
    """What was decided of a job in the end, and of its faults.

    A fault counts as it was known when it was decided about, with the whole output read: what is seen first, to end
    what is left of an attempt at once, may be no more than that a rank has exited.
    """
    found = site.show(job)
    faults = [one["evidence"] for one in site.decisions(job) if one["kind"] in _DECIDED and "class" in one["evidence"]]
    return {
        "state": found["state"],
        "attempts": len(found["attempts"]),
        "faults": [[one.get(key) for key in ("class", "causer", "retryable", "bad_node")] for one in faults],
    }


def _run(site: Site, suite: list[Scenario]) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Hand all in, on both engines, and wait until all have come to rest."""
    wanted: list[tuple[Scenario, str, str]] = []
    folder = site.shared / "checkpoints"
    for one in suite:
        for engine in ENGINES:
            name = f"{engine}-{one.name}"
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True)
            wanted.append((one, engine, name))
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # each waits for a look at the nodes
        ids = pool.map(lambda row: site.submit(row[2], _text(row[0], row[2], row[1])), wanted)
        jobs = {job: (one, engine) for job, (one, engine, _) in zip(ids, wanted, strict=True)}
    ends = time.monotonic() + _LONGEST
    left, told = set(jobs), 0.0
    while left and time.monotonic() < ends:
        for row in site.ask("list", last=500, every=True):
            if row["id"] in left and row["state"] in OVER:
                left.discard(row["id"])
            elif (
                row["id"] in left and jobs[row["id"]][0].cancel and ((row["progress"] or {}).get("step") or 0) >= _STEPS
            ):
                site.ask("cancel", job=row["id"])
        if time.monotonic() - told > _TELL_EVERY:
            told = time.monotonic()
            print(f"{len(left)} of {len(jobs)} jobs go on", file=sys.stderr, flush=True)
        time.sleep(1)
    return {(one.name, engine): _verdict(site, job) for job, (one, engine) in jobs.items()}


def main() -> int:
    """Run, compare, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=SCENARIOS)
    parser.add_argument("--keep", action="store_true", help="leave the lab, or go on with the one that was left")
    parser.add_argument("--name", default=NAME, help="of the lab")
    parser.add_argument("--ssh", type=int, default=_SSH)
    parser.add_argument("--slurm", type=int, default=_SLURM)
    options = parser.parse_args()
    suite = list(SUITE[:: max(1, len(SUITE) // options.scenarios)][: options.scenarios])
    here, _, there = torch_environment(App(os.environ).home).partition(":")
    with site(options.name, ssh=options.ssh, slurm=options.slurm, binds=((here, there),), keep=options.keep) as made:
        began = time.monotonic()
        found = _run(made, suite)
        seconds = time.monotonic() - began
    rows = [{"scenario": one.name, **{engine: found[one.name, engine] for engine in ENGINES}} for one in suite]
    differ = [row for row in rows if row["ssh"] != row["slurm"]]
    odd = [one.name for one in suite if any(found[one.name, engine]["state"] != one.rests for engine in ENGINES)]
    for row in differ:
        print("differs", row, file=sys.stderr)
    for name in odd:
        print("odd", name, found[name, "ssh"], found[name, "slurm"], file=sys.stderr)
    figures = [
        Figure("scenarios on both engines", "", (float(len(suite)),), float(options.scenarios), at_least=True),
        Figure("of them under torchrun", "", (float(sum(one.launch == "torchrun" for one in suite)),)),
        Figure("verdicts that differ between the engines", "", (float(len(differ)),), 0.0),
        Figure("jobs that did not come to rest as they had to", "", (float(len(odd)),), 0.0),
        Figure("wall time of all", "s", (round(seconds, 1),)),
    ]
    return report("jobs_engines", figures, simulated=SIMULATED, details=rows)


if __name__ == "__main__":
    sys.exit(main())
