"""A lab's hosts are hosts: each has its own name, address, disk, ids and keys; none has a way out."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aiops.layers.core.errors import ConflictError
from aiops.layers.l0_nodes.lab import Lab, LabSpec
from aiops.layers.l0_nodes.lab.host import answers

from .conftest import MakeLab, Shell, vendors

pytestmark = pytest.mark.lab


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_every_host_is_its_own(bare_lab: Lab, shell: Shell) -> None:
    names = [host.name for host in bare_lab.hosts]
    assert names == ["head", "gpu01", "gpu02"]
    for what in ("cat /etc/machine-id", "cat /proc/sys/kernel/random/boot_id", "cat /etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({shell(name, what) for name in names}) == len(names), what
    assert [shell(name, "hostname") for name in names] == names
    assert [shell(name, "systemctl is-system-running") for name in names] == ["running"] * len(names)
    assert shell("gpu01", "systemd-detect-virt") == "systemd-nspawn"


def test_nothing_is_there_that_a_deploy_should_install(shell: Shell) -> None:
    found = shell("gpu01", "dpkg-query -W -f '${Package}\n'").split()
    assert not [name for name in found if name.startswith(("chrony", "munge", "slurm", "prometheus", "nvidia"))]
    assert {"systemd", "openssh-server", "python3", "sudo"} <= set(found)


def test_the_marker_says_simulated(shell: Shell) -> None:
    assert "accelerators" in json.loads(shell("gpu01", "cat /etc/aiops-lab.json"))["simulated"]
    assert "accelerators" not in json.loads(shell("head", "cat /etc/aiops-lab.json"))["simulated"]


def test_hosts_reach_each_other_and_nothing_else(bare_lab: Lab, shell: Shell) -> None:
    other = bare_lab.state.host("gpu02").address
    shell("gpu01", f"ping -c 1 -W 2 {other}")
    assert shell("gpu01", "ip route show default") == ""
    assert shell.run("gpu01", "ping -c 1 -W 1 8.8.8.8").returncode != 0
    # Also with a route of its own making a host gets no further than the bridge.
    shell("gpu01", f"ip route add default via {bare_lab.state.gateway}")
    try:
        assert shell.run("gpu01", "ping -c 1 -W 1 8.8.8.8").returncode != 0
        line = f"timeout 2 bash -c '</dev/tcp/{bare_lab.state.gateway}/22'"
        assert shell.run("gpu01", line).returncode != 0
    finally:
        shell("gpu01", "ip route delete default")


def test_the_machines_own_settings_cannot_be_changed_from_a_host(shell: Shell) -> None:
    assert shell.run("gpu01", "sysctl -w vm.swappiness=1").returncode != 0
    shell("gpu01", "sysctl -w net.ipv4.ip_forward=1")
    assert Path("/proc/sys/vm/swappiness").read_text().strip() == shell("gpu01", "cat /proc/sys/vm/swappiness")


def test_the_bus_is_the_hosts_own(shell: Shell) -> None:
    assert shell("gpu01", "lspci -n").count("10de:2330") == 4
    assert shell("head", "lspci -n").count("10de") == 0
    assert len(shell("head", "ls /sys/bus/pci/devices").split()) == 2


def test_the_inventory_is_read_by_ansible_and_all_answer(bare_lab: Lab) -> None:
    ansible = shutil.which("ansible", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert ansible
    done = subprocess.run(
        [ansible, "-i", str(bare_lab.inventory_path), "all", "-m", "ping"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 3


def test_a_host_reboots_itself_and_keeps_its_disk(bare_lab: Lab, shell: Shell) -> None:
    before = shell("gpu02", "cat /proc/sys/kernel/random/boot_id; echo kept > /root/kept")
    shell.run("gpu02", "systemctl reboot")
    address = bare_lab.state.host("gpu02").address
    assert until(lambda: answers(address) and shell.run("gpu02", "cat /proc/sys/kernel/random/boot_id").stdout.strip()
                 not in {"", before})  # fmt: skip
    assert shell("gpu02", "cat /root/kept") == "kept"
    assert shell("gpu02", "nvidia-smi -L").count("GPU") == 8  # four lines, each with a UUID


def test_shared_is_shared(bare_lab: Lab, shell: Shell) -> None:
    shell("gpu01", "echo hello > /run/aiops-lab/shared/word")
    assert shell("head", "cat /run/aiops-lab/shared/word; rm /run/aiops-lab/shared/word") == "hello"


def test_a_second_up_of_a_living_lab_is_refused(bare_lab: Lab, lab_home: Path) -> None:
    with pytest.raises(ConflictError) as refused:
        Lab.up(bare_lab.state.spec, home=lab_home, vendors=vendors())
    assert refused.value.code == "lab.exists"
    assert all(host.reachable for host in bare_lab.status())


def test_labs_stand_side_by_side_and_go_apart(bare_lab: Lab, make_lab: MakeLab) -> None:
    other = make_lab(LabSpec("beside", nodes=1, disk_mib=512))
    assert other.state.subnet != bare_lab.state.subnet
    assert all(host.reachable for host in (*other.status(), *bare_lab.status()))
    other.down()
    assert other.remains() == []
    other.down()  # again: nothing to do
    assert all(host.reachable for host in bare_lab.status())


@pytest.mark.parametrize("victim", ["supervisor", "launcher", "both"])
def test_down_leaves_nothing_after_kills(make_lab: MakeLab, victim: str) -> None:
    lab = make_lab(LabSpec(f"kill-{victim}", nodes=1, disk_mib=512))
    group = Path("/proc/self/mountinfo").read_text()
    unified = next(line.split()[4] for line in group.splitlines() if " - cgroup2 " in line)
    killed = 0
    for name in ("supervisor", "launcher") if victim == "both" else (victim,):
        for host in lab.hosts:
            procs = Path(unified, lab.state.cgroup, host.name, name, "cgroup.procs").read_text().split()
            for process in procs:
                os.kill(int(process), signal.SIGKILL)
                killed += 1
    assert killed >= len(lab.hosts)
    lab.down()
    assert lab.remains() == []


KILLED_UP = """
import os, signal, sys
from pathlib import Path
from aiops.layers.l0_nodes.lab import Lab, LabSpec

