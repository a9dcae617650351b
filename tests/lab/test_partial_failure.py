"""A deploy on booted hosts that goes wrong in part: it stops where it is told to, and what failed is retried alone."""

import pytest

from .conftest import Cluster, Ended
from .test_deploy import LIMITS, outcomes, state

pytestmark = pytest.mark.lab


def changed(ended: Ended) -> set[str]:
    return {one["node"] for one in ended.document["results"] if one["outcome"] == "changed"}


def test_a_rollout_stops_and_only_what_failed_or_was_not_begun_is_retried(cluster_lab: Cluster) -> None:
    for node in ("head", "gpu01", "gpu02"):
        cluster_lab.shell(node, f"rm {LIMITS}")
    cluster_lab.shell("gpu01", f"mkdir -p {LIMITS}/kept")  # no file can be put there
    ended = cluster_lab.deploy("--only", "base", "--batch", "50%", "--max-fail", "0")
    assert ended.code == 1
    assert ended.document["stopped"] == {
        "phase": "base",
        "batch": 2,
        "batches": 3,
        "failed": 1,
        "nodes": 3,
        "limit": "0",
        "error": None,
        "halted": [],
        "not_begun": ["gpu02"],
    }
    (failure,) = ended.document["failures"]
    assert (failure["node"], failure["phase"], failure["item"]) == ("gpu01", "base", "Have all files in place")
    assert LIMITS in failure["reason"]
    assert outcomes(ended, "base") == {"head": "changed", "gpu01": "failed", "gpu02": "blocked"}
    assert "--retry-failed --only base --batch 50% --max-fail 0`" in ended.document["error"]["hint"]
    assert cluster_lab.shell.run("gpu02", f"test -e {LIMITS}").returncode == 1

    # One of the two that are left is mended, the other has died since: they are retried, and nothing else is touched.
    cluster_lab.shell("gpu01", f"rm -r {LIMITS}")
    cluster_lab.lab.fault("gpu02", "power-loss")
    before = state(cluster_lab, "head")
    ended = cluster_lab.deploy("--retry-failed", "--from", "base", "--only", "base")
    assert ended.code == 1
    assert changed(ended) == {"gpu01"}
    (failure,) = ended.document["failures"]
    assert (failure["node"], failure["phase"]) == ("gpu02", "connect")

    cluster_lab.lab.heal("gpu02")
    before_others = {"head": before, "gpu01": state(cluster_lab, "gpu01")}
    assert cluster_lab.deploy("--retry-failed", "--on", "gpu01").code == 2
    ended = cluster_lab.deploy("--retry-failed")
    assert ended.code == 0
    assert ended.document["plan"]["nodes"] == ["gpu02"]
    assert changed(ended) == {"gpu02"}
    assert {node: state(cluster_lab, node) for node in before_others} == before_others
    ended = cluster_lab.deploy("--retry-failed")
    assert ended.code == 2
    assert ended.document["error"]["code"] == "deploy.nothing_failed"
