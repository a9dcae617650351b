"""File systems and mounts."""

from collections.abc import Mapping
from dataclasses import replace

from tests.l1_cluster.health.case import Case, hung, read

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.mount_question import FSTAB, MOUNTINFO, MOUNTS
from aiops.layers.l1_cluster.health.mounts import UNITS

GIB = 262_144
"""Blocks of 4 KiB in one GiB."""

TABLE = r"""
22 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 29 0:6 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,size=1056725444k,mode=755
29 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme8n1p2 rw,errors=remount-ro
31 29 0:25 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=211345092k,mode=755
60 29 259:1 / /boot/efi rw,relatime shared:30 - vfat /dev/nvme8n1p1 rw,fmask=0077,dmask=0077,codepage=437
61 29 259:3 / /var rw,relatime shared:31 - ext4 /dev/nvme8n1p3 rw
62 29 9:0 / /scratch rw,noatime shared:32 - xfs /dev/md0 rw,attr2,inode64,logbufs=8,noquota
63 62 9:0 /containers /var/lib/containers rw,noatime shared:32 - xfs /dev/md0 rw,attr2,inode64,logbufs=8,noquota
64 63 0:70 / /var/lib/containers/overlay/x/merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
65 29 7:0 / /snap/core22/1748 ro,nodev,relatime shared:33 - squashfs /dev/loop0 ro,errors=continue
70 29 0:52 / /shared rw,relatime shared:40 - nfs4 10.0.0.1:/export/shared rw,vers=4.2,hard,proto=tcp,addr=10.0.0.1
71 29 0:53 / /models\040and\040data rw,nosuid,nodev shared:41 - fuse.juicefs JuiceFS:models rw,user_id=0,group_id=0
72 29 0:54 / /home/alice/laptop rw,nosuid,nodev shared:42 - fuse.sshfs alice@laptop: rw,user_id=2001,group_id=2001
""".lstrip()

FSTAB_TEXT = r"""
# /etc/fstab: static file system information.
UUID=1b2c3d4e-0000-4000-8000-000000000001 /               ext4    errors=remount-ro 0       1
UUID=1b2c-0001                            /boot/efi       vfat    umask=0077      0       1
UUID=1b2c3d4e-0000-4000-8000-000000000003 /var            ext4    defaults        0       2
/dev/md0                                  /scratch        xfs     noatime,nofail  0       2
JuiceFS:models  /models\040and\040data fuse.juicefs _netdev 0 0
/swapfile       none            swap    sw              0       0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto 0       0
"""

UNIT = "/etc/systemd/system/remote-fs.target.wants/shared.mount"
UNIT_TEXT = """# Written by aiops.
[Unit]
Description=/shared from 10.0.0.1:/export/shared

[Mount]
What=10.0.0.1:/export/shared
Where=/shared
Type=nfs
Options=defaults

[Install]
WantedBy=remote-fs.target
"""

REPLIES: Mapping[int, str] = {
    29: f"= 29 4096 {440 * GIB} {400 * GIB} {378 * GIB} 28835840 28400000",
    60: "= 60 4096 130812 129000 129000 0 0",
    61: f"= 61 4096 {440 * GIB} {300 * GIB} {278 * GIB} 28835840 28400000",
    62: f"= 62 4096 {28_000 * GIB} {2_200 * GIB} {2_200 * GIB} 3006477107 3000000000",
    70: f"= 70 1048576 {100_000_000} 40000000 40000000 0 0",
    71: "= 71 4096 268435456000 268435000000 268435000000 10000000 9990000",
    72: "= 72 4096 1000000 500000 500000 100000 50000",
}


def table(
    replies: Mapping[int, str] | None = None, mountinfo: str = TABLE, fstab: str | None = FSTAB_TEXT, more: str = ""
) -> Answer:
    """The answer with some replies in place of the healthy ones."""
    said = {**REPLIES, **(replies or {})}
    there = {line.partition(" ")[0] for line in mountinfo.splitlines()}
    lines = [line for id_, line in said.items() if str(id_) in there]
    stdout = "".join(f"{line}\n" for line in lines) + more + f". {len(lines)}\n"
    files = {MOUNTINFO: mountinfo} | ({} if fstab is None else {FSTAB: fstab})
    missing = {FSTAB: "No such file or directory"} if fstab is None else {}
    return Answer(MOUNTS, 0, stdout=stdout, files=files, missing=missing)


