"""Jobs on booted hosts: a rank is killed, the controller is killed, a node loses its power; each ends well."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lab.conftest import AIOPS, Ended, MakeLab, Shell

from aiops.layers.l0_nodes.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SHARED = "/run/aiops-lab/shared"
PROGRAM = Path(__file__).parents[1] / "l2_jobs/programs/stepper.py"
JOB = f"""
aiops: 1
name: life
command: [python3, {SHARED}/stepper.py, --steps, "400", --rate, "10", --save-every, "10"]
launch: command
nodes: 2
folder: {SHARED}
checkpoint: {{path: {SHARED}/saved}}
"""
ALONE = f"""
aiops: 1
name: alone
command: [python3, {SHARED}/stepper.py, --steps, "100000", --rate, "10"]
launch: command
folder: {SHARED}
"""
BMC = f"""
import json, os, subprocess, sys
environment = {{**os.environ, "AIOPS_HOME": sys.argv[1]}}
command = [{str(AIOPS)!r}, "lab", "status", "--name", sys.argv[2], "--json"]
done = subprocess.run(command, env=environment, capture_output=True, check=True)
(host,) = [one for one in json.loads(done.stdout)["hosts"] if one["name"] == sys.argv[3]]
print("Chassis Power is", "on" if host["running"] else "off")
"""
"""What asks for the power of a host of the lab, from outside of it, as `ipmitool` asks a BMC."""


class Site:
    """A lab whose workers run jobs, decided about from this machine."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.home = home
        text = lab.inventory_path.read_text("utf-8")
        head = text[text.index("    head:\n") : text.index("    workers:\n")]
        owned = "aiops_cluster: life\n    aiops_engine: ssh\n    aiops_jobs_as_root: true\n    aiops_was"
        self.inventory = home / "inventory.yml"
        self.inventory.write_text(text.replace(head, "").replace("aiops_cluster", owned).replace("aiops_was", "# was"))
        shutil.copy(PROGRAM, lab.folder / "shared" / "stepper.py")
        (lab.folder / "shared" / "saved").mkdir(exist_ok=True)
        (home / "job.yml").write_text(JOB)

    def name_bmcs(self, lab_home: Path) -> None:
        """Have the inventory say how the power of its nodes is asked for."""
        (self.home / "alone.yml").write_text(ALONE)
        (self.home / "bmc.py").write_text(BMC)
        words = [
            sys.executable,
            str(self.home / "bmc.py"),
            str(lab_home),
            self.lab.state.name,
            "{{ inventory_hostname }}",
        ]
        named = f"aiops_power_status: {json.dumps(words)}\n    aiops_engine: ssh"
        self.inventory.write_text(self.inventory.read_text("utf-8").replace("aiops_engine: ssh", named))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "AIOPS_HOME": str(self.home / "home"), "AIOPS_INVENTORY": str(self.inventory)}

    def aiops(self, *words: str, timeout: float = 180) -> Ended:
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
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def controller(self) -> Iterator["subprocess.Popen[bytes]"]:
        log = (self.home / "controller.log").open("ab")
        with log, subprocess.Popen([str(AIOPS), "controller", "run"], env=self.environment, stderr=log) as process:
            try:
                until(lambda: self.aiops("controller", "status").code == 0, 60, "the controller answers")
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)

    def show(self, job: str = "life") -> dict[str, Any]:
        found: dict[str, Any] = self.aiops("job", "show", job, "--json").document
        return found

    def said(self, kind: str, job: str) -> list[dict[str, Any]]:
        """The decisions of a kind."""
        found = self.aiops("job", "explain", job, "--json").document["decisions"]
        return [one for one in found if one["kind"] == kind]

    def runs(self, attempt: int, beyond: int, job: str = "life") -> bool:
        """Whether an attempt runs and has come beyond a step."""
        found = self.show(job)
        progress = found["progress"]
        return (
            found["state"] == "running"
            and found["attempt"]["number"] == attempt
            and progress is not None
            and (progress["step"] or 0) > beyond
        )


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def jobs_lab(make_lab: MakeLab) -> Lab:
    return make_lab(LabSpec("jobs", nodes=3, disk_mib=1024))


@pytest.fixture
def site(jobs_lab: Lab, tmp_path: Path) -> Iterator[Site]:
    yield Site(jobs_lab, tmp_path)
    for host in jobs_lab.status():
        jobs_lab.heal(host.name)


def test_a_job_outlives_its_ranks_its_controller_and_a_node(site: Site) -> None:
    shell = Shell(site.lab)
    with site.controller() as first:
        assert site.aiops("controller", "run").code == 5
        started = site.aiops("train", "job.yml", "--detach")
        assert (started.code, started.stdout) == (0, "life-1\n"), started.stderr
        until(lambda: site.runs(1, 25), 90, "25 steps")
        victim = site.show()["attempt"]["nodes"][1]
        shell(victim, "pkill -9 -f stepper.py")
        until(lambda: site.runs(2, 30), 90, "it goes on after a rank was killed")
        assert site.show()["attempt"]["step"] >= 20
        first.kill()
        first.wait(10)
    with site.controller():
        until(lambda: site.runs(2, 60), 90, "it goes on under another controller")
        assert [one["ended"] is None for one in site.show()["attempts"]] == [False, True]
        lost = site.show()["attempt"]["nodes"][1]
        site.lab.fault(lost, "power-loss")
        until(lambda: site.runs(3, 60), 120, "it goes on without the node")
        assert lost not in site.show()["attempt"]["nodes"]
        ended = site.aiops("job", "wait", "life")
        assert ended.code == 0, ended.stderr
        found = site.show()
    assert (found["state"], len(found["attempts"])) == ("succeeded", 3)
    assert found["step"] >= 60
    said = site.aiops("job", "logs", "life", "--json").document
    assert all("result " in text for text in said["logs"].values())
    kinds = [one["kind"] for one in json.loads(site.aiops("job", "explain", "life", "--json").stdout)["decisions"]]
    assert kinds.count("job_started") == 3
    assert kinds[-1] == "job_succeeded"


def test_a_job_of_one_node_moves_when_its_node_is_proved_off_and_stays_while_it_is_cut_off(
    site: Site, lab_home: Path
) -> None:
    site.name_bmcs(lab_home)
    with site.controller():
        started = site.aiops("train", "alone.yml", "--detach")
        assert started.code == 0, started.stderr
        until(lambda: site.runs(1, 5, "alone"), 90, "5 steps")
        (node,) = site.show("alone")["attempt"]["nodes"]
        site.lab.fault(node, "network-cut")
        until(lambda: bool(site.said("power_asked", "alone")), 60, "its BMC is asked")
        assert [one["evidence"]["power"] for one in site.said("power_asked", "alone")] == ["on"]
        site.lab.heal(node)
        until(lambda: bool(site.said("control_plane_back", "alone")), 60, "it is heard again")
        assert site.runs(1, 10, "alone"), "what is cut off goes on, and nothing is started elsewhere"
        site.lab.fault(node, "power-loss")
        until(lambda: site.runs(2, 5, "alone"), 90, "it goes on elsewhere")
        assert site.show("alone")["attempt"]["nodes"] != [node]
        assert site.said("power_asked", "alone")[-1]["evidence"]["power"] == "off"
        assert site.aiops("job", "cancel", "alone").code == 0
        until(lambda: site.show("alone")["state"] == "cancelled", 60, "it is cancelled")
