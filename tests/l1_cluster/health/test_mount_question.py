"""The question after mounts as it runs on a node: dead FUSE file systems, processes beyond any signal, odd names."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.l0_nodes.test_probe import AT, NODE, asked, tool
from tests.l1_cluster.health.case import subject

from aiops.layers.core.command import Completed
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS
from aiops.layers.l0_nodes.probe import SECONDS, command, record_of
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.check import Sighting, Subject
from aiops.layers.l1_cluster.health.examination import asks_of, chosen
from aiops.layers.l1_cluster.health.mount_question import MOUNT_ASK, MOUNTS, PROGRAM
from aiops.layers.l1_cluster.health.mount_table import by_device, read_mounts, read_replies
from aiops.layers.l1_cluster.health.mounts import CHECKS
from aiops.layers.l1_cluster.health.rules import Rules

ALL_ASKS = asks_of(chosen(checks_of(Plugins()), "standard", Rules()), FACT_ASKS)
STATFS = next(check for check in CHECKS if check.id == "mount.statfs")
HELD = Path("/run/aiops-statfs")
SERVER = Path(__file__).with_name("fuse_server.py")

fuse = pytest.mark.skipif(
    os.geteuid() != 0
    or not os.access("/dev/fuse", os.W_OK)
    or not (shutil.which("unshare") and shutil.which("nsenter")),
    reason="mounting a FUSE file system needs root, /dev/fuse, unshare and nsenter",
)


@dataclass(frozen=True)
class Served:
    """A mounted file system, which only those see who enter its namespace."""

    point: Path
    server: subprocess.Popen[str]
    namespace: int

    def asked(self, *asks: Ask) -> Record:
        """Run the probe where the file system is mounted."""
        wanted = command(NODE, asks)
        inside = ("nsenter", f"--mount=/proc/self/fd/{self.namespace}", "--", *wanted.argv)
        done = subprocess.run(
            inside, input=wanted.stdin, capture_output=True, timeout=60, check=False, pass_fds=(self.namespace,)
        )
        return record_of(NODE, Completed(wanted, done.returncode, done.stdout, done.stderr, 0.0), AT)

    def waiting(self) -> list[str]:
        """The states of the processes that ask this file system."""
        states = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # it ended meanwhile
            if os.fsencode(self.point) in words and words[0] == b"stat" and state != "Z":
                states.append(state)
        return states


@contextmanager
def served(folder: Path, mode: str) -> Iterator[Served]:
    """A FUSE file system in a mount namespace of its own, so that nothing else on this machine trips over it."""
    point = folder / "a dead\nmount # \\"
    point.mkdir()
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, str(SERVER), str(point), mode]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            namespace = os.open(f"/proc/{server.pid}/ns/mnt", os.O_RDONLY)
            try:
                yield Served(point, server, namespace)
            finally:
                os.close(namespace)
        finally:
            server.kill()  # which ends the file system: whoever waits for it gets an error


def comes_true(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def sightings(record: Record, about: Path) -> list[Sighting]:
    """What mount.statfs says of one place in a record of this machine."""
    here = subject()
    judged = Subject(here.node, record, here.facts, here.variables, here.at)
    assert STATFS.judge is not None
    return [one for one in STATFS.judge(judged, STATFS.limits()) if one.about == str(about)]


@fuse
def test_a_living_file_system_answers(tmp_path: Path) -> None:
    with served(tmp_path, "answers") as place:
        record = place.asked(MOUNT_ASK)
        [mount] = [one for one in read_mounts(record) if one.path == str(place.point)]
        reply = read_replies(record)[mount.device]
        assert (reply.total, reply.available, reply.files, reply.files_free) == (4096_000, 2048_000, 100, 50)
        assert (mount.kind, mount.source) == ("fuse.test", "test")
        assert sightings(record, place.point) == []
        assert record.answer(MOUNTS).seconds < 2


@fuse
def test_beyond_any_signal_it_holds_nothing_up_and_is_named(tmp_path: Path) -> None:
    """The server reads `statfs` and never answers: whoever asked waits in the kernel, and cannot be killed."""
    with served(tmp_path, "swallows") as place:
        begun = time.monotonic()
        record = place.asked(*ALL_ASKS)
        assert time.monotonic() - begun < SECONDS + 1
        answer = record.answer(MOUNTS)
        assert (answer.exit_status, answer.missing) == (0, {})
        assert 2 <= answer.seconds < 4.5
        unanswered = [ask.name for ask in ALL_ASKS if "deadline" in "".join(record.answer(ask.name).missing.values())]
        assert unanswered == []
        [one] = sightings(record, place.point)
        assert (one.severity, one.owner, one.action) == ("critical", None, None)
        assert one.message == "fuse.test from test: no answer to statfs within 2 s"

        replies = read_replies(record)
        others = [one for one in by_device(read_mounts(record)).values() if one.path == "/"]
        assert [replies[one.device].silent for one in others] == [False]

        assert place.waiting() == ["D"], "it was killed, and is there only because nothing can end it"
        assert HELD.is_dir()
        again = place.asked(MOUNT_ASK)
        assert again.answer(MOUNTS).seconds < 2
        assert place.waiting() == ["D"], "a dead mount holds one process, however often it is examined"
        [one] = sightings(again, place.point)
        assert one.message == "fuse.test from test: no answer to statfs since an earlier examination"

        place.server.kill()
        assert comes_true(lambda: place.waiting() == [])
        last = place.asked(MOUNT_ASK)
        [one] = sightings(last, place.point)
        assert one.message == "fuse.test from test: Transport endpoint is not connected"
        assert not HELD.exists()


@fuse
def test_a_server_that_stopped_leaves_nobody_waiting(tmp_path: Path) -> None:
    with served(tmp_path, "stops") as place:
        record = place.asked(*ALL_ASKS)
        [one] = sightings(record, place.point)
        assert one.message == "fuse.test from test: no answer to statfs within 2 s"
        assert comes_true(lambda: place.waiting() == []), "all that can be ended is"
        [one] = sightings(place.asked(MOUNT_ASK), place.point)
        assert one.message.endswith("within 2 s"), "nobody waited any longer, so it was asked anew"
        assert not HELD.exists()


SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_tells_the_same(shell: str, tmp_path: Path) -> None:
    start = (shell, "sh") if shell == "busybox" else (shell,)
    record = asked(Ask(MOUNTS, (*start, "-c", PROGRAM), MOUNT_ASK.paths, scratch=True, max_bytes=MOUNT_ASK.max_bytes))
    assert record.answer(MOUNTS).stderr == ""
    root = next(one for one in read_mounts(record) if one.path == "/")
    space = os.statvfs("/")
    reply = read_replies(record)[root.device]
    assert reply.total == space.f_blocks * space.f_frsize
    assert reply.files == space.f_files


def program(tmp_path: Path, mountinfo: str = "", fstab: str = "") -> Ask:
    """The question of a machine with other files."""
    (tmp_path / "mountinfo").write_text(mountinfo)
    (tmp_path / "fstab").write_text(fstab)
    text = PROGRAM.replace("/proc/self/mountinfo", f"{tmp_path}/mountinfo").replace("/etc/fstab", f"{tmp_path}/fstab")
    return Ask(MOUNTS, ("sh", "-c", text), scratch=True)


def test_each_file_system_is_asked_once_and_virtual_ones_never(tmp_path: Path) -> None:
    lines = [
        f"10 1 8:1 / {tmp_path} rw - ext4 /dev/sda1 rw",
        f"11 1 8:1 /part {tmp_path}/part rw - ext4 /dev/sda1 rw",
        f"12 1 0:30 / {tmp_path} rw shared:3 master:4 - tmpfs tmpfs rw",
        f"13 1 0:31 / {tmp_path} rw - autofs systemd-1 rw",
        f"14 1 0:32 / {tmp_path}/missing rw - nfs4 server:/x rw",
        "15 1 0:33 / / rw - overlay overlay rw",
    ]
    answer = asked(program(tmp_path, "".join(f"{line}\n" for line in lines))).answer(MOUNTS)
    told = answer.stdout.splitlines()
    assert sorted(line.split()[1] for line in told if line.startswith("=")) == ["10", "15"]
    assert [line for line in told if line.startswith("!")] == ["! 14 No such file or directory"]
    assert told[-1] == ". 3"


def test_links_of_fstab_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a link").symlink_to("real")
    fstab = f"# {tmp_path}/x\n/dev/sdb1 {tmp_path}/a\\040link/ ext4 defaults 0 0\n/dev/sdc1 {tmp_path}/real ext4"
    answer = asked(program(tmp_path, f"10 1 8:1 / {tmp_path} rw - tmpfs x rw\n", fstab)).answer(MOUNTS)
    assert answer.stdout == f"> {tmp_path}/a\\040link {tmp_path}/real\n. 0\n"


def test_a_machine_too_slow_to_start_programs_is_not_a_dead_mount(tmp_path: Path) -> None:
    tool(tmp_path, "stat", "exit 7")
    answer = asked(program(tmp_path), path=str(tmp_path)).answer(MOUNTS)
    assert (answer.exit_status, answer.stdout) == (1, "")


def test_a_child_that_ends_without_a_word_has_not_answered(tmp_path: Path) -> None:
    tool(tmp_path, "stat", 'case "$*" in */proc) exec /usr/bin/stat "$@" ;; esac; kill -9 $$')
    answer = asked(program(tmp_path, f"10 1 8:1 / {tmp_path} rw - ext4 /dev/sda1 rw\n"), path=str(tmp_path)).answer(
        MOUNTS
    )
    assert answer.stdout == "! 10 stat ended with 137\n. 1\n"


def test_a_silent_file_system_costs_the_others_nothing(tmp_path: Path) -> None:
    tool(tmp_path, "stat", 'case "$*" in *hung*) exec sleep 60 ;; *) exec /usr/bin/stat "$@" ;; esac')
    lines = [f"1{n} 1 0:4{n} / {'/hung' if n < 3 else tmp_path} rw - nfs4 s:/{n} rw\n" for n in range(9)]
    record = asked(program(tmp_path, "".join(lines)), path=str(tmp_path))
    told = record.answer(MOUNTS).stdout.splitlines()
    assert [line for line in told if line.startswith("?")] == ["? 10 now", "? 11 now", "? 12 now"]
    assert sum(line.startswith("=") for line in told) == 6
    assert record.answer(MOUNTS).seconds < 4
    assert not HELD.exists(), "what could be ended is not noted"
