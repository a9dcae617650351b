"""What the benchmarks of jobs with real torch share: a lab whose hosts have torch, a controller, and one training job.

The job is docs/examples/train.py under torchrun. The controller is a process of this machine, with a store and a name
of a cluster of its own; `aiops train` submits to it. Lab hosts share this machine's clock, so moments can be compared.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.lab import Lab, LabSpec
from aiops.layers.l0_nodes.lab.identity import login_key
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.rows import Told

from .measurement import AIOPS, BrokenError
from .torch_environment import THERE, torch_environment

SHARED = "/run/aiops-lab/shared"
SIMULATED = (
    "hosts share this machine's kernel, clock, processors and disk; power and network of hosts are switched off in "
    "software; torch trains on the CPU"
)
EXAMPLE = Path(__file__).parents[1] / "docs/examples/train.py"
PACED = Path(__file__).with_name("paced_training.py")
PACE = 0.1
"""Seconds that a step waits: steps of a tenth of a second and a little more."""

RANK = f"-u {SHARED}/{PACED.name}"
"""In the command line of a rank, and of nothing else: torchrun starts them so."""

_ROOT = Path(__file__).parents[1]
_LOOK = 0.05
_JOB = """\
aiops: 1
name: {name}
command: {command}
launch: torchrun
nodes: {{min: {nodes}, max: {nodes}, only: "{only}"}}
processes: {processes}
engine: {engine}
folder: {shared}
checkpoint: {{path: {shared}/{name}}}
restarts: {{node: 1000, network: 1000, storage: 1000, framework: 1000, scheduler: 1000, process: 1000}}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a rank has made."""

    at: float
    attempt: int
    rank: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a training job looks like.

    Attributes:
        only: The nodes that it may have, as a node set.
        processes: On each node.
    """

    name: str
    nodes: int
    only: str
    processes: int = 1
    steps: int = 1_000_000
    save_every: int = 10
    engine: str = "ssh"


