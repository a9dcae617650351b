"""`aiops health` on booted hosts with a real Slurm: what is found, who is drained for it, and who is given back."""

import time
from typing import Any

import pytest

from .conftest import Cluster, Ended

pytestmark = pytest.mark.lab

DEADLINE = 60.0
REASON = "aiops: health"


def found(ended: Ended, verdict: str = "critical") -> set[tuple[str, str]]:
    """`(node, check)` of the findings that count."""
    return {
        (one["node"], one["check"])
        for one in ended.document["findings"]
        if one["verdict"] == verdict and one["standing"] == "counts"
    }


def slurm(cluster: Cluster, node: str) -> dict[str, str]:
    """What Slurm says of a node."""
    line = cluster.shell("head", f"sinfo --noheader --Node --nodes={node} --format='%T|%E'")
    state, _, reason = line.partition("|")
    return {"state": state.rstrip("*"), "reason": reason}


def wait_for_slurm(cluster: Cluster, node: str, *states: str) -> dict[str, str]:
    deadline = time.monotonic() + DEADLINE
    while (seen := slurm(cluster, node))["state"] not in states:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    return seen


def states(cluster: Cluster) -> dict[str, Any]:
    return {one["node"]: one for one in cluster.aiops("node", "list", "--json").document}


@pytest.fixture(autouse=True)
def slurm_is_up(cluster_lab: Cluster) -> None:
    """Hosts that were only just put back boot; what Slurm cannot tell yet is unknown, which is not what is tested."""
    deadline = time.monotonic() + 2 * DEADLINE
    line = "sinfo --noheader --Node --format='%T'"
    while set((seen := cluster_lab.shell.run("head", line)).stdout.split()) != {"idle"}:
        assert time.monotonic() < deadline, seen.stdout + seen.stderr
        time.sleep(0.2)


def test_a_deployed_cluster_is_well(cluster_lab: Cluster) -> None:
    ended = cluster_lab.aiops("health", "--json", "--fail-on", "warn")
    told = ended.document
    assert [one for one in told["findings"] if one["standing"] == "counts"] == []
    assert ended.code == 0
    assert told["simulated"]
    assert told["counts"] == {"ok": len(told["nodes"]), "warn": 0, "critical": 0, "unknown": 0}


def look_deeply(cluster: Cluster) -> None:
    """gpu01 is out of service and may be tested; gpu02 is not, and then nobody is."""
    refused = cluster.aiops("health", "--level", "deep", "--on", "gpu[01-02]")
    assert refused.code == 5
    assert "aiops node drain gpu02 --reason TEXT" in refused.stderr
    assert "aiops health --level deep --on gpu01" in refused.stderr
    deep = cluster.aiops("health", "--level", "deep", "--on", "gpu01", "--json")
    assert deep.code == 0, deep.document
    lacking = {one["tool"] for one in deep.document["untested"]}
    assert {"fio", "stress-ng"} <= lacking


def test_who_drains_a_node_by_hand_gives_it_back_by_hand(cluster_lab: Cluster) -> None:
    drained = cluster_lab.aiops("node", "drain", "gpu01", "--reason", "look at a cable", "--json")
    assert drained.code == 0, drained.stderr
    seen = wait_for_slurm(cluster_lab, "gpu01", "drained")
    look_deeply(cluster_lab)
    assert seen["reason"].startswith("aiops: operator")
    assert seen["reason"].endswith("look at a cable")
    for _ in range(2):
        cluster_lab.aiops("health", "--act", "--json")
    assert slurm(cluster_lab, "gpu01")["state"] == "drained", "the policy gives back only what it has drained itself"
    assert cluster_lab.aiops("node", "resume", "gpu01").code == 0
    wait_for_slurm(cluster_lab, "gpu01", "idle")


