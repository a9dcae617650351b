"""Differences between what is wanted and what was seen; plans and their words."""

import hashlib

import pytest

from aiops.layers.l1_cluster.change import Change, difference
from aiops.layers.l1_cluster.observation import (
    PACKAGES,
    REBOOT_MARKER,
    Account,
    FileState,
    MountState,
    Observation,
    PackageState,
    UnitState,
    restart_marker,
)
from aiops.layers.l1_cluster.plan import PhasePlan, Plan
from aiops.layers.l1_cluster.resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, User

CONTENT = b"server head\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
USER = User("slurm", 64030, 64031, "hpc", "/nonexistent", "/bin/false")
WHOLE = Observation(
    packages={"chrony": PackageState("4.3", held=False), "driver": PackageState("580", held=True)},
    files={
        "/etc/chrony.conf": FileState("file", "0644", "root", "root", DIGEST),
        "/etc/munge": FileState("folder", "0700", "munge", "munge"),
        "/etc/link": FileState("link", "0777", "root", "root"),
        restart_marker("older.service"): FileState("file", "0644", "root", "root"),
        restart_marker("absent.service"): FileState("file", "0644", "root", "root"),
    },
    units={
        "chrony.service": UnitState("loaded", "active", "enabled"),
        "off.service": UnitState("loaded", "inactive", "disabled"),
        "stale.service": UnitState("loaded", "active", "enabled", stale=True),
        "up.service": UnitState("loaded", "activating", "enabled"),
        "older.service": UnitState("loaded", "active", "enabled"),
        "gone.service": UnitState("not-found", "inactive", ""),
    },
    sysctls={"/proc/sys/vm/swappiness": "10", "/proc/sys/net/ipv4/tcp_rmem": "4096 1 2"},
    mounts={"/shared": MountState("10.0.0.1:/e", "nfs4", "rw")},
    users={"slurm": Account(64030, 64031, "/nonexistent", "/bin/false", "hpc")},
    groups={"hpc": 64031},
)


@pytest.mark.parametrize(
    ("resource", "action"),
    [
        (Package("chrony"), None),
        (Package("chrony", version="4.3"), None),
        (Package("chrony", version="4.4"), "replace"),
        (Package("chrony", held=True), "hold"),
        (Package("driver", held=True), None),
        (Package("driver"), "release"),
        (Package("curl"), "install"),
        (Package("curl", absent=True), None),
        (Package("chrony", absent=True), "remove"),
        (File("/etc/chrony.conf", CONTENT), None),
        (File("/etc/chrony.conf", b"other"), "write"),
        (File("/etc/chrony.conf", CONTENT, mode="0600"), "permit"),
        (File("/etc/chrony.conf", CONTENT, owner="chrony"), "permit"),
        (File("/etc/new.conf", CONTENT), "create"),
        (File("/etc/chrony.conf", absent=True), "delete"),
        (File("/etc/new.conf", absent=True), None),
        (File("/etc/munge", folder=True, mode="0700", owner="munge", group="munge"), None),
        (File("/etc/munge", CONTENT), "write"),
        (File("/etc/link", CONTENT), "write"),
        (File("/etc/chrony.conf", folder=True), "write"),
        (Service("chrony"), None),
        (Service("off"), "start"),
        (Service("off", enabled=False, running=False), None),
        (Service("chrony", enabled=False, running=False), "stop"),
        (Service("chrony", enabled=False), "disable"),
        (Service("off", running=False), "enable"),
        (Service("stale"), "reload"),
        (Service("up"), "start"),
        (Service("older"), "restart"),
        (Service("older", enabled=False), "restart"),
        (Service("older", running=False), "stop"),
        (Service("absent"), "restart"),
        (File("/etc/chrony.conf", CONTENT, restarts=("chrony",)), None),
        (File("/etc/chrony.conf", CONTENT, restarts=("chrony", "older")), "restart"),
        (File("/etc/chrony.conf", b"other", restarts=("older",)), "write"),
        (Service("gone"), "start"),
        (Service("gone", enabled=False, running=False), None),
        (Sysctl("vm.swappiness", "10"), None),
        (Sysctl("vm.swappiness", "1"), "set"),
        (Sysctl("net.ipv4.tcp_rmem", "4096 1 2"), None),
        (Sysctl("no.such", "1"), "set"),
        (Mount("/shared", "10.0.0.1:/e", "nfs"), None),
        (Mount("/shared", "10.0.0.2:/e", "nfs"), "mount"),
        (Mount("/shared", "/dev/sdb", "ext4"), "mount"),
        (Mount("/other", "/src", "bind"), "mount"),
        (USER, None),
        (User("slurm", 1, 64031, "hpc", "/nonexistent", "/bin/false"), "alter"),
        (User("munge", 1, 2, "munge", "/"), "add"),
    ],
)
def test_one_resource(resource: Resource, action: str | None) -> None:
    changes = difference([resource], WHOLE)
    assert [change.action for change in changes] == ([action] if action else [])
    assert all(change.key == resource.key and change.expected != change.found for change in changes)


