"""Healthy jobs on booted hosts, many at once, that look as if something were wrong: none may be taken for faulty.

    make bench-jobs_healthy_real          python -m benchmarks.jobs_healthy_real --runs 12 for trying

Slow first steps, long saves, pauses for evaluation, logs that say nothing, steps that take long, a storage that stalls
for 30 s, neighbours that take the processors, ends with 0 after a moment. All through a real controller and the engine
ssh; counted are faults that were declared, attempts beyond the first, and results that are not those of the program.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .jobs_site import OVER, SHARED, SIMULATED, Site, result_of, site
from .jobs_store import THERE, Store, store
from .measurement import BrokenError, Figure, report

NAME = "bench-jobs-healthy"
RUNS = 54
WORKERS = 5
LONGEST = 660.0
STALL = 30.0
_WELL_UNDER_WAY = 10
"""Steps that one of those has made before its storage stalls."""

_SEED = 5
_FAULTS = frozenset({"fault_found", "straggler_found", "job_stopping", "job_requeued", "job_held", "job_failed"})


@dataclass(frozen=True)
class Healthy:
    """One healthy run.

    Attributes:
        steps: That it makes; 0 where it is no stepper.
        command: What it runs instead, in the words of YAML.
        more: Further lines of its job file.
    """

    kind: str
    steps: int = 0
    options: str = ""
    nodes: int = 1
    command: str = ""
    more: str = ""
    checkpoints: bool = True


def cases(count: int, seed: int = _SEED) -> list[Healthy]:
    """So many, all kinds in turn, by a seed. Pure."""
    draw = random.Random(seed)  # noqa: S311 - drawn by a seed
    made = _endless(draw)
    return [next(made) for _ in range(count)]


def _endless(draw: random.Random) -> Iterator[Healthy]:
    regex = 'progress: {regex: "step (?P<step>\\\\d+).*loss (?P<loss>[\\\\d.]+)"}'
    words = "connection reset by peer, retrying; 0 errors; WARNING: gradient overflow, skipping step; Xid none"
    first = True
    while True:
        nodes = draw.choice((1, 2, 2, 3))
        # The 60 s once for each of the slow kinds; 20 s in the others.
        long = 60 if first else 20
        yield Healthy("slow first step", 60, f"--first {draw.randint(40, 75)} --rate 5", nodes)
        yield Healthy(f"saves of {long} s", 60, f"--rate 4 --save-every 30 --save-seconds {long}", nodes)
        yield Healthy("evaluation pauses", 80, f"--rate 4 --evaluate-every 40 --evaluate-seconds {long / 2}", nodes)
        yield Healthy("silent log", 150, "--rate 3 --print-every 0", nodes)
        yield Healthy("no word at all", 200, "--rate 4 --print-every 0 --mute", nodes)
        yield Healthy("steps in its output only", 150, "--rate 3 --mute", nodes, more=regex)
        yield Healthy("long steps", 8, f"--rate {1 / draw.randint(6, 9):.3f} --save-every 4", nodes)
        yield Healthy("storage stalled", 200, "--rate 3 --save-every 15", nodes)
        yield Healthy("noisy neighbour", 200, "--rate 4 --save-every 25", nodes)
        yield Healthy("done at once", command="[true]", nodes=nodes, checkpoints=False)
        yield Healthy(
            "alarming words", command=f'[sh, -c, "for i in 1 2 3; do echo {words}; sleep 3; done"]', nodes=nodes
        )
        yield Healthy("few steps", 3, "--rate 10 --save-every 100", nodes)
        first = False


def _text(one: Healthy, name: str) -> str:
    command = one.command or (
        f"[python3, {SHARED}/witness.py, {name}, {SHARED}/truth, --steps, '{one.steps}', "
        + ", ".join(f"'{word}'" for word in one.options.split())
        + "]"
    )
    lines = [
        f"aiops: 1\nname: {name}\ncommand: {command}\nlaunch: command\nnodes: {one.nodes}\ndevices: 1",
        f"folder: {SHARED}",
        *([f"checkpoint: {{path: {THERE}/{name}}}"] if one.checkpoints else []),
        *([one.more] if one.more else []),
    ]
    return "\n".join(lines) + "\n"


class Neighbours:
    """What else wants the processors of the hosts, at the lowest weight there is but without end."""

    def __init__(self, site: Site) -> None:
        self._site = site
        for node in site.ssh[:2]:
            site.on(node, "systemd-run --unit=noise sh -c 'while :; do :; done' && sleep 0.1")

    def close(self) -> None:
        """Be quiet."""
        for node in self._site.ssh[:2]:
            self._site.on(node, "systemctl stop noise", fails=True)


def _run(site: Site, stored: Store, runs: list[Healthy]) -> list[tuple[Healthy, str]]:
    """Hand all in, stall the storage twice while they run, wait for their ends."""
    going: list[tuple[Healthy, str]] = []
    for number, one in enumerate(runs):
        name = f"h{number}"
        if one.checkpoints:
            (stored.folder / name).mkdir(exist_ok=True)
        going.append((one, site.submit(name, _text(one, name))))
    ended = threading.Event()
    stalls = threading.Thread(target=_stall, args=(site, stored, going, ended))
    stalls.start()
    neighbours = Neighbours(site)
    try:
        ends = time.monotonic() + LONGEST
        left = {job for _, job in going}
        while left:
            left -= {row["id"] for row in site.ask("list", last=500, every=True) if row["state"] in OVER}
            if time.monotonic() > ends:
                raise BrokenError(f"not over after {LONGEST:g} s: {sorted(left)}")
            time.sleep(2)
    finally:
        neighbours.close()
        ended.set()
        stalls.join()
    return going


def _stall(site: Site, stored: Store, going: list[tuple[Healthy, str]], ended: threading.Event) -> None:
    """Stall the storage each time that one of those runs that are there for it has come to its tenth step."""
    seen: set[str] = set()
    while not ended.wait(1):
        rows = {row["id"]: row for row in site.ask("list", last=500)}
        for one, job in going:
            row = rows.get(job)
            if (
                one.kind == "storage stalled"
                and job not in seen
                and row
                and ((row["progress"] or {}).get("step") or 0) >= _WELL_UNDER_WAY
            ):
                seen |= {
                    job for one, job in going if one.kind == "storage stalled" and (rows.get(job) or {}).get("progress")
                }
                stored.freeze()
                ended.wait(STALL)
                stored.thaw()


def _wrong(site: Site, one: Healthy, job: str) -> list[str]:
    """What was wrong about a run that has ended."""
    found = site.show(job)
    wrong = [f"{said['kind']}: {said['message']}" for said in site.decisions(job) if said["kind"] in _FAULTS]
    if found["state"] != "succeeded":
        wrong.append(f"it is {found['state']}: {found['reason']}")
    if len(found["attempts"]) != 1:
        wrong.append(f"{len(found['attempts'])} attempts")
    if one.steps and found["attempts"]:
        node = found["attempts"][0]["nodes"][0]
        if result_of(one.steps) not in site.output(job, 1, node):
            wrong.append("its result is another")
    return wrong


def main() -> int:
    """Run, judge, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--keep", action="store_true", help="leave the lab, or go on with the one that was left")
    options = parser.parse_args()
    runs = cases(options.runs)
    with site(NAME, ssh=WORKERS, keep=options.keep) as made, store(made, made.ssh) as stored:
        (made.shared / "truth").mkdir(exist_ok=True)
        began = time.monotonic()
        going = _run(made, stored, runs)
        seconds = time.monotonic() - began
        wrongs = [(one, job, wrong) for one, job in going for wrong in _wrong(made, one, job)]
        again = sum(max(0, len(made.show(job)["attempts"]) - 1) for _, job in going)
        drained = made.drained()
    for one, job, wrong in wrongs:
        print(f"{job} ({one.kind}): {wrong}", file=sys.stderr)
    faults = [row for row in wrongs if row[2].startswith(("fault_found", "straggler_found"))]
    figures = [
        Figure("healthy runs on booted hosts", "", (float(len(going)),), float(options.runs), at_least=True),
        Figure("kinds of them", "", (float(len({one.kind for one in runs})),)),
        Figure("faults declared", "", (float(len(faults)),), 0.0),
        Figure("restarts", "", (float(again),), 0.0),
        Figure("anything else wrong with a run", "", (float(len(wrongs) - len(faults)),), 0.0),
        Figure("nodes left drained", "", (float(len(drained)),), 0.0),
        Figure("wall time of all runs", "s", (round(seconds, 1),)),
    ]
    details = [dict(Counter(one.kind for one in runs)), *({"job": j, "kind": o.kind, "wrong": w} for o, j, w in wrongs)]
    return report("jobs_healthy_real", figures, simulated=SIMULATED, details=[*details, *drained])


if __name__ == "__main__":
    sys.exit(main())
