"""Traits read from what nodes really say, and from garbage."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.disk_layout import disks, spell
from aiops.layers.l1_cluster.privilege import ACCOUNTS, SUDOERS
from aiops.layers.l1_cluster.trait import Trait
from aiops.layers.l1_cluster.trait_reading import (
    BOARD,
    CHIPS,
    CPU,
    DISKS,
    OFED,
    PACKAGES,
    TIME,
    TRAIT_ASKS,
    TRAITS,
    traits_of,
)

AT = datetime(2026, 11, 22, tzinfo=UTC)
GPU = Accelerator("nvidia", model="NVIDIA H100 80GB HBM3", driver="580.95.05", firmware="96.00.89.00.01")
FACTS = Facts(
    "gpu01",
    AT,
    os_id="ubuntu",
    os_version="24.04",
    os_name="Ubuntu 24.04.1 LTS",
    kernel="6.8.0-88-generic",
    architecture="x86_64",
    sockets=2,
    cpu_model="INTEL(R) XEON(R) PLATINUM 8558",
    accelerators=(GPU,) * 8,
)
NVME = "SAMSUNG MZQL23T8HCLS-00A07"
LSBLK = {
    "blockdevices": [
        {
            "name": "loop0",
            "maj:min": "7:0",
            "type": "loop",
            "size": 66,
            "fstype": "squashfs",
            "rm": False,
            "model": None,
        },
        {
            "name": "sr0",
            "maj:min": "11:0",
            "type": "rom",
            "size": 1073741312,
            "fstype": None,
            "rm": True,
            "model": "CD",
        },
        {
            "name": "sda",
            "maj:min": "8:0",
            "type": "disk",
            "size": 0,
            "fstype": None,
            "rm": True,
            "model": "Virtual_Disk",
        },
        {
            "name": "nvme1n1",
            "maj:min": "259:0",
            "type": "disk",
            "size": 479559942144,
            "fstype": None,
            "rm": False,
            "model": "MICRON 7450",
            "children": [
                *({"name": "nvme1n1p1", "maj:min": "259:1", "type": "part", "size": 1127219200, "fstype": "vfat"},),
                *({"name": "nvme1n1p2", "maj:min": "259:2", "type": "part", "size": 478430625792, "fstype": "ext4"},),
            ],
        },
        *(
            {
                "name": name,
                "maj:min": number,
                "type": "disk",
                "size": 3840755982336,
                "rm": False,
                "model": NVME,
                "fstype": "linux_raid_member",
                "children": [{"name": "md0", "maj:min": "9:0", "type": "raid0", "size": 7681, "fstype": "xfs"}],
            }
            for name, number in (("nvme0n1", "259:3"), ("nvme2n1", "259:4"))
        ),
    ]
}
MOUNTS = """\
29 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme1n1p2 rw
60 29 259:1 / /boot/efi rw - vfat /dev/nvme1n1p1 rw
90 29 9:0 / /scratch rw - xfs /dev/md0 rw
91 29 259:2 /var/lib/kubelet/x /run/bind rw - ext4 /dev/nvme1n1p2 rw
92 29 9:0 / /bound/again rw - xfs /dev/md0 rw
"""
GROUPS = "root:x:0:\nsudo:x:27:ann,bob\ndocker:x:999:carl\n"
PASSWD = "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nann:x:1000:27::/home/ann:/bin/bash\n"
WHOLE = {
    CPU: Answer(CPU, files={"/proc/cpuinfo": "model name\t: XEON\nmicrocode\t: 0x21000283\n"}),
    BOARD: Answer(
        BOARD,
        files={
            "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
            "/sys/class/dmi/id/product_name": "PowerEdge XE9680\n",
            "/sys/class/dmi/id/bios_version": "2.1.5\n",
            "/sys/class/dmi/id/bios_date": "05/22/2025\n",
        },
    ),
    CHIPS: Answer(
        CHIPS,
        files={
            "/sys/class/infiniband/mlx5_0/board_id": "MT_0000000838\n",
            "/sys/class/infiniband/mlx5_0/fw_ver": "28.39.2048\n",
            "/sys/class/infiniband/mlx5_1/board_id": "MT_0000000838\n",
            "/sys/class/infiniband/mlx5_1/fw_ver": "28.39.1002\n",
            "/sys/class/nvme/nvme0/model": f"{NVME}   \n",
            "/sys/class/nvme/nvme0/firmware_rev": "GDC5602Q\n",
            "/sys/bus/platform/devices/ipmi_bmc.0/firmware_revision": "7.10\n",
        },
        missing={"/sys/class/infiniband/x": "nothing matches"},
    ),
    OFED: Answer(OFED, 0, "MLNX_OFED_LINUX-24.10-1.1.4.0:\n"),
    DISKS: Answer(DISKS, 0, json.dumps(LSBLK), files={"/proc/self/mountinfo": MOUNTS}),
    PACKAGES: Answer(
        PACKAGES, 0, "jq\t1.7.1\tii \nlibc6:amd64\t2.39\thi \ngone\t1\trc \nold\t\tun \nhalf\t2\tiF \ntorn\t3\tiU \n"
    ),
    SUDOERS: Answer(
        SUDOERS,
        0,
        "".join(f"{letter * 64}  /etc/{path}\n" for letter, path in (("a", "sudoers"), ("b", "sudoers.d/90-bob")))
        + f"{'c' * 64}  /etc/sudoers.d/90-bob.dpkg-old\n{'d' * 64}  /etc/sudoers.d/x~\n",
    ),
    ACCOUNTS: Answer(ACCOUNTS, 2, GROUPS, files={"/etc/passwd": PASSWD}),
    TIME: Answer(TIME, 0, "^,*,10.0.0.1,10,6,377,5,-0.1,-0.1,0.1\n#,?,PPS0,0,4,0,0,0,0,0\n"),
}


def read(answers: dict[str, Answer] | None = None, facts: Facts = FACTS) -> dict[str, Trait]:
    return traits_of(Record("gpu01", AT, {**WHOLE, **(answers or {})}), facts)


def test_every_trait_of_a_real_machine() -> None:
    found = read()
    assert tuple(found) == TRAITS
    assert {name: trait.unknown for name, trait in found.items() if trait.unknown} == {}
    plain = {name: trait.items[""] for name, trait in found.items() if "" in trait.items}
    assert plain == {
        "system": "Ubuntu 24.04.1 LTS",
        "kernel": "6.8.0-88-generic",
        "machine": "Dell Inc. PowerEdge XE9680",
        "BIOS": "2.1.5 of 05/22/2025",
        "processor": "2 × INTEL(R) XEON(R) PLATINUM 8558",
        "microcode": "0x21000283",
        "accelerators": "8 × NVIDIA H100 80GB HBM3",
        "OFED": "MLNX_OFED_LINUX-24.10-1.1.4.0",
    }
    assert found["driver"].items == {"nvidia": "580.95.05"}
    assert found["firmware"].items == {
        "NVIDIA H100 80GB HBM3": "96.00.89.00.01",
        "MT_0000000838": "1 × 28.39.1002, 1 × 28.39.2048",
        NVME: "GDC5602Q",
        "BMC": "7.10",
    }
    assert found["packages"].items == {
        "jq": "1.7.1",
        "libc6:amd64": "2.39",
        "half": "2 half installed",
        "torn": "3 half installed",
    }
    assert found["sudoers"].items == {
        "/etc/sudoers": f"sha256 {'a' * 12}",
        "/etc/sudoers.d/90-bob": f"sha256 {'b' * 12}",
    }
    assert set(found["privileged users"].items) == {
        *("root with uid 0", "toor with uid 0", "toor in root"),
        *("ann in sudo", "bob in sudo", "carl in docker"),
    }
    assert found["time sources"].items == {"10.0.0.1": "", "PPS0": "as clock"}


def test_a_disk_is_told_by_what_it_is_and_not_by_its_name() -> None:
    raid = f"3.49 TiB {NVME}: linux_raid_member, 7.5 KiB raid0 xfs on /scratch"
    whole = "447 GiB MICRON 7450: 1.05 GiB vfat on /boot/efi, 446 GiB ext4 on /"
    assert disks(json.dumps(LSBLK), MOUNTS) == sorted([raid, raid, whole])
    assert read()["disk layout"].items == {raid: "× 2", whole: ""}
    renamed = json.dumps(LSBLK).replace("nvme1n1", "nvme9n9").replace("loop0", "loop77")
    assert disks(renamed, MOUNTS) == disks(json.dumps(LSBLK), MOUNTS)


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1020 B"), (1 << 30, "1 GiB"), (1788 << 30, "1.75 TiB")])
def test_sizes(size: int, text: str) -> None:
    assert spell(size) == text


def test_what_is_not_there_is_a_value() -> None:
    gone = "No such file or directory"
    found = read(
        {
            BOARD: Answer(BOARD, missing=dict.fromkeys(TRAIT_ASKS[0].paths, gone)),
            CHIPS: Answer(CHIPS, missing=dict.fromkeys(TRAIT_ASKS[1].paths, "nothing matches")),
            OFED: Answer(OFED, missing={"argv": "ofed_info: not found"}),
            TIME: Answer(TIME, 1, "506 Cannot talk to daemon\n"),
            SUDOERS: Answer(SUDOERS, 1, stderr=f"find: '/etc/sudoers': {gone}\n"),
            CPU: Answer(CPU, files={"/proc/cpuinfo": "model name: ARM\n"}),
        },
        replace(FACTS, accelerators=()),
    )
    assert not {name for name, trait in found.items() if trait.unknown}
    assert found["machine"].items[""] == "does not tell its maker"
    assert found["OFED"].items[""] == "not installed"
    assert found["accelerators"].items[""] == "none"
    assert found["time sources"] == Trait("time sources", whole=True)
    assert found["sudoers"] == Trait("sudoers", whole=True)
    assert not {"BIOS", "driver", "firmware", "microcode"} & set(found)


def test_what_could_not_be_read_is_unknown() -> None:
    broken = {
        BOARD: Answer(BOARD, missing=dict.fromkeys(TRAIT_ASKS[0].paths, "Permission denied")),
        CHIPS: Answer(CHIPS, missing={"/sys/class/nvme/nvme0/firmware_rev": "Input/output error"}),
        OFED: Answer(OFED, timed_out=True, seconds=10.0),
        DISKS: Answer(DISKS, 0, "{"),
        PACKAGES: Answer(PACKAGES, 0, "", truncated=True),
        SUDOERS: Answer(SUDOERS, 1, stderr="find: '/etc/sudoers.d': Permission denied\n"),
        ACCOUNTS: Answer(ACCOUNTS, 1, stderr="getent: no\n", files={"/etc/passwd": PASSWD}),
        TIME: Answer(TIME, 1, stderr="Invalid option -- N\n"),
    }
    facts = Facts("gpu01", AT, unknown={"kernel": "no answer"})
    found = read(broken, facts)
    assert all(trait.unknown and not trait.items for name, trait in found.items() if name != "microcode")
    assert set(TRAITS) - set(found) == {"driver"}
    assert found["kernel"].unknown == "no answer"


@given(st.dictionaries(st.sampled_from([ask.name for ask in TRAIT_ASKS]), st.text(max_size=60)), st.integers(0, 3))
def test_garbage_is_never_a_traceback(said: dict[str, str], status: int) -> None:
    answers = {
        name: Answer(name, status, text, text, dict.fromkeys(("/etc/passwd", "/proc/self/mountinfo"), text))
        for name, text in said.items()
    }
    for trait in read(answers).values():
        assert trait.unknown is None or not trait.items
