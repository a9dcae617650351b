"""Data prepared by datatrove on a real Slurm of two nodes: the same bytes as in process, also where a task is killed.

Rows are generated as `data_prepare` does. All of it runs on the lab's head as a user, in an environment that hosts see
at the same path: once with processes of the head, once as arrays of jobs, and once more with one task killed by -9 in
each of the steps that are shared. `--inventory` takes a deployed lab that is there, made with what `--bind` prints.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.l3_tuning.data.prepared_folder import contents, write_rows
from tests.l3_tuning.data.tiny_model import lay_model

from aiops.cli.app import App
from aiops.layers.core.command import Command

from .cluster_rig import SIMULATED, rig
from .data_prepare import _rows
from .measurement import BrokenError, Figure, report

NAME = "bench-data-slurm"
ROWS = 20_000
FILES = 4
JOBS = 4
SHARED = Path("/shared/ann")
_SECONDS = 600.0
_USER = "id ann >/dev/null 2>&1 || useradd --uid 2001 --user-group --create-home ann"
_KILL = "pkill -KILL -o -f '[b]in/launch_pickled_pipeline .*/{step}-{jobs}/' && echo killed || :"
_TOLD = ("JobId", "JobName", "ArrayTaskId", "JobState", "NodeList")
_PYTHON = "/usr/bin/python3"
_ROOT = Path(__file__).parents[1]


def environment(home: Path) -> Path:
    """An environment with aiops and its extras, of the hosts' own Python; our own code in it is always this one.

    Raises:
        BrokenError: It cannot be made.
    """
    folder = home / "cache" / "data"
    pip = str(folder / "bin/pip")
    try:
        if not (folder / "made").exists():
            subprocess.run([_PYTHON, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([pip, "install", "-q", f"{_ROOT}[tuning,datatrove]"], check=True)
        subprocess.run([pip, "install", "-q", "--no-deps", "--force-reinstall", str(_ROOT)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BrokenError(f"no environment at {folder}: {error}") from error
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    (folder / "made").touch()
    return folder


class Bench:
    """A deployed lab with rows and a model in what its hosts share."""

    def __init__(self, app: App, inventory: Path, python: Path) -> None:
        self.inventory = app.inventory(inventory)
        self._fleet = app.fleet(self.inventory)
        self.python = python
        self.here = inventory.parent / "shared" / SHARED.name
        shutil.rmtree(self.here, ignore_errors=True)
        rows = _rows(ROWS)
        for number in range(FILES):
            write_rows(self.here / f"rows/{number}.jsonl", rows[number::FILES])
        lay_model(self.here / "model")
        for node in self.inventory:
            self.on(node.name, _USER)
        self.on("head", f"chown -R ann: {SHARED}")

    def on(self, node: str, line: str, limit: float = 60) -> str:
        """What a shell line says on a node, as root.

        Raises:
            BrokenError: It ended with another status than 0.
        """
        command = Command(("sh", "-c", line), timeout=limit, root=True)
        done = self._fleet.transport(self.inventory.node(node)).run(command)
        if not done.ok:
            raise BrokenError(f"{node}: {line}: {done.error_text}{done.text}")
        return done.text.strip()

    def prepare(self, into: str, *words: str) -> tuple[float, dict[str, bytes]]:
        """Seconds that a preparation took on the head, by its own command line, and what came of it."""
        aiops = f"{self.python}/bin/python -m aiops data prepare rows --base model --into {into} --length 1024 -q"
        begun = time.monotonic()
        self.on("head", f"cd {SHARED} && runuser -u ann -- {aiops} {' '.join(words)}", _SECONDS)
        return time.monotonic() - begun, contents(self.here / into)

    def jobs(self) -> dict[str, dict[str, str]]:
        """The tasks of preparations that Slurm still knows of, by their number."""
        found = {}
        for line in self.on("head", "scontrol show job -o").splitlines():
            said = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if said.get("JobName", "").startswith("aiops-data-"):
                found[said["JobId"]] = {key: said[key] for key in _TOLD if key in said}
        return found

    def prepared_by_jobs(self, into: str) -> tuple[float, dict[str, bytes], list[dict[str, str]]]:
        """The same on Slurm, with the tasks that did it."""
        before = self.jobs()
        seconds, made = self.prepare(into, "--engine", "datatrove:main", "--jobs", str(JOBS))
        return seconds, made, [one for number, one in self.jobs().items() if number not in before]

    def close(self) -> None:
        """Let go."""
        self._fleet.close()


class Killer(threading.Thread):
    """Kills one task of each step by -9, as soon as one runs."""

    def __init__(self, bench: Bench, steps: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self._bench, self._left = bench, list(steps)
        self.killed: list[str] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Look at both nodes in turn until all are killed."""
        while self._left and not self._ended.is_set():
            for node in ("node01", "node02"):
                step = self._left[0]
                if "killed" in self._bench.on(node, _KILL.format(step=step, jobs=JOBS)):
                    self.killed.append(f"{step} on {node}")
                    self._left.pop(0)
                    break
            self._ended.wait(0.05)

    def stop(self) -> None:
        """No more."""
        self._ended.set()
        self.join()


