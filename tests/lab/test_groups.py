"""A lab with several kinds of workers: each host is of its group, and a plan judges it by that group."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from aiops.layers.l0_nodes.lab import LabSpec, Simulated, WorkerGroup

from .conftest import AIOPS, MakeLab, Shell

pytestmark = pytest.mark.lab


def test_each_worker_is_of_its_group(make_lab: MakeLab, lab_home: Path, bundle: Path) -> None:
    groups = (
        WorkerGroup("h200", 1, Simulated("nvidia", 8, "H200")),
        WorkerGroup("l40s", 1, Simulated("nvidia", 4, "L40S")),
        WorkerGroup("cpu", 1),
    )
    lab = make_lab(LabSpec("groups", groups=groups, disk_mib=4096))
    shell = Shell(lab)
    shown = {name: shell(name, "lspci -n | grep -c 10de: || true") for name in ("head", "h200-01", "l40s01", "cpu01")}
    assert shown == {"head": "0", "h200-01": "8", "l40s01": "4", "cpu01": "0"}

    lab.fault("l40s01", "device-lost", device=1)
    document = yaml.safe_load(lab.inventory_path.read_text())
    cpu = document["all"]["children"]["workers"]["children"]["cpu"]
    cpu["vars"] = {
        "aiops_expect": {"os": "debian 13", "nics": [{"name": "eth*", "count": 1}, {"name": "ib*", "count": 2}]}
    }
    inventory = lab.folder / "unlike.yml"
    inventory.write_text(json.dumps(document))  # JSON is YAML
    done = subprocess.run(
        [str(AIOPS), "cluster", "plan", str(inventory), "--json", "--only", "base"],
        env={**os.environ, "AIOPS_HOME": str(lab_home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    planned = json.loads(done.stdout)
    assert {one["node"]: one["reason"] for one in planned["failures"]} == {
        "l40s01": "3 nvidia devices on the bus, 4 expected of group `l40s`",
        "cpu01": "runs debian 12, debian 13 expected of group `cpu`;"
        " 0 active Ethernet ports `ib*`, 2 expected of group `cpu`",
    }
    (base,) = planned["plan"]["phases"]
    assert set(base["changes"]) == {"head", "h200-01"}
    lab.down()
    assert lab.remains() == []
