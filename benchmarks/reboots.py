"""A driver change on workers that run jobs of Slurm: no job is cut off, one node at a time, each rebooted once.

First a rolling change while every worker has a job. Then a job that does not end, whose node must be named with it and
left as it is. Then deploys that are killed with -9 at seeded random points: the same command must go on, and at the end
every node must be in service again. Last, a slurmd that starts and then dies for want of a device: not told ok.
"""

import argparse
import json
import random
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import AIOPS, BrokenError, Figure, aiops, report

NAME = "bench-reboots"
OLD, NEW = "580.82.07", "580.95.05"
LIMIT = 120.0
PATIENT, IMPATIENT = 10.0, 0.1
FIRST_MOMENT, LAST_MOMENT = 2.0, 22.0


def require(condition: bool, what: str) -> None:
    """Refuse to go on where something is not as it must be.

    Raises:
        BrokenError: It is not.
    """
    if not condition:
        raise BrokenError(what)


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds.

    Raises:
        BrokenError: It did not within `LIMIT`.
    """
    deadline = time.monotonic() + LIMIT
    while not condition():
        require(time.monotonic() < deadline, f"waited {LIMIT:.0f} s in vain: {what}")
        time.sleep(0.3)


class Drivers:
    """The lab's inventory, with one driver or the other, and time for jobs to end."""

    def __init__(self, made: Rig, folder: Path, bundle: Path) -> None:
        self._made = made
        self._folder = folder
        self._bundle = bundle

    def inventory(self, driver: str, minutes: float) -> str:
        """An inventory that wants `driver`, whose deploys wait `minutes` for jobs."""
        folder = self._folder / f"{driver}-{minutes}"
        folder.mkdir(exist_ok=True)
        path = folder / "inventory.yml"
        more = f'  vars:\n    aiops_driver_version: "{driver}"\n    aiops_bundle: {self._bundle}\n'
        path.write_text(Path(self._made.inventory).read_text("utf-8").replace("  vars:\n", more, 1), "utf-8")
        (folder / "aiops.toml").write_text(f"aiops = 1\ndrain_minutes = {minutes}\n", "utf-8")
        return str(path)

    def on(self, node: str, line: str) -> str:
        """What a shell line says on `node`, or nothing while it cannot be reached."""
        words = ("node", "exec", "-i", self._made.inventory, "--on", node, "--json", "--", "sh", "-c", line)
        done = subprocess.run([AIOPS, *words], capture_output=True, text=True, timeout=60, check=False)
        with suppress(ValueError, LookupError):
            return str(json.loads(done.stdout)["results"][0]["stdout"]).strip()
        return ""

    @property
    def workers(self) -> list[str]:
        """The workers."""
        return [host.name for host in self._made.lab.state.hosts if host.name != "head"]

    def boots(self) -> dict[str, str]:
        """The boot ids of the workers."""
        return {node: self.on(node, "cat /proc/sys/kernel/random/boot_id") for node in self.workers}

    def loaded(self) -> set[str]:
        """The drivers that are loaded on the workers."""
        query = "nvidia-smi --query-gpu=driver_version --format=csv,noheader | sort -u"
        return {self.on(node, query) for node in self.workers}

    def submit(self, node: str, line: str) -> str:
        """The number of a job on `node`, once it runs."""
        job = self.on("head", f"sbatch --parsable -w {node} -o /dev/null --wrap {shlex.quote(line)}")
        wait(f"job {job} runs", lambda: self.on("head", f"squeue -h -j {job} -o %T") == "RUNNING")
        return job

    def all_idle(self) -> bool:
        """Whether Slurm has every worker in service, without work."""
        return self.on("head", "sinfo -h -N -o %t | sort -u") == "idle"


