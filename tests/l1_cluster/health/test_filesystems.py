"""Reading mounts and file systems; and all that is well, however strange it looks."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.l1_cluster.health.case import AT, Case, read, subject
from tests.l1_cluster.health.cases.filesystems import (
    FSTAB_TEXT,
    GIB,
    TABLE,
    UNIT,
    UNIT_TEXT,
    table,
    units,
    without,
)

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health import filesystems, mounts
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.mount_question import MOST, MOUNTINFO, MOUNTS
from aiops.layers.l1_cluster.health.mount_table import (
    FstabEntry,
    Reply,
    by_device,
    read_asked,
    read_fstab,
    read_links,
    read_mounts,
    read_replies,
)
from aiops.layers.l1_cluster.health.mounts import UNITS, read_units
from aiops.layers.l1_cluster.health.rules import Rules

CHECKS = (*filesystems.CHECKS, *mounts.CHECKS)


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {answer.name: answer})


def judged(
    *answers: Answer,
    facts: Callable[[Facts], Facts] = lambda facts: facts,
    groups: tuple[str, ...] = ("workers",),
    **variables: object,
) -> list[tuple[str, str, str]]:
    """Check, thing and verdict of all findings on a node with these answers."""
    case = Case(
        "",
        "",
        "unknown",
        "none",
        answers={answer.name: answer for answer in answers},
        facts=facts,
        groups=groups,
        variables=variables,
    )
    found = examine([subject(case)], CHECKS, Rules()).findings
    return [(one.check, one.about, one.verdict) for one in found]


def in_a_container(facts: Facts) -> Facts:
    return replace(facts, container=True, virtualization="systemd-nspawn")


def test_mounts_are_read_whatever_their_names_hold() -> None:
    found = {one.path: one for one in read_mounts(record(table()))}
    assert found["/models and data"].kind == "fuse.juicefs"
    assert found["/models and data"].own == ("rw", "user_id=0", "group_id=0")
    assert found["/var/lib/containers"].root == "/containers"
    line = r"90 1 0:9 / /a\134b\011c\012d\043e rw master:1 propagate_from:2 - nfs4 [fe80::1]:/x\040y rw" + "\n"
    [odd] = read_mounts(record(table(mountinfo=line)))
    assert (odd.path, odd.source) == ("/a\\b\tc\nd#e", "[fe80::1]:/x y")


@pytest.mark.parametrize("line", ["", "hello", "1 2 8:1 / / rw ext4 /dev/sda rw", "x 2 8:1 / / rw - ext4 /dev/sda rw"])
def test_a_table_that_is_none(line: str) -> None:
    with pytest.raises(UnreadableError):
        read_mounts(record(table(mountinfo=f"{line}\n")))


def test_a_table_that_was_cut() -> None:
    with pytest.raises(UnreadableError, match="cut at its size limit"):
        read_mounts(record(replace(table(), truncated=True)))


def test_replies_are_read() -> None:
    found = read_replies(record(table({70: "! 70 Stale file handle", 71: "? 71 earlier", 72: "? 72 now"})))
    assert found["0:52"] == Reply(failure="Stale file handle")
    assert found["0:53"] == Reply(silent=True, earlier=True)
    assert found["0:54"] == Reply(silent=True)
    assert found["259:1"] == Reply(130812 * 4096, 129000 * 4096, 129000 * 4096)


@pytest.mark.parametrize(
    "line", ["= 29 4096 1 1 1 1", "= 29 a b c d e f", "? 29 maybe", "hello", "! x y", "! 29 ", "! 29", ""]
)
def test_a_reply_that_is_none(line: str) -> None:
    broken = record(replace(table(), stdout=f"{line}\n. 1\n"))
    here = replace(subject(), record=broken)
    with pytest.raises(UnreadableError):
        here.read(read_replies)


def test_a_file_system_that_is_told_of_nowhere_is_not_taken_for_well() -> None:
    lost = "".join(line for line in table().stdout.splitlines(keepends=True) if not line.startswith("= 70 "))
    with pytest.raises(UnreadableError, match="6 of 7 file systems"):
        read_replies(record(replace(table(), stdout=lost)))


def test_what_was_mounted_meanwhile_is_left_alone() -> None:
    assert read_replies(record(replace(table(), stdout="= 999 4096 1 1 1 1 1\n. 1\n"))) == {}


def test_each_file_system_is_called_by_its_whole() -> None:
    lines = ("5 1 8:1 /part /first rw - ext4 /dev/sda1 rw", "6 1 8:1 / /whole rw - ext4 /dev/sda1 rw")
    found = by_device(read_mounts(record(table(mountinfo="".join(f"{line}\n" for line in lines)))))
    assert found["8:1"].path == "/whole"
    again = (*lines, "7 1 8:1 / /again rw - ext4 /dev/sda1 rw", "8 1 8:1 /x / rw - ext4 /dev/sda1 rw")
    found = by_device(read_mounts(record(table(mountinfo="".join(f"{line}\n" for line in again)))))
    assert found["8:1"].path == "/whole"
    parts = ("5 1 0:9 /@ / rw - btrfs /dev/sda1 rw", "6 1 0:9 / /mnt/top rw - btrfs /dev/sda1 rw")
    found = by_device(read_mounts(record(table(mountinfo="".join(f"{line}\n" for line in parts)))))
    assert found["0:9"].path == "/", "the parts of btrfs are wholes of their own"


def test_links_are_read() -> None:
    assert read_links(record(table(more="> /a\\040link /data\n"))) == {"/a link": "/data"}


def test_fstab_is_read() -> None:
    found = read_fstab(record(table(fstab="# x\n\n/dev/sda1\t/\text4\nUUID=1 /a\\040b xfs ro,nofail 0 2\n")))
    assert found == (
        FstabEntry("/dev/sda1", "/", "ext4", ("defaults",)),
        FstabEntry("UUID=1", "/a b", "xfs", ("ro", "nofail")),
    )
    assert read_fstab(record(table(fstab=None))) == ()
    with pytest.raises(UnreadableError, match="Permission denied"):
        read_fstab(record(read(MOUNTS, {MOUNTINFO: TABLE}, **{"/etc/fstab": "Permission denied"})))


def test_units_are_read() -> None:
    conditional = UNIT_TEXT.replace("[Mount]", "ConditionPathExists=/x\n[Mount]")
    files = {
        UNIT: UNIT_TEXT,
        "/etc/systemd/system/a.wants/b.mount": UNIT_TEXT.replace("Where=/shared", "Where = /odd%%name/"),
        "/etc/systemd/system/a.wants/c.mount": conditional,
        "/etc/systemd/system/a.wants/d.mount": UNIT_TEXT.replace("Type=nfs", "Type=squashfs"),
        "/etc/systemd/system/a.wants/e.mount": UNIT_TEXT.replace("Where=/shared", "Where=%h/x"),
    }
    assert sorted(one.path for one in read_units(record(units(files)))) == ["/odd%name", "/shared"]
    with pytest.raises(UnreadableError, match=r"x\.mount does not say where"):
        read_units(record(units({"/x.mount": "Where=relative\n"})))


def test_a_unit_whose_link_dangles_is_none() -> None:
    assert read_units(record(read(UNITS, {}, **{UNIT: "No such file or directory"}))) == ()
    with pytest.raises(UnreadableError, match="Permission denied"):
        read_units(record(read(UNITS, {}, **{UNIT: "Permission denied"})))


def test_a_large_disk_with_plenty_free_is_well() -> None:
    full = f"= 62 4096 {28_000 * GIB} {110 * GIB} {110 * GIB} 0 0"
    assert judged(table({62: full})) == []
    assert judged(table({62: full.replace(str(110 * GIB), str(99 * GIB))})) == [("disk.used", "/scratch", "warn")]
    assert judged(table({62: full.replace(str(110 * GIB), str(49 * GIB))})) == [("disk.used", "/scratch", "critical")]


@pytest.mark.parametrize(
    ("taken", "available", "verdict"),
    [(80, 20, "warn"), (79, 21, None), (90, 10, "critical"), (89, 11, "warn"), (1000, 100, None), (1000, 50, "warn")],
)
def test_the_limits_of_room(taken: int, available: int, verdict: str | None) -> None:
    reply = f"= 61 4096 {(taken + available) * GIB} {available * GIB} {available * GIB} 0 0"
    assert [one[2] for one in judged(table({61: reply}))] == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("total", "left", "verdict"),
    [
        (1_000_000, 200_000, "warn"),
        (1_000_000, 200_001, None),
        (999_999, 99_999, "critical"),
        (1_000_000, 100_000, "warn"),
        (100_000_000, 1_000_000, None),
    ],
)
def test_the_limits_of_inodes(total: int, left: int, verdict: str | None) -> None:
    reply = f"= 61 4096 {440 * GIB} {300 * GIB} {300 * GIB} {total} {left}"
    assert [one[2] for one in judged(table({61: reply}))] == ([verdict] if verdict else [])


def test_a_file_system_without_a_size_is_neither_full_nor_empty() -> None:
    assert judged(table({61: "= 61 4096 0 0 0 0 0"})) == []


def test_what_a_silent_disk_says_of_its_room() -> None:
    case = Case("", "", "unknown", "none", answers={MOUNTS: table({61: "? 61 now"})})
    words = {one.check: one.message for one in examine([subject(case)], CHECKS, Rules()).findings}
    assert words["disk.used"] == words["disk.inodes"] == "it does not say: no answer to statfs"


def test_a_part_of_a_file_system_stands_for_the_whole_where_nothing_else_does() -> None:
    """An image-based system mounts folders of its disk alone; a container's are the machine's, but for btrfs."""
    mountinfo = (
        "10 1 8:1 /ostree/deploy/x / rw - xfs /dev/sda1 rw\n"
        "11 10 8:2 /var /var rw - ext4 /dev/sda2 rw\n"
        "12 10 0:40 /@data /data rw - btrfs /dev/sda3 rw\n"
    )
    full = {number: f"= {number} 4096 {440 * GIB} 0 0 0 0" for number in (10, 11, 12)}
    answers = table(full, mountinfo, None), units({})
    assert [one[1] for one in judged(*answers)] == ["/", "/data", "/var"]
    assert [one[1] for one in judged(*answers, facts=in_a_container)] == ["/", "/data"]


def test_a_site_may_draw_the_line_elsewhere() -> None:
    case = Case(
        "", "", "unknown", "none", answers={MOUNTS: table({61: f"= 61 4096 {440 * GIB} {80 * GIB} {80 * GIB} 0 0"})}
    )
    rules = Rules(thresholds={"disk.used": {"warn": 95, "critical": 98}})
    assert [one.check for one in examine([subject(case)], CHECKS, Rules()).findings] == ["disk.used"]
    assert examine([subject(case)], CHECKS, rules).findings == ()


def test_boot_is_full_of_kernels_and_no_reason_to_leave() -> None:
    boot = TABLE + "80 29 8:9 / /boot rw - ext4 /dev/sda2 rw\n"
    answer = replace(table(mountinfo=boot), stdout=table().stdout.replace(". 7", "{}. 8"))
    for free, expected in ((15_000, []), (5_000, [("disk.used", "/boot", "warn")])):
        reply = f"= 80 4096 100000 {free} {free} 65536 65000\n"
        assert judged(replace(answer, stdout=answer.stdout.replace("{}", reply))) == expected


@pytest.mark.parametrize(
    "line",
    [
        "80 29 8:9 / /images ro,relatime - ext4 /dev/loop1 ro",
        "80 29 8:9 / /cdrom ro - iso9660 /dev/sr0 ro",
        "80 29 0:90 / /dev/shm2 rw - tmpfs tmpfs rw",
        "80 29 0:91 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw",
        "80 29 8:9 / /boot/efi2 rw - vfat /dev/sda1 rw",
        "80 29 0:92 / /lustre rw - lustre 10.0.0.9@o2ib:/l rw",
    ],
)
def test_what_is_full_by_nature_is_well(line: str) -> None:
    """Images, memory, containers' layers, and what somebody else keeps."""
    answer = table({80: "= 80 4096 1000 0 0 1000 0"}, mountinfo=TABLE + line + "\n")
    assert judged(answer) == []


