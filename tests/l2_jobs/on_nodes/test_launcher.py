"""Launchers and agents for real, on this machine, as plain processes: no unit, no root needed."""

import contextlib
import json
import os
import pwd
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.sshd import free_port

from aiops.layers.core.clock import SystemClock
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, ProgressPlan, Service, Span
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.remote import agent, lease, readiness
from aiops.layers.l2_jobs.remote.fence import epoch
from aiops.layers.l2_jobs.remote.readiness import Readiness
from aiops.layers.l2_jobs.remote.terms import Terms
from aiops.layers.l2_jobs.report import (
    Deposed,
    Ended,
    Exited,
    Halted,
    NotStarted,
    Ready,
    Report,
    Signed,
    Started,
    Stepped,
)
from aiops.layers.l2_jobs.spec import Seat, specs
from aiops.layers.l2_jobs.steady import Steady
from aiops.layers.l2_jobs.term import Term

ME = pwd.getpwuid(os.getuid())
NODE = Node("n1", connection=Connection(kind="local"))
STEADY = Steady(SystemClock())
SECONDS = 40.0


@dataclass
class Bench:
    """Lines to this machine, and all that has been told."""

    base: Path
    folder: Path
    told: list[Report] = field(default_factory=list)
    logs: dict[tuple[Key, str], bytearray] = field(default_factory=dict)
    lines: OpenLines = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.controller()

    def controller(self, term: Term | None = None) -> OpenLines:
        """Lines of a new controller, which knows what was kept."""
        return OpenLines(
            Fleet(Connector(os.environ)),
            {"n1": NODE},
            STEADY,
            logs=self.keep,
            kept=lambda key, node: len(self.logs.get((key, node), b"")),
            reader=lambda: lambda line: ("cuda_oom", True) if "out of memory" in line else None,
            root=False,
            base=str(self.base),
            term=term,
        )

    def keep(self, key: Key, node: str, offset: int, data: bytes) -> None:
        log = self.logs.setdefault((key, node), bytearray())
        assert offset <= len(log), "a gap"
        log[offset : offset + len(data)] = data

    def job(self, *command: str, **changes: Any) -> Job:
        fields: dict[str, Any] = {
            "id": "test-1",
            "name": "test",
            "owner": Account(ME.pw_name, ME.pw_uid, ME.pw_gid),
            "kind": "batch",
            "command": command,
            "launch": "command",
            "nodes": Span(1, 1),
            "devices": Devices(),
            "processes": 1,
            "folder": str(self.folder),
            "submitted": datetime.now(UTC),
        }
        return Job(**fields | changes)

    def spec(self, job: Job, number: int = 1) -> dict[str, Any]:
        allocation = Allocation((Slot("n1"),))
        attempt = Attempt(Key(job.id, number), "ssh", allocation, free_port(), secret=secrets.token_hex(16))
        return specs(job, attempt, {"n1": Seat("127.0.0.1", root=True)})["n1"]

    def start(self, job: Job, number: int = 1) -> Key:
        key = Key(job.id, number)
        self.lines.start(key, "n1", self.spec(job, number))
        return key

    def log(self, key: Key) -> str:
        return self.logs.get((key, "n1"), bytearray()).decode()

    def until(self, done: Callable[[], Any], seconds: float = SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, self.told[-10:]
            self.lines.wait(0.05)
            self.told += self.lines.reports()
        return found

    def wait(self, kind: type[Report], count: int = 1) -> Any:
        """The report of a kind, the last of so many."""

        def found() -> Any:
            of_kind = [one for one in self.told if isinstance(one, kind)]
            return of_kind[count - 1] if len(of_kind) >= count else None

        return self.until(found)

    def events(self, key: Key) -> list[str]:
        return (self.base / str(key) / "events.jsonl").read_text().splitlines()


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("w")
    made = Bench(folder / "jobs", folder)
    yield made
    for key in {key for key, _ in made.logs} | {Key("test-1", number) for number in range(1, 4)}:
        made.lines.kill(key, "n1")
    deadline = time.monotonic() + 10
    while processes_of("test-1") and time.monotonic() < deadline:
        time.sleep(0.05)
    made.lines.close()
    assert not processes_of("test-1")


def processes_of(job: str) -> list[int]:
    """All processes that bear a job's name in their environment."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if f"AIOPS_JOB={job}\0".encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
    return found


def launcher_of(folder: Path) -> int:
    """The process of a launcher."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                if (path / "cmdline").read_bytes().endswith(f"\0{folder}\0".encode()):
                    return int(path.name)
    raise AssertionError(folder)


def test_from_start_to_end(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", "echo hello; echo CUDA out of memory; env; exit 4"))
    started, ended = bench.wait(Started), bench.wait(Ended)
    assert started.key == key
    assert (ended.end, ended.status) == ("failed", 4)
    assert bench.wait(Exited).status == 4
    assert "hello\n" in bench.log(key)
    assert "AIOPS_ATTEMPT=1\n" in bench.log(key)
    assert (bench.wait(Signed).kind, bench.wait(Signed).text) == ("cuda_oom", "CUDA out of memory")


def test_nothing_secret_is_in_a_process_list_or_readable(bench: Bench) -> None:
    job = bench.job("sleep", "60")
    spec = bench.spec(job)
    bench.lines.start(Key(job.id, 1), "n1", spec)
    bench.wait(Started)
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                shown = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            except OSError:
                continue
            assert spec["secret"].encode() not in shown
    folder = bench.base / "test-1.1"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "spec.json").stat().st_mode & 0o777 == 0o600


def test_progress_by_socket_and_by_output(bench: Bench) -> None:
    tell = (
        "import os,socket;s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);s.connect(os.environ['AIOPS_PROGRESS']);"
        's.send(b\'{"step": 41, "rank": 2}\');s.send(b\'{"step": 42, "rank": 2, "loss": 0.5}\');'
        "print('at 7',flush=True)"
    )
    job = bench.job("python3", "-c", tell, progress=ProgressPlan(r"at (?P<step>\d+)"))
    bench.start(job)
    bench.wait(Ended)
    last = {one.rank: one for one in bench.told if isinstance(one, Stepped)}
    assert (last[2].step, last[2].loss, last[0].step) == (42, 0.5, 7)


def test_it_is_asked_to_leave_and_leaves(bench: Bench) -> None:
    line = 'trap "test -e $AIOPS_STOP && echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    key = bench.start(bench.job("sh", "-c", line))
    bench.until(lambda: "ready" in bench.log(key))
    bench.lines.stop(key, "n1", 30)
    assert (bench.wait(Ended).end, bench.wait(Ended).status) == ("stopped", 0)
    assert "saved" in bench.log(key)


def test_one_that_a_signal_has_stopped_is_told_and_that_it_goes_on(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", "echo $$; while :; do sleep 0.05; done"))
    pid = int(bench.until(lambda: bench.log(key).strip()))
    os.kill(pid, signal.SIGSTOP)
    told = bench.wait(Halted)
    assert (told.rank, told.halted) == (0, True)
    os.kill(pid, signal.SIGCONT)
    assert not bench.wait(Halted, 2).halted


def test_what_does_not_leave_is_ended(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 0.05; done'))
    bench.until(lambda: "ready" in bench.log(key))
    begun = time.monotonic()
    bench.lines.stop(key, "n1", 1.0)
    assert bench.wait(Ended).end == "stopped"
    assert time.monotonic() - begun > 0.9


def test_no_process_gets_away(bench: Bench) -> None:
    escape = (
        "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0:\n"
        "  os.environ.clear()\n  time.sleep(300)\n os._exit(0)\n"
    )
    key = bench.start(bench.job("sh", "-c", f'python3 -c "{escape}"; setsid sleep 300 & echo ready; sleep 300'))
    bench.until(lambda: "ready" in bench.log(key))
    before = processes_of("test-1")
    bench.lines.kill(key, "n1")
    bench.wait(Ended)
    assert len(before) >= 4
    bench.until(lambda: not processes_of("test-1"))


def test_a_folder_that_is_not_there_is_the_users_fault(bench: Bench) -> None:
    bench.start(bench.job("true", folder="/nowhere/at/all"))
    refused = bench.wait(NotStarted)
    assert (refused.causer, refused.reason) == ("user", "there is no folder /nowhere/at/all here")


def test_a_program_that_is_not_there_is_the_users_fault(bench: Bench) -> None:
    bench.start(bench.job("no-such-program-here"))
    assert bench.wait(NotStarted).causer == "user"


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (Account("nobody-here", 1, 1), "there is no user nobody-here here"),
        (Account(ME.pw_name, 77_777, 1), f"{ME.pw_name} has the number {ME.pw_uid} here and 77777 at the head"),
    ],
)
def test_users_are_the_same_everywhere_or_nothing_starts(bench: Bench, account: Account, reason: str) -> None:
    bench.start(bench.job("true", owner=account))
    refused = bench.wait(NotStarted)
    assert (refused.reason, refused.causer) == (reason, "user")
    assert not (bench.base / "test-1.1").exists()


def test_an_older_attempt_may_not_write_and_a_newer_ends_it(bench: Bench) -> None:
    checkpoints = bench.folder / "checkpoints"
    checkpoints.mkdir()
    plan = CheckpointPlan(str(checkpoints))
    bench.start(bench.job("sleep", "300", checkpoint=plan), 2)
    bench.wait(Started)
    assert epoch(str(checkpoints), "test-1") == 2
    bench.start(bench.job("true", checkpoint=plan), 1)
    assert "attempt 2 of this job has been here" in bench.wait(NotStarted).reason
    bench.start(bench.job("sleep", "300", checkpoint=plan), 3)
    bench.wait(Started, 2)
    assert bench.wait(Ended).key.number == 2
    (checkpoints / ".aiops-epoch.other-1").write_text("9\n")
    bench.start(bench.job("true", id="other-1", checkpoint=plan), 4)
    assert "attempt 9 of other-1 has already begun" in bench.wait(NotStarted, 2).reason


def test_what_was_ended_never_begins(bench: Bench) -> None:
    """A start that was on its way for long comes after the end."""
    key = Key("test-1", 1)
    bench.lines.kill(key, "n1")
    assert bench.wait(Ended).end == "stopped"
    bench.lines.release(key, "n1")
    bench.start(bench.job("true"))
    assert bench.wait(NotStarted).reason == "this attempt was ended here before"


def test_a_second_start_is_the_first(bench: Bench) -> None:
    job = bench.job("sh", "-c", "echo once; sleep 300")
    spec = bench.spec(job)
    key = Key(job.id, 1)
    for _ in range(3):
        bench.lines.start(key, "n1", spec)
    bench.wait(Started)
    bench.lines.close()
    bench.lines = bench.controller()
    bench.lines.start(key, "n1", spec)
    bench.wait(Started, 2)
    bench.until(lambda: "once" in bench.log(key))
    assert bench.log(key) == "once\n"
    assert sum('"started"' in line for line in bench.events(key)) == 1


def test_another_controller_finds_all_and_nothing_twice(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", "for i in $(seq 300); do echo line $i; sleep 0.01; done; exit 3"))
    bench.until(lambda: "line 20\n" in bench.log(key))
    bench.lines.close()
    bench.lines = bench.controller()
    bench.until(lambda: len(bench.events(key)) > 2)  # it ends while nobody listens
    bench.lines.follow(key, "n1", ME.pw_uid)
    assert (bench.wait(Ended).end, bench.wait(Ended).status) == ("failed", 3)
    bench.until(lambda: "line 300\n" in bench.log(key))
    assert bench.log(key) == "".join(f"line {number}\n" for number in range(1, 301))


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_an_agent_that_is_ended_at_any_moment_loses_nothing(bench: Bench, moment: float) -> None:
    key = bench.start(bench.job("sh", "-c", "for i in $(seq 100); do echo line $i; sleep 0.01; done"))
    time.sleep(moment)  # the moment is what is tried
    for pid in agents():
        os.kill(pid, signal.SIGKILL)
    assert bench.wait(Ended).end == "done"
    bench.until(lambda: "line 100\n" in bench.log(key))
    assert bench.log(key) == "".join(f"line {number}\n" for number in range(1, 101))
    assert sum('"started"' in line for line in bench.events(key)) == 1


def agents() -> list[int]:
    """The agents that this process has started."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                mine = parent == os.getpid() and b"import os, zlib" in (path / "cmdline").read_bytes()
            except OSError:
                continue
            if mine:
                found.append(int(path.name))
    return found


def test_a_launcher_that_is_ended_takes_all_with_it(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", "echo ready; sleep 300"))
    bench.until(lambda: "ready" in bench.log(key))
    os.kill(launcher_of(bench.base / str(key)), signal.SIGKILL)
    bench.lines.kill(key, "n1")
    assert bench.wait(Ended).end in {"stopped", "lost"}
    assert not processes_of("test-1")


def test_stacks_are_written_to_the_log(bench: Bench) -> None:
    key = bench.start(bench.job("sh", "-c", "echo ready; sleep 300"))
    bench.until(lambda: "ready" in bench.log(key))
    bench.lines.dump(key, "n1")
    bench.until(lambda: "[aiops]   thread" in bench.log(key) and "sleep" in bench.log(key))


def test_a_release_removes_what_was_left(bench: Bench) -> None:
    key = bench.start(bench.job("true"))
    bench.wait(Ended)
    bench.lines.release(key, "n1")
    bench.until(lambda: not (bench.base / str(key)).exists())


def test_a_release_by_another_controller_keeps_the_last_word(bench: Bench) -> None:
    """Its agent has not heard the end itself."""
    key = bench.start(bench.job("sh", "-c", "exit 3"))
    bench.wait(Ended)
    bench.lines.close()
    bench.lines = bench.controller()
    bench.lines.release(key, "n1")
    stone = bench.base / ".ended" / str(key)
    bench.until(lambda: not (bench.base / str(key)).exists() and stone.exists() and stone.read_text())
    assert json.loads(stone.read_text()) == {"kind": "ended", "end": "failed", "status": 3}


def test_an_end_that_a_user_has_made_up_frees_nothing(bench: Bench) -> None:
    """His processes run: neither is an end told, nor is anything let go before they were ended."""
    forged = '{"n": 50, "kind": "ended", "end": "done", "status": 0}'
    key = bench.start(
        bench.job("sh", "-c", f"echo '{forged}' >>$(dirname $AIOPS_PROGRESS)/events.jsonl; echo forged; sleep 300")
    )
    bench.until(lambda: "forged" in bench.log(key))
    with contextlib.suppress(AssertionError):
        bench.until(lambda: [one for one in bench.told if isinstance(one, Ended)], 1.5)
    assert processes_of("test-1")
    assert not [one for one in bench.told if isinstance(one, Ended)]
    bench.lines.release(key, "n1")
    bench.until(lambda: not (bench.base / str(key)).exists())
    assert not processes_of("test-1")


def test_what_was_ended_long_ago_is_swept(bench: Bench) -> None:
    folder, stone = bench.base / "left-1.1", bench.base / ".ended" / "left-1.1"
    (folder / "rank").mkdir(parents=True)
    stone.parent.mkdir()
    stone.touch()
    os.utime(stone, (time.time() - 8 * 86400.0,) * 2)
    bench.start(bench.job("true"))
    bench.until(lambda: not folder.exists())
    assert stone.exists()


TORCHRUN = """#!{python}
import os, subprocess, sys, time
argv = sys.argv[1:]
option = lambda name: next(one.partition("=")[2] for one in argv if one.startswith(name + "="))
count, node = int(option("--nproc-per-node")), int(option("--node-rank"))
script = argv[argv.index("train.sh"):]
print("starting", count, flush=True)
found = []
for local in range(count):
    own = dict(os.environ, LOCAL_RANK=str(local), RANK=str(node * count + local))
    program = "import os; os.execv('/bin/sh', ['sh', *%r])" % script
    command = [os.environ.get("PYTHON_EXEC", sys.executable), "-u", "-c", program]
    found.append(subprocess.Popen(command, env=own, start_new_session=True))
time.sleep(5)  # as long as older ones look away
sys.exit(max(abs(one.wait()) for one in found))
"""
"""What torchrun does of what matters here: it starts ranks with PYTHON_EXEC, and looks only now and then."""


def test_ends_of_ranks_are_told_before_torchrun_looks(bench: Bench) -> None:
    torchrun = bench.folder / "torchrun"
    torchrun.write_text(TORCHRUN.replace("{python}", sys.executable))
    torchrun.chmod(0o755)
    script = bench.folder / "train.sh"
    script.write_text('echo "I am $RANK, python is $0"; sleep $1; if [ $RANK = 1 ]; then kill -9 $$; fi; sleep 300\n')
    key = bench.start(bench.job(str(torchrun), "train.sh", "1", launch="torchrun", processes=3))
    exited = bench.wait(Exited)
    assert (exited.rank, exited.status) == (1, -9)
    assert exited.at - bench.wait(Started).at < 4.5
    assert not bench.told or not isinstance(bench.told[-1], Ended)
    for rank in range(3):
        assert f"[rank{rank}]: I am {rank}, python is train.sh\n" in bench.log(key)
    assert "starting 3\n" in bench.log(key)


def until(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, (what, processes_of("test-1"))
        time.sleep(0.05)


@dataclass
class Gang:
    """Two launchers that believe they are on two nodes."""

    bench: Bench
    ports: Sequence[int] = field(default_factory=lambda: (free_port(), free_port()))
    lines: list[OpenLines] = field(default_factory=list)
    told: list[Report] = field(default_factory=list)

    def start(self, *command: str) -> Key:
        seats = {name: Seat("127.0.0.1", root=True) for name in ("n1", "n2")}
        key = Key("test-1", 1)
        allocation = Allocation((Slot("n1"), Slot("n2")))
        attempt = Attempt(key, "ssh", allocation, free_port(), secret=secrets.token_hex(16))
        for rank, (name, spec) in enumerate(specs(self.bench.job(*command), attempt, seats).items()):
            spec["beat_port"], spec["peers"][0]["port"] = self.ports[rank], self.ports[1 - rank]
            spec["environment"]["WHO"] = name
            self.lines.append(self.line(name))
            self.lines[-1].start(key, name, spec)
        self.until(lambda: len(self.of(Started)) == 2)
        return key

    def line(self, name: str) -> OpenLines:
        """The lines of a head that reaches only this one of them."""
        return OpenLines(
            Fleet(Connector(os.environ)),
            {name: Node(name, connection=Connection(kind="local"))},
            STEADY,
            logs=self.bench.keep,
            root=False,
            base=str(self.bench.base.with_name(name)),
        )

    def of(self, kind: type[Report]) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]

    def until(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + SECONDS
        while not done():
            assert time.monotonic() < deadline, self.told[-10:]
            for lines in self.lines:
                lines.wait(0.05)
                self.told += lines.reports()


@pytest.fixture
def gang(bench: Bench) -> Iterator[Gang]:
    made = Gang(bench)
    yield made
    for number, lines in enumerate(made.lines):
        lines.kill(Key("test-1", 1), f"n{number + 1}")
    deadline = time.monotonic() + 10
    while processes_of("test-1") and time.monotonic() < deadline:
        time.sleep(0.05)
    for lines in made.lines:
        lines.close()


def test_a_gang_goes_on_without_the_head_and_one_alone_does_not(gang: Gang) -> None:
    line = "while :; do date +%s.%N >$AIOPS_STOP.$WHO.new; mv $AIOPS_STOP.$WHO.new $AIOPS_STOP.$WHO; sleep 0.05; done"
    key = gang.start("sh", "-c", line)
    for lines in gang.lines:
        lines.close()
    begun = time.time()

    def written(name: str) -> float:
        path = gang.bench.base.with_name(name) / str(key) / f"stop.{name}"
        return float(path.read_text() or 0) if path.exists() else 0.0

    time.sleep(8.0)  # longer than any lease: time is what is tried
    assert min(written("n1"), written("n2")) > begun + 7
    lost = time.time()
    for pid in processes_of("test-1"):  # one of them is gone without a word
        with contextlib.suppress(OSError):  # it has ended with another one
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"/n2/" in words or b"WHO=n2\0" in Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(pid, signal.SIGKILL)
    events = gang.bench.base.with_name("n1") / str(key) / "events.jsonl"
    deadline = time.monotonic() + 20
    while '"ended"' not in events.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert written("n1") < lost + 5.0
    assert [kind for kind in ("peer_silent", "frozen", '"lease"') if kind not in events.read_text()] == []
    gang.lines.clear()


def test_a_peer_that_is_done_keeps_the_other_company(gang: Gang) -> None:
    gang.start("sh", "-c", "while [ $WHO = n2 ] || [ ! -e leave ]; do sleep 0.1; done")
    for lines in gang.lines:
        lines.close()  # the head is away from both before the first of them has done its work
    (gang.bench.folder / "leave").touch()
    over, events = (gang.bench.base.with_name(name) / "test-1.1" / "events.jsonl" for name in ("n1", "n2"))
    until("it is done", lambda: '"done"' in over.read_text())
    time.sleep(7.0)  # longer than the other one's lease: it hears only the one that is done
    for silence in ("peer_silent", "frozen", "ended"):
        assert silence not in events.read_text()
    gang.lines = [gang.line("n1")]
    gang.lines[0].kill(Key("test-1", 1), "n1")  # that is ended too, and so the lease
    until("its lease ends", lambda: '"lease"' in events.read_text())


def test_a_port_that_is_taken_is_told(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        spec = bench.spec(bench.job("true"))
        spec["beat_port"] = taken.getsockname()[1]
        spec["peers"] = [{"node": "n2", "address": "127.0.0.1", "port": 9}]
        bench.lines.start(Key("test-1", 1), "n1", spec)
        assert "cannot hear its peers" in bench.wait(NotStarted).reason


SERVICE = Path(__file__).parents[1] / "programs" / "service.py"


def test_a_service_is_ready_once_its_address_answers_and_no_longer_when_it_does_not(bench: Bench) -> None:
    service = Service(("http",), "http:http/health")
    command = (sys.executable, str(SERVICE), "--ready-after", "1.5", "--unready-after", "4")
    bench.start(bench.job(*command, kind="service", service=service))
    assert bench.wait(Ready).ready
    assert not bench.wait(Ready, 2).ready
    assert bench.wait(Ready, 2).at - bench.wait(Started).at > 1.5


def test_a_service_is_ready_once_its_command_ends_with_0(bench: Bench) -> None:
    mark = bench.folder / "served"
    probe = ("sh", "-c", f"echo x >> {bench.folder}/asked; test -e {mark} -a $AIOPS_PORT_HTTP -gt 0")
    key = bench.start(bench.job("sleep", "60", kind="service", service=Service(("http",), probe)))
    bench.until(lambda: (bench.folder / "asked").exists() and (bench.folder / "asked").read_text().count("x") > 1)
    assert not [one for one in bench.told if isinstance(one, Ready)], "it fails, and others take its status"
    mark.touch()
    assert bench.wait(Ready) == Ready(key, bench.wait(Ready).at, ready=True)
    assert '"kind": "ready"' in "".join(bench.events(key))


def test_a_command_that_never_answers_is_ended_and_is_no_yes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.3)
    monkeypatch.setattr(readiness, "EVERY", 0.05)
    mark = tmp_path / "pids"
    told: list[bool] = []
    asked = Readiness({"argv": ["sh", "-c", f"echo $$ >> {mark}; sleep 60"]}, str(tmp_path), dict(os.environ))
    asked.start(told.append)
    deadline = time.monotonic() + SECONDS
    while not mark.exists() or len(mark.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asked.end()
    first = int(mark.read_text().split()[0])
    assert os.WTERMSIG(os.waitpid(first, 0)[1]) == signal.SIGKILL
    assert told == []


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 302 x\r\n", True),
        (b"HTTP/1.0 503 busy\r\n", False),
        (b"", False),
    ],
)
def test_what_an_address_may_answer(said: bytes, ready: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(said)

        asked: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        assert readiness.answers(port, "/health?a=1") is ready
        thread.join(5.0)
        assert asked[0].startswith(b"GET /health?a=1 HTTP/1.0\r\n")
    assert not readiness.answers(port, "/"), "nobody listens"


def test_a_head_that_comes_back_is_refused_once_a_later_one_was_here(bench: Bench) -> None:
    old, later = Term("a1", 3), Term("a1", 3).raised(0.0)
    bench.lines.close()
    first = bench.lines = bench.controller(old)
    key = bench.start(bench.job("sleep", "60"))
    bench.wait(Started)
    # The later one comes while the channel of the old one is still open: that is let go of, and nothing is obeyed.
    second = bench.controller(later)
    second.follow(key, "n1", ME.pw_uid)
    assert bench.wait(Deposed).term == 4
    first.kill(key, "n1")
    # It begins anew, as after a reboot, and is refused before it may say anything.
    first.close()
    bench.told.clear()
    bench.lines = first = bench.controller(old)
    first.follow(key, "n1", ME.pw_uid)
    first.kill(key, "n1")
    assert bench.wait(Deposed, 2).term == 4
    # A controller of other jobs is nobody's later or earlier one.
    other = bench.controller(Term("b2", 1))
    other.follow(key, "n1", ME.pw_uid)
    bench.lines = other
    bench.told.clear()
    bench.wait(Started)
    assert not [one for one in bench.told if isinstance(one, Ended | Deposed)]
    first.close()
    other.close()
    bench.lines = second
    bench.told.clear()
    bench.wait(Started)
    second.kill(key, "n1")
    bench.wait(Ended)
    assert (bench.base / ".terms" / "a1").read_text() == "4\n"


@pytest.mark.parametrize("rubbish", [b"", b"x", b"\xff"])
def test_a_term_that_cannot_be_read_lets_nobody_in(tmp_path: Path, rubbish: bytes) -> None:
    terms = Terms(str(tmp_path), "a1", 2)
    assert (terms.highest(), terms.outranked(), terms.claim(), terms.outranked()) == (0, 0, 2, 0)
    assert Terms(str(tmp_path), "a1", 1).claim() == 2
    assert Terms(str(tmp_path), "a1", 1).outranked() == 2
    assert (tmp_path / ".terms" / "a1").read_bytes() == b"2\n"
    (tmp_path / ".terms" / "a1").write_bytes(rubbish)
    with pytest.raises(ValueError):
        terms.claim()


def test_a_word_to_start_that_was_on_its_way_for_long_starts_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(lease, "clock", lambda: now[0])
    ours, heads = os.pipe()
    one = agent.Agent(str(bench.base), b"", heads)
    one._beat()
    start = {"do": "start", "key": "test-1.1", "spec": bench.spec(bench.job("true"))}
    now[0] += agent.LATE + 0.1
    one._do(start)
    said = [json.loads(line) for line in os.read(ours, 65536).splitlines()]
    assert [(one.get("causer"), "came late" in one.get("error", "")) for one in said] == [
        (None, False),
        ("network", True),
    ]
    assert not (bench.base / "test-1.1").exists()
    one._do({"do": "beat", "n": said[0]["n"]})  # the answer to what was sent then proves nothing of now
    one._do(start)
    assert "came late" in os.read(ours, 65536).decode()
    one._beat()
    one._do({"do": "beat", "n": said[0]["n"] + 1})
    one._do(start)
    assert (bench.base / "test-1.1").is_dir()
    now[0] += agent.LATE + 0.1  # what is late by the time that its folder is ready is as late
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        os.read(ours, 65536)
    while one._errands.look():
        time.sleep(0.01)
    assert "came late" in os.read(ours, 65536).decode()
    os.close(ours)
    os.close(heads)