@dataclass
class Site:
    """A lab, and a controller of this machine for it.

    Attributes:
        headed: Whether the inventory has a head, as the engine slurm needs.
    """

    lab: Lab
    home: Path
    inventory: Path
    headed: bool = False
    _process: "subprocess.Popen[bytes] | None" = field(default=None)
    _store: Store | None = field(default=None)

    # -- hosts

    @property
    def workers(self) -> list[str]:
        """The names of the workers."""
        return [host.name for host in self.lab.hosts if host.role != "head"]

    @property
    def shared(self) -> Path:
        """The folder that all hosts see at `SHARED`."""
        return self.lab.folder / "shared"

    def on(self, node: str, line: str, *, expect: Sequence[int] = (0,), timeout: float = 60) -> str:
        """What a shell line says on a host, as root.

        Raises:
            BrokenError: It ended otherwise.
        """
        done = subprocess.run(
            [*self.ssh(node), line],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode not in expect:
            raise BrokenError(f"{node}: {line}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def ssh(self, node: str) -> list[str]:
        """The words of the ordinary ssh client up to a host."""
        options = ("BatchMode=yes", "ConnectTimeout=5", "IdentitiesOnly=yes", "LogLevel=ERROR")
        known = ("-o", f"UserKnownHostsFile={self.lab.folder / 'known_hosts'}")
        words = [word for option in options for word in ("-o", option)]
        address = self.lab.state.host(node).address
        return ["ssh", "-F", "none", "-i", str(login_key(self.lab.folder)), *words, *known, f"root@{address}"]

    def kill(self, node: str, pattern: str, signal_name: str = "KILL") -> float:
        """Send a signal to the newest process on a host whose command line has `pattern`; the moment before that.

        Raises:
            BrokenError: There is none.
        """
        return float(self.on(node, f"date +%s.%N; pkill -{signal_name} -n -f '{_hidden(pattern)}'"))

    def kill_launcher(self, node: str) -> float:
        """Kill the launcher of the job that runs on a host, under the engine ssh; the moment before that.

        Raises:
            BrokenError: There is none.
        """
        units = "systemctl list-units --state=active --plain --no-legend 'aiops-job-*'"
        first = f"$({units} | cut -d' ' -f1 | head -n 1)"
        return float(self.on(node, f"date +%s.%N; kill -9 $(systemctl show -p MainPID --value {first})"))

    def heal(self, node: str) -> None:
        """Take back every fault of a host, and have it answer."""
        self.lab.heal(node)

    # -- the controller

    @property
    def environment(self) -> dict[str, str]:
        """Of every `aiops` here."""
        return {**os.environ, "AIOPS_HOME": str(self.home / "home"), "AIOPS_INVENTORY": str(self.inventory)}

    def aiops(self, *words: str, expect: Sequence[int] = (0,), timeout: float = 180) -> str:
        """What `aiops WORDS` says.

        Raises:
            BrokenError: It ended otherwise.
        """
        done = subprocess.run(
            [str(AIOPS), *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode not in expect:
            raise BrokenError(f"`aiops {' '.join(words)}` ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def begin(self) -> None:
        """Start the controller, and wait until it answers."""
        words = (
            [sys.executable, "-m", "benchmarks.desk_controller"] if self.headed else [str(AIOPS), "controller", "run"]
        )
        with (self.home / "controller.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, env=self.environment, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.until(self._answers, 60, "the controller answers")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            text = (self.home / "controller.log").read_text(encoding="utf-8", errors="replace")
            raise BrokenError(f"the controller ended with {self._process.returncode}: {text[-1500:]}")
        words = [str(AIOPS), "controller", "status"]
        done = subprocess.run(
            words, env=self.environment, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        )
        return done.returncode == 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the controller by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    # -- the job

    def submit(self, shape: Shape) -> str:
        """Have `aiops train --detach` take a job; its id."""
        for path in (EXAMPLE, PACED):
            shutil.copy(path, self.shared)
        self.pace(PACE)
        (self.shared / shape.name).mkdir(exist_ok=True)
        self.trace(shape.name).touch()
        options = f"--steps {shape.steps} --save-every {shape.save_every}"
        script = f"{SHARED}/{PACED.name} {SHARED}/{shape.name}.trace {SHARED}/pace {SHARED}/{EXAMPLE.name}"
        text = _JOB.format(
            name=shape.name,
            command=f"{THERE}/bin/torchrun {script} {options}",
            nodes=shape.nodes,
            only=shape.only,
            processes=shape.processes,
            engine=shape.engine,
            shared=SHARED,
        )
        file = self.home / f"{shape.name}.yml"
        file.write_text(text, encoding="utf-8")
        return self.aiops("train", str(file), "--detach").strip()

    def pace(self, seconds: float) -> None:
        """Have each step of all jobs wait for so long."""
        making = self.shared / ".pace"
        making.write_text(f"{seconds}\n", encoding="utf-8")
        making.rename(self.shared / "pace")

    def trace(self, name: str) -> Path:
        """Where the moments of a job's steps are."""
        return self.shared / f"{name}.trace"

    def steps(self, name: str, attempt: int | None = None) -> list[Step]:
        """The steps that were made, of one attempt where one is named."""
        found = []
        for line in self.trace(name).read_text(encoding="utf-8").splitlines():
            at, number, rank = line.split()
            if attempt is None or attempt == int(number):
                found.append(Step(float(at), int(number), int(rank)))
        return found

    def saved(self, name: str) -> int:
        """The newest step that was saved; 0 before the first."""
        steps = (path.name[5:] for path in (self.shared / name).glob("step-*"))
        return max((int(step) for step in steps if step.isdigit()), default=0)

    # -- what the controller has decided

    @property
    def ledger(self) -> Ledger:
        """The controller's store, read from beside it."""
        if self._store is None:
            self._store = App(self.environment).store()
        return Ledger(self._store)

    def decisions(self, job: str, after: int = 0) -> tuple[Told, ...]:
        """What was decided, above a number."""
        return self.ledger.decisions(job, after)

    def last(self, job: str) -> int:
        """The number of the last decision; 0 for none."""
        return max((one.number for one in self.decisions(job)), default=0)

    def found(self, job: str, after: int, seconds: float, kind: str = "fault_found") -> Told:
        """The first decision of a kind above a number, once it is in the store.

        Raises:
            BrokenError: It did not come.
        """
        there: list[Told] = []

        def look() -> bool:
            there[:] = [one for one in self.decisions(job, after) if one.decision.kind == kind]
            return bool(there)

        try:
            self.until(look, seconds, f"{kind} of {job}")
        except BrokenError as error:
            raise BrokenError(f"{error}: {self.aiops('job', 'show', job)}") from error
        return there[0]

    def running(self, job: str) -> tuple[int, tuple[str, ...]]:
        """The number and the nodes of a job's attempt; 0 and none where none runs.

        Raises:
            BrokenError: The job is over or held: there is nothing to go on with.
        """
        record = self.ledger.record(job)
        if record.state in {"held", "failed", "cancelled", "succeeded"}:
            raise BrokenError(f"{job} is {record.state}: {record.reason}")
        if record.state != "running" or record.attempt is None:
            return 0, ()
        return record.attempt.key.number, record.attempt.allocation.nodes

    def steady(self, job: str, name: str, *, steps: int = 10, seconds: float = 120) -> tuple[int, tuple[str, ...]]:
        """Wait until an attempt has stepped so often, with all its ranks, and has saved; its number and its nodes."""
        saved = self.saved(name)
        state: list[tuple[int, tuple[str, ...]]] = []

        def look() -> bool:
            number, nodes = self.running(job)
            state[:] = [(number, nodes)]
            return bool(number) and len(self.steps(name, number)) >= steps * len(nodes) and self.saved(name) > saved

        self.until(look, seconds, f"{job} steps")
        return state[0]

    def explained(self, job: str) -> Any:
        """`aiops job explain --json`."""
        return json.loads(self.aiops("job", "explain", job, "--json"))

    def until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            BrokenError: It did not come true in time.
        """
        ends = time.monotonic() + seconds
        while not true():
            if time.monotonic() > ends:
                raise BrokenError(f"not within {seconds:g} s: {what}")
            time.sleep(_LOOK)


def percentile(values: Sequence[float], part: float) -> float:
    """By nearest rank: the smallest value that `part` of all do not pass."""
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]


def _hidden(pattern: str) -> str:
    """A pattern that does not find the shell in whose command line it stands."""
    return f"[{pattern[0]}]{pattern[1:]}"


@contextmanager
def torch_lab(name: str, nodes: int) -> Iterator[tuple[App, Lab]]:
    """A fresh lab of a head and workers that see torch; it is removed afterwards.

    Raises:
        BrokenError: This machine cannot carry it.
    """
    app = App(os.environ)
    here, _, there = torch_environment(app.home).rpartition(":")
    remove(app, name)
    try:
        spec = LabSpec(name, nodes=nodes, disk_mib=4096, binds=((here, there),))
        yield app, Lab.up(spec, home=app.home, vendors=app.vendors())
    finally:
        remove(app, name)


def remove(app: App, name: str) -> None:
    """Remove a lab, if it is there."""
    from aiops.layers.l0_nodes.lab import lab_names

    if name in lab_names(app.home):
        Lab.open(name, home=app.home, vendors=app.vendors()).down()


@contextmanager
def site(lab: Lab, app: App, workers: Sequence[str] = (), *, engine: str = "ssh") -> Iterator[Site]:
    """A controller's home for a lab, with some of its workers, all by default, under one engine.

    The head is a part of it only under Slurm.
    """
    home = app.home / "benchmarks" / f"{lab.state.name}-{engine}-{os.getpid()}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    made = Site(lab, home, home / "inventory.yml", headed=engine == "slurm")
    made.inventory.write_text(inventory_of(lab, workers, engine=engine), encoding="utf-8")
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def inventory_of(lab: Lab, workers: Sequence[str], *, engine: str) -> str:
    """The lab's inventory with some of its workers, under one engine; the name of its cluster is new each time."""
    import yaml

    document = yaml.safe_load(lab.inventory_path.read_text(encoding="utf-8"))
    named = {"aiops_cluster": f"{lab.state.name}-{engine}-{os.getpid()}", "aiops_engine": engine}
    document["all"].setdefault("vars", {}).update({**named, "aiops_jobs_as_root": True})
    groups = document["all"]["children"]
    hosts = groups["workers"]["hosts"]
    groups["workers"]["hosts"] = {name: values for name, values in hosts.items() if not workers or name in workers}
    if engine == "ssh":
        del groups["head"]
    return str(yaml.safe_dump(document, sort_keys=False))
