"""Nodes with work, Slurm's own, and a deploy that reboots them: no job is cut off, and each node comes back."""

import time
from pathlib import Path

import pytest

from .conftest import Cluster

pytestmark = pytest.mark.lab

WORKERS = ("gpu01", "gpu02")
ONLY = ("--only", "accelerator")
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


# The job ends some time after its node was set draining, however long a deploy takes to come to that.
SEEN = "scontrol show node gpu01 | grep -q 'Reason=aiops: reboot in accelerator'"
JOB = f"until {SEEN}; do sleep 0.2; done; sleep 4; echo over"


def test_a_job_is_waited_for_and_every_node_comes_back(cluster_lab: Cluster, tmp_path: Path) -> None:
    shell = cluster_lab.shell
    until("all are idle", cluster_lab, "sinfo -h -N -o %t | sort -u", "idle")
    job = shell("head", f'sbatch --parsable -w gpu01 -o /shared/job.out --wrap "{JOB}"')
    until("the job runs", cluster_lab, f"squeue -h -j {job} -o %T", "RUNNING")
    for node in WORKERS:
        shell(node, MARKER)
    before = boots(cluster_lab)

    ended = cluster_lab.deploy(*ONLY)
    assert ended.code == 0, ended.stderr
    steps = events(cluster_lab, ended.document["run"], "node_drained", "reboot_finished", "node_resumed")
    for node in WORKERS:
        assert [kind for kind, where in steps if where == node] == ["node_drained", "reboot_finished", "node_resumed"]
    assert steps.index(("node_resumed", "gpu02")) < steps.index(("node_drained", "gpu01"))  # one at a time, idle first
    after = boots(cluster_lab)
    assert all(after[node] != before[node] for node in WORKERS)
    assert shell("head", "cat /shared/job.out") == "over"
    assert "JobState=COMPLETED" in shell("head", f"grep 'JobId={job} ' /var/log/slurm/jobcomp.log")
    until("all are idle again", cluster_lab, "sinfo -h -N -o %t | sort -u", "idle")

    # A job that does not end in time: its node is named with it, is not rebooted and stays draining.
    job = shell("head", "sbatch --parsable -w gpu01 -o /dev/null --wrap 'sleep 600'")
    until("the job runs", cluster_lab, f"squeue -h -j {job} -o %T", "RUNNING")
    shell("gpu01", MARKER)
    ended = cluster_lab.deploy(impatient(cluster_lab, tmp_path), *ONLY)
    assert ended.code == 1, ended.stderr + ended.stdout
    (failure,) = ended.document["failures"]
    assert (failure["node"], failure["phase"], failure["item"]) == ("gpu01", "accelerator", "reboot")
    assert f"job {job} of root" in failure["reason"]
    assert boots(cluster_lab) == after
    assert shell("head", "sinfo -h -N -o '%N %t'").split("\n") == ["gpu01 drng", "gpu02 idle"]
    run = ended.document["run"]
    assert f"Reason=aiops: reboot in accelerator, run {run}: " in shell("head", "scontrol show node gpu01")
