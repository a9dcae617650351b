"""Snapshots freeze what hosts have written; reset brings it back, whatever was broken since."""

import time

import pytest

from aiops.layers.core.errors import ConflictError, NotFoundError
from aiops.layers.l0_nodes.lab import LabSpec

from .conftest import MakeLab, Shell

pytestmark = pytest.mark.lab


def test_snapshot_and_reset(make_lab: MakeLab) -> None:
    lab = make_lab(LabSpec("snapshots", nodes=4, disk_mib=512))
    shell = Shell(lab)
    shell("head", "echo one > /root/one; echo one > /run/aiops-lab/shared/one")
    lab.snapshot("first")
    assert shell("head", "cat /root/one") == "one"
    with pytest.raises(ConflictError):
        lab.snapshot("first")
    shell("head", "rm /root/one; echo two > /root/two; echo two > /run/aiops-lab/shared/two")
    lab.snapshot("second")
    assert shell("head", "ls /root /run/aiops-lab/shared").split() == [
        "/root:",
        "two",
        "/run/aiops-lab/shared:",
        "one",
        "two",
    ]

    lab.fault("node01", "frozen")
    lab.fault("node02", "network-cut")
    lab.fault("node03", "disk-full")
    lab.fault("node04", "power-loss")
    started = time.monotonic()
    lab.reset("first")
    seconds = time.monotonic() - started
    assert all(host.reachable and not host.faults for host in lab.status())
    assert shell("head", "ls /root /run/aiops-lab/shared").split() == ["/root:", "one", "/run/aiops-lab/shared:", "one"]
    shell("node03", "dd if=/dev/zero of=/root/block bs=1M count=1")
    assert seconds < 15  # benchmarks/lab_boot.py holds it to 5 on a quiet machine

    lab.reset()
    assert shell("node03", "ls /root") == ""
    with pytest.raises(NotFoundError):
        lab.reset("second")
    lab.down()
    assert lab.remains() == []


def test_a_lab_without_snapshots_is_reset_to_bare_hosts(make_lab: MakeLab) -> None:
    lab = make_lab(LabSpec("bare-reset", nodes=0, disk_mib=512))
    shell = Shell(lab)
    boot = shell("head", "cat /proc/sys/kernel/random/boot_id; touch /root/mess; rm -rf /etc/ssh /usr/bin/python3")
    lab.reset()
    assert shell("head", "cat /proc/sys/kernel/random/boot_id") != boot
    assert shell("head", "ls /root; python3 -c 'print(1)'") == "1"
    lab.down()