def test_inodes_that_are_made_at_need_are_never_scarce() -> None:
    assert judged(table({62: f"= 62 4096 {28_000 * GIB} {2_200 * GIB} {2_200 * GIB} 1000 1"})) == []


def test_the_root_of_a_container_is_judged_and_the_machine_s_folders_are_not() -> None:
    table_ = (
        "10 1 0:70 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
        "11 10 8:1 /srv/shared /shared rw - ext4 /dev/sda1 rw\n"
        "12 10 8:2 / /own rw - ext4 /dev/sda2 rw\n"
    )
    full = {number: f"= {number} 4096 {440 * GIB} 0 0 1000000 900000" for number in (10, 11, 12)}
    answer = table(full, table_, "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n")
    found = judged(answer, units({}), facts=in_a_container)
    assert found == [("disk.used", "/", "critical"), ("disk.used", "/own", "critical")]


def test_a_root_that_the_boot_left_read_only() -> None:
    mounted = TABLE.replace("/ / rw", "/ / ro").replace("rw,errors=remount-ro", "ro,errors=remount-ro")
    assert judged(table(mountinfo=mounted)) == [("disk.readonly", "/", "critical")]


@pytest.mark.parametrize("options", ["ro", "ro=fs", "noatime,ro=recursive", "noauto"])
def test_fstab_may_want_it_read_only(options: str) -> None:
    mounted = TABLE.replace("/ /var rw", "/ /var ro").replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 ro")
    assert judged(table(mountinfo=mounted, fstab=FSTAB_TEXT.replace("defaults", options))) == []