@contextmanager
def _bench(app: App, inventory: Path | None) -> Iterator[Bench]:
    folder = environment(app.home)
    if inventory is None:
        with rig(NAME, 2, 0, f"{folder}:{folder}") as made:
            made.deploy()
            with _bench(app, Path(made.inventory)) as bench:
                yield bench
        return
    bench = Bench(app, inventory, folder)
    try:
        yield bench
    finally:
        bench.close()


def measured(bench: Bench) -> tuple[list[Figure], list[dict[str, Any]]]:
    """What came of it in process, on Slurm, and with a task killed in each shared step."""
    alone, wanted = bench.prepare("local")
    slurm, made, tasks = bench.prepared_by_jobs("slurm")
    if not tasks or any(one["JobState"] != "COMPLETED" for one in tasks):
        raise BrokenError(f"a task of the undisturbed run failed: {tasks}")
    killer = Killer(bench, ("examine", "render"))
    killer.start()
    try:
        again, after, late = bench.prepared_by_jobs("killed")
    finally:
        killer.stop()
    nodes = float(len({one.get("NodeList") for one in tasks}))
    failed = float(sum(one["JobState"] == "FAILED" for one in late))
    figures = [
        Figure("files that Slurm made otherwise than one process", "", (_different(wanted, made),), 0),
        Figure("the same with a task killed in each shared step", "", (_different(wanted, after),), 0),
        Figure("nodes that did the tasks", "", (nodes,), 2, at_least=True),
        Figure("tasks killed by -9", "", (float(len(killer.killed)),), 2, at_least=True),
        Figure("tasks that Slurm calls failed for that", "", (failed,)),
        Figure("in one process", "s", (alone,)),
        Figure(f"on Slurm, {JOBS} tasks", "s", (slurm,)),
        Figure("on Slurm, with tasks killed", "s", (again,)),
    ]
    details = {"rows": ROWS, "files": FILES, "killed": killer.killed, "tasks": tasks, "tasks of the killed run": late}
    return figures, [details]


def _different(one: dict[str, bytes], other: dict[str, bytes]) -> float:
    return float(sum(one.get(name) != other.get(name) for name in {*one, *other}))


def main() -> int:
    """Compare, and report; exit 1 where bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", type=Path, help="a deployed lab that is there, with two workers")
    parser.add_argument("--bind", action="store_true", help="make the environment, and print what `lab up` is given")
    options = parser.parse_args()
    app = App(os.environ)
    if options.bind:
        folder = environment(app.home)
        print(f"--bind {folder}:{folder}")
        return 0
    with _bench(app, options.inventory) as bench:
        figures, details = measured(bench)
    return report("data_slurm", figures, simulated=SIMULATED.partition("; ")[2], details=details)


if __name__ == "__main__":
    sys.exit(main())
