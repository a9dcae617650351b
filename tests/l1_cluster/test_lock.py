"""The lock as its users meet it: over a transport that really runs the script, in a folder, between real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import ConflictError, FailedError, UnreachableError
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.transport import Channel
from aiops.layers.l1_cluster.lock import ClusterLock, FolderKeeper, HeadKeeper, Keeper
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.remote import lock as remote
from aiops.layers.l1_cluster.remote.fence import GATE, STALE_STATUS
from aiops.layers.l1_cluster.script import script


class Machine:
    """A transport to this machine: what is sent really runs, and nothing may show in argv."""

    def __init__(self) -> None:
        self.node = Node("head", connection=Connection(kind="local", python=sys.executable))
        self.commands: list[Command] = []
        self.away = False

    def open(self, command: Command) -> Channel:
        raise AssertionError(command)

    def run(self, command: Command) -> Completed:
        if self.away:
            raise UnreachableError("`head` does not answer", code="ssh.unreachable")
        self.commands.append(command)
        done = subprocess.run(command.argv, input=command.stdin, capture_output=True, timeout=30, check=False)
        return Completed(command, done.returncode, done.stdout, done.stderr, 0.0)

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Later:
    """A keeper whose time the test sets, on the real state files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = "head"
        self.passed = 0.0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        now = remote.clock()
        now["up"] += self.passed
        now["wall"] += self.passed
        return remote.serve(str(self.folder), dict(request), now)


class SetClock:
    """A clock the test sets; nobody sleeps on it."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def elsewhere(run: str = "r-other") -> Owner:
    return Owner("bob", "ctl2", "another-boot", "pid:[1]", 4242, 1, run)


@pytest.fixture(params=["head", "folder"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    """The same suite over each place where a lock can be kept."""
    if request.param == "folder":
        return FolderKeeper(tmp_path / "lock")
    return HeadKeeper(Machine(), str(tmp_path / "lock"))


def test_one_at_a_time(keeper: Keeper) -> None:
    lock = ClusterLock(keeper)
    assert lock.show() is None
    lock.require_free()
    with lock.acquire(elsewhere("r-1")) as held:
        held.guard()
        holder = lock.show()
        assert holder is not None
        assert (holder.owner, holder.epoch) == (elsewhere("r-1"), held.epoch)
        assert abs((datetime.now(UTC) - holder.since).total_seconds()) < 30
        with pytest.raises(ConflictError) as refused:
            lock.acquire(Owner.here("r-2"))
        with pytest.raises(ConflictError) as in_use:
            lock.require_free()
    error = refused.value
    assert in_use.value.code == error.code
    assert error.code == "lock.held"
    assert all(word in error.message for word in ("bob", "ctl2", "r-1", "4242", "since 2"))
    assert any("aiops cluster lock release" in hint for hint in error.hints)
    assert lock.show() is None
    with lock.acquire(elsewhere()) as again:
        assert again.epoch > held.epoch


def test_a_lock_taken_away_by_hand_is_lost_and_nothing_more_is_changed(keeper: Keeper) -> None:
    lock = ClusterLock(keeper)
    with lock.acquire(elsewhere("r-1")) as first:
        assert lock.release(first.epoch)
        assert not lock.release(first.epoch)
        with lock.acquire(elsewhere("r-2")) as second:
            first.renew()
            assert first.lost.is_set()
            with pytest.raises(ConflictError, match=r"lost to bob on ctl2 .*r-2") as lost:
                first.guard()
            assert lost.value.code == "lock.lost"
            first.release()  # must not release what the second holds
            second.guard()
            assert lock.show() is not None


def test_it_is_released_when_the_block_is_left_by_ctrl_c(keeper: Keeper) -> None:
    lock = ClusterLock(keeper)
    with pytest.raises(KeyboardInterrupt), lock.acquire(elsewhere()):
        raise KeyboardInterrupt
    assert lock.show() is None


def test_a_state_that_cannot_be_read_is_refused_and_repaired_by_hand(keeper: Keeper, tmp_path: Path) -> None:
    lock = ClusterLock(keeper)
    lock.acquire(elsewhere()).release()
    (tmp_path / "lock/state.json").write_text('{"v": 1')
    for ask in (lock.show, lambda: lock.acquire(elsewhere())):
        with pytest.raises(FailedError) as failed:
            ask()
        assert failed.value.code == "lock.unreadable"
    lock.repair()
    assert lock.show() is None


def test_repair_leaves_a_lock_that_can_be_read(keeper: Keeper) -> None:
    lock = ClusterLock(keeper)
    with lock.acquire(elsewhere()):
        lock.repair()
        assert lock.show() is not None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedError, match="cannot keep the cluster lock"):
        ClusterLock(FolderKeeper(tmp_path / "file/lock")).acquire(elsewhere())


def test_a_flock_that_is_never_free_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(remote, "WAIT_SECONDS", 0)
    lock = ClusterLock(FolderKeeper(tmp_path))
    lock.show()
    with (tmp_path / "flock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(FailedError) as failed:
            lock.show()
    assert failed.value.code == "lock.busy"


def test_no_token_is_in_an_argument(tmp_path: Path) -> None:
    machine = Machine()
    with ClusterLock(HeadKeeper(machine, str(tmp_path))).acquire(elsewhere()) as held:
        held.renew()
    assert len(machine.commands) == 3
    assert all(held.token not in " ".join(command.argv) for command in machine.commands)
    assert all(command.root and command.timeout < 60 for command in machine.commands)
    assert held.token not in repr(held.tenure)
    assert oct((tmp_path / "state.json").stat().st_mode)[-3:] == "600"


def test_a_name_with_quotes_is_data(tmp_path: Path) -> None:
    lock = ClusterLock(HeadKeeper(Machine(), str(tmp_path / "a'b\"c\\")))
    owner = replace(elsewhere(), user="""x'"\n'''); import os #""")
    with lock.acquire(owner):
        holder = lock.show()
    assert holder is not None
    assert holder.owner == owner