def test_a_reboot_follows_the_changes_that_need_it() -> None:
    reboot = Reboot("the driver changed", ("package:driver",))
    assert difference([Package("driver", held=True), reboot], WHOLE) == ()
    changes = difference([Package("driver", version="590", held=True), reboot], WHOLE)
    assert [change.action for change in changes] == ["replace", "reboot"]


def test_a_hold_that_was_taken_off_needs_no_reboot() -> None:
    changes = difference([Package("driver", held=False), Reboot("the driver changed", ("package:driver",))], WHOLE)
    assert [change.action for change in changes] == ["release"]


def test_a_mount_that_became_read_only_differs() -> None:
    seen = Observation(mounts={"/shared": MountState("/dev/sdb", "ext4", "ro,relatime")})
    (change,) = difference([Mount("/shared", "/dev/sdb", "ext4")], seen)
    assert (change.action, change.found) == ("mount", "read-only")
    assert difference([Mount("/shared", "/dev/sdb", "ext4", "ro,noatime")], seen) == ()


@pytest.mark.parametrize(
    "state", [UnitState("masked", "inactive", "masked"), UnitState("loaded", "inactive", "enabled")]
)
def test_a_unit_that_somebody_masked_or_stopped_differs(state: UnitState) -> None:
    (change,) = difference([Service("chrony")], Observation(units={"chrony.service": state}))
    assert change.action == "start"


def test_a_file_can_need_a_reboot() -> None:
    wanted: list[Resource] = [File("/etc/default/grub", b"x", reboots=True), Reboot("the kernel's options changed", ())]
    assert [change.key for change in difference(wanted, WHOLE)] == ["file:/etc/default/grub", "reboot"]


def test_a_reboot_that_is_still_due_is_remembered() -> None:
    seen = Observation(files={REBOOT_MARKER: FileState("file", "0644", "root", "root")})
    assert [change.action for change in difference([Reboot("x", ())], seen)] == ["reboot"]


def test_what_could_not_be_read_is_never_right() -> None:
    seen = Observation(packages=WHOLE.packages, unknown={PACKAGES: "did not answer in time"})
    (change,) = difference([Package("chrony")], seen)
    assert change.action == "read"
    assert str(change) == "package:chrony could not be read: did not answer in time"


def test_a_secret_is_in_no_word_of_its_change() -> None:
    secret = File("/etc/munge.key", b"canary", secret=True)
    (change,) = difference(
        [secret], Observation(files={"/etc/munge.key": FileState("file", "0400", "a", "a", "0" * 64)})
    )
    assert "canary" not in repr(secret) + repr(change) + str(change.document())


def change(key: str, action: str, expected: str = "x", found: str = "y") -> Change:
    return Change(key, action, expected, found)


def test_equal_changes_are_folded_and_many_counted() -> None:
    many = tuple(change(f"package:p{number}", "install", "installed", "absent") for number in range(5))
    one = change("package:driver", "replace", "580.95", "570.86")
    nodes = {f"gpu{number:02}": (one, *many, change("reboot", "reboot")) for number in range(1, 17)}
    phase = PhasePlan("accelerator", "Drivers", {**nodes, "head": (change("service:slurmctld", "start"),)})
    assert phase.lines == (
        "install 5 packages, driver 570.86 → 580.95, reboot on gpu[01-16]",
        "start slurmctld on head",
    )


def test_the_summary_counts_phases_and_nodes() -> None:
    changed = PhasePlan("a", "A", {"n1": (change("package:x", "install"),)})
    plan = Plan((changed, PhasePlan("b", "B", {}, ("n1",))), ("n1", "n2"))
    assert plan.summary == "1 phase changes 1 node; 1 is already in place"
    assert plan.changed_nodes == ("n1",)
    assert list(plan.changes()) == [("a", "n1", changed.changes["n1"][0])]
    assert Plan((PhasePlan("b", "B", {}),), ("n1", "n2")).summary == "nothing to change on 2 nodes"
    assert plan.document()["phases"][0]["changes"]["n1"][0]["key"] == "package:x"


def test_a_restart_that_is_due_is_told_once() -> None:
    files = [
        File("/etc/chrony.conf", CONTENT, restarts=("older",)),
        File("/etc/none", absent=True, restarts=("older",)),
    ]
    assert [str(one) for one in difference([*files, Service("older")], WHOLE)] == [
        "service:older is active, not restarted since a file of its changed"
    ]
    assert [str(one) for one in difference(files, WHOLE)] == [
        "file:/etc/chrony.conf is newer, not what older.service runs with"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("file:/etc/aiops/apt", "create", "folder", "absent"), "file:/etc/aiops/apt was absent, created"),
        (Change("sysctl:vm.swappiness", "set", "1", "60"), "sysctl:vm.swappiness was 60, set to 1"),
        (Change("reboot", "reboot", "the driver changed", "not rebooted since"), "rebooted: the driver changed"),
    ],
)
def test_what_was_done_in_words(change: Change, words: str) -> None:
    assert change.done == words