def test_fstab_may_want_the_file_system_read_only_and_not_the_mount() -> None:
    mounted = TABLE.replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 ro")
    assert judged(table(mountinfo=mounted, fstab=FSTAB_TEXT.replace("defaults", "ro=fs"))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("upperdir=/u,workdir=/w", "x"),  # layers that nobody writes to
        ("overlay overlay rw", "overlay overlay ro"),
        ("nfs4 10.0.0.1:/export/shared rw", "nfs4 10.0.0.1:/export/shared ro"),
        ("/ /scratch rw,noatime", "/ /scratch ro,noatime"),  # a bind that is read-only on purpose
        ("- xfs /dev/md0 rw,", "- zfs tank ro,"),  # a property of ZFS
    ],
)
def test_what_is_read_only_on_purpose_is_well(old: str, new: str) -> None:
    assert judged(table(mountinfo=TABLE.replace(old, new))) == []


def test_what_fstab_wants_read_only_is_well() -> None:
    mounted = TABLE.replace("/ /var rw", "/ /var ro").replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 ro")
    assert judged(table(mountinfo=mounted)) == [("disk.readonly", "/var", "critical")]
    assert judged(table(mountinfo=mounted, fstab=FSTAB_TEXT.replace("defaults", "noexec,ro"))) == []
    assert judged(table(mountinfo=mounted, fstab=None)) == []
    assert judged(table(mountinfo=mounted), facts=in_a_container) == []


