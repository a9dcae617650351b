"""The dummies of NVIDIA's packages have the vendor's names, versions and ties, and say that they are simulated."""

import subprocess
from pathlib import Path

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.vendor import AcceleratorHooks
from aiops.layers.l1_cluster.bundle.control import parse_paragraphs
from aiops.layers.l1_cluster.bundle.dummy import dummy_deb
from aiops.plugins.nvidia.packages import SIMULATED_TOOL, simulated_driver


def test_the_hook_answers_for_its_own_vendor_only() -> None:
    hooks = Plugins().hooks("accelerator", AcceleratorHooks)
    (packages,) = hooks.simulated_packages(vendor="nvidia", driver_version="570.86.10")
    assert {one.name for one in packages} >= {
        "nvidia-driver-570",
        "nvidia-utils-570",
        "libnvidia-compute-570",
        "nvidia-fabricmanager-570",
        "nvidia-persistenced",
        "nvidia-container-toolkit",
    }
    assert hooks.simulated_packages(vendor="amd", driver_version=None) == []


def test_a_driver_is_tied_together_at_one_exact_version() -> None:
    by_name = {one.name: one for one in simulated_driver("580.95.05")}
    version = by_name["nvidia-driver-580"].version
    assert version.startswith("580.95.05-")
    assert f"nvidia-utils-580 (= {version})" in by_name["nvidia-driver-580"].relations["Depends"]
    assert f"libnvidia-compute-580 (= {version})" in by_name["nvidia-utils-580"].relations["Depends"]
    assert by_name["nvidia-fabricmanager-580"].version == version
    assert by_name["nvidia-utils-580"].links == {"/usr/bin/nvidia-smi": SIMULATED_TOOL}


def test_the_debs_are_what_dpkg_reads_and_the_same_when_built_again(tmp_path: Path) -> None:
    for package in simulated_driver("580.95.05"):
        debs = []
        for turn in ("one", "two"):
            folders = tmp_path / package.name / turn
            (folders / "cache").mkdir(parents=True)
            (folders / "scratch").mkdir()
            debs.append(dummy_deb(package, "amd64", folders / "cache", folders / "scratch"))
        assert debs[0].read_bytes() == debs[1].read_bytes()
        text = subprocess.run(["dpkg-deb", "-f", str(debs[0])], capture_output=True, text=True, check=True).stdout
        (fields,) = parse_paragraphs(text)
        assert (fields["Package"], fields["Version"]) == (package.name, package.version)
        assert fields["Architecture"] == "amd64"
        assert "(simulated)" in fields["Description"]
        listing = subprocess.run(["dpkg-deb", "-c", str(debs[0])], capture_output=True, text=True, check=True).stdout
        for path in (*package.files, *package.links):
            assert f".{path}" in listing
        assert all("root/root" in line for line in listing.splitlines())


def test_the_fabric_manager_tells_its_version_as_the_real_one_does(tmp_path: Path) -> None:
    by_name = {one.name: one for one in simulated_driver("580.95.05")}
    content, mode = by_name["nvidia-fabricmanager-580"].files["/usr/bin/nv-fabricmanager"]
    program = tmp_path / "nv-fabricmanager"
    program.write_text(content)
    done = subprocess.run(["sh", program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "Fabric Manager version is : 580.95.05\n"
    assert mode == 0o755


def test_the_persistence_daemon_turns_persistence_on() -> None:
    by_name = {one.name: one for one in simulated_driver("580.95.05")}
    content, _ = by_name["nvidia-persistenced"].files["/usr/bin/nvidia-persistenced"]
    assert "\nnvidia-smi -pm 1 " in content
