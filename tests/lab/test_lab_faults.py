"""Every fault has a real effect, on its host alone, and heal takes it away."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.layers.core.errors import ConflictError, InputError, NotFoundError
from aiops.layers.l0_nodes.lab import Lab, kinds
from aiops.layers.l0_nodes.lab.host import answers

from .conftest import DRIVER, Shell

pytestmark = pytest.mark.lab
QUERY = "nvidia-smi --format=csv,noheader,nounits --query-gpu="


def status(lab: Lab, node: str) -> tuple[bool, bool, tuple[str, ...]]:
    """Running, reachable, faults."""
    host = next(host for host in lab.status() if host.name == node)
    return host.running, host.reachable, host.faults


@pytest.fixture(autouse=True)
def _healed(bare_lab: Lab) -> Iterator[None]:
    """No fault outlives its test, also a failed one."""
    yield
    for host in bare_lab.hosts:
        bare_lab.heal(host.name)


def test_power_loss(bare_lab: Lab, shell: Shell) -> None:
    before = shell("gpu01", "cat /proc/sys/kernel/random/boot_id; echo kept > /root/kept")
    bare_lab.fault("gpu01", "power-loss")
    assert status(bare_lab, "gpu01") == (False, False, ("power-loss",))
    assert status(bare_lab, "gpu02")[:2] == (True, True)
    with pytest.raises(ConflictError):
        bare_lab.fault("gpu01", "frozen")
    assert bare_lab.heal("gpu01") == ("power-loss",)
    assert shell("gpu01", "cat /root/kept /proc/sys/kernel/random/boot_id") != f"kept\n{before}"
    assert status(bare_lab, "gpu01") == (True, True, ())


def test_reboot(bare_lab: Lab, shell: Shell) -> None:
    before = shell("gpu01", "cat /proc/sys/kernel/random/boot_id")
    bare_lab.fault("gpu01", "reboot")
    assert shell("gpu01", "cat /proc/sys/kernel/random/boot_id") != before
    assert status(bare_lab, "gpu01") == (True, True, ())


def kill(lab: Lab, node: str) -> None:
    """`kill -9` of all that runs on a host."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    group = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
    for path in Path(group, lab.state.cgroup, node).rglob("cgroup.procs"):
        for process in path.read_text(encoding="ascii").split():
            os.kill(int(process), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while status(lab, node)[0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_host_that_was_shut_down_from_within_is_booted_by_heal(bare_lab: Lab, shell: Shell) -> None:
    kernel = shell("gpu01", "uname -r")
    bare_lab.fault("gpu01", "kernel-skew")  # is healed within the running host
    shell.run("gpu01", "systemctl poweroff")
    deadline = time.monotonic() + 30
    while status(bare_lab, "gpu01")[0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert bare_lab.heal("gpu01") == ("kernel-skew",)
    assert shell("gpu01", "hostname; uname -r") == f"gpu01\n{kernel}"


def test_a_host_that_was_killed_while_it_stood_still_is_booted_by_heal(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "kernel-skew")
    bare_lab.fault("gpu01", "frozen")
    kill(bare_lab, "gpu01")
    assert set(bare_lab.heal("gpu01")) == {"kernel-skew", "frozen"}
    assert shell("gpu01", "hostname") == "gpu01"


def test_a_host_without_power_and_with_other_faults_is_healed_whole(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "disk-full")
    with pytest.raises(ConflictError, match="gpu01: `kernel-skew` cannot be made: No space left"):
        bare_lab.fault("gpu01", "kernel-skew")  # needs room for its shim
    bare_lab.heal("gpu01")
    for kind in ("kernel-skew", "disk-full", "power-loss"):
        bare_lab.fault("gpu01", kind)
    assert bare_lab.heal("gpu01") == ("power-loss", "kernel-skew", "disk-full")
    shell("gpu01", "dd if=/dev/zero of=/root/room bs=1M count=8 && rm /root/room")
    assert status(bare_lab, "gpu01") == (True, True, ())


def test_network_cut(bare_lab: Lab, shell: Shell) -> None:
    before = shell("gpu01", "cat /proc/sys/kernel/random/boot_id")
    bare_lab.fault("gpu01", "network-cut")
    running, reachable, _ = status(bare_lab, "gpu01")
    assert (running, reachable) == (True, False)
    bare_lab.heal("gpu01", "network-cut")
    assert shell("gpu01", "cat /proc/sys/kernel/random/boot_id") == before


def test_network_slow(bare_lab: Lab, shell: Shell) -> None:
    def seconds() -> float:
        started = time.monotonic()
        assert len(shell("gpu01", "head -c 200000 /dev/zero | tr '\\0' x")) == 200000
        return time.monotonic() - started

    bare_lab.fault("gpu01", "network-slow", value="1mbit")
    slow = seconds()
    bare_lab.heal("gpu01")
    assert slow > 1.4  # 1.6 Mbit at 1 Mbit/s, less the bucket
    assert seconds() < slow / 2


def test_frozen(bare_lab: Lab, shell: Shell) -> None:
    before = shell("gpu01", "cat /proc/sys/kernel/random/boot_id")
    bare_lab.fault("gpu01", "frozen")
    assert status(bare_lab, "gpu01")[:2] == (True, False)
    with pytest.raises(subprocess.TimeoutExpired):
        shell.run("gpu01", "true", timeout=2)
    bare_lab.heal("gpu01")
    assert shell("gpu01", "cat /proc/sys/kernel/random/boot_id") == before


def test_a_frozen_host_can_lose_its_power(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "frozen")
    bare_lab.fault("gpu01", "power-loss")
    assert status(bare_lab, "gpu01") == (False, False, ("power-loss",))
    bare_lab.heal("gpu01")
    assert shell("gpu01", "hostname") == "gpu01"


def test_sshd_hung(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "sshd-hung")
    address = bare_lab.state.host("gpu01").address
    assert not answers(address)
    with socket.create_connection((address, 22), timeout=2):
        pass  # the kernel still takes connections: a port check would call this host well
    bare_lab.heal("gpu01")
    assert shell("gpu01", "hostname") == "gpu01"


def test_disk_full(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "disk-full")
    full = shell.run("gpu01", "dd if=/dev/zero of=/root/block bs=4k count=1")
    assert "No space left on device" in full.stderr
    shell("gpu02", "dd if=/dev/zero of=/root/block bs=4k count=1 && rm /root/block")
    bare_lab.heal("gpu01")
    shell("gpu01", "dd if=/dev/zero of=/root/block bs=4k count=1 && rm /root/block")


def test_device_lost(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "device-lost", device=2)
    lost = shell.run("gpu01", f"{QUERY}index")
    assert lost.returncode == 15
    assert "GPU is lost" in lost.stdout
    assert shell("gpu01", "lspci -n").count("10de") == 3
    assert "Xid (PCI:0000:3a:00): 79" in shell("gpu01", "dmesg")
    assert shell("gpu02", f"{QUERY}index").split() == ["0", "1", "2", "3"]
    bare_lab.heal("gpu01")
    assert shell("gpu01", f"{QUERY}index").split() == ["0", "1", "2", "3"]
    assert shell("gpu01", "lspci -n").count("10de") == 4


def test_uncorrected_ecc(bare_lab: Lab, shell: Shell) -> None:
    field = f"{QUERY}ecc.errors.uncorrected.volatile.total"
    bare_lab.fault("gpu01", "ecc-uncorrected", device=1, value="3")
    assert shell("gpu01", field).split() == ["0", "3", "0", "0"]
    rows = "nvidia-smi --query-remapped-rows=remapped_rows.pending --format=csv,noheader"
    assert shell("gpu01", rows).split() == ["0", "1", "0", "0"]
    bare_lab.heal("gpu01")
    assert shell("gpu01", field).split() == ["0"] * 4


def test_an_xid_is_seen_on_its_host_only(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "xid", device=1, value="31")
    line = shell("gpu01", "dmesg | grep Xid | tail -n 1")
    assert "NVRM: Xid (PCI:0000:2a:00): 31," in line
    assert "Xid" in shell("gpu01", "cat /dev/kmsg")
    for other in ("gpu02", "head"):
        assert ": 31," not in shell(other, "dmesg; cat /dev/kmsg")
    machine = subprocess.run(["dmesg"], capture_output=True, text=True, check=False)
    assert line.partition("] ")[2] not in machine.stdout
    bare_lab.heal("gpu01")


def test_thermal_throttle(bare_lab: Lab, shell: Shell) -> None:
    fields = f"{QUERY}temperature.gpu,clocks_throttle_reasons.hw_thermal_slowdown"
    bare_lab.fault("gpu01", "thermal-throttle", value="95")
    assert shell("gpu01", fields).splitlines()[0] == "95, Active"
    bare_lab.heal("gpu01")
    assert shell("gpu01", fields).splitlines()[0] == "29, Not Active"


def test_the_tool_hangs_or_is_slow(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "tool-hang")
    assert shell("gpu01", "sh -c 'timeout -k 1 1 nvidia-smi -L; echo $?'") == "137"  # TERM is not enough
    bare_lab.heal("gpu01")
    bare_lab.fault("gpu01", "tool-hang", value="1")
    started = time.monotonic()
    shell("gpu01", "nvidia-smi -L")
    assert time.monotonic() - started >= 1
    bare_lab.heal("gpu01")


def test_skews_are_told_and_marked(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "driver-skew", value="535.104.05")
    bare_lab.fault("gpu01", "firmware-skew", value="96.00.01.00.01")
    bare_lab.fault("gpu01", "kernel-skew", value="6.1.0-9-amd64")
    disks = "lsblk --json --bytes --output NAME,TYPE,SIZE"
    bare_lab.fault("gpu01", "disk-skew", value="7")
    assert {"name": "sdlab", "type": "disk", "size": 7 << 30} in json.loads(shell("gpu01", disks))["blockdevices"]
    fields = f"{QUERY}driver_version,vbios_version"
    assert shell("gpu01", fields).splitlines()[0] == "535.104.05, 96.00.01.00.01"
    assert shell("gpu01", "uname -r") == "6.1.0-9-amd64"
    assert '"kernel"' in shell("gpu01", "cat /etc/aiops-lab.json")
    bare_lab.heal("gpu01")
    assert shell("gpu01", fields).splitlines()[0].startswith(f"{DRIVER}, 96.00.89")
    assert shell("gpu01", "uname -r") == shell("gpu02", "uname -r")
    assert "sdlab" not in shell("gpu01", disks)
    assert '"kernel"' not in shell("gpu01", "cat /etc/aiops-lab.json")


def test_clock_skew(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "clock-skew", value="-3600")
    ahead = float(shell("gpu01", "python3 -c 'import time; print(time.time())'")) - time.time()
    assert -3605 < ahead < -3595
    assert abs(int(shell("gpu02", "date +%s")) - time.time()) < 5
    assert '"clock"' in shell("gpu01", "cat /etc/aiops-lab.json")
    bare_lab.heal("gpu01")
    assert abs(int(shell("gpu01", "date +%s")) - time.time()) < 5
    assert '"clock"' not in shell("gpu01", "cat /etc/aiops-lab.json")


def test_a_skewed_host_reboots_with_the_right_time(bare_lab: Lab, shell: Shell) -> None:
    bare_lab.fault("gpu01", "clock-skew", value="7200")
    bare_lab.fault("gpu01", "reboot")
    assert abs(int(shell("gpu01", "date +%s")) - time.time()) < 5
    assert status(bare_lab, "gpu01")[2] == ()


def test_every_kind_is_tested_here() -> None:
    tested = Path(__file__).read_text("utf-8")
    assert [kind.name for kind in kinds() if f'"{kind.name}"' not in tested] == []


@pytest.mark.parametrize(
    ("kind", "value", "family", "code"),
    [
        ("no-such-fault", None, InputError, "lab.unknown_fault"),
        ("network-slow", "fast", InputError, "lab.fault_value"),
        ("clock-skew", "noon", InputError, "lab.fault_value"),
        ("kernel-skew", "6.1/../x", InputError, "lab.fault_value"),
        ("disk-skew", "much", InputError, "lab.fault_value"),
        ("xid", "-1", InputError, "lab.fault_value"),
    ],
)
def test_wrong_faults_change_nothing(
    bare_lab: Lab, kind: str, value: str | None, family: type[Exception], code: str
) -> None:
    with pytest.raises(family) as refused:
        bare_lab.fault("gpu01", kind, value=value)
    assert getattr(refused.value, "code", None) == code
    assert status(bare_lab, "gpu01") == (True, True, ())


def test_faults_of_what_is_not_there(bare_lab: Lab) -> None:
    with pytest.raises(NotFoundError):
        bare_lab.fault("gpu99", "frozen")
    with pytest.raises(NotFoundError):
        bare_lab.fault("gpu01", "device-lost", device=9)
    with pytest.raises(InputError):
        bare_lab.fault("head", "xid")
    with pytest.raises(NotFoundError):
        bare_lab.heal("gpu01", "frozen")