name, home, left = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

def count(event, _arguments):
    global left
    left -= event in ("subprocess.Popen", "os.mkdir", "os.rename", "open", "os.fork")
    if left < 0:
        left = 1 << 30  # os.kill is an event too
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
Lab.up(LabSpec(name, nodes=2, disk_mib=512), home=home)
"""


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_killed_up_is_cleared_by_down_and_by_the_next_up(lab_home: Path, share: float, effects_of_up: int) -> None:
    name = f"torn-{os.getpid()}"
    words = [sys.executable, "-c", KILLED_UP, name, str(lab_home), str(int(share * effects_of_up))]
    done = subprocess.run(words, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    if share == 0.6:
        lab = Lab.up(LabSpec(name, nodes=1, disk_mib=512), home=lab_home)
        assert all(host.reachable for host in lab.status())
    elif not (lab_home / "labs" / name / "state.json").exists():
        return  # it was killed before it had made anything
    else:
        lab = Lab.open(name, home=lab_home)
    lab.down()
    assert lab.remains() == []


@pytest.fixture(scope="module")
def effects_of_up(lab_home: Path) -> int:
    """How many effects an `up` of the same lab has, so that kills can be spread over all of it."""
    name = f"whole-{os.getpid()}"
    script = KILLED_UP.replace("left < 0", "False") + "print(-left)\nLab.open(name, home=home).down()"
    done = subprocess.run(
        [sys.executable, "-c", script, name, str(lab_home), "0"],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    return int(done.stdout.split()[-1])


def test_a_lab_can_be_held_to_little_memory(make_lab: MakeLab) -> None:
    lab = make_lab(replace(LabSpec("small", nodes=1, disk_mib=512), memory_mib=200))
    assert (lab.memory_mib or 0) <= 200
    lab.down()
