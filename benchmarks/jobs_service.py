"""The controller as a head has it: deployed as a service, asked from a desk, by two users, restarted, away for long.

    make bench-jobs_service
    python -m benchmarks.jobs_service --inventory FILE       a lab of four workers that is deployed already

A real `aiops cluster deploy` of a head, two workers under Slurm and two of the engine ssh. Ann and Bob have accounts on
all of them and type `aiops` on this machine, which is the desk. Each line of the result is something that was tried.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.lab import Lab

from .jobs_rig import until
from .measurement import AIOPS, BrokenError, Figure, aiops, report

NAME = "bench-jobs-service"
SIMULATED = "hosts share this machine's kernel and clock; shared storage is a folder of it; users are made by hand"
FOLDER = "/shared/ann"
MIN_JOB_AGE = 5
"""Seconds; 300 by default. The controller is away until slurmctld has forgotten what ended meanwhile."""

_KEYS = "/etc/aiops/keys"
_SECRETS = {
    "head": "/var/lib/aiops/aiops.db /var/lib/aiops/jobs /etc/aiops/keys/id_ed25519 /etc/aiops/inventory.yml",
    "nodes": "/etc/munge/munge.key /var/lib/aiops-backup /root/.ssh/authorized_keys /etc/shadow /var/lib/aiops",
}
_SAID = f'echo "$AIOPS_JOB $AIOPS_ATTEMPT" >> {FOLDER}/begun; '
_LONG = "n=0; while :; do n=$((n + 1)); echo step $n; sleep 0.2; done"


class Desk:
    """This machine, on which two people type, and the lab as root sees it."""

    def __init__(self, inventory: Path, home: Path) -> None:
        self.inventory = App(os.environ).inventory(inventory)
        self._fleet = App(os.environ).fleet(self.inventory)
        self.home = home
        self.tried: dict[str, bool] = {}
        text = inventory.read_text("utf-8")
        for user in ("ann", "bob"):
            (home / f"{user}.yml").write_text(text.replace("ansible_user: root", f"ansible_user: {user}"), "utf-8")

    @property
    def nodes(self) -> list[str]:
        """All hosts, the head first."""
        return [node.name for node in self.inventory]

    def on(self, node: str, line: str, *, check: bool = True) -> str:
        """What a shell line says on a host, as root.

        Raises:
            BrokenError: It failed.
        """
        done = self._fleet.transport(self.inventory.node(node)).run(Command(("sh", "-c", line), timeout=60, root=True))
        if check and not done.ok:
            raise BrokenError(f"{node}: {line}: {done.error_text}{done.text}")
        return done.text.strip()

    def type(self, user: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """What `aiops WORDS` says to somebody at the desk."""
        environment = {
            **os.environ,
            "AIOPS_HOME": str(self.home / user),
            "AIOPS_INVENTORY": str(self.home / f"{user}.yml"),
        }
        done = subprocess.run(
            [str(AIOPS), *words],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        print(f"{user}$ aiops {' '.join(words)}  -> {done.returncode}", file=sys.stderr, flush=True)
        return done

    def show(self, job: str) -> Any:
        """A job, as Ann sees it; an empty mapping while the controller is away."""
        done = self.type("ann", "job", "show", job, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def submit(self, name: str, engine: str, command: str, nodes: int = 2) -> str:
        """Hand in a job of Ann's; its id.

        Raises:
            BrokenError: It was refused.
        """
        line = (_SAID + command).replace("'", "''")
        (self.home / f"{name}.yml").write_text(
            f"aiops: 1\nname: {name}\ncommand: [sh, -c, '{line}']\nlaunch: command\nnodes: {nodes}\nengine: {engine}\n"
            f'folder: {FOLDER}\nprogress: {{regex: "step (?P<step>\\\\d+)"}}\nenv: {{WORD: hunter2}}\n'
        )
        done = self.type("ann", "train", f"{name}.yml", "--detach")
        if done.returncode:
            raise BrokenError(done.stderr)
        return done.stdout.strip()

    def saw(self, what: str, held: object) -> None:
        """Something was tried, and was as it should be or not."""
        self.tried[what] = bool(held)
        print(f"{'✓' if held else '✗'} {what}", file=sys.stderr, flush=True)


def prepare(desk: Desk) -> None:
    """The key of the controller as docs/phases.md has it, and two users."""
    head, *workers = desk.nodes
    addresses = " ".join(str(desk.inventory.node(node).connection.address) for node in workers)
    desk.on(head, f"test -e {_KEYS}/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f {_KEYS}/id_ed25519")
    desk.on(head, f"ssh-keyscan -H {addresses} > {_KEYS}/known_hosts 2>/dev/null")
    key = desk.on(head, f"cat {_KEYS}/id_ed25519.pub")
    for node in workers:
        desk.on(node, f"grep -qF '{key}' /root/.ssh/authorized_keys || echo '{key}' >> /root/.ssh/authorized_keys")
    for node in desk.nodes:
        for user, uid in (("ann", 2001), ("bob", 2002)):
            desk.on(
                node,
                f"id {user} >/dev/null 2>&1 || useradd --uid {uid} --user-group --create-home {user}; "
                f"install -d -m 700 -o {user} -g {user} /home/{user}/.ssh; "
                f"install -m 600 -o {user} -g {user} /root/.ssh/authorized_keys /home/{user}/.ssh/authorized_keys",
            )
    desk.on(head, f"install -d -o ann -g ann {FOLDER}; install -o ann -g ann /dev/null {FOLDER}/begun")


def runs(desk: Desk, job: str, attempt: int = 1) -> bool:
    """Whether a job runs in this attempt, and steps."""
    found = desk.show(job)
    return bool(found) and found["state"] == "running" and found["attempt"]["number"] == attempt and found["progress"]


def from_the_desk(desk: Desk) -> str:
    """What Ann and Bob may do; the job that goes on."""
    head = desk.nodes[0]
    job = desk.submit("walk", "ssh", _LONG)
    until(lambda: runs(desk, job), 400, "a job of the desk runs")
    desk.saw("a job that is handed in at the desk runs by the head's controller, as its owner", True)
    known = desk.on(head, "cd / && su ann -c 'aiops job list --json'")
    desk.saw("the head itself lists it", any(one["id"] == job for one in json.loads(known)))
    (desk.home / "wrong.yml").write_text("aiops: 1\nname: x\ncommand: true\nnodez: 2\n")
    wrong = desk.type("ann", "train", "wrong.yml")
    desk.saw(
        "mistakes are told with the desk's own file and line",
        wrong.returncode == Exit.USAGE and "wrong.yml:4" in wrong.stderr,
    )
    for words in (("cancel", job), ("logs", job), ("explain", job)):
        said = desk.type("bob", "job", *words)
        desk.saw(f"another user's `job {words[0]}` is refused", said.returncode == 1 and "job" not in said.stdout)
    shown = desk.type("bob", "job", "show", job, "--json")
    desk.saw(
        "another user sees neither command nor environment", shown.returncode == 0 and "hunter2" not in shown.stdout
    )
    desk.saw("the owner reads the logs", "step" in desk.type("ann", "job", "logs", job).stdout)
    for user in ("ann", "bob"):
        read = f"cd / && su {user} -c 'cat -- {_SECRETS['head']} 2>/dev/null | wc -c'"
        desk.saw(f"{user} reads no store, log, key or inventory on the head", desk.on(head, read) == "0")
    node = desk.show(job)["attempt"]["nodes"][0]
    peek = f"cd / && su bob -c 'cat /var/lib/aiops-jobs/{job}.1/* /proc/[0-9]*/environ 2>/dev/null | grep -c hunter2'"
    desk.saw("another user finds nothing of a job on its node", desk.on(node, peek, check=False) == "0")
    return job


def ended(desk: Desk, job: str) -> None:
    """Wait for a good end."""
    until(lambda: desk.show(job).get("state") == "succeeded", 400, f"{job} has ended")


def of_a_job(desk: Desk) -> None:
    """What a job may read of its node."""
    for engine in ("ssh", "slurm"):
        job = desk.submit(
            f"curious-{engine}", engine, f"cat {_SECRETS['nodes']} 2>/dev/null | wc -c | sed s/^/read:/", 1
        )
        ended(desk, job)
        said = desk.type("ann", "job", "logs", job).stdout
        desk.saw(f"a job of the engine {engine} reads no key, store or backup", "read:0" in said)


def upgrade(desk: Desk, job: str) -> None:
    """The service is restarted, as by another version of aiops."""
    head = desk.nodes[0]
    before = desk.show(job)["progress"]["step"]
    desk.on(head, "systemctl restart aiops-controller")
    until(lambda: runs(desk, job) and desk.show(job)["progress"]["step"] > before, 400, "it steps after a restart")
    desk.saw("a restart of the service restarts no job", len(desk.show(job)["attempts"]) == 1)


def away(desk: Desk) -> None:
    """The controller is killed, and away until slurmctld has forgotten how jobs ended."""
    head = desk.nodes[0]
    desk.on(head, f"grep -q ^MinJobAge /etc/slurm/slurm.conf || echo MinJobAge={MIN_JOB_AGE} >> /etc/slurm/slurm.conf")
    desk.on(head, "scontrol reconfigure")
    jobs = {"good": desk.submit("good", "slurm", f"while ! test -e {FOLDER}/go; do sleep 0.2; done", 1)}
    jobs["bad"] = desk.submit("bad", "slurm", f"while ! test -e {FOLDER}/go; do sleep 0.2; done; exit 7", 1)
    until(lambda: all(desk.show(job).get("state") == "running" for job in jobs.values()), 400, "both run")
    desk.on(head, "systemctl kill --signal=KILL aiops-controller; systemctl stop aiops-controller")
    desk.on(head, f"touch {FOLDER}/go")
    begun = time.monotonic()
    names = ",".join(f"{job}.1" for job in jobs.values())
    asked = f"squeue --noheader --states=all --name={names}"
    until(lambda: desk.on(head, asked) == "", 400, "slurmctld has forgotten them")
    print(f"forgotten after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    desk.on(head, "systemctl start aiops-controller")
    until(lambda: desk.show(jobs["good"]).get("state") == "succeeded", 400, "a good end is known")
    found = until(
        lambda: [one for one in desk.show(jobs["bad"]).get("attempts", []) if one["ended"]], 400, "a bad end is"
    )
    desk.saw("an end that slurmctld has forgotten is known: good", len(desk.show(jobs["good"])["attempts"]) == 1)
    print(found[0], file=sys.stderr, flush=True)
    desk.saw("an end that slurmctld has forgotten is known: with its status", "7" in str(found[0]))
    count = desk.on(head, f"grep -c '^{jobs['good']} ' {FOLDER}/begun")
    desk.saw("nothing that had ended well was run again", count == "1")


@contextmanager
def deployed(inventory: Path | None) -> Iterator[tuple[Path, bool | None]]:
    """An inventory of what is deployed, and whether a first deploy left nothing undone; None where there was none."""
    if inventory is not None:
        yield inventory, None
        return
    app = App(os.environ)
    aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    try:
        aiops("lab", "up", "--name", NAME, "--nodes", "4", "-q")
        text = Lab.open(NAME, home=app.home, vendors=app.vendors()).inventory_path.read_text("utf-8")
        lines = [
            line.replace("}", ", aiops_engine: ssh}") if line.strip().startswith(("node03:", "node04:")) else line
            for line in text.splitlines()
        ]
        path = app.home / f"{NAME}.yml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        aiops("cluster", "bundle", "build", "-i", str(path), "-q")
        done = aiops("cluster", "deploy", str(path), "--yes", "-q", expect=(0, 1))
        yield path, done.exit_status == 0
    finally:
        aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))


def main() -> int:
    """Try it all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inventory", type=Path, help="a deployed lab that is there")
    options = parser.parse_args()
    home = App(os.environ).home / "bench" / NAME
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with deployed(options.inventory) as (inventory, whole):
        desk = Desk(inventory, home)
        if whole is not None:
            desk.saw("a first deploy leaves nothing undone", whole)
        prepare(desk)
        until(lambda: desk.type("ann", "controller", "status").returncode == 0, 400, "the controller answers")
        job = from_the_desk(desk)
        upgrade(desk, job)
        desk.saw("its owner cancels it", desk.type("ann", "job", "cancel", job).returncode == 0)
        until(lambda: desk.show(job).get("state") == "cancelled", 400, "it is cancelled")
        of_a_job(desk)
        away(desk)
    tried = desk.tried
    figures = [
        Figure("tried of a deployed head", "", (len(tried),)),
        Figure("not as it should be", "", (sum(not one for one in tried.values()),), 0.0),
    ]
    return report("jobs_service", figures, simulated=SIMULATED, details=[tried])


if __name__ == "__main__":
    sys.exit(main())