def test_a_stale_lock_is_taken_over_and_says_from_whom(tmp_path: Path) -> None:
    keeper = Later(tmp_path)
    lock = ClusterLock(keeper)
    with lock.acquire(elsewhere("r-1")) as first:
        keeper.passed = 59
        with pytest.raises(ConflictError):
            lock.acquire(elsewhere("r-2"))
        keeper.passed = 61
        with lock.acquire(elsewhere("r-2")) as second:
            assert second.tenure.reason == "stale"
            assert second.tenure.previous is not None
            assert second.tenure.previous.owner.run == "r-1"
            assert second.epoch > first.epoch


def test_guard_asks_the_keeper_only_when_it_may_have_been_taken_over(tmp_path: Path) -> None:
    machine, clock = Machine(), SetClock()
    with ClusterLock(HeadKeeper(machine, str(tmp_path)), clock).acquire(elsewhere()) as held:
        held.guard()
        assert len(machine.commands) == 1
        clock.passed = 31
        held.guard()
        assert len(machine.commands) == 2
        held.guard()
        assert len(machine.commands) == 2
        clock.passed = 62
        machine.away = True
        with pytest.raises(UnreachableError):
            held.guard()
        machine.away = False
        held.guard()


def test_the_thread_renews_and_sees_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.layers.l1_cluster.lock.RENEW_SECONDS", 0.02)
    lock = ClusterLock(FolderKeeper(tmp_path))
    with lock.acquire(elsewhere()) as held:
        granted = json.loads((tmp_path / "state.json").read_text())["holder"]["renewed_up"]
        wait_for(lambda: json.loads((tmp_path / "state.json").read_text())["holder"]["renewed_up"] > granted)
        lock.release(held.epoch)
        assert held.lost.wait(10)
    wait_for(lambda: not any(thread.name == "cluster-lock" for thread in threading.enumerate()))


def test_an_unreachable_head_does_not_hide_why_the_block_was_left(tmp_path: Path) -> None:
    machine = Machine()

    def fail() -> None:
        with ClusterLock(HeadKeeper(machine, str(tmp_path))).acquire(elsewhere()):
            machine.away = True
            raise FailedError("the real reason", code="x.y")

    with pytest.raises(FailedError, match="the real reason"):
        fail()


def test_a_kill_at_any_line_leaves_a_sound_state(tmp_path: Path) -> None:
    """Each line of the script is in turn the last one that runs; then another must get the lock."""
    request: dict[str, Any] = {"verb": "acquire", "token": "t", "owner": {}, "dead": None}
    kills = 0
    for last in range(1, 400):
        folder = tmp_path / str(last)
        pid = os.fork()
        if pid == 0:
            _die_at_line(last, str(folder), request)
        status = os.waitpid(pid, 0)[1]
        answer = remote.serve(str(folder), {**request, "token": "u", "dead": None}, remote.clock())
        assert answer["answer"] in {"granted", "held"}
        state = json.loads((folder / "state.json").read_text())
        assert remote.parse(json.dumps(state)) == state
        assert sorted(path.name for path in folder.iterdir()) in (
            ["flock", "state.json"],
            ["flock", "state.json", "state.json.new"],
        )
        if not os.WIFSIGNALED(status):
            assert answer["answer"] == "held"
            break
        kills += 1
    assert kills > 40


def _die_at_line(last: int, folder: str, request: dict[str, Any]) -> None:
    lines = 0

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != remote.__file__:
            return None
        lines += event == "line"
        if lines == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    remote.serve(folder, request)
    os._exit(0)


