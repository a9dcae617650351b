"""What the benchmarks of the controller share: a lab whose workers run jobs, controllers that can be killed, the truth.

The controller runs on this machine, which is none of the lab's hosts. The truth about what ran is what the jobs
themselves append to a file that all hosts share: it knows nothing of the controller's store.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.lab import Lab, LabSpec, Simulated
from aiops.layers.l2_jobs.controller.visitor import FILE, Visitor

from .measurement import AIOPS, BrokenError

SHARED = "/run/aiops-lab/shared"
"""The folder that all hosts share, as they see it."""

PROGRAM = Path(__file__).parents[1] / "tests/l2_jobs/programs/stepper.py"
DEVICES = 8
DRIVER = "580.95.05"
SIMULATED = "accelerators; hosts share this machine's kernel, clock, processors and, as their storage, a folder of it"

LONG = {"long-a": 2, "long-b": 2, "solo": 1}
"""Jobs that go on all the time, and their nodes."""

ALL = {f"{name}-1": 1 for name in LONG}
"""Them in their first attempts."""

_CUT = "aiops_bench_cut"
_SAID = f'echo "$AIOPS_JOB $AIOPS_ATTEMPT $AIOPS_NODE_RANK" >> {SHARED}/begun; '


class Controller:
    """A controller's process, and how long it took until it knew all that runs."""

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]") -> None:
        self.home = home
        self.process = process
        self.spawned = time.monotonic()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def ask(self, verb: str, **words: Any) -> Any:
        """The answer of whoever is at the door.

        Raises:
            AiopsError: Its own, or nobody is there.
        """
        return self.ask_at(self.home, verb, **words)

    @staticmethod
    def ask_at(home: Path, verb: str, **words: Any) -> Any:
        """Likewise of the controller of that home, whichever it is."""
        home.mkdir(parents=True, exist_ok=True)
        visitor = Visitor(home / FILE, 20.0)
        try:
            return visitor.ask(verb, **words)
        finally:
            visitor.close()

    def settled(self, seconds: float = 300.0) -> float | None:
        """Seconds from its start until it knew of everything what runs; None where it ended before.

        Raises:
            BrokenError: It did neither in time.
        """
        while time.monotonic() < self.spawned + seconds:
            if not self.runs:
                return None
            try:
                status = self.ask("status")
                if status["settled"] and status["pid"] == self.process.pid:
                    return time.monotonic() - self.spawned
            except AiopsError:
                pass
            time.sleep(0.02)
        raise BrokenError(f"the controller has not settled within {seconds:.0f} s")

    @property
    def used(self) -> float:
        """Seconds of processor that it has used."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def runs_all(self, jobs: Mapping[str, int]) -> bool:
        """Whether jobs run in these attempts."""
        for job, attempt in jobs.items():
            shown = self.ask("standing", job=job)
            if shown["state"] != "running" or shown["attempt"]["number"] != attempt:
                return False
        return True

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


class Site:
    """A lab of workers of the engine ssh."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.shared = lab.folder / "shared"
        self.inventory = folder / "inventory.yml"
        text = lab.inventory_path.read_text("utf-8")
        head = text[text.index("    head:\n") : text.index("    workers:\n")]
        owned = f"aiops_cluster: {lab.state.name}\n    aiops_engine: ssh\n    aiops_jobs_as_root: true\n    # was"
        self.inventory.write_text(text.replace(head, "").replace("aiops_cluster:", owned), "utf-8")
        shutil.copy(PROGRAM, self.shared / "stepper.py")
        (self.shared / "begun").touch()

    @property
    def nodes(self) -> dict[str, str]:
        """Addresses of the workers, by name."""
        return {host.name: host.address for host in self.lab.state.hosts if host.role == "workers"}

    def environment(self, home: Path) -> dict[str, str]:
        """What programs are run with."""
        return {**os.environ, "AIOPS_HOME": str(home), "AIOPS_INVENTORY": str(self.inventory)}

    def controller(self, home: Path, fuse: tuple[str, int] | None = None) -> Controller:
        """Start one; with a fuse it ends itself at that failpoint."""
        words = [str(AIOPS), "controller", "run"]
        if fuse is not None:
            words = [sys.executable, "-m", "benchmarks.killed_controller", str(self.inventory), *map(str, fuse)]
        with (self.folder / "controller.log").open("ab") as log:
            process = subprocess.Popen(words, env=self.environment(home), stdin=subprocess.DEVNULL, stderr=log)
        return Controller(home, process)

    def aiops(self, home: Path, *words: str) -> str:
        """What `aiops WORDS` says.

        Raises:
            BrokenError: It failed.
        """
        done = subprocess.run(
            [str(AIOPS), *words],
            env=self.environment(home),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise BrokenError(f"aiops {' '.join(words)}: {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def job(self, name: str, nodes: int, command: str, more: str = "") -> dict[str, str]:
        """What is submitted: a shell line on each node, which first appends that it begins to the truth."""
        line = (_SAID + command).replace("'", "''")
        text = f"aiops: 1\nname: {name}\ncommand: [sh, -c, '{line}']\nlaunch: command\nnodes: {nodes}\n"
        text += "devices: 1\nprocesses: 1\n"
        return {"text": f"{text}folder: {SHARED}\n{more}", "file": f"{name}.yml", "folder": SHARED}

    def long(self, name: str, nodes: int) -> dict[str, str]:
        """One that goes on until it is cancelled, and traces each step with its time."""
        (self.shared / f"saved-{name}").mkdir(exist_ok=True)
        options = f"--steps 0 --rate 5 --save-every 50 --print-every 5 --trace {SHARED}/trace-{name}"
        more = f"checkpoint: {{path: {SHARED}/saved-{name}}}\n"
        return self.job(name, nodes, f"exec python3 {SHARED}/stepper.py {options}", more)

    def begun(self) -> Counter[tuple[str, int, int]]:
        """How often each rank group was begun: by job, attempt and node's rank."""
        lines = (self.shared / "begun").read_text().splitlines()
        return Counter((job, int(attempt), int(rank)) for job, attempt, rank in map(str.split, lines))

    def steps(self, name: str) -> list[tuple[float, int, int, int]]:
        """Time, attempt, rank and step of all steps of a long job."""
        lines = (self.shared / f"trace-{name}").read_text().splitlines()
        return [(float(at), int(attempt), int(rank), int(step)) for at, attempt, rank, step in map(str.split, lines)]

    def pids(self, word: str) -> list[int]:
        """Processes of the lab's hosts, and of no other's, that were started with this word."""
        roots = {(found.st_dev, found.st_ino) for node in self.nodes if (found := self.lab.root(node).stat())}
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                own = (path / "root").stat()
                if (own.st_dev, own.st_ino) in roots and word.encode() in (path / "cmdline").read_bytes().split(b"\0"):
                    pids.append(int(path.name))
            except OSError:
                continue
        return pids

    @contextmanager
    def cut(self) -> Iterator[None]:
        """The head and the nodes do not hear each other; the nodes do."""
        hosts = "{ " + ", ".join(self.nodes.values()) + " }"
        chain = "type filter hook {0} priority 0; policy accept;"
        rules = (
            f"table ip {_CUT} {{\nchain outward {{ {chain.format('output')} ip daddr {hosts} drop\n}}\n"
            f"chain inward {{ {chain.format('input')} ip saddr {hosts} drop\n}}\n}}\n"
        )
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, timeout=20)
        try:
            yield
        finally:
            subprocess.run(["nft", "delete", "table", "ip", _CUT], check=True, timeout=20)


@dataclass
class Outcome:
    """What was seen.

    Attributes:
        whole: Seconds from each start of a controller until it knew all that runs.
        used: Seconds of processor that it had used by then.
        killed: Kills by their place.
        pause: The longest time without a step of a long job, in seconds.
        broken: What should not have been, in words.
    """

    whole: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    killed: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    restarts: int = 0
    twice: int = 0
    pause: float = 0.0
    broken: list[str] = field(default_factory=list)

    def count(self, made: Site) -> None:
        """Take over what was restarted, and begun twice."""
        truth = made.begun()
        self.restarts = len({(job, attempt) for job, attempt, _ in truth if attempt > 1})
        self.twice = sum(count - 1 for count in truth.values())


def begun(made: Site, home: Path) -> Controller:
    """A controller, and the long jobs running."""
    controller = made.controller(home)
    controller.settled()
    for name, nodes in LONG.items():
        controller.ask("submit", **made.long(name, nodes))
    until(lambda: controller.runs_all(ALL), 300, "jobs run")
    return controller


def open_actions(home: Path) -> int:
    """How many actions of a store are not known to be done.

    Raises:
        BrokenError: The store is damaged.
    """
    with sqlite3.connect(f"file:{home / 'aiops.db'}?mode=ro", uri=True) as store:
        if store.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BrokenError("the store is damaged")
        return int(store.execute("SELECT count(*) FROM job_action WHERE done IS NULL").fetchone()[0])


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for something; errors of a controller that is away count as no.

    Raises:
        BrokenError: It did not come.
    """
    ends = time.monotonic() + seconds
    while True:
        try:
            if found := true():
                return found
        except AiopsError:
            pass
        if time.monotonic() > ends:
            raise BrokenError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


@contextmanager
def site(name: str, nodes: int) -> Iterator[Site]:
    """A fresh lab of `nodes` workers, removed afterwards."""
    app = App(os.environ)
    folder = app.home / "bench" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    subprocess.run([AIOPS, "lab", "down", "--name", name, "-q"], check=False, stderr=subprocess.DEVNULL, timeout=120)
    devices = Simulated("nvidia", DEVICES)
    spec = LabSpec(name, nodes=nodes, accelerator=devices, driver=DRIVER, disk_mib=1024)
    lab = Lab.up(spec, home=app.home, vendors=app.vendors())
    try:
        yield Site(lab, folder)
    finally:
        lab.down()
