"""Nodes with work, Slurm's own, and a deploy that reboots them: no job is cut off, and each node comes back."""

import subprocess
import time
from pathlib import Path

import pytest

from .conftest import AIOPS, Cluster

pytestmark = pytest.mark.lab

WORKERS = ("gpu01", "gpu02")
ONLY = ("--only", "accelerator")
GO = "/shared/go"
MARKER = "mkdir -p /run/aiops && touch /run/aiops/reboot-needed"


def until(what: str, cluster: Cluster, line: str, expected: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (said := cluster.shell.run("head", line).stdout.strip()) != expected:
        assert time.monotonic() < deadline, f"{what}: {said!r}, not {expected!r}"
        time.sleep(0.3)


def boots(cluster: Cluster) -> dict[str, str]:
    return {node: cluster.shell(node, "cat /proc/sys/kernel/random/boot_id") for node in WORKERS}


def events(cluster: Cluster, run: str, *kinds: str) -> list[tuple[str, str]]:
    found = cluster.aiops("run", "events", run, "--json").document
    return [(one["kind"], one["node"]) for one in found if one["kind"] in kinds]


def impatient(cluster: Cluster, folder: Path) -> str:
    """The same inventory, with six seconds for jobs to end."""
    path = folder / "inventory.yml"
    path.write_text(cluster.inventory.read_text())
    (folder / "aiops.toml").write_text("aiops = 1\ndrain_minutes = 0.1\n")
    return str(path)


def test_a_job_is_waited_for_and_every_node_comes_back(cluster_lab: Cluster, tmp_path: Path) -> None:
    shell = cluster_lab.shell
    until("all are idle", cluster_lab, "sinfo -h -N -o %t | sort -u", "idle")
    wait = f"while [ ! -e {GO} ]; do sleep 0.2; done; echo over"
    job = shell("head", f"rm -f {GO}; sbatch --parsable -w gpu01 -o /shared/job.out --wrap '{wait}'")
    until("the job runs", cluster_lab, f"squeue -h -j {job} -o %T", "RUNNING")
    for node in WORKERS:
        shell(node, MARKER)
    before = boots(cluster_lab)

    # The job does not end in time: its node is named with it, is not rebooted and holds up nobody.
    ended = cluster_lab.deploy(impatient(cluster_lab, tmp_path), *ONLY)
    assert ended.code == 1
    (failure,) = ended.document["failures"]
    assert (failure["node"], failure["phase"], failure["item"]) == ("gpu01", "accelerator", "reboot")
    assert f"job {job} of root" in failure["reason"]
    after = boots(cluster_lab)
    assert after["gpu01"] == before["gpu01"]
    assert after["gpu02"] != before["gpu02"]
    assert shell("head", "sinfo -h -N -o '%N %t'").split("\n") == ["gpu01 drng", "gpu02 idle"]
    run = ended.document["run"]
    assert f"Reason=aiops: reboot in accelerator, run {run}: " in shell("head", "scontrol show node gpu01")

    # The next deploy waits for the job, and for nothing else.
    with subprocess.Popen(
        [str(AIOPS), "cluster", "deploy", "--yes", "--json", *ONLY],
        env=cluster_lab.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while True:
            (last,) = cluster_lab.aiops("run", "list", "--json", "-n", "1").document
            if last["id"] != run and events(cluster_lab, last["id"], "drain_awaited"):
                break
            assert time.monotonic() < deadline
            assert process.poll() is None
        assert boots(cluster_lab) == after
        shell("head", f"touch {GO}")
        process.communicate(timeout=120)
    assert process.returncode == 0
    steps = events(cluster_lab, last["id"], "node_drained", "reboot_finished", "node_resumed")
    assert steps == [("node_drained", "gpu01"), ("reboot_finished", "gpu01"), ("node_resumed", "gpu01")]
    assert shell("head", "cat /shared/job.out") == "over"
    assert "JobState=COMPLETED" in shell("head", "tail -n1 /var/log/slurm/jobcomp.log")
    final = boots(cluster_lab)
    assert final["gpu01"] != before["gpu01"]
    assert final["gpu02"] == after["gpu02"]
    until("all are idle again", cluster_lab, "sinfo -h -N -o %t | sort -u", "idle")
    assert cluster_lab.deploy(*ONLY).document["plan"]["summary"].startswith("nothing to change")
