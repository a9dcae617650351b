"""The readers of a node's answers: what they make of real layouts, and of garbage."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l1_cluster.observation import (
    DIGESTS,
    MOUNTS,
    PACKAGES,
    REBOOT_MARKER,
    STAT,
    UNITS,
    FileState,
    MountState,
    PackageState,
    asks_for,
    parse_accounts,
    parse_digests,
    parse_groups,
    parse_mounts,
    parse_packages,
    parse_stat,
    parse_units,
    read_observation,
    restart_marker,
    sysctl_file,
)
from aiops.layers.l1_cluster.resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, User

AT = datetime(2026, 11, 21, tzinfo=UTC)
RESOURCES: tuple[Resource, ...] = (
    Package("chrony"),
    Package("munge", absent=True),
    File("/etc/a b", b"x", restarts=("chrony", "nginx")),
    File("/etc/f", folder=True, mode="0755"),
    Service("chrony"),
    Service("shared.mount"),
    Sysctl("vm.swappiness", "1"),
    Mount("/shared", "/src", "bind"),
    User("slurm", 1, 2, "slurm", "/", "/bin/false"),
    Reboot("kernel", ()),
)


def test_everything_is_asked_once_and_together() -> None:
    asks = {ask.name: ask for ask in asks_for((*RESOURCES, *RESOURCES))}
    assert asks[PACKAGES].argv[-2:] == ("chrony", "munge")
    assert asks[STAT].argv[-6:] == (
        *("/etc/a b", "/etc/f", restart_marker("chrony.service"), restart_marker("nginx.service")),
        *(restart_marker("shared.mount"), REBOOT_MARKER),
    )
    assert asks[DIGESTS].argv[-1:] == ("/etc/a b",)
    assert asks[UNITS].argv[-2:] == ("chrony.service", "shared.mount")
    assert asks["desired.sysctls"].paths == ("/proc/sys/vm/swappiness",)
    assert len(asks) == 8


def test_nothing_wanted_asks_nothing() -> None:
    assert asks_for(()) == ()


def test_packages_held_and_half_installed() -> None:
    text = "chrony\t4.3-2+deb12u1\tii \nnvidia\t580.95\thi \ngone\t1.0\trc \nhalf\t2\tiU \nnone\t\tun \n"
    assert parse_packages(text) == {
        "chrony": PackageState("4.3-2+deb12u1", held=False),
        "nvidia": PackageState("580.95", held=True),
    }


def test_stat_reads_kind_mode_and_odd_names() -> None:
    text = (
        "81a4\troot\troot\t/etc/a b\n41ed\tmunge\tmunge\t/etc/munge\n"
        "a1ff\troot\troot\t/etc/link\n8100\troot\troot\t/k\n"
    )
    assert parse_stat(text) == {
        "/etc/a b": FileState("file", "0644", "root", "root"),
        "/etc/munge": FileState("folder", "0755", "munge", "munge"),
        "/etc/link": FileState("link", "0777", "root", "root"),
        "/k": FileState("file", "0400", "root", "root"),
    }


def test_digests_with_an_escaped_name() -> None:
    digest = "a" * 64
    assert parse_digests(f"{digest}  /etc/a b\n\\{digest}  /etc/new\\nline\n") == {
        "/etc/a b": digest,
        "/etc/new\nline": digest,
    }


def test_units_by_the_order_they_were_asked() -> None:
    text = (
        "Type=notify\nResult=success\nRemainAfterExit=no\nLoadState=loaded\nActiveState=active\n"
        "UnitFileState=enabled\nNeedDaemonReload=yes\n\n"
        "Type=oneshot\nResult=success\nRemainAfterExit=no\nLoadState=loaded\nActiveState=inactive\n"
        "UnitFileState=static\nNeedDaemonReload=no\n\n"
        "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
    )
    units = parse_units(text, ["a.service", "b.service", "c.service"])
    assert units["a.service"].running
    assert units["a.service"].enabled
    assert units["a.service"].stale
    assert units["b.service"].running
    assert units["b.service"].enabled
    assert not units["c.service"].running
    assert not units["c.service"].enabled


def test_mounts_the_topmost_wins_and_escapes_are_undone() -> None:
    text = (
        "36 35 98:0 / /shared rw,noatime master:1 - ext4 /dev/root rw\n"
        "40 35 98:1 /x /with\\040space rw - nfs4 10.0.0.1:/export rw\n"
        "41 35 98:2 / /shared rw - nfs4 10.0.0.1:/b rw\n"
    )
    assert parse_mounts(text) == {
        "/shared": MountState("10.0.0.1:/b", "nfs4", "rw"),
        "/with space": MountState("10.0.0.1:/export", "nfs4", "rw"),
    }


def test_accounts_with_the_name_of_their_group() -> None:
    groups = parse_groups("slurm:x:64030:\nmunge:x:112:a,b\n")
    accounts = parse_accounts("slurm:x:64030:64030:,,,:/nonexistent:/usr/sbin/nologin\n", {64030: "slurm"})
    assert groups == {"slurm": 64030, "munge": 112}
    assert accounts["slurm"].group == "slurm"
    assert accounts["slurm"].home == "/nonexistent"


def test_sysctl_names() -> None:
    assert sysctl_file("net.core.rmem_max") == "/proc/sys/net/core/rmem_max"
    assert sysctl_file("net/ipv4/conf/eth0.1/rp_filter") == "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"


def test_what_was_not_answered_is_unknown() -> None:
    record = Record(
        "n1",
        AT,
        {
            PACKAGES: Answer(PACKAGES, timed_out=True),
            STAT: Answer(STAT, exit_status=0, truncated=True),
            UNITS: Answer(UNITS, exit_status=0, stdout="LoadState=loaded\n"),
            MOUNTS: Answer(MOUNTS, missing={"/proc/self/mountinfo": "permission denied"}),
            DIGESTS: Answer(DIGESTS, missing={"argv": "not found"}),
        },
    )
    unknown = read_observation(record, RESOURCES).unknown
    assert unknown[PACKAGES] == "did not answer in time"
    assert unknown[STAT] == "the answer was too long"
    assert unknown[UNITS] == "systemctl told of 1 of 2 units"
    assert unknown[MOUNTS] == "permission denied"
    assert unknown[DIGESTS] == "not found"
    assert unknown["desired.passwd"] == "not asked"


GARBAGE = st.text(alphabet=st.sampled_from("ab \t\n\\:=-/0189xf"), max_size=120)


@given(GARBAGE)
def test_no_reader_stumbles_over_garbage(text: str) -> None:
    parse_packages(text)
    parse_stat(text)
    parse_digests(text)
    parse_units(text, ["a.service", "b.service"])
    parse_mounts(text)
    parse_accounts(text, {})
    parse_groups(text)


NAMES = st.text(alphabet="abcdefghij-+.0123456789", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.tuples(NAMES, st.booleans()), max_size=8))
def test_packages_are_read_back(packages: dict[str, tuple[str, bool]]) -> None:
    text = "".join(f"{name}\t{version}\t{'h' if held else 'i'}i \n" for name, (version, held) in packages.items())
    assert parse_packages(text) == {name: PackageState(version, held) for name, (version, held) in packages.items()}


@given(st.dictionaries(st.text(alphabet="ab c\\nd\te/", min_size=1, max_size=12).map("/".__add__), st.just("0" * 64)))
def test_paths_of_digests_are_read_back(digests: dict[str, str]) -> None:
    def line(path: str, digest: str) -> str:
        escaped = path.replace("\\", "\\\\")
        return ("\\" if escaped != path else "") + f"{digest}  {escaped}\n"

    assert parse_digests("".join(line(path, digest) for path, digest in digests.items())) == digests
