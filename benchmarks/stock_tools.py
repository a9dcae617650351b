"""The same training under stock torchrun and under stock Slurm, hurt in the same ways: when they notice.

A gang is two hosts with a rank each. torchrun has its own rendezvous (c10d) and three restarts, as its manual says;
Slurm runs the ranks by srun from sbatch, as a deployed cluster is set up (SlurmdTimeout 300 s, Slurm's default).
What counts as noticed is the first word of the tool itself about it, on a host that is well, or that its job no longer
runs. What a rank says (`Connection closed by peer`) is not the tool's.
"""

import re
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .torch_environment import THERE
from .torch_site import EXAMPLE, PACED, RANK, SHARED, Site

PATIENCE = 120.0
"""Seconds after which a tool that has not noticed is left alone."""

_START = 180.0
_LOOK = 0.1
_ASK = 1.0
_WORDS = {
    "torchrun": re.compile(
        r"failed \(exitcode|worker group .*(?:failed|FAILED)|ChildFailedError|SignalException|RendezvousConnectionError"
        r"|RendezvousTimeoutError|RendezvousClosedError|restarting worker group|Sending process \d+ closing signal"
    ),
    "slurm": re.compile(r"srun: error|slurmstepd: error|srun: Job step aborted|CANCELLED AT|NODE_FAIL"),
}
_TORCHRUN = """
card=$(ip -o -4 address show | awk '$4 ~ /^10\\./ {{ print $2; exit }}')
GLOO_SOCKET_IFNAME=$card setsid {there}/bin/torchrun --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d \\
  --rdzv-endpoint {address}:{port} --rdzv-id {name} --max-restarts 3 {script} > {log} 2>&1 < /dev/null &
"""
_BATCH = """#!/bin/sh
export MASTER_ADDR={address} MASTER_PORT={port} WORLD_SIZE=2
srun sh -c 'card=$(ip -o -4 address show | awk "\\$4 ~ /^10\\\\./ {{ print \\$2; exit }}")
export GLOO_SOCKET_IFNAME=$card RANK=$SLURM_PROCID LOCAL_RANK=0
exec {there}/bin/python -u {script}'
"""


@dataclass
class Gang:
    """One gang under one tool.

    Attributes:
        noticed: Seconds from the fault to the tool's word; None while there was none.
        stopped: When it is no longer waited for (monotonic).
    """

    here: Site
    tool: str
    name: str
    nodes: tuple[str, str]
    port: int
    job: str = ""
    fault: float = 0.0
    noticed: float | None = None
    said: str = ""
    _read: dict[str, int] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    # -- its life

    def begin(self) -> None:
        """Start it."""
        for path in (EXAMPLE, PACED):
            shutil.copy(path, self.here.shared)
        (self.here.shared / self.name).mkdir(exist_ok=True)
        self.here.trace(self.name).touch()
        script = (
            f"{SHARED}/{PACED.name} {SHARED}/{self.name}.trace {SHARED}/pace {SHARED}/{EXAMPLE.name} "
            f"--steps 1000000 --checkpoints {SHARED}/{self.name}"
        )
        address = self.here.lab.state.host(self.nodes[0]).address
        values = {"there": THERE, "address": address, "port": self.port, "name": self.name, "script": script}
        if self.tool == "torchrun":
            for node in self.nodes:
                self.here.on(node, _TORCHRUN.format(**values, log=f"{SHARED}/{self.name}-{node}.log"))
            return
        (self.here.shared / f"{self.name}.sh").write_text(_BATCH.format(**values), encoding="utf-8")
        words = f"sbatch --parsable --nodes=2 --ntasks-per-node=1 --nodelist={','.join(self.nodes)} "
        words += f"--oversubscribe --mem=100 --chdir=/ --output={SHARED}/{self.name}.log {SHARED}/{self.name}.sh"
        self.job = self.here.on("head", words).splitlines()[-1]

    def stepping(self) -> None:
        """Wait until both ranks have stepped."""
        self.here.until(
            lambda: len({one.rank for one in self.here.steps(self.name)[-20:]}) == len(self.nodes),
            _START,
            f"{self.name} steps",
        )

    def watch(self, fault: float) -> None:
        """From now on wait for the tool's word about a fault, beside us."""
        self.fault = fault
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Wait until it has noticed or nobody waits any more, and end it; `PATIENCE` where it did not notice."""
        if self._thread is not None:
            self._thread.join()
        if self.tool == "slurm":
            self.here.on("head", f"scancel {self.job}", expect=(0, 1))
        for node in self.nodes:
            self.here.on(node, f"pkill -KILL -f '[{self.name[0]}]{self.name[1:]}'", expect=(0, 1, 255))
        return PATIENCE if self.noticed is None else self.noticed

    # -- its word

    def _wait(self) -> None:
        self._new()  # what was said before is nothing about the fault
        asked = time.monotonic()
        while time.time() - self.fault < PATIENCE:
            text = self._new()
            found = _WORDS[self.tool].search(text)
            if found is not None:
                self._note(found.group(0))
                return
            if self.tool == "slurm" and time.monotonic() - asked > _ASK:
                asked = time.monotonic()
                state = self.here.on("head", f"squeue --noheader --jobs={self.job} --format=%T", expect=(0, 1))
                if state not in {"RUNNING", ""}:
                    self._note(state)
                    return
            time.sleep(_LOOK)

    def _note(self, said: str) -> None:
        self.noticed, self.said = round(time.time() - self.fault, 3), said

    def _new(self) -> str:
        """What has come in its logs since the last call."""
        text = ""
        for path in self._logs():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._read.get(path.name, 0))
                data = file.read()
            self._read[path.name] = self._read.get(path.name, 0) + len(data)
            text += data.decode("utf-8", "replace")
        return text

    def _logs(self) -> list[Path]:
        if self.tool == "slurm":
            return [self.here.shared / f"{self.name}.log"]
        return [self.here.shared / f"{self.name}-{node}.log" for node in self.nodes]

    def kill(self) -> float:
        """Kill the second rank; the moment before."""
        pattern = (
            f"{PACED.name} {SHARED}/{self.name}.trace" if self.tool == "slurm" else f"{RANK} {SHARED}/{self.name}."
        )
        return self.here.kill(self.nodes[1], pattern)

    def stop(self) -> float:
        """Have the second rank stand still; the moment before."""
        pattern = f"{PACED.name} {SHARED}/{self.name}.trace"
        return self.here.kill(self.nodes[1], f"-u {SHARED}/{pattern}", "STOP")
