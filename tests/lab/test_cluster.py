"""What a deployed cluster does: Slurm runs jobs on devices, clocks agree, Prometheus sees all, the directory is shared.

The desired state itself is tested in tests/l1_cluster; here it is seen at work, on booted hosts.
"""

import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.l1_cluster.golden_nodes import LAB_HOST, a_cluster, text, wanted

from .conftest import Cluster, Shell

pytestmark = pytest.mark.lab

WORKERS = ("gpu01", "gpu02")
DEVICES = 4
SECONDS = 90.0
CASES = sorted((Path(__file__).parents[1] / "l1_cluster" / "alerts").glob("*_test.yml"))


def until(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Ask again and again until `holds` says yes; hosts may just have been reset."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.5)


def _succeeds(run: Callable[[], subprocess.CompletedProcess[str]]) -> Callable[[], bool]:
    return lambda: run().returncode == 0


def _says(run: Callable[[], str], words: str) -> Callable[[], bool]:
    return lambda: words in run()


def slurm_is_ready(shell: Shell) -> None:
    def idle() -> bool:
        done = shell.run("head", "sinfo --noheader --Node --format='%N %T'")
        return sorted(done.stdout.split("\n")[:-1]) == [f"{worker} idle" for worker in WORKERS]

    until("all workers are idle", idle)


def test_a_job_runs_on_all_workers_and_sees_their_devices(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    slurm_is_ready(shell)
    assert shell("head", "sinfo --noheader --Node --format=%G").split() == [f"gpu:{DEVICES}"] * len(WORKERS)
    job = f"srun -N{len(WORKERS)} --gres=gpu:{DEVICES} sh -c 'echo $(hostname) $CUDA_VISIBLE_DEVICES'"
    assert sorted(shell("head", job, timeout=60).splitlines()) == [f"{worker} 0,1,2,3" for worker in WORKERS]
    completed = shell("head", "cat /var/log/slurm/jobcomp.log").splitlines()
    assert "JobState=COMPLETED" in completed[-1]
    assert "NodeList=gpu[01-02]" in completed[-1]
    too_many = shell.run("head", f"srun --immediate=5 --gres=gpu:{DEVICES + 1} true", timeout=60)
    assert too_many.returncode != 0


def test_one_munge_key_and_one_number_for_slurm(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    numbers = {shell(node, "id -u slurm; id -g slurm") for node in ("head", *WORKERS)}
    assert numbers == {"64030\n64030"}
    for node in ("head", *WORKERS):
        assert shell(node, "stat -c '%a %U %G' /etc/munge/munge.key") == "400 munge munge"
    token = shell("gpu01", "munge -n")
    assert "Success (0)" in shell("head", f"echo '{token}' | unmunge")


def test_a_changed_slurm_conf_restarts_the_daemons_and_no_job(cluster_lab: Cluster, tmp_path: Path) -> None:
    shell = cluster_lab.shell
    slurm_is_ready(shell)
    submitted = shell("head", "sbatch --parsable -N2 -o /shared/job.out --wrap 'srun hostname; sleep 45; echo over'")
    until("the job runs", lambda: shell("head", f"squeue --noheader --job {submitted} --format=%T") == "RUNNING")
    since = shell("gpu01", "systemctl show --value --property=ActiveEnterTimestampMonotonic slurmd")
    changed = tmp_path / "inventory.yml"
    changed.write_text(
        cluster_lab.inventory.read_text().replace("  vars:\n", "  vars:\n    aiops_slurm_options: {KillWait: 31}\n", 1)
    )
    ended = cluster_lab.deploy("--only", "scheduler", str(changed))
    assert ended.code == 0, ended.stderr
    assert "KillWait                = 31 sec" in shell("head", "scontrol show config")
    assert shell("gpu01", "systemctl show --value --property=ActiveEnterTimestampMonotonic slurmd") != since
    until("the job is over", lambda: shell("head", f"squeue --noheader --job {submitted}") == "")
    assert f"JobId={submitted} " in shell("head", "tail -n1 /var/log/slurm/jobcomp.log")
    assert "JobState=COMPLETED" in shell("head", "tail -n1 /var/log/slurm/jobcomp.log")
    assert shell("gpu02", "cat /shared/job.out").splitlines()[-1] == "over"


def test_logs_go_on_after_they_were_rotated(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    slurm_is_ready(shell)
    shell("head", "srun -N2 true", timeout=60)
    for node, name in (("head", "slurmctld"), ("gpu01", "slurmd")):
        shell(node, f"logrotate --force /etc/logrotate.d/{name}")
        assert shell(node, f"test -s /var/log/slurm/{name}.log.1 && echo kept") == "kept"
    shell("head", "srun -N2 true", timeout=60)
    for node, name in (("head", "slurmctld"), ("gpu01", "slurmd")):
        grown = partial(shell.run, node, f"test -s /var/log/slurm/{name}.log")
        until(f"{name} logs anew", _succeeds(grown))


def test_clocks_follow_the_head(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    head = cluster_lab.lab.state.host("head").address
    for worker in WORKERS:
        sources = partial(shell, worker, "chronyc -c -n sources")
        until(f"{worker} follows the head", _says(sources, f"^,*,{head},"))
        assert shell(worker, "chronyc -c -n tracking").split(",")[1:3] == [head, "11"]
    assert shell("head", "chronyc -c -n tracking").split(",")[2] == "10"


def test_the_directory_is_shared(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    for node in ("head", *WORKERS):
        shell(node, f"echo from {node} > /shared/{node}")
    for node in ("head", *WORKERS):
        assert shell(node, "cat /shared/head /shared/gpu01 /shared/gpu02").splitlines() == [
            "from head",
            "from gpu01",
            "from gpu02",
        ]


def test_prometheus_sees_every_node_and_what_slurm_thinks(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell

    def query(expression: str) -> list[dict[str, str]]:
        done = shell.run(
            "head", f"curl --silent --get --data-urlencode 'query={expression}' http://localhost:9090/api/v1/query"
        )
        if done.returncode != 0 or not done.stdout.startswith("{"):
            return []
        return [result["metric"] for result in json.loads(done.stdout)["data"]["result"]]

    # Before our configuration was there, the package's own watched `localhost`, with no cluster.
    nodes = 'up{job="node", cluster!=""}'
    until("every node is up", lambda: len(query(f"{nodes} == 1")) == 1 + len(WORKERS))
    found = {metric["node"]: metric["role"] for metric in query(nodes)}
    assert found == {"head": "head", "gpu01": "workers", "gpu02": "workers"}
    until("Alertmanager is up", lambda: len(query('up{job="alertmanager"} == 1')) == 1)
    until(
        "Slurm's nodes are idle in it",
        lambda: {metric["slurm_node"] for metric in query('aiops_slurm_node_state{state="idle"}')} == set(WORKERS),
    )
    assert query('node_systemd_unit_state{name="slurmd.service", state="active"} == 1')
    assert not query("node_timex_offset_seconds")
    assert not query('ALERTS{alertstate="firing"}')


def test_alert_rules_pass_their_unit_tests_on_the_head(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    deployed = shell("head", "cat /etc/prometheus/rules/aiops.yml")
    assert (
        deployed == text(wanted("monitoring", a_cluster(LAB_HOST), "head"), "/etc/prometheus/rules/aiops.yml").strip()
    )
    shell("head", "mkdir -p /tmp/rules && cp /etc/prometheus/rules/aiops.yml /tmp/rules/rules.yml")
    for path in CASES:
        shell("head", f"cat > /tmp/rules/{path.name} <<'END'\n{path.read_text()}\nEND")
    told = shell("head", f"cd /tmp/rules && promtool test rules {' '.join(path.name for path in CASES)}", timeout=120)
    assert told.count("SUCCESS") == len(CASES)


def test_packages_installed_again_undo_nothing_of_ours(cluster_lab: Cluster) -> None:
    shell = cluster_lab.shell
    packages = (
        "chrony munge slurm-client slurmctld prometheus prometheus-alertmanager prometheus-node-exporter logrotate"
    )
    shell(
        "head",
        "APT_CONFIG=/etc/aiops/apt.conf DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --reinstall"
        " --allow-change-held-packages -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
        f" install {packages}",
        timeout=300,
    )
    planned = cluster_lab.aiops("cluster", "plan", "--json")
    assert planned.code == 0, planned.stderr
    changes = [change for phase in planned.document["plan"]["phases"] for change in phase["changes"].get("head", [])]
    # apt lets go of held packages that it is told to install; everything else is as it was.
    assert {(change["action"], change["key"]) for change in changes} <= {
        ("hold", "package:slurm-client"),
        ("hold", "package:slurmctld"),
    }
