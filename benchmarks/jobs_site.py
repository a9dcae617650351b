"""A lab on which jobs run: some workers of the engine ssh, some of Slurm, a controller on this machine, and a store.

The controller is aiops' own, put together as `aiops controller run` does; here it may run beside a head, so that its
end is a matter of one signal. All is asked at the controller's door, as the command line does.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.lab import Lab, LabSpec, Simulated
from aiops.layers.l0_nodes.lab.identity import login_key
from aiops.layers.l2_jobs.controller.visitor import FILE, Visitor

from .measurement import AIOPS, BrokenError, aiops

SHARED = "/run/aiops-lab/shared"
"""The folder that all hosts share, as they see it."""

PROGRAMS = Path(__file__).parents[1] / "tests/l2_jobs/programs"
DRIVER = "580.95.05"
DEVICES = 4
SIMULATED = (
    "accelerators; hosts share this machine's kernel, clock, disk and two processors; the program steps without torch"
)
OVER = frozenset({"succeeded", "failed", "cancelled", "held"})


class Site:
    """A lab, its inventory, and a controller."""

    def __init__(self, app: App, lab: Lab, *, ssh: int, slurm: int) -> None:
        self.app = app
        self.lab = lab
        self.home = app.home
        self.slurm = tuple(f"gpu{number:02d}" for number in range(1, slurm + 1))
        self.ssh = tuple(f"gpu{number:02d}" for number in range(slurm + 1, slurm + ssh + 1))
        self.shared = lab.folder / "shared"
        self.inventory = lab.folder / "jobs.yml"
        self.controllers = 0
        self._controller: subprocess.Popen[bytes] | None = None
        self._visitor: Visitor | None = None
        self.inventory.write_text(self._inventory(), "utf-8")
        for name in ("stepper.py", "witness.py"):
            shutil.copy(PROGRAMS / name, self.shared / name)

    def _inventory(self) -> str:
        text = self.lab.inventory_path.read_text("utf-8").replace(
            "    aiops_repository:", "    aiops_jobs_as_root: true\n    aiops_repository:"
        )
        for name in self.ssh:
            text = re.sub(rf"({name}: {{ansible_host: [\d.]+)", r"\1, aiops_engine: ssh", text)
        if not self.slurm:  # nobody's head: the controller decides from here
            text = text[: text.index("    head:\n")] + text[text.index("    workers:\n") :]
        return text

    def deploy(self) -> None:
        """Deploy Slurm to the head and its workers.

        Raises:
            BrokenError: It failed.
        """
        only = self.lab.folder / "slurm.yml"
        lines = self.inventory.read_text("utf-8").splitlines(keepends=True)
        only.write_text("".join(line for line in lines if "aiops_engine: ssh" not in line), "utf-8")
        # Also where there is one: another benchmark's has no driver.
        aiops("cluster", "bundle", "build", "--simulated", f"nvidia:{DRIVER}", "-q")
        aiops("cluster", "deploy", str(only), "--yes", "--json", limit=1500)

    # -- the controller

    @property
    def environment(self) -> Mapping[str, str]:
        """What `aiops` is run with."""
        return {**os.environ, "AIOPS_HOME": str(self.home), "AIOPS_INVENTORY": str(self.inventory)}

    def start_controller(self) -> None:
        """Have one decide; returns when it answers.

        Raises:
            BrokenError: It does not within a minute.
        """
        with (self.lab.folder / "controller.log").open("ab") as log:
            self._controller = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.jobs_site"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.controllers += 1
        self.until(lambda: bool(self.ask("status")), 60, "the controller answers")

    def kill_controller(self) -> None:
        """`kill -9`."""
        if self._controller is not None:
            self._controller.kill()
            self._controller.wait(30)
        self._controller = None

    def ask(self, verb: str, **words: Any) -> Any:
        """The controller's answer; waits up to a minute where none is there for the moment.

        Raises:
            AiopsError: Its own.
        """
        ends = time.monotonic() + 60
        while True:
            visitor: Visitor | None = None
            try:
                visitor = Visitor(self.home / FILE)
                return visitor.ask(verb, **words)
            except AiopsError as error:
                if error.code != "controller.away" or time.monotonic() > ends:
                    raise
                time.sleep(0.2)
            finally:
                if visitor is not None:
                    visitor.close()

    def end_jobs(self) -> None:
        """Cancel what goes on, of a lab that was kept."""

        def none() -> bool:
            rows = self.ask("list", last=500)
            for row in rows:
                with suppress(AiopsError):
                    self.ask("cancel", job=row["id"])
            return not rows

        self.until(none, 240, "no job goes on")

    def train(self, name: str, text: str) -> str:
        """`aiops train --detach`; the job's id.

        Raises:
            BrokenError: It was refused.
        """
        path = self.lab.folder / f"{name}.job.yml"
        path.write_text(text, "utf-8")
        ends = time.monotonic() + 60
        while True:
            done = subprocess.run(
                [str(AIOPS), "train", str(path), "--detach"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if not done.returncode:
                return done.stdout.strip()
            if done.returncode not in {Exit.UNREACHABLE, Exit.CONFLICT} or time.monotonic() > ends:
                raise BrokenError(f"{name}: {done.stderr}")
            time.sleep(1)  # no controller runs at the moment, and it says so: somebody else has killed it

    def submit(self, name: str, text: str) -> str:
        """What `aiops train --detach` asks of the controller, without a process of its own; the job's id."""
        try:
            return str(self.ask("submit", text=text, file=f"{name}.job.yml", folder=str(self.lab.folder))["job"])
        except AiopsError as error:
            raise BrokenError(f"{error.message}: {error.problems} in\n{text}") from error

    def show(self, job: str) -> dict[str, Any]:
        """All of a job."""
        found: dict[str, Any] = self.ask("show", job=job)
        return found

    def decisions(self, job: str) -> list[dict[str, Any]]:
        """All that was decided for it."""
        found: list[dict[str, Any]] = self.ask("explain", job=job)["decisions"]
        return found

    def output(self, job: str, attempt: int, node: str) -> str:
        """What was kept of the output of an attempt on a node."""
        path = self.home / "jobs" / job / str(attempt) / f"{node}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    # -- the hosts

    def on(self, node: str, line: str, *, fails: bool = False) -> str:
        """What a shell line says on a host, as root.

        Raises:
            BrokenError: It ended badly, unless that is expected.
        """
        folder = self.lab.folder
        options = (
            "BatchMode=yes",
            "ConnectTimeout=5",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={folder}/known_hosts",
        )
        words = [word for option in options for word in ("-o", option)]
        address = self.lab.state.host(node).address
        done = subprocess.run(
            ["ssh", "-F", "none", "-i", str(login_key(folder)), *words, f"root@{address}", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode and not fails:
            raise BrokenError(f"{node}: {line}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def drained(self) -> list[str]:
        """Nodes that are out of service, by L1's register, by Slurm, or by a hold on the node itself."""
        from aiops.layers.l1_cluster.health.node_state import IN_SERVICE
        from aiops.layers.l1_cluster.health.register import Register

        found = []
        with App(self.environment).store() as store:
            for name, last in Register(store, self.lab.state.name).last().items():
                if last.after not in IN_SERVICE and last.after != "new":
                    found.append(f"{name} is {last.after}: {last.cause}")
        nodes = (*self.ssh, *self.slurm)
        holds = {name: self.on(name, "cat /var/lib/aiops/jobs.hold 2>/dev/null", fails=True) for name in nodes}
        found += [f"{name} is held: {why}" for name, why in holds.items() if why]
        if self.slurm:
            said = self.on("head", "sinfo --noheader --Node --format='%N %T'")
            found += [f"Slurm: {line}" for line in sorted(set(said.splitlines())) if "drain" in line or "down" in line]
        return found

    @staticmethod
    def until(true: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            BrokenError: It was not fulfilled in time.
        """
        ends = time.monotonic() + seconds
        while not true():
            if time.monotonic() > ends:
                raise BrokenError(f"not within {seconds:g} s: {what}")
            time.sleep(0.2)


@contextmanager
def site(
    name: str, *, ssh: int, slurm: int = 0, binds: tuple[tuple[str, str], ...] = (), keep: bool = False
) -> Iterator[Site]:
    """A lab of that name with a controller; removed afterwards unless it is to be kept.

    Args:
        name: The lab's, and the cluster's.
        ssh: Workers of the engine ssh.
        slurm: Workers of Slurm, which is deployed then.
        binds: Folders that all hosts see, (here, there).
        keep: Leave the lab, or go on with one that was left.
    """
    app = App(os.environ)
    there = (app.home / "labs" / name).exists()
    if there and not keep:
        aiops("lab", "down", "--name", name, "-q", expect=(0, 6))
        there = False
    if there:
        lab = Lab.open(name, home=app.home, vendors=app.vendors())
        for host in lab.hosts:
            with suppress(AiopsError):
                lab.heal(host.name)
    else:
        spec = LabSpec(
            name,
            nodes=ssh + slurm,
            accelerator=Simulated("nvidia", DEVICES),
            driver=DRIVER,
            disk_mib=4096,
            binds=binds,
        )
        lab = Lab.up(spec, home=app.home, vendors=app.vendors())
    made = Site(app, lab, ssh=ssh, slurm=slurm)
    try:
        if slurm and not there:
            made.deploy()
        made.start_controller()
        made.end_jobs()
        yield made
    finally:
        made.kill_controller()
        if not keep:
            aiops("lab", "down", "--name", name, "-q", expect=(0, 6))


def result_of(steps: int) -> str:
    """The word that stepper.py ends with after so many steps, however often it was interrupted."""
    import hashlib

    value = "0" * 64
    for step in range(1, steps + 1):
        value = hashlib.sha256(f"{value} {step}".encode()).hexdigest()
    return value


def _controller() -> None:
    """Decide until it is ended."""
    from aiops.cli.controller.assembly import assembled

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    app = App(os.environ)
    with assembled(app, app.screen(json=False, quiet=False), app.inventory(None)) as running:
        running.run()


if __name__ == "__main__":
    _controller()