@pytest.mark.parametrize(
    "line",
    [
        "server:/x /net/x nfs noauto 0 0",
        "tmpfs /tmp2 tmpfs defaults 0 0",
        "/dev/sdb1 none swap sw 0 0",
        "/dev/sdb1 none ext4 defaults 0 0",
        "server:/x /auto nfs x-systemd.automount 0 0",
        "/dev/sdb1 /a\\040link/ ext4 defaults 0 0",
    ],
)
def test_what_need_not_be_mounted_is_not_missed(line: str) -> None:
    there = TABLE + "80 29 0:90 / /auto rw - autofs systemd-1 rw,fd=55\n81 29 8:9 / /real rw - ext4 /dev/sdb1 rw\n"
    answer = table(mountinfo=there, fstab=f"{line}\n", more="> /a\\040link /real\n")
    assert judged(answer) == []


def test_disks_are_not_missed_in_a_container() -> None:
    assert judged(table(fstab="/dev/sdb1 /data ext4 defaults 0 0\n")) == [("mount.present", "/data", "critical")]
    assert judged(table(fstab="/dev/sdb1 /data ext4 defaults 0 0\n"), facts=in_a_container) == []
    assert judged(table(fstab="/dev/sdb1 /data ext4 nofail 0 0\n")) == [("mount.present", "/data", "warn")]
    assert judged(table(fstab="s:/data /data nfs nofail 0 0\n")) == [("mount.present", "/data", "critical")]
    assert judged(table(fstab="s:/data /data nfs rw 0 0\n"), facts=in_a_container) == [
        ("mount.present", "/data", "critical")
    ]
    assert judged(table(fstab="LABEL=boot /boot ext4 defaults 0 0\n")) == [("mount.present", "/boot", "warn")]


