"""`aiops cluster drift` on booted hosts: nothing on a clean cluster, what was planted where it was planted.

A majority needs three nodes, and these labs have two workers: benchmarks/drift.py has eight.
"""

import shlex

import pytest

from .conftest import Cluster, Ended

pytestmark = pytest.mark.lab

LIMITS = "/etc/security/limits.d/60-aiops.conf"


def found(ended: Ended, verdict: str) -> set[tuple[str, str]]:
    """`(node, what)` of each finding."""
    return {
        (node, one["what"]) for one in ended.document["findings"] if one["verdict"] == verdict for node in one["nodes"]
    }


def test_a_clean_cluster_drifts_nowhere_and_what_is_planted_is_found_and_repaired(cluster_lab: Cluster) -> None:
    clean = cluster_lab.aiops("cluster", "drift", "--json")
    assert (clean.code, found(clean, "drift"), found(clean, "unknown")) == (0, set(), set())
    assert clean.document["not_compared"] == ["head"]
    assert clean.document["simulated"]

    cluster_lab.shell("gpu01", "systemctl mask --now prometheus-node-exporter; apt-mark unhold nvidia-driver-580")
    cluster_lab.shell("gpu02", f"sysctl -qw net.ipv4.tcp_mtu_probing=0; echo '# mine' >> {LIMITS}")
    cluster_lab.shell("gpu02", "echo 'x ALL=(ALL) ALL' > /etc/sudoers.d/x")
    drifted = cluster_lab.aiops("cluster", "drift", "--json", "-v")
    assert drifted.code == 4
    assert found(drifted, "drift") == {
        ("gpu01", "service:prometheus-node-exporter"),
        ("gpu01", "package:nvidia-driver-580"),
        ("gpu02", "sysctl:net.ipv4.tcp_mtu_probing"),
        ("gpu02", f"file:{LIMITS}"),
    }
    # With two workers nobody can tell which of them is right.
    assert found(drifted, "unknown") == {("gpu01", "sudoers"), ("gpu02", "sudoers")}
    (lines,) = [one["lines"] for one in drifted.document["findings"] if one["what"] == f"file:{LIMITS}"]
    assert lines[-1] == "+# mine"

    commands = {one["repair"].strip("`") for one in drifted.document["findings"] if one["verdict"] == "drift"}
    for command in sorted(commands):
        assert cluster_lab.aiops(*shlex.split(command)[1:], "--yes").code == 0, command
    cluster_lab.shell("gpu02", "rm /etc/sudoers.d/x")
    mended = cluster_lab.aiops("cluster", "drift", "--json")
    assert (mended.code, found(mended, "drift"), found(mended, "unknown")) == (0, set(), set())


def test_a_dead_head_hides_no_drift_and_leaves_its_secret_unknown(cluster_lab: Cluster) -> None:
    cluster_lab.shell("gpu01", f"rm {LIMITS}")
    cluster_lab.lab.fault("head", "power-loss")
    ended = cluster_lab.aiops("cluster", "drift", "--json")
    assert ended.code == 4
    assert found(ended, "drift") == {("gpu01", f"file:{LIMITS}")}
    munge = "file:/etc/munge/munge.key"
    assert found(ended, "unknown") == {("head", "node"), ("gpu01", munge), ("gpu02", munge)}
