"""`aiops cluster deploy` on booted hosts: it converges, a second run changes nothing, failures stay in their place."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import AIOPS, Cluster, Ended

pytestmark = pytest.mark.lab

LIMITS = "/etc/security/limits.d/60-aiops.conf"


def outcomes(ended: Ended, phase: str) -> dict[str, str]:
    return {one["node"]: one["outcome"] for one in ended.document["results"] if one["phase"] == phase}


def state(cluster: Cluster, node: str) -> str:
    """Everything that a deploy might touch on a host, as one digest; logs, caches and the like are left out."""
    line = (
        "cd / && find etc usr srv opt root home var/lib -xdev -type f"
        " -not -path 'var/lib/prometheus/*' -not -path 'var/lib/aiops/*' -not -path 'var/lib/slurm/*'"
        " -not -path 'var/lib/chrony/*' -not -path 'var/lib/systemd/*' -not -path 'var/lib/private/*'"
        " -print0 | sort -z | xargs -0 sha256sum | sha256sum"
    )
    return cluster.shell(node, line, timeout=120)


def test_the_first_deploy_makes_a_working_cluster(cluster_lab: Cluster) -> None:
    document = cluster_lab.first.document
    assert document["outcome"] == "done"
    assert document["failures"] == []
    assert set(outcomes(cluster_lab.first, "scheduler").values()) == {"changed"}
    assert set(outcomes(cluster_lab.first, "verify").values()) == {"ok"}
    wait_for_idle(cluster_lab)
    ran = cluster_lab.shell("head", "srun -N2 --gres=gpu:4 sh -c 'echo $(hostname) $CUDA_VISIBLE_DEVICES'", timeout=60)
    assert sorted(ran.splitlines()) == ["gpu01 0,1,2,3", "gpu02 0,1,2,3"]


def wait_for_idle(cluster: Cluster, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while cluster.shell("head", "sinfo -h -N -o %t | sort -u") != "idle":
        assert time.monotonic() < deadline, cluster.shell("head", "sinfo -N -l")
        time.sleep(0.5)


def test_a_whole_deploy_has_few_tasks_per_host(cluster_lab: Cluster) -> None:
    logs = Path(cluster_lab.first.document["logs"])
    done: dict[str, int] = {}
    for log in logs.glob("*.log"):
        for node, count in re.findall(r"^(\S+)\s+: ok=(\d+)", log.read_text(), re.MULTILINE):
            done[node] = done.get(node, 0) + int(count)
    assert set(done) == {"head", "gpu01", "gpu02"}
    # How many parcels a bundle is sent in depends on its size alone; each beyond the first includes these once more.
    parcels = (logs / "repository.log").read_text().count("TASK [Carry it over]")
    done["head"] -= len(("Send what it has not", "Pack it", "Carry it over", "Forget the parcel", "Unpack it")) * (
        parcels - 1
    )
    assert max(done.values()) <= 40, done


def test_workers_are_rebooted_once_for_their_driver(cluster_lab: Cluster) -> None:
    run = cluster_lab.first.document["run"]
    events = cluster_lab.aiops("run", "events", run, "--json").document
    rebooted = [event["node"] for event in events if event["kind"] == "reboot_finished"]
    assert sorted(rebooted) == ["gpu01", "gpu02"]


def test_a_second_deploy_changes_nothing(cluster_lab: Cluster) -> None:
    before = {node: state(cluster_lab, node) for node in ("head", "gpu01")}
    ended = cluster_lab.deploy()
    assert ended.code == 0
    assert ended.document["plan"]["summary"] == "nothing to change on 3 nodes"
    assert {one["outcome"] for one in ended.document["results"]} == {"ok"}
    assert not Path(ended.document["logs"]).exists(), "Ansible was run"
    assert {node: state(cluster_lab, node) for node in ("head", "gpu01")} == before


def test_a_plan_changes_nothing_and_names_what_deploy_then_changes(cluster_lab: Cluster) -> None:
    cluster_lab.shell("gpu01", f"rm {LIMITS}; systemctl stop chrony; echo '# mine' >> /etc/munge/munge.key")
    before = state(cluster_lab, "gpu01")
    planned = cluster_lab.aiops("cluster", "plan", "--json")
    assert planned.code == 0
    assert state(cluster_lab, "gpu01") == before
    changes = {
        change["key"] for phase in planned.document["plan"]["phases"] for change in phase["changes"].get("gpu01", [])
    }
    assert changes == {f"file:{LIMITS}", "service:chrony", "file:/etc/munge/munge.key"}

    ended = cluster_lab.deploy()
    assert ended.code == 0
    events = cluster_lab.aiops("run", "events", ended.document["run"], "--json").document
    changed = {event["data"]["key"] for event in events if event["kind"] == "resource_changed"}
    assert changed == changes
    assert outcomes(ended, "base") == {"head": "ok", "gpu01": "changed", "gpu02": "ok"}


def test_a_dead_host_stops_no_other(cluster_lab: Cluster) -> None:
    for node in ("head", "gpu01"):
        cluster_lab.shell(node, f"rm {LIMITS}")
    cluster_lab.lab.fault("gpu02", "power-loss")
    ended = cluster_lab.deploy()
    assert ended.code == 1
    (failure,) = ended.document["failures"]
    assert (failure["node"], failure["phase"]) == ("gpu02", "connect")
    assert failure["reason"]
    assert outcomes(ended, "base") == {"head": "changed", "gpu01": "changed", "gpu02": "blocked"}
    # What is known of the dead host stays in the files that list all.
    assert "gpu02" in cluster_lab.shell("head", "cat /etc/slurm/slurm.conf /etc/hosts")


def test_a_full_disk_is_named_as_the_reason(cluster_lab: Cluster) -> None:
    cluster_lab.shell("gpu01", f"rm {LIMITS}")
    cluster_lab.shell("gpu02", f"rm {LIMITS}")
    cluster_lab.lab.fault("gpu02", "disk-full")
    ended = cluster_lab.deploy()
    assert ended.code == 1
    (failure,) = ended.document["failures"]
    assert failure["node"] == "gpu02"
    assert re.search(r"space|free", failure["reason"]), failure
    assert outcomes(ended, "base")["gpu01"] == "changed"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind_and_a_rerun_works(
    cluster_lab: Cluster, number: signal.Signals, code: int
) -> None:
    cluster_lab.shell("gpu01", f"rm {LIMITS}; systemctl stop chrony")
    with subprocess.Popen(
        [str(AIOPS), "cluster", "deploy", "--yes"],
        env=cluster_lab.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not ansible_of(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert not list(Path("/dev/shm").glob(f"aiops-deploy-*-{process.pid}-*"))
    assert not ansible_of(process.pid)
    assert cluster_lab.aiops("cluster", "lock", "show", "--json").document["holder"] is None
    (run,) = cluster_lab.aiops("run", "list", "--json", "-n", "1").document
    assert (run["status"], run["exit"]) == ("interrupted", code)
    assert cluster_lab.deploy().code == 0
    assert cluster_lab.shell("gpu01", "systemctl is-active chrony") == "active"


def ansible_of(pid: int) -> list[str]:
    """Processes that work for the deploy `pid`, whatever group they are in."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if re.search(rf"/aiops-deploy-\d+-{pid}-", words):
                found.append(words)
    return found


def test_what_plan_writes_can_be_applied_by_hand(cluster_lab: Cluster, tmp_path: Path) -> None:
    cluster_lab.shell("gpu01", f"rm {LIMITS}; systemctl stop chrony")
    folder = tmp_path / "plan"
    assert cluster_lab.aiops("cluster", "plan", "--write", str(folder)).code == 0
    phases = sorted(path.parent.name for path in folder.glob("*/hosts.yml"))
    assert phases == ["base", "time"]
    for phase in phases:
        words = ["-i", str(cluster_lab.inventory), "-i", str(folder / phase / "hosts.yml")]
        done = subprocess.run(
            [str(AIOPS.with_name("ansible-playbook")), *words, "--limit", f"@{folder / phase / 'limit'}", "apply.yml"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert cluster_lab.deploy().document["plan"]["summary"] == "nothing to change on 3 nodes"