@pytest.mark.parametrize(
    ("kind", "source", "groups", "missed"),
    [
        ("nfs", "10.0.0.1:/data", ("workers",), True),
        ("bind", "/lustre/data", ("workers",), True),
        ("bind", "/data", ("workers",), False),
        ("nfs-export", "/data", ("workers",), True),
        ("nfs-export", "/data", ("storage",), False),
        ("nfs-export", "/export/data", ("head",), True),
    ],
)
def test_the_shared_directory(kind: str, source: str, groups: tuple[str, ...], missed: bool) -> None:
    found = judged(groups=groups, aiops_shared={"path": "/data", "source": source, "type": kind})
    assert found == ([("mount.present", "/data", "critical")] if missed else [])


@pytest.mark.parametrize(
    "failure", ["Permission denied", "Operation not permitted", "Function not implemented", "No such file or directory"]
)
def test_who_refuses_lives(failure: str) -> None:
    assert judged(table({70: f"! 70 {failure}"})) == []


def test_each_dead_mount_is_told_once() -> None:
    dead = {70: "! 70 Quota exceeded", 71: "! 71 Input/output error", 72: "? 72 now"}
    assert judged(table(dead)) == [
        ("mount.statfs", "/home/alice/laptop", "warn"),
        ("mount.statfs", "/models and data", "critical"),
        ("mount.statfs", "/shared", "unknown"),
    ]


@pytest.mark.parametrize("failure", ["Host is down", "Connection timed out", "No route to host"])
def test_a_server_out_of_reach_is_the_fabric_s(failure: str) -> None:
    case = Case("", "", "unknown", "none", answers={MOUNTS: table({70: f"! 70 {failure}"})})
    [finding] = examine([subject(case)], CHECKS, Rules()).findings
    assert (finding.verdict, finding.owner, finding.action) == ("critical", "fabric", "none")


def test_a_node_without_servers_has_nothing_to_judge() -> None:
    table_ = "".join(f"{line}\n" for line in TABLE.splitlines() if "nfs4" not in line and "fuse" not in line)
    case = Case("", "", "unknown", "none", answers={MOUNTS: table(mountinfo=table_, fstab=""), UNITS: units({})})
    examined = examine([subject(case)], CHECKS, Rules())
    assert examined.findings == ()
    assert "mount.statfs" not in examined.judged["gpu01"]


def test_more_file_systems_than_are_asked_are_not_taken_for_well() -> None:
    more = "".join(f"= {1000 + number} 4096 1 1 1 1 1\n" for number in range(MOST - 7))
    many = replace(table(), stdout=more + table().stdout.replace(". 7", f". {MOST + 3}"))
    assert read_asked(record(many)) == MOST + 3
    assert judged(many) == [("mount.statfs", "", "unknown")]
    assert judged(replace(many, stdout=many.stdout.replace(f". {MOST + 3}", f". {MOST}"))) == []


def test_a_shared_place_is_missed_once() -> None:
    shared = {"path": "/shared", "source": "10.0.0.1:/export/shared", "type": "nfs"}
    found = judged(table(mountinfo=without("/shared")), aiops_shared=shared)
    assert found == [("mount.present", "/shared", "critical")]