def test_a_node_that_somebody_else_has_drained_is_not_touched(cluster_lab: Cluster) -> None:
    cluster_lab.shell("head", "scontrol update NodeName=gpu01 State=DRAIN Reason='bob: disk'")
    try:
        assert cluster_lab.aiops("node", "drain", "gpu01", "--reason", "x").code == 5
        assert cluster_lab.aiops("node", "resume", "gpu01").code == 5
        cluster_lab.lab.fault("gpu01", "ecc-uncorrected", device=0)
        cluster_lab.aiops("health", "--act", "--json")
        assert slurm(cluster_lab, "gpu01")["reason"] == "bob: disk"
    finally:
        cluster_lab.lab.heal("gpu01")
        cluster_lab.shell("head", "scontrol update NodeName=gpu01 State=RESUME")


def test_a_critical_node_is_drained_repaired_and_given_back(cluster_lab: Cluster) -> None:
    cluster_lab.lab.fault("gpu02", "ecc-uncorrected", device=1)
    ended = cluster_lab.aiops("health", "--act", "--json")
    assert ended.code == 4
    assert ("gpu02", "gpu.ecc_uncorrected") in found(ended)
    assert {node for node, _ in found(ended)} == {"gpu02"}
    assert [line.partition(":")[0] for line in ended.document["done"]] == ["drained gpu02"]
    assert ended.document["waiting"] == []
    seen = wait_for_slurm(cluster_lab, "gpu02", "drained")
    assert seen["reason"].startswith(f"{REASON} gpu.")
    assert slurm(cluster_lab, "gpu01")["state"] == "idle"

    before = cluster_lab.shell("gpu02", "systemctl show --property=MainPID nvidia-persistenced")
    repaired = cluster_lab.aiops("node", "repair", "gpu[01-02]", "--yes", "--json")
    assert repaired.code == 1, "gpu01 is in service, and is not touched"
    told = {one["node"]: one for one in repaired.document["nodes"]}
    assert (told["gpu01"]["step"], told["gpu01"]["outcome"]) == (None, None)
    assert (told["gpu02"]["step"], told["gpu02"]["outcome"]) == ("reset_device", "well"), told
    wait_for_slurm(cluster_lab, "gpu02", "idle")
    assert "aiops: GPU 0000:2a:00.0 was reset" in cluster_lab.shell("gpu02", "cat /dev/kmsg").splitlines()
    after = cluster_lab.shell("gpu02", "systemctl show --property=MainPID nvidia-persistenced")
    assert after not in {before, "MainPID=0"}, "what held the devices is stopped, and started again"

    again = cluster_lab.aiops("health", "--act", "--json", "--on", "gpu02")
    assert (again.code, found(again)) == (0, set()), "no wait is needed until what a repair has cured is over"
    listed = {one["node"]: one["state"] for one in cluster_lab.aiops("node", "list", "--json").document}
    assert listed["gpu02"] in {"ready", "degraded"}


def test_a_node_that_cannot_be_asked_is_unknown_and_drains_nobody(cluster_lab: Cluster) -> None:
    cluster_lab.lab.fault("gpu01", "network-cut")
    try:
        ended = cluster_lab.aiops("health", "--act", "--json")
        assert ended.code == 3
        assert found(ended) == set()
        # What the others cannot tell either, while Slurm still starts, is no more than unknown too.
        assert ("gpu01", "node.reachable") in found(ended, "unknown")
        assert {check for node, check in found(ended, "unknown") if node == "gpu01"} == {"node.reachable"}
    finally:
        cluster_lab.lab.heal("gpu01")
    for node in ("gpu01", "gpu02"):
        assert not slurm(cluster_lab, node)["reason"].startswith(REASON)


def test_a_tool_that_hangs_is_unknown_and_holds_up_nothing(cluster_lab: Cluster) -> None:
    cluster_lab.lab.fault("gpu01", "tool-hang")
    try:
        begun = time.monotonic()
        ended = cluster_lab.aiops("health", "--json", "--on", "gpu01,gpu02")
        assert time.monotonic() - begun < 30
        assert {node for node, _ in found(ended, "unknown") | found(ended)} == {"gpu01"}
        assert "gpu02" in {one["node"] for one in ended.document["nodes"] if one["verdict"] == "ok"}
        assert cluster_lab.shell("gpu01", "pgrep -c nvidia-smi || true") == "0"
    finally:
        cluster_lab.lab.heal("gpu01")