CONTENDER = """
import sys, time
from pathlib import Path
from aiops.layers.core.errors import ConflictError
from aiops.layers.l1_cluster.lock import ClusterLock
from aiops.layers.l1_cluster.owner import Owner
folder, counter = Path(sys.argv[1]), Path(sys.argv[2])
lock, done, epochs = ClusterLock.of(None, folder), 0, []
deadline = time.monotonic() + 60
while done < 8 and time.monotonic() < deadline:
    try:
        with lock.acquire(Owner.here(f"r-{done}")) as held:
            value = int(counter.read_text())
            time.sleep(0.005)  # long enough for another to come between, were it possible
            counter.write_text(str(value + 1))
            done += 1
            epochs.append(held.epoch)
    except ConflictError:
        time.sleep(0.002)
print(*epochs)
"""

OWNER = """
import sys
from pathlib import Path
from aiops.layers.l1_cluster.lock import ClusterLock
from aiops.layers.l1_cluster.owner import Owner
held = ClusterLock.of(None, Path(sys.argv[1])).acquire(Owner.here("r-first"))
print(held.epoch, flush=True)
for line in sys.stdin:
    try:
        held.renew()
        held.guard()
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    else:
        print("ours", flush=True)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `tmp_path/lock` and tries to go on at every line it is sent."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_processes_never_hold_it_together(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", CONTENDER, str(tmp_path / "lock"), str(counter)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    epochs = [int(word) for process in processes for word in process.communicate(timeout=90)[0].split()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert counter.read_text() == "24"
    assert len(set(epochs)) == 24


def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    epoch = int(answer_of(owner))
    lock = ClusterLock.of(None, tmp_path / "lock")
    with pytest.raises(ConflictError):
        lock.acquire(Owner.here("r-second"))
    owner.kill()
    owner.wait(10)
    with lock.acquire(Owner.here("r-second")) as held:
        assert held.tenure.reason == "dead"
        assert held.epoch > epoch


def test_a_killed_process_that_nobody_has_waited_for_is_dead_too(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    answer_of(owner)
    owner.kill()
    wait_for(lambda: Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    ClusterLock.of(None, tmp_path / "lock").acquire(Owner.here("r-second")).release()


def test_a_paused_owner_that_wakes_after_take_over_is_refused(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    epoch = int(answer_of(owner))
    path = tmp_path / "epoch"
    assert fence(epoch, path) == (0, "")
    assert through_gate(epoch, path) == (0, "")
    owner.send_signal(signal.SIGSTOP)
    keeper = Later(tmp_path / "lock")
    with pytest.raises(ConflictError):
        ClusterLock(keeper).acquire(Owner.here("r-second"))
    keeper.passed = 61
    with ClusterLock(keeper).acquire(Owner.here("r-second")) as held:
        assert fence(held.epoch, path) == (0, "")
        owner.send_signal(signal.SIGCONT)
        assert not (tmp_path / f"{GATE}-{epoch}").exists()
        stale = f"fence: epoch {epoch} is stale, this node has seen {held.epoch}"
        assert fence(epoch, path) == (STALE_STATUS, stale)
        assert through_gate(held.epoch, path) == (0, "")
        owner.stdin.write("go on\n")  # type: ignore[union-attr]
        owner.stdin.flush()  # type: ignore[union-attr]
        assert answer_of(owner).startswith("ConflictError the cluster lock")
        held.guard()


def test_a_pid_used_again_is_not_the_owner() -> None:
    here = Owner.here("r-1")
    assert not here.dead()
    assert replace(here, process_start=here.process_start + 1).dead()
    assert not replace(here, process_start=here.process_start + 1, host="elsewhere").dead()
    assert not replace(here, process_start=here.process_start + 1, boot_id="before").dead()
    assert replace(here, process_start=here.process_start + 1, boot_id="before").ended()


def test_the_fence_only_rises(tmp_path: Path) -> None:
    path = tmp_path / "aiops/epoch"
    for epoch in (5, 5, 9):
        assert fence(epoch, path) == (0, "")
    assert fence(8, path)[0] == STALE_STATUS
    assert path.read_text() == "9\n"
    path.write_text("garbage")
    status, told = fence(10, path)
    assert status == 1
    assert told.startswith(f"fence: {path}: invalid literal")


def fence(epoch: int, path: Path) -> tuple[int, str]:
    """Exit status and last word of the program that a step begins with."""
    program = script("fence", f"main({epoch}, {str(path.parent)!r})")
    argv = [sys.executable, "-I", "-"]
    done = subprocess.run(argv, input=program, text=True, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stderr.strip()


def through_gate(epoch: int, path: Path) -> tuple[int, str]:
    """Exit status and last word of a module that Ansible starts."""
    argv = [str(path.parent / f"{GATE}-{epoch}"), "-c", "pass"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stderr.strip()


def test_without_its_epoch_the_gate_is_shut(tmp_path: Path) -> None:
    path = tmp_path / "epoch"
    assert fence(7, path) == (0, "")
    path.unlink()
    status, told = through_gate(7, path)
    assert (status, told.splitlines()[-1]) == (STALE_STATUS, f"fence: {path} cannot be read")


def answer_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
