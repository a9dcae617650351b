"""Real faults, one after the other, on jobs of both engines in one lab; the processes themselves say what was true.

    make bench-jobs_chaos          python -m benchmarks.jobs_chaos --faults 6 --no-slurm for trying

Three gangs run at once: one whose checkpoints are on a storage that stalls and fills up, one whose nodes fail, one
under Slurm. Each job suffers five faults and must then end by itself, with the result of a run that nothing happened
to. Every process says ten times a second in which epoch it can write, and looks itself at what it is to go on from.
"""

import argparse
import contextlib
import random
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .jobs_chaos_faults import OF_NODES, OF_SLURM, OF_STORE, Fault, Scene, course, newest
from .jobs_site import OVER, SHARED, SIMULATED, Site, result_of, site
from .jobs_store import THERE, Store, store
from .jobs_truth import course_of, wrongs
from .measurement import BrokenError, Figure, report

NAME = "bench-jobs-chaos"
FAULTS = 60
LEAST = 50
"""Real faults at least (issue 5, line 3)."""

OF_EACH = 5
"""Faults that one job suffers."""

_SSH, _SLURM = 5, 3
_GANG = 2
_RECOVERS = 300.0
"""Seconds: a rank that is stopped in a save is given the save's allowance, two minutes at least."""
_SEED = 11