def without(path: str) -> str:
    """The table of mounts with nothing mounted at `path`."""
    return "".join(f"{line}\n" for line in TABLE.splitlines() if line.split(" ")[4] != path)


def units(files: Mapping[str, str]) -> Answer:
    """The enabled mount units in /etc."""
    requires = "/etc/systemd/system/*.requires/*.mount"
    return read(UNITS, files, **{requires: "nothing matches"})


HEALTHY = {MOUNTS: table(), UNITS: units({UNIT: UNIT_TEXT})}

SHARED = {"aiops_shared": {"path": "/data", "source": "10.0.0.1:/export/data", "type": "nfs"}}

CASES = (
    Case(
        "a root file system that is nearly full",
        "disk.used",
        "critical",
        "none",
        about="/",
        words="95.5 % used, limit 90 %; 20 GiB free",
        answers={MOUNTS: table({29: f"= 29 4096 {440 * GIB} {20 * GIB} {20 * GIB} 28835840 28400000"})},
    ),
    Case(
        "a file system that fills",
        "disk.used",
        "warn",
        "none",
        about="/var",
        words="81.8 % used, limit 80 %; 80 GiB free",
        answers={MOUNTS: table({61: f"= 61 4096 {440 * GIB} {80 * GIB} {80 * GIB} 28835840 28400000"})},
    ),
    Case(
        "a disk without a free byte",
        "disk.used",
        "critical",
        "none",
        about="/var",
        words="100.0 % used, limit 90 %; 0 B free",
        answers={MOUNTS: table({61: f"= 61 4096 {440 * GIB} 0 0 28835840 28400000"})},
    ),
    Case(
        "a disk that itself does not answer",
        "mount.statfs",
        "critical",
        "reboot",
        about="/var",
        words="no answer to statfs within 2 s",
        answers={MOUNTS: table({61: "? 61 now"})},
        also=("disk.used", "disk.inodes"),
    ),
    Case(
        "a disk whose figures cannot be had",
        "disk.used",
        "unknown",
        "none",
        about="/var",
        words="Structure needs cleaning",
        answers={MOUNTS: table({61: "! 61 Structure needs cleaning"})},
        also=("disk.inodes",),
    ),
    Case(
        "a file system of very many small files",
        "disk.inodes",
        "critical",
        "none",
        about="/var",
        words="99.9 % of its inodes used, limit 90 %; 28000 left",
        answers={MOUNTS: table({61: f"= 61 4096 {440 * GIB} {300 * GIB} {278 * GIB} 28835840 28000"})},
    ),
    Case(
        "a file system whose inodes run out",
        "disk.inodes",
        "warn",
        "none",
        about="/",
        words="99.0 % of its inodes used, limit 80 %; 300000 left",
        answers={MOUNTS: table({29: f"= 29 4096 {440 * GIB} {400 * GIB} {378 * GIB} 28835840 300000"})},
    ),
    Case(
        "a root file system that the kernel made read-only",
        "disk.readonly",
        "critical",
        "reboot",
        about="/",
        words="read-only, though it was mounted to be written",
        answers={MOUNTS: table(mountinfo=TABLE.replace("rw,errors=remount-ro", "ro,errors=remount-ro"))},
    ),
    Case(
        "a file system that stopped after an error, as newer kernels say it",
        "disk.readonly",
        "critical",
        "reboot",
        about="/var",
        words="it is read-only after an error",
        answers={MOUNTS: table(mountinfo=TABLE.replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 rw,emergency_ro"))},
    ),
    Case(
        "a disk that was left read-only by the boot",
        "disk.readonly",
        "critical",
        "reboot",
        about="/var",
        words="it is read-only, /etc/fstab says `defaults`",
        answers={
            MOUNTS: table(
                mountinfo=TABLE.replace("/ /var rw,", "/ /var ro,").replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 ro")
            )
        },
    ),
    Case(
        "a file system that is read-only by /etc/fstab",
        "disk.readonly",
        "ok",
        "none",
        answers={
            MOUNTS: table(
                mountinfo=TABLE.replace("/ /var rw,", "/ /var ro,").replace("/dev/nvme8n1p3 rw", "/dev/nvme8n1p3 ro"),
                fstab=FSTAB_TEXT.replace("/var            ext4    defaults", "/var            ext4    ro,noatime"),
            )
        },
    ),
    Case(
        "a shared directory that its unit did not mount",
        "mount.present",
        "critical",
        "restart_service",
        about="/shared",
        words="nothing is mounted there; the enabled unit shared.mount wants it",
        answers={MOUNTS: table(mountinfo=without("/shared"))},
    ),
    Case(
        "a shared directory that only the inventory knows",
        "mount.present",
        "critical",
        "restart_service",
        about="/data",
        words="`aiops_shared` in the inventory wants it",
        variables=SHARED,
    ),
    Case(
        "a line of fstab that was not mounted",
        "mount.present",
        "critical",
        "restart_service",
        about="/models and data",
        words="/etc/fstab wants it",
        answers={MOUNTS: table(mountinfo=without(r"/models\040and\040data"))},
    ),
    Case(
        "a scratch disk that may be missing, and is",
        "mount.present",
        "warn",
        "restart_service",
        about="/scratch",
        words="/etc/fstab wants it",
        answers={
            MOUNTS: table(mountinfo="".join(f"{line}\n" for line in TABLE.splitlines() if "/dev/md0" not in line))
        },
    ),
    Case(
        "an fstab that is not one",
        "mount.present",
        "unknown",
        "none",
        words="line 1 of /etc/fstab",
        answers={MOUNTS: table(fstab="garbage\n")},
        also=("disk.readonly",),
    ),
    Case(
        "an NFS server that keeps silent",
        "mount.statfs",
        "critical",
        "none",
        "fabric",
        about="/shared",
        words="nfs4 from 10.0.0.1:/export/shared: no answer to statfs within 2 s",
        answers={MOUNTS: table({70: "? 70 now"})},
    ),
    Case(
        "an NFS server that has kept silent for a while",
        "mount.statfs",
        "critical",
        "none",
        "fabric",
        about="/shared",
        words="since an earlier examination",
        answers={MOUNTS: table({70: "? 70 earlier"})},
    ),
    Case(
        "a stale NFS handle",
        "mount.statfs",
        "critical",
        "restart_service",
        about="/shared",
        words="Stale file handle",
        answers={MOUNTS: table({70: "! 70 Stale file handle"})},
    ),
    Case(
        "a FUSE file system whose process is gone",
        "mount.statfs",
        "critical",
        "restart_service",
        about="/models and data",
        words="fuse.juicefs from JuiceFS:models: Transport endpoint is not connected",
        answers={MOUNTS: table({71: "! 71 Transport endpoint is not connected"})},
    ),
    Case(
        "a FUSE file system whose process hangs",
        "mount.statfs",
        "critical",
        "restart_service",
        about="/models and data",
        words="no answer to statfs",
        answers={MOUNTS: table({71: "? 71 now"})},
    ),
    Case(
        "a user's own mount that hangs",
        "mount.statfs",
        "warn",
        "none",
        "user",
        about="/home/alice/laptop",
        words="fuse.sshfs, mounted by a user: no answer",
        answers={MOUNTS: table({72: "? 72 now"})},
    ),
    Case(
        "a mount that answers something new",
        "mount.statfs",
        "unknown",
        "none",
        about="/shared",
        words="it answers `Quota exceeded`",
        answers={MOUNTS: table({70: "! 70 Quota exceeded"})},
    ),
    Case(
        "statfs hangs as a whole",
        "mount.statfs",
        "unknown",
        "none",
        words="no answer within 5 s",
        answers={MOUNTS: replace(hung(MOUNTS), files=table().files)},
        also=("disk.used", "disk.inodes", "mount.present"),
    ),
    Case(
        "the table of mounts is garbage",
        "disk.used",
        "unknown",
        "none",
        words="/proc/self/mountinfo says `hello`",
        answers={MOUNTS: replace(table(), files={MOUNTINFO: "hello\n", FSTAB: ""})},
        also=("disk.inodes", "disk.readonly", "mount.present", "mount.statfs"),
    ),
    Case(
        "the answers were cut off",
        "disk.inodes",
        "unknown",
        "none",
        words="have no end",
        answers={MOUNTS: replace(table(), stdout=table().stdout[:120])},
        also=("disk.used", "mount.present", "mount.statfs"),
    ),
    Case(
        "mount units that cannot be read",
        "mount.present",
        "unknown",
        "none",
        words="shared.mount does not say where it mounts",
        answers={UNITS: units({UNIT: "garbage"})},
    ),
)
