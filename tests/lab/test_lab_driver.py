"""The simulated driver on bare hosts: packages bring it, a boot loads it, an upgrade without one is noticed."""

from pathlib import Path

import pytest

from aiops.layers.l0_nodes.lab import LabSpec, Simulated
from aiops.layers.l1_cluster.bundle.dummy import dummy_deb
from aiops.plugins.nvidia.packages import simulated_driver

from .conftest import MakeLab, Shell

pytestmark = pytest.mark.lab
VERSION = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"


def test_packages_bring_the_tool_and_a_boot_loads_the_driver(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab(LabSpec("driver", nodes=1, accelerator=Simulated("nvidia", 2), disk_mib=512))
    shell = Shell(lab)

    def install(version: str) -> None:
        folder = lab.folder / "shared" / version
        folder.mkdir()
        for package in simulated_driver(version):
            if not package.name.startswith(("nvidia-container", "libnvidia-container")):
                scratch = tmp_path / version / package.name
                scratch.mkdir(parents=True)
                deb = dummy_deb(package, "amd64", tmp_path, scratch)
                (folder / deb.name).write_bytes(deb.read_bytes())
        # As apt does across branches: the old ones make way.
        shell(
            "gpu01", f"dpkg --force-depends,conflicts,overwrite -i /run/aiops-lab/shared/{version}/*.deb", timeout=120
        )

    assert shell.run("gpu01", "nvidia-smi").returncode == 127
    assert shell.run("gpu01", "ls /dev/nvidia0").returncode != 0
    install("580.82.07")
    assert shell("gpu01", VERSION) == "580.82.07\n580.82.07"  # the first driver is loaded when it is first needed
    shell("gpu01", "ls /dev/nvidia0 /dev/nvidia1 /dev/nvidiactl")
    install("580.95.05")
    mismatch = shell.run("gpu01", VERSION)
    assert mismatch.returncode == 18
    assert mismatch.stdout.startswith("Failed to initialize NVML: Driver/library version mismatch")
    lab.fault("gpu01", "reboot")
    assert shell("gpu01", VERSION) == "580.95.05\n580.95.05"
    lab.down()