@dataclass
class Lane:
    """The jobs on some nodes, one after the other, and their faults.

    Attributes:
        there: The folder of checkpoints as hosts see it; `here` as this machine does.
        done: (fault, seconds until it went on, attempts more than there had to be).
        lost: Jobs that did not end well, with why.
        needless: Faults after which something was begun again though it need not.
    """

    site: Site
    stored: Store
    name: str
    engine: str
    only: str
    there: str
    here: Path
    faults: list[Fault]
    one_at_a_time: threading.Lock
    controller: threading.Lock
    draw: random.Random
    done: list[tuple[str, float, int]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Suffer all."""
        for number, begin in enumerate(range(0, len(self.faults), OF_EACH)):
            name = f"{self.name}{number}"
            try:
                self._job(name, self.faults[begin : begin + OF_EACH])
            except Exception as error:  # noqa: BLE001 - whatever it is, the job is lost, and the others go on
                self.lost.append(f"{name}: {type(error).__name__}: {error}")
                print("LOST", self.lost[-1], file=sys.stderr, flush=True)
                with contextlib.suppress(Exception):
                    self.site.ask("cancel", job=name)

    def _job(self, name: str, faults: list[Fault]) -> None:
        folder = self.here / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (self.site.shared / "truth" / f"{name}.last").unlink(missing_ok=True)
        job = self.site.train(name, self._text(name))
        self.jobs.append(name)
        for fault in faults:
            self._suffer(name, job, folder, fault)
        last = self._step(job) + 40
        (self.site.shared / "truth" / f"{name}.last").write_text(str(last))
        self.site.until(lambda: self.site.show(job)["state"] in OVER, _RECOVERS, f"{job} ends")
        found = self.site.show(job)
        if found["state"] != "succeeded":
            raise BrokenError(f"it is {found['state']}: {found['reason']}")
        end = found["attempts"][-1]
        if result_of(last) not in self.site.output(job, end["number"], end["nodes"][0]):
            raise BrokenError(f"its result is not that of {last} steps")

    def _suffer(self, name: str, job: str, folder: Path, fault: Fault) -> None:
        """One fault, and what follows."""
        self.site.until(lambda: self._saved(job, folder), _RECOVERS, f"{job} has a checkpoint of this attempt")
        with self.one_at_a_time if fault.silent else contextlib.nullcontext():
            found = self.site.show(job)
            number, nodes = found["attempt"]["number"], tuple(found["attempt"]["nodes"])
            scene = Scene(
                self.site, self.stored, name, job, number, nodes, folder, self.draw, self.one_at_a_time, self.controller
            )
            began = time.monotonic()
            fault.inject(scene)
            step, least = self._step(job), number + (fault.follows == "another attempt")
            self.site.until(
                lambda: self._going(job, number, least, step),
                _RECOVERS,
                f"{job} goes on after `{fault.name}` of {number}",
            )
        seconds = time.monotonic() - began
        now = self.site.show(job)["attempt"]["number"]
        if fault.follows == "the same attempt" and now != number:
            why = [one["message"] for one in self.site.decisions(job) if one["kind"] == "fault_found"][-1]
            self.needless.append(f"{job}: `{fault.name}`: {why}")
        self.done.append((fault.name, round(seconds, 1), now - number))
        print(f"{job}.{number} {fault.name}: {seconds:.1f} s, attempt {now} {scene.told}", file=sys.stderr, flush=True)

    def _saved(self, job: str, folder: Path) -> bool:
        """Whether it runs and has saved since it began: attempts without progress are a matter of other tests."""
        found = self.site.show(job)
        if found["state"] in OVER:
            raise BrokenError(f"it is {found['state']}: {found['reason']}")
        last = newest(folder)
        if found["state"] != "running" or last is None:
            return False
        return int(last.name.partition("-")[2]) > int(found["attempt"]["step"] or 0)

    def _going(self, job: str, hurt: int, least: int, step: int) -> bool:
        """Whether an attempt, `least` or a later one, has come further: the one that was hurt beyond `step`."""
        found = self.site.show(job)
        if found["state"] in OVER:
            raise BrokenError(f"it is {found['state']}: {found['reason']}")
        number, here = found["attempt"]["number"] if found["attempt"] else 0, self._of(found)
        if found["state"] != "running" or number < least or here is None:
            return False
        return here > (step if number == hurt else found["attempt"]["step"] or 0) + 5

    @staticmethod
    def _of(found: dict[str, Any]) -> int | None:
        progress = found["progress"]
        return None if progress is None or progress["step"] is None else int(progress["step"])

    def _step(self, job: str) -> int:
        return self._of(self.site.show(job)) or 0

    def _text(self, name: str) -> str:
        words = "--steps, '0', --rate, '5', --save-every, '10', --size, '20000'"
        causers = ("node", "network", "storage", "framework", "scheduler", "process")
        return (
            f"aiops: 1\nname: {name}\nlaunch: command\nengine: {self.engine}\ndevices: 4\nfolder: {SHARED}\n"
            f"command: [python3, {SHARED}/witness.py, {name}, {SHARED}/truth, {words}]\n"
            f"nodes: {{min: {_GANG}, max: {_GANG}, only: '{self.only}'}}\n"
            f"checkpoint: {{path: {self.there}/{name}}}\n"
            f"restarts: {{{', '.join(f'{one}: 100' for one in causers)}}}\n"
        )


def _lanes(made: Site, stored: Store, faults: int, *, slurm: bool) -> list[Lane]:
    silent, controller = threading.Lock(), threading.Lock()
    shared = made.shared / "checkpoints"
    there = f"{SHARED}/checkpoints"
    ssh = made.ssh
    share = (
        [faults * 2 // 5, faults * 2 // 5, faults - faults * 2 // 5 * 2]
        if slurm
        else [faults // 2, faults - faults // 2, 0]
    )
    given = [
        ("stored", "ssh", ",".join(ssh[:2]), THERE, stored.folder, course(OF_STORE, share[0])),
        ("failing", "ssh", ",".join(ssh[2:]), there, shared, course(OF_NODES, share[1])),
        ("batch", "slurm", ",".join(made.slurm), there, shared, course(OF_SLURM, share[2])),
    ]
    return [
        Lane(made, stored, *words, silent, controller, random.Random(_SEED + number))  # noqa: S311 - drawn by a seed
        for number, words in enumerate(given)
        if words[-1]
    ]


def main() -> int:
    """Hurt, watch, judge, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=FAULTS)
    parser.add_argument("--no-slurm", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the lab, or go on with the one that was left")
    parser.add_argument("--name", default=NAME, help="of the lab")
    options = parser.parse_args()
    slurm = not options.no_slurm
    with (
        site(options.name, ssh=_SSH, slurm=_SLURM if slurm else 0, keep=options.keep) as made,
        store(made, made.ssh[:2]) as stored,
    ):
        truth = made.shared / "truth"
        shutil.rmtree(truth, ignore_errors=True)
        truth.mkdir()
        lanes = _lanes(made, stored, options.faults, slurm=slurm)
        threads = [threading.Thread(target=one.run) for one in lanes]
        began = time.monotonic()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        seconds = time.monotonic() - began
        jobs = [name for lane in lanes for name in lane.jobs]
        courses = {name: course_of(_read(truth / f"{name}.log")) for name in jobs}
        drained = made.drained()
        held = [row["id"] for row in made.ask("list", last=500, every=True) if row["state"] == "held"]
        controllers = made.controllers
    wrong = {**wrongs(courses, dict.fromkeys(jobs, _GANG)), "drained": drained, "held": held}
    return _report(lanes, wrong, seconds, controllers)


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _report(lanes: list[Lane], wrong: dict[str, list[str]], seconds: float, controllers: int) -> int:
    done = [row for lane in lanes for row in lane.done]
    lost = [why for lane in lanes for why in lane.lost]
    needless = [why for lane in lanes for why in lane.needless]
    kinds = Counter(name for name, _, _ in done)
    took = tuple(value for _, value, _ in done) or (0.0,)
    figures = [
        Figure("real faults through the whole program", "", (float(len(done)),), float(LEAST), at_least=True),
        Figure("kinds of them", "", (float(len(kinds)),)),
        Figure("resumes from a bad checkpoint", "", (float(len(wrong["bad resumes"])),), 0.0),
        Figure("overlaps: two attempts able to write", "", (float(len(wrong["overlaps"])),), 0.0),
        Figure("ranks that ran twice in one attempt", "", (float(len(wrong["ranks run twice"])),), 0.0),
        Figure("partial gangs", "", (float(len(wrong["partial gangs"])),), 0.0),
        Figure("devices given twice", "", (float(len(wrong["devices given twice"])),), 0.0),
        Figure("healthy nodes left drained", "", (float(len(wrong["drained"])),), 0.0),
        Figure("jobs lost, or with another result", "", (float(len(lost)),), 0.0),
        Figure("manual steps that a job waits for", "", (float(len(wrong["held"])),), 0.0),
        Figure("restarts that need not have been", "", (float(len(needless)),), 0.0),
        Figure("from a fault's begin until steps go on", "s", took),
        Figure("controllers that were begun", "", (float(controllers),)),
        Figure("wall time of all faults", "s", (round(seconds, 1),)),
    ]
    found = [{"wrong": name, "evidence": text} for name, rows in wrong.items() for text in rows]
    found += [{"wrong": "lost", "evidence": text} for text in lost]
    found += [{"wrong": "needless", "evidence": text} for text in needless]
    for one in found:
        print(one, file=sys.stderr)
    more = Counter(name for name, _, attempts in done if attempts > 1)
    return report(
        "jobs_chaos", figures, simulated=SIMULATED, details=[dict(kinds), {"more than one attempt": dict(more)}, *found]
    )


if __name__ == "__main__":
    sys.exit(main())
