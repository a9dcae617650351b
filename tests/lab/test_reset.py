"""A node that is taken out and reset has nothing of ours left, whatever cut the reset off on its way."""

import subprocess
from pathlib import Path

import pytest
from tests.support.host_state import LISTING

from .conftest import AIOPS, Cluster

pytestmark = pytest.mark.lab

REMOVING = "timeout 120 sh -c 'until pgrep -x dpkg; do sleep 0.02; done'"


def test_a_removed_node_is_reset_through_a_power_loss_and_is_as_it_was(cluster_lab: Cluster, tmp_path: Path) -> None:
    smaller = tmp_path / "inventory.yml"
    smaller.write_text("".join(line for line in _lines(cluster_lab) if "gpu02" not in line))
    planned = cluster_lab.aiops("cluster", "plan", str(smaller), "--json")
    assert planned.document["unmanaged"] == ["gpu02"]
    listing = {
        (phase["phase"], node): {change["key"] for change in changes}
        for phase in planned.document["plan"]["phases"]
        for node, changes in phase["changes"].items()
    }
    # Only what lists the nodes changes on those that stay.
    assert listing["base", "gpu01"] == {"file:/etc/hosts"}
    assert set().union(*(keys for (_, node), keys in listing.items() if node == "gpu01")) <= {
        *("file:/etc/hosts", "file:/etc/slurm/slurm.conf", "file:/etc/slurm/gres.conf")
    }

    words = ("cluster", "reset", str(smaller), "--on", "gpu02", "--confirm", cluster_lab.lab.state.name)
    with subprocess.Popen(
        [str(AIOPS), *words],
        env=cluster_lab.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        removing = cluster_lab.shell.run("gpu02", REMOVING, timeout=150)
        cluster_lab.lab.fault("gpu02", "power-loss")
        _, said = process.communicate(timeout=120)
    assert removing.returncode == 0, f"no package was ever removed: {said}"
    assert process.returncode == 1, said
    cluster_lab.lab.heal("gpu02")
    again = cluster_lab.aiops(*words, "--json")
    assert again.code == 0, again.stderr + again.stdout
    assert again.document["undone"]["gpu02"]["failed"] == []
    after = cluster_lab.shell("gpu02", LISTING, timeout=120).splitlines()
    before = cluster_lab.before["gpu02"].splitlines()
    assert sorted(set(after) - set(before)) == []
    assert sorted(set(before) - set(after)) == []
    assert cluster_lab.shell(
        "gpu02", "systemctl --failed --no-legend --plain; ls -d /run/aiops /shared 2>&1 || true"
    ) == (
        "ls: cannot access '/run/aiops': No such file or directory\n"
        "ls: cannot access '/shared': No such file or directory"
    )
    assert cluster_lab.aiops("cluster", "plan", str(smaller), "--json").document["unmanaged"] == []
    nothing = cluster_lab.aiops("cluster", "reset", "--on", "gpu02", "--confirm", cluster_lab.lab.state.name)
    assert nothing.code == 0
    assert "no deploy has changed gpu02" in nothing.stderr


def _lines(cluster: Cluster) -> list[str]:
    return cluster.inventory.read_text().splitlines(keepends=True)
