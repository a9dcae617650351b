"""Hosts with no way out install from the bundle that the head serves; a driver and its fabric manager stay a pair."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.way_out import RESOLVER, Counted, way_out

from aiops.layers.l0_nodes.lab import LabSpec, Simulated

from .conftest import AIOPS, Cluster, Ended, MakeLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

OLD, NEW = "580.82.07", "580.95.05"
APT = "APT_CONFIG=/etc/aiops/apt.conf DEBIAN_FRONTEND=noninteractive apt-get"


def _want(cluster: Cluster, bundle: Path, driver: str) -> None:
    """Set what the inventory says beside the lab's own words."""
    folder = cluster.inventory.parent / "group_vars"
    folder.mkdir(exist_ok=True)
    (folder / "all.yml").write_text(f'aiops_bundle: {bundle}\naiops_driver_version: "{driver}"\n')


def _versions(cluster: Cluster) -> dict[str, str]:
    lines = cluster.shell("gpu01", "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' '*nvidia*'")
    rows = [line.split() for line in lines.splitlines() if line.split()[2:3] == ["hi"]]
    return {name: version for name, version, _ in rows}


def _boot_id(cluster: Cluster) -> str:
    return cluster.shell("gpu01", "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic")


@pytest.fixture(scope="module")
def two_drivers(lab_home: Path) -> Path:
    """A bundle with two versions of one driver branch."""
    path = lab_home / "bundle-two-drivers"
    words = ["cluster", "bundle", "build", "-q", "-o", str(path)]
    done = subprocess.run(
        [str(AIOPS), *words, "--simulated", f"nvidia:{OLD}", "--simulated", f"nvidia:{NEW}"],
        env={**os.environ, "AIOPS_HOME": str(lab_home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no bundle can be built here: {done.stderr.strip().splitlines()[:1]}")
    return path


@dataclass(frozen=True)
class Sent:
    """What left the cluster: in a control before the first deploy, during it, and in a control after it."""

    before: dict[str, Counted]
    meanwhile: Counted
    after: dict[str, Counted]


@pytest.fixture(scope="module")
def bare(make_lab: MakeLab, lab_home: Path, two_drivers: Path) -> Cluster:
    """A head and one worker with GPUs on the bus, nothing deployed."""
    lab = make_lab(LabSpec("offline", nodes=1, accelerator=Simulated("nvidia", 2), disk_mib=2048))
    cluster = Cluster(lab, lab_home, Ended(0, "", ""))
    _want(cluster, two_drivers, OLD)
    return cluster


@pytest.fixture(scope="module")
def sent(bare: Cluster) -> Sent:
    """The first deploy, with the older driver; hosts and controller have a way out that is watched."""
    with way_out(bare.lab) as out:
        for host in ("head", "gpu01"):
            bare.shell(host, RESOLVER)
        before = out.control()
        begun = out.counted()
        words = (*out.as_controller, str(AIOPS), "cluster", "deploy", "--yes", "--only", "repository,accelerator")
        done = subprocess.run(
            words,
            env=bare.environment(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr + done.stdout[-3000:]
        ended = out.counted()
        assert set(out.routes()) == {"head", "gpu01"}  # also after the reboot that the driver wants
        after = out.control()
    packets, lookups = ended.packets - begun.packets, ended.lookups - begun.lookups
    return Sent(before, Counted(packets, lookups, tuple(sorted(set(ended.seen) - set(begun.seen)))), after)


@pytest.fixture(scope="module")
def cluster(bare: Cluster, sent: Sent) -> Cluster:
    """The same, deployed."""
    assert sent.before
    return bare


def test_a_first_deploy_sends_nothing_out_of_the_cluster(sent: Sent) -> None:
    assert sent.meanwhile == Counted(0, 0, ())
    for control in (sent.before, sent.after):  # the counters would have seen it, of each and all the time
        assert set(control) == {"head", "gpu01", "controller"}
        assert all(one.packets >= 2 and one.lookups >= 1 for one in control.values()), control


def test_a_byte_that_was_changed_on_the_head_is_found_and_only_its_file_is_sent_again(cluster: Cluster) -> None:
    pool = "/srv/aiops/bundle/apt/pool/bookworm"
    deb = cluster.shell("head", f"cd {pool} && ls jq_*.deb")
    digest = cluster.shell("head", f"sha256sum {pool}/{deb}")
    cluster.shell("head", f"printf X | dd of={pool}/{deb} bs=1 seek=99 conv=notrunc status=none; touch {pool}/extra")
    plan = cluster.aiops("cluster", "plan", "--json", "--only", "repository")
    (change,) = plan.document["plan"]["phases"][0]["changes"]["head"]
    assert change["key"] == "tree:/srv/aiops/bundle"
    assert f"1 changed (apt/pool/bookworm/{deb})" in change["found"]
    assert "1 not ours (apt/pool/bookworm/extra)" in change["found"]
    before = int(cluster.shell("head", "cat /sys/class/net/eth0/statistics/rx_bytes"))
    assert cluster.deploy("--only", "repository").code == 0
    received = int(cluster.shell("head", "cat /sys/class/net/eth0/statistics/rx_bytes")) - before
    assert received < 4 * 2**20
    assert cluster.shell("head", f"sha256sum {pool}/{deb}") == digest
    assert cluster.shell("head", "ls /srv/aiops") == "bundle"


def test_a_host_without_a_way_out_installs_from_the_head(cluster: Cluster) -> None:
    assert cluster.shell.run("gpu01", "ip route get 1.1.1.1").returncode != 0
    cluster.shell("gpu01", f"{APT} update && {APT} install -y jq", timeout=120)
    assert cluster.shell("gpu01", "echo '{\"a\": 7}' | jq .a") == "7"
    policy = cluster.shell("gpu01", "APT_CONFIG=/etc/aiops/apt.conf apt-cache policy jq")
    assert f"http://{cluster.lab.state.host('head').address}:8990/apt bookworm/main" in policy


def test_the_operators_own_sources_are_untouched(cluster: Cluster) -> None:
    assert "8990" not in cluster.shell("gpu01", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true")
    assert "8990" not in cluster.shell("gpu01", "apt-cache policy")


def test_a_changed_byte_on_the_way_is_refused_by_apt(cluster: Cluster) -> None:
    path = "/srv/aiops/bundle/apt/dists/bookworm/InRelease"
    cluster.shell("head", f"cp {path} /root/kept && sed -i 's/aiops bundle/aiops bundel/' {path}")
    try:
        done = cluster.shell.run("gpu01", f"{APT} update -o APT::Update::Error-Mode=any", timeout=120)
    finally:
        cluster.shell("head", f"cp /root/kept {path}")
    assert done.returncode != 0
    assert "BADSIG" in done.stderr + done.stdout or "invalid" in done.stderr + done.stdout


def test_the_pair_is_whole_held_and_loaded(cluster: Cluster) -> None:
    versions = _versions(cluster)
    assert {"nvidia-driver-580", "nvidia-utils-580", "libnvidia-compute-580", "nvidia-fabricmanager-580"} <= set(
        versions
    )
    assert set(versions.values()) == {f"{OLD}-0ubuntu1"}
    assert cluster.shell("gpu01", "nvidia-smi --query-gpu=driver_version --format=csv,noheader -i 0") == OLD
    held = cluster.shell.run("gpu01", f"{APT} upgrade -y", timeout=120)
    assert held.returncode == 0
    assert set(_versions(cluster).values()) == {f"{OLD}-0ubuntu1"}


def test_a_second_deploy_changes_nothing(cluster: Cluster) -> None:
    done = cluster.deploy("--only", "repository,accelerator")
    assert done.code == 0
    assert done.document["plan"]["summary"].startswith("nothing to change")


def test_a_driver_that_is_not_there_whole_is_refused_before_anything_is_touched(
    cluster: Cluster, two_drivers: Path
) -> None:
    _want(cluster, two_drivers, "580.105.08")
    try:
        done = cluster.deploy("--only", "accelerator")
    finally:
        _want(cluster, two_drivers, OLD)
    assert done.code == 2
    assert "nvidia-fabricmanager-580 580.105.08" in done.stdout
    assert set(_versions(cluster).values()) == {f"{OLD}-0ubuntu1"}


def test_a_half_upgraded_pair_is_refused_then_mended_with_one_reboot(cluster: Cluster, two_drivers: Path) -> None:
    upgrade = f"{APT} install -y --allow-change-held-packages nvidia-fabricmanager-580={NEW}-0ubuntu1"
    cluster.shell("gpu01", f"{upgrade} && apt-mark hold nvidia-fabricmanager-580", timeout=120)
    refused = cluster.deploy("--only", "base", "--on", "gpu01")
    assert refused.code == 1
    said = refused.stdout
    assert "its driver is of several versions" in said
    assert OLD in said
    assert NEW in said
    _want(cluster, two_drivers, NEW)
    before = _boot_id(cluster)
    mended = cluster.deploy("--only", "accelerator")
    assert mended.code == 0, mended.stderr + mended.stdout[-3000:]
    assert set(_versions(cluster).values()) == {f"{NEW}-0ubuntu1"}
    assert _boot_id(cluster) != before
    assert cluster.shell("gpu01", "nvidia-smi --query-gpu=driver_version --format=csv,noheader -i 0") == NEW
    run = mended.document["run"]
    events = cluster.aiops("run", "events", run).stdout
    assert events.count("reboot_finished") == 1