class Watch(threading.Thread):
    """Counts how many workers are out of service at the same time."""

    def __init__(self, drivers: Drivers) -> None:
        super().__init__(daemon=True)
        self._drivers = drivers
        self._over = threading.Event()
        self.most = 0
        self.looks = 0

    def run(self) -> None:
        """Look until it is stopped."""
        while not self._over.is_set():
            states = self._drivers.on("head", "sinfo -h -N -o %t").split()
            self.most = max(self.most, sum(one.startswith(("drain", "drng", "down")) for one in states))
            self.looks += bool(states)

    def stop(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


def deploy(inventory: str, expect: int = 0) -> dict[str, Any]:
    """A deploy's answer."""
    answer: dict[str, Any] = json.loads(
        aiops("cluster", "deploy", inventory, "--yes", "--json", limit=1800, expect=(expect,)).stdout
    )
    return answer


def reboots(run: str) -> list[str]:
    """The nodes that a run has rebooted."""
    events = json.loads(aiops("run", "events", run, "--json").stdout)
    return sorted(event["node"] for event in events if event["kind"] == "reboot_finished")


def rolling(drivers: Drivers) -> list[Figure]:
    """Another driver while every worker has a job."""
    wait("all workers are idle", drivers.all_idle)
    before = drivers.boots()
    jobs = {drivers.submit(node, f"sleep {20 + 10 * place}") for place, node in enumerate(drivers.workers)}
    watch = Watch(drivers)
    watch.start()
    begun = time.monotonic()
    answer = deploy(drivers.inventory(NEW, PATIENT))
    seconds = time.monotonic() - begun
    watch.stop()
    require(reboots(answer["run"]) == drivers.workers, f"rebooted were {reboots(answer['run'])}")
    after = drivers.boots()
    require(all(after[node] not in {"", before[node]} for node in after), "a boot id is the same")
    require(drivers.loaded() == {NEW}, f"loaded are {drivers.loaded()}")
    done = drivers.on("head", "grep -o 'JobId=[0-9]* .*JobState=[A-Z]*' /var/log/slurm/jobcomp.log").splitlines()
    well = sum(line.partition(" ")[0].removeprefix("JobId=") in jobs and line.endswith("=COMPLETED") for line in done)
    wait("all workers are idle", drivers.all_idle)
    return [
        Figure("rolling driver change, jobs on all workers", "s", (seconds,)),
        Figure("jobs cut off by it", "", (float(len(jobs) - well),), limit=0),
        Figure("most workers out of service at the same time", "", (float(watch.most),), limit=1),
        Figure("times that was looked at", "", (float(watch.looks),), limit=10, at_least=True),
    ]


def deadline(drivers: Drivers) -> list[Figure]:
    """A job that does not end: its node is named, kept as it is, and mended by the next deploy once the job is over."""
    node = drivers.workers[0]
    job = drivers.submit(node, "sleep 3600")
    before = drivers.boots()
    answer = deploy(drivers.inventory(OLD, IMPATIENT), expect=1)
    (failure,) = answer["failures"]
    require(failure["node"] == node and f"job {job} of" in failure["reason"], f"said was {failure}")
    require(drivers.boots()[node] == before[node], f"{node} was rebooted")
    require(drivers.on("head", f"squeue -h -j {job} -o %T") == "RUNNING", f"job {job} does not run")
    require(drivers.on("head", f"sinfo -h -n {node} -o %t") == "drng", f"{node} does not drain")
    drivers.on("head", f"scancel {job}")
    again = deploy(drivers.inventory(OLD, IMPATIENT))
    require(reboots(again["run"]) == [node], f"rebooted were {reboots(again['run'])}")
    wait("all workers are idle", drivers.all_idle)
    return [Figure("nodes kept as they were by a job that did not end", "", (1.0,), limit=1, at_least=True)]


def kills(drivers: Drivers, number: int, seed: int) -> list[Figure]:
    """Deploys killed anywhere: the same command goes on."""
    moments = random.Random(seed)  # noqa: S311 - repeatable, not secret
    cut = 0
    for turn in range(number):
        wanted = NEW if turn % 2 == 0 else OLD
        inventory = drivers.inventory(wanted, PATIENT)
        drivers.submit(moments.choice(drivers.workers), "sleep 15")
        before = drivers.boots()
        words = (AIOPS, "cluster", "deploy", inventory, "--yes", "--json")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(FIRST_MOMENT, LAST_MOMENT))
            cut += process.poll() is None
            process.kill()
        answer = deploy(inventory)
        require(not answer["failures"], f"turn {turn}: {answer['failures']}")
        require(drivers.loaded() == {wanted}, f"turn {turn}: loaded are {drivers.loaded()}")
        after = drivers.boots()
        require(all(after[node] != before[node] for node in after), f"turn {turn}: a node was not rebooted")
        wait(f"turn {turn}: all workers are idle", drivers.all_idle)
    return [
        Figure(f"deploys killed with -9 of {number}, seed {seed}", "", (float(cut),)),
        Figure("of these not mended by the same command", "", (0.0,), limit=0),
    ]


def dying(drivers: Drivers) -> list[Figure]:
    """A slurmd that starts, looks for a device and dies."""
    node = drivers.workers[0]
    drivers.on(node, "systemctl stop slurmd; mv /dev/nvidia0 /dev/gone")
    inventory = drivers.inventory(NEW, PATIENT)
    words = ("cluster", "deploy", inventory, "--yes", "--json", "--only", "scheduler")
    answer = json.loads(aiops(*words, expect=(1,)).stdout)
    named = [one["node"] for one in answer["failures"] if "slurmd" in one["reason"]]
    require(named == [node], f"said was {answer['failures']}")
    drivers.on(node, "mv /dev/gone /dev/nvidia0; systemctl reset-failed slurmd")
    aiops(*words)
    return [Figure("daemons that die after their start told as well", "", (0.0,), limit=0)]


def main() -> int:
    """Show it, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="workers; the head comes on top")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    with TemporaryDirectory() as folder, rig(NAME, options.nodes) as made:
        bundle = Path(folder) / "bundle"
        simulated = ("--simulated", f"nvidia:{OLD}", "--simulated", f"nvidia:{NEW}")
        aiops("cluster", "bundle", "build", "-q", "-o", str(bundle), *simulated)
        drivers = Drivers(made, Path(folder), bundle)
        deploy(drivers.inventory(OLD, PATIENT))
        figures = rolling(drivers)
        figures += deadline(drivers)
        figures += kills(drivers, options.kills, options.seed)
        figures += dying(drivers)
    return report(Path(__file__).stem, figures, simulated=f"{SIMULATED}; the jobs are `sleep`")


if __name__ == "__main__":
    sys.exit(main())
