"""The shipped phases, rendered for hosts of the lab and for real machines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.l1_cluster.golden_nodes import EIGHT, LAB_HOST, MACHINE, PHASES, a_cluster, a_node, text, wanted

from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.context import ClusterContext
from aiops.layers.l1_cluster.phase import shipped_phases
from aiops.layers.l1_cluster.resource import File, Mount, Package, Service, Sysctl, User
from aiops.layers.l1_cluster.template import Templates

LAB = a_cluster(LAB_HOST, accelerator_packages="simulated")
MACHINES = a_cluster(MACHINE)
OURS = ("base", "time", "export", "storage", "scheduler", "monitoring")


def with_hosts(cluster: ClusterContext, hosts: str) -> ClusterContext:
    nodes = [replace(node, facts=replace(node.facts, hosts=hosts)) if node.facts else node for node in cluster.nodes]
    return replace(cluster, nodes=tuple(nodes))


# ------------------------------------------------------------------------------------------------ all phases


@pytest.mark.parametrize("cluster", [LAB, MACHINES], ids=["lab", "machines"])
@pytest.mark.parametrize("node", ["head", "gpu01"])
@pytest.mark.parametrize("phase", OURS)
def test_a_phase_can_be_worked_out(phase: str, node: str, cluster: ClusterContext) -> None:
    for resource in wanted(phase, cluster, node).values():
        if isinstance(resource, File) and resource.content and not resource.secret:
            assert resource.content.endswith(b"\n")


def test_phases_come_after_what_they_need() -> None:
    order = list(PHASES)
    for earlier, later in (
        ("repository", "base"),
        ("base", "time"),
        ("time", "scheduler"),
        ("export", "storage"),
        ("storage", "scheduler"),
        ("scheduler", "monitoring"),
    ):
        assert order.index(earlier) < order.index(later)


def test_two_phases_never_want_different_things_of_one_resource() -> None:
    shared = {"path": "/shared", "source": "/srv/shared", "type": "nfs-export"}
    for cluster in (LAB, MACHINES, a_cluster(MACHINE, shared=shared)):
        for node in ("head", "gpu01"):
            seen: dict[str, object] = {}
            for phase in OURS:
                for key, resource in wanted(phase, cluster, node).items():
                    assert seen.setdefault(key, resource) == resource


# ------------------------------------------------------------------------------------------------ base


def test_foreign_lines_of_the_hosts_file_stay_and_loopback_names_go() -> None:
    hosts = text(wanted("base", MACHINES, "gpu01"), "/etc/hosts")
    assert hosts == (
        "127.0.0.1 localhost\n"
        "203.0.113.9 licences # Monday's\n"
        "# aiops: begin\n"
        "# Managed by aiops (phase base): what stands between the marks is overwritten.\n"
        "10.0.0.1 head.example.org head\n"
        "10.0.0.11 gpu01.example.org gpu01\n"
        "10.0.0.12 gpu02.example.org gpu02\n"
        "# aiops: end\n"
    )


def test_the_hosts_file_is_a_fixed_point() -> None:
    once = text(wanted("base", MACHINES, "gpu01"), "/etc/hosts")
    assert text(wanted("base", with_hosts(MACHINES, once), "gpu01"), "/etc/hosts") == once


def test_a_node_that_left_leaves_the_hosts_file() -> None:
    longer = a_cluster(MACHINE, a_node("gpu03", "workers", MACHINE, "10.0.0.13"))
    once = text(wanted("base", longer, "gpu01"), "/etc/hosts")
    assert "gpu03" in once
    assert "gpu03" not in text(wanted("base", with_hosts(MACHINES, once), "gpu01"), "/etc/hosts")


def test_a_name_for_an_address_gets_no_line() -> None:
    cluster = a_cluster(MACHINE, a_node("gpu03", "workers", MACHINE, "gpu03.example.org"))
    hosts = text(wanted("base", cluster, "head"), "/etc/hosts")
    assert "gpu03" not in hosts


def test_a_container_sets_only_its_own_kernel_settings() -> None:
    for cluster, names in (
        (LAB, {"net.ipv4.tcp_mtu_probing", "net.ipv4.tcp_slow_start_after_idle"}),
        (MACHINES, {"net.ipv4.tcp_mtu_probing", "net.core.rmem_max", "vm.swappiness"}),
    ):
        found = {one.name for one in wanted("base", cluster, "gpu01").values() if isinstance(one, Sysctl)}
        assert names <= found
        assert ("vm.swappiness" in found) == ("vm.swappiness" in names)


def test_the_inventory_wins_over_our_kernel_settings() -> None:
    cluster = a_cluster(MACHINE, sysctl={"vm.swappiness": 1, "kernel.panic": 10})
    resources = wanted("base", cluster, "gpu01")
    assert resources["sysctl:vm.swappiness"] == Sysctl("vm.swappiness", "1")
    assert resources["sysctl:kernel.panic"] == Sysctl("kernel.panic", "10")


def test_swap_is_off_for_good_on_machines_only() -> None:
    resources = wanted("base", MACHINES, "gpu01")
    target = resources["file:/etc/systemd/system/swap.target"]
    assert isinstance(target, File)
    assert target.content == b""
    assert resources["service:swap\\x2dfile.img.swap"] == Service(
        "swap\\x2dfile.img.swap", enabled=False, running=False
    )
    for cluster in (LAB, a_cluster(MACHINE, swap_off=False)):
        assert not [key for key in wanted("base", cluster, "gpu01") if "swap." in key or key.endswith(".swap")]


def test_installed_kernels_are_held_and_drivers_where_aiops_does_not() -> None:
    facts = replace(MACHINE, kernel_packages=("linux-image-generic", "nvidia-driver-580"))
    assert wanted("base", a_cluster(facts), "gpu01")["package:linux-image-generic"] == Package(
        "linux-image-generic", held=True
    )
    assert "package:nvidia-driver-580" not in wanted("base", a_cluster(facts), "gpu01")
    assert "package:nvidia-driver-580" in wanted("base", a_cluster(facts, accelerator_packages="none"), "gpu01")
    held = wanted("base", a_cluster(MACHINE, hold=["mlnx-ofed-kernel-dkms"]), "gpu01")
    assert held["package:mlnx-ofed-kernel-dkms"] == Package("mlnx-ofed-kernel-dkms", held=True)
    assert '"mlnx-ofed-kernel-dkms$";' in text(held, "/etc/apt/apt.conf.d/60aiops-unattended-upgrades")


def test_users_have_the_same_numbers_everywhere() -> None:
    cluster = a_cluster(LAB_HOST, users=[{"name": "alice", "uid": 2001}])
    for node in ("head", "gpu01"):
        assert wanted("base", cluster, node)["user:alice"] == User(
            "alice", 2001, 2001, "alice", "/home/alice", "/bin/bash"
        )


# ------------------------------------------------------------------------------------------------ time


def test_the_head_serves_the_nodes_and_follows_the_servers_of_the_inventory() -> None:
    alone = text(wanted("time", LAB, "head"), "/etc/chrony/chrony.conf").splitlines()
    assert {"local stratum 10", "allow 10.0.0.11", "allow 10.0.0.12"} <= set(alone)
    assert not [line for line in alone if line.startswith(("server", "pool"))]
    cluster = a_cluster(MACHINE, ntp_servers=["ntp1.example.org", "2.pool.ntp.org"])
    head = text(wanted("time", cluster, "head"), "/etc/chrony/chrony.conf").splitlines()
    assert {"server ntp1.example.org iburst", "pool 2.pool.ntp.org iburst", "rtcsync"} <= set(head)


def test_nodes_follow_the_head_alone() -> None:
    cluster = a_cluster(MACHINE, ntp_servers=["ntp1.example.org"])
    node = text(wanted("time", cluster, "gpu01"), "/etc/chrony/chrony.conf")
    assert [line for line in node.splitlines() if line.startswith(("server", "pool", "local", "allow"))] == [
        "server 10.0.0.1 iburst minpoll 4 maxpoll 8"
    ]


def test_a_container_leaves_the_clock_alone() -> None:
    assert "-x" in text(wanted("time", LAB, "gpu01"), "/etc/default/chrony")
    assert wanted("time", LAB, "gpu01")["service:chrony-wait"] == Service("chrony-wait", enabled=False, running=False)
    assert "-x" not in text(wanted("time", MACHINES, "gpu01"), "/etc/default/chrony")
    assert not [key for key in wanted("time", MACHINES, "gpu01") if "chrony.service.d" in key]


# ------------------------------------------------------------------------------------------------ storage


def mounts(cluster: ClusterContext, node: str) -> list[Mount]:
    return [one for one in wanted("storage", cluster, node).values() if isinstance(one, Mount)]


def test_a_directory_every_node_has_is_bound() -> None:
    cluster = a_cluster(LAB_HOST, shared={"path": "/shared", "source": "/lustre/ai", "type": "bind"})
    assert mounts(cluster, "gpu01") == mounts(cluster, "head") == [Mount("/shared", "/lustre/ai", "bind")]
    same = a_cluster(LAB_HOST, shared={"path": "/lustre", "source": "/lustre", "type": "bind"})
    assert mounts(same, "gpu01") == []


def test_a_server_outside_is_mounted_by_all() -> None:
    shared = {"path": "/shared", "source": "nas:/export", "type": "nfs", "options": "rw,hard"}
    cluster = a_cluster(MACHINE, shared=shared)
    assert mounts(cluster, "gpu01") == mounts(cluster, "head") == [Mount("/shared", "nas:/export", "nfs", "rw,hard")]
    assert "package:nfs-common" in wanted("storage", cluster, "gpu01")
    assert wanted("export", cluster, "head") == {}


@pytest.mark.parametrize("server", ["head", "store01"])
def test_the_storage_node_or_the_head_exports(server: str) -> None:
    shared = {"path": "/shared", "source": "/srv/shared", "type": "nfs-export"}
    more = [a_node("store01", "storage", MACHINE, "10.0.0.5", shared=shared)] if server == "store01" else []
    cluster = a_cluster(MACHINE, *more, shared=shared)
    address = cluster.node(server).address
    exports = text(wanted("export", cluster, server), "/etc/exports.d/aiops.exports")
    assert '"/srv/shared" 10.0.0.11(rw,sync,no_subtree_check,root_squash)' in exports.splitlines()
    assert f"{address}(" not in exports
    assert mounts(cluster, server) == [Mount("/shared", "/srv/shared", "bind")]
    assert mounts(cluster, "gpu01") == [Mount("/shared", f"{address}:/srv/shared", "nfs")]
    others = {node.name for node in cluster.nodes} - {server}
    assert all(wanted("export", cluster, other) == {} for other in others)


def test_no_shared_directory_no_storage() -> None:
    assert wanted("storage", MACHINES, "gpu01") == wanted("export", MACHINES, "head") == {}


# ------------------------------------------------------------------------------------------------ scheduler


def settings(slurm_conf: str) -> dict[str, str]:
    lines = [line for line in slurm_conf.splitlines() if "=" in line and not line.startswith(("#", "NodeName"))]
    return dict(line.split("=", 1) for line in lines)


def slurm(cluster: ClusterContext, node: str = "head") -> str:
    return text(wanted("scheduler", cluster, node), "/etc/slurm/slurm.conf")


def node_lines(cluster: ClusterContext) -> list[str]:
    return [line for line in slurm(cluster).splitlines() if line.startswith("NodeName")]


def test_slurm_conf_is_the_same_on_all_nodes() -> None:
    for cluster in (LAB, MACHINES):
        assert slurm(cluster, "head") == slurm(cluster, "gpu01") == slurm(cluster, "gpu02")


def test_nodes_are_what_the_probe_found() -> None:
    assert node_lines(MACHINES)[0] == (
        "NodeName=gpu01 NodeAddr=10.0.0.11 Sockets=2 CoresPerSocket=48 ThreadsPerCore=2 RealMemory=2046976 Gres=gpu:8"
        " State=UNKNOWN"
    )
    assert node_lines(LAB)[0] == (
        "NodeName=gpu01 NodeAddr=10.0.0.11 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=22784 Gres=gpu:8"
        " State=UNKNOWN"
    )


def test_a_few_mib_more_or_less_do_not_change_slurm_conf() -> None:
    other = replace(MACHINE, memory_mib=(MACHINE.memory_mib or 0) - 40)
    assert slurm(a_cluster(other)) == slurm(MACHINES)


def test_a_small_node_keeps_a_quarter_of_a_gib_for_itself() -> None:
    assert "RealMemory=704 " in node_lines(a_cluster(replace(LAB_HOST, memory_mib=1000)))[0]


def test_a_node_never_reached_waits_in_slurm_conf_as_down() -> None:
    accelerators = {"vendor": "nvidia", "count": 8, "model": "H100"}
    cluster = a_cluster(MACHINE, a_node("gpu03", "workers", None, "10.0.0.13", accelerators=accelerators))
    assert node_lines(cluster)[2] == (
        'NodeName=gpu03 NodeAddr=10.0.0.13 Gres=gpu:h100:8 State=DOWN Reason="aiops: not reached by the deploy"'
    )
    gres = text(wanted("scheduler", cluster, "head"), "/etc/slurm/gres.conf").splitlines()
    assert gres[-1] == "NodeName=gpu03 Name=gpu Type=h100 File=/dev/nvidia[0-7]"
    assert gres[-2] == "NodeName=gpu02 Name=gpu File=/dev/nvidia[0-7]"


def test_a_device_that_fell_off_the_bus_changes_no_file() -> None:
    accelerators = {"vendor": "nvidia", "count": 8}
    for shown in (EIGHT, (replace(EIGHT[0], count=7),), (), None):
        facts = replace(MACHINE, bus_accelerators=shown)
        cluster = a_cluster(MACHINE, a_node("gpu03", "workers", facts, "10.0.0.13", accelerators=accelerators))
        assert " Gres=gpu:8 " in node_lines(cluster)[2]
        gres = text(wanted("scheduler", cluster, "head"), "/etc/slurm/gres.conf").splitlines()
        assert gres[-1] == "NodeName=gpu03 Name=gpu File=/dev/nvidia[0-7]"


def test_a_worker_of_the_ssh_engine_gets_nothing_of_slurm() -> None:
    cluster = a_cluster(MACHINE, a_node("new01", "workers", MACHINE, "10.0.0.13", engine="ssh"))
    assert wanted("scheduler", cluster, "new01") == {"service:slurmd": Service("slurmd", enabled=False, running=False)}


def test_devices_of_other_vendors_are_counted_and_one_device_has_no_range() -> None:
    one = replace(MACHINE, bus_accelerators=(replace(EIGHT[0], count=1),))
    other = replace(MACHINE, bus_accelerators=(replace(EIGHT[0], vendor="ascend"),))
    for facts, line in ((one, "NodeName=gpu01 Name=gpu File=/dev/nvidia0"), (other, "NodeName=gpu01 Name=gpu Count=8")):
        assert line in text(wanted("scheduler", a_cluster(facts), "head"), "/etc/slurm/gres.conf").splitlines()


def test_a_cluster_without_accelerators_has_no_gres() -> None:
    cluster = a_cluster(replace(MACHINE, bus_accelerators=None))
    assert "gpu:" not in slurm(cluster)
    assert "GresTypes" not in slurm(cluster)


def test_cgroups_where_every_worker_can() -> None:
    assert settings(slurm(MACHINES))["ProctrackType"] == "proctrack/cgroup"
    assert settings(slurm(MACHINES))["TaskPlugin"] == "task/affinity,task/cgroup"
    assert "SlurmdParameters" not in settings(slurm(MACHINES))
    assert settings(slurm(LAB))["ProctrackType"] == "proctrack/linuxproc"
    assert settings(slurm(LAB))["TaskPlugin"] == "task/none"
    assert settings(slurm(LAB))["SlurmdParameters"] == "config_overrides"


@pytest.mark.parametrize(("cgroup", "plugin"), [("v2", "proctrack/linuxproc"), ("v1", "proctrack/cgroup")])
def test_slurm_of_ubuntu_22_04_cannot_use_cgroup_v2(cgroup: str, plugin: str) -> None:
    jammy = replace(MACHINE, os_version="22.04", os_codename="jammy", cgroup=cgroup)
    mixed = a_cluster(MACHINE, a_node("gpu03", "workers", jammy, "10.0.0.13"))
    assert settings(slurm(mixed))["ProctrackType"] == plugin


def test_jobs_are_written_down() -> None:
    assert settings(slurm(LAB))["JobCompType"] == "jobcomp/filetxt"


def test_options_of_the_head_win_whatever_their_case() -> None:
    cluster = a_cluster(MACHINE, slurm_options={"slurmdTimeout": 120, "TopologyPlugin": "topology/tree"})
    lines = slurm(cluster).splitlines()
    assert "slurmdTimeout=120" in lines
    assert "TopologyPlugin=topology/tree" in lines
    assert not [line for line in lines if line.startswith("SlurmdTimeout")]


def test_partitions_come_from_the_inventory() -> None:
    cluster = a_cluster(
        MACHINE,
        a_node("gpu03", "workers", MACHINE, "10.0.0.13", slurm_partition="debug"),
        a_node("gpu04", "workers", replace(MACHINE, memory_mib=1000000), "10.0.0.14"),
    )
    partitions = [line for line in slurm(cluster).splitlines() if line.startswith("PartitionName")]
    assert partitions == [
        "PartitionName=debug Nodes=gpu03 Default=YES DefMemPerCPU=10661 MaxTime=INFINITE State=UP",
        "PartitionName=main Nodes=gpu01,gpu02,gpu04 Default=NO DefMemPerCPU=5120 MaxTime=INFINITE State=UP",
    ]


def test_a_node_of_the_ssh_engine_is_not_slurms() -> None:
    cluster = a_cluster(MACHINE, a_node("gpu03", "workers", MACHINE, "10.0.0.13", engine="ssh"))
    assert "gpu03" not in slurm(cluster)
    assert "gpu03" not in text(wanted("scheduler", cluster, "head"), "/etc/slurm/gres.conf")
    resources = wanted("scheduler", cluster, "gpu03")
    assert "package:slurmd" not in resources
    assert resources["service:slurmd"] == Service("slurmd", enabled=False, running=False)


def test_who_runs_what() -> None:
    head, worker = wanted("scheduler", LAB, "head"), wanted("scheduler", LAB, "gpu01")
    assert "service:slurmctld" in head
    assert "service:slurmd" not in head
    assert "service:slurmd" in worker
    assert "service:slurmctld" not in worker
    conf = {name: resources["file:/etc/slurm/slurm.conf"] for name, resources in (("head", head), ("gpu01", worker))}
    assert isinstance(conf["head"], File)
    assert isinstance(conf["gpu01"], File)
    assert (conf["head"].restarts, conf["gpu01"].restarts) == (("slurmctld",), ("slurmd",))


def test_the_munge_key_is_one_secret_for_munge_alone() -> None:
    keys = [wanted("scheduler", LAB, node)["file:/etc/munge/munge.key"] for node in ("head", "gpu01")]
    assert keys[0] == keys[1]
    assert isinstance(keys[0], File)
    assert (keys[0].secret, keys[0].mode, keys[0].owner, keys[0].restarts) == (True, "0400", "munge", ("munge",))
    assert keys[0].content == b"secret munge_key"


# ------------------------------------------------------------------------------------------------ monitoring


def test_targets_are_all_nodes_with_their_labels() -> None:
    cluster = a_cluster(LAB_HOST, a_node("login01", "login", LAB_HOST, "fd00::7"))
    targets = json.loads(text(wanted("monitoring", cluster, "head"), "/etc/prometheus/targets/nodes.json"))
    assert targets[1] == {
        "targets": ["10.0.0.11:9100"],
        "labels": {"cluster": "lab-a", "node": "gpu01", "role": "workers"},
    }
    assert targets[-1]["targets"] == ["[fd00::7]:9100"]
    assert len(targets) == 4


def test_device_metrics_where_there_are_devices_and_the_vendors_packages() -> None:
    def found(cluster: ClusterContext) -> list[str]:
        content = text(wanted("monitoring", cluster, "head"), "/etc/prometheus/targets/dcgm.json")
        return [target["labels"]["node"] for target in json.loads(content)]

    assert found(LAB) == []
    assert found(MACHINES) == ["gpu01", "gpu02"]
    assert "package:datacenter-gpu-manager-exporter" in wanted("monitoring", MACHINES, "gpu01")
    assert "package:datacenter-gpu-manager-exporter" not in wanted("monitoring", MACHINES, "head")
    assert "package:datacenter-gpu-manager-exporter" not in wanted("monitoring", LAB, "gpu01")


def test_the_clock_of_a_container_is_not_its_own() -> None:
    assert "--no-collector.timex" in text(wanted("monitoring", LAB, "gpu01"), "/etc/default/prometheus-node-exporter")
    assert "timex " not in text(wanted("monitoring", MACHINES, "gpu01"), "/etc/default/prometheus-node-exporter")


def test_alerts_go_nowhere_or_to_the_webhook() -> None:
    path = "/etc/prometheus/alertmanager.yml"
    assert yaml.safe_load(text(wanted("monitoring", LAB, "head"), path))["route"]["receiver"] == "nobody"
    cluster = a_cluster(LAB_HOST, alert_webhook="https://alerts.example.org/hook?key=a&b=c")
    resources = wanted("monitoring", cluster, "head")
    document = yaml.safe_load(text(resources, path))
    assert document["route"]["receiver"] == "webhook"
    assert document["receivers"][1]["webhook_configs"][0]["url"] == "https://alerts.example.org/hook?key=a&b=c"
    file = resources[f"file:{path}"]
    assert isinstance(file, File)
    assert (file.mode, file.group) == ("0640", "prometheus")


def test_prometheus_configuration_and_rules_are_yaml() -> None:
    head = wanted("monitoring", LAB, "head")
    document = yaml.safe_load(text(head, "/etc/prometheus/prometheus.yml"))
    assert [job["job_name"] for job in document["scrape_configs"]] == ["node", "dcgm", "prometheus", "alertmanager"]
    assert document["global"]["external_labels"] == {"cluster": "lab-a"}
    rules = yaml.safe_load(text(head, "/etc/prometheus/rules/aiops.yml"))
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    assert {"NodeDown", "FilesystemFull", "ClockOff", "SlurmNodeDown", "GpuXid"} <= set(names)


def test_every_alert_but_those_of_monitoring_itself_has_a_unit_test() -> None:
    files = [yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "alerts").glob("*_test.yml")]
    cases = [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
    tested = {case["alertname"] for case in cases if "exp_alerts" in case}
    rules = yaml.safe_load(text(wanted("monitoring", LAB, "head"), "/etc/prometheus/rules/aiops.yml"))
    named = {rule["alert"] for group in rules["groups"] if group["name"] != "monitoring" for rule in group["rules"]}
    assert named == tested


def test_slurms_view_is_asked_only_where_there_is_slurm() -> None:
    assert "service:aiops-slurm-metrics.timer" in wanted("monitoring", LAB, "head")
    alone = a_cluster(LAB_HOST, engine="ssh")
    assert "service:aiops-slurm-metrics.timer" not in wanted("monitoring", alone, "head")


# ------------------------------------------------------------------------------------------------ accelerator


def test_persistence_is_on_where_the_distribution_leaves_it_off() -> None:
    """Ubuntu's own unit says `--no-persistence-mode`; that of NVIDIA's repository for Debian does not."""
    driver = {"driver_version": "580.95.05", "repository": "system"}
    dropin = "/etc/systemd/system/nvidia-persistenced.service.d/60-aiops.conf"
    ubuntu = wanted("accelerator", a_cluster(MACHINE, accelerator_packages="vendor", **driver), "gpu01")
    lines = text(ubuntu, dropin).splitlines()
    assert lines[-2] == "ExecStart="  # without it, it would be a second command
    assert "--persistence-mode" in lines[-1].split()
    debian = replace(MACHINE, os_id="debian", os_version="12", os_codename="bookworm")
    assert "service:nvidia-persistenced" in ubuntu
    for cluster in (
        a_cluster(debian, accelerator_packages="vendor", **driver),
        a_cluster(MACHINE, accelerator_packages="none"),
    ):
        assert f"file:{dropin}" not in wanted("accelerator", cluster, "gpu01")


def test_a_list_that_cannot_be_worked_out_is_told_without_its_template() -> None:
    with pytest.raises(InputError) as caught:
        wanted("accelerator", a_cluster(MACHINE, accelerator_packages="vendor", repository="system"), "gpu01")
    (problem,) = caught.value.problems
    assert problem.message.startswith("package: without a bundle the driver's exact version must be said")


def test_the_controller_of_a_head_can_read_its_inventory_before_its_key_is_there() -> None:
    template = (shipped_phases() / "jobs/inventory.yml.j2").read_text("utf-8")
    assert "private_key_file:" not in template, "a key that is named so must be there"
    assert "-o IdentityFile=/etc/aiops/keys/id_ed25519" in template


def test_the_controller_of_a_head_asks_the_bmcs_that_the_inventory_names() -> None:
    words = ["/usr/local/bin/power-of", "gpu01's", '<"a b">', "-f", "/etc/aiops/bmc.password"]
    named = a_node("gpu03", "workers", MACHINE, "10.0.0.13", power_status=words)
    cluster = a_cluster(MACHINE, named)
    written = Templates(shipped_phases() / "jobs").file(
        "inventory.yml.j2", {"cluster": cluster, "node": cluster.node("head")}
    )
    hosts = yaml.safe_load(written)["all"]["children"]["workers"]["hosts"]
    assert hosts["gpu03"]["aiops_power_status"] == words
    assert "aiops_power_status" not in hosts["gpu01"]
