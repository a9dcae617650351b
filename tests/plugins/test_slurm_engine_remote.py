"""What runs on nodes for the Slurm engine, run for real: the batch script, the keeper, and the program that places."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.remote.errands import Errands
from aiops.layers.l2_jobs.remote.units import Systemd
from aiops.plugins.slurm.program import batch as batch_program
from aiops.plugins.slurm.program import keeper, placing

KEY = "llama-1.3"
SECONDS = 20.0


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / KEY
    found.mkdir()
    return found


def batch(
    folder: Path,
    words: list[str],
    *,
    commands: list[list[str]] | None = None,
    own: Any = None,
    ask: list[str] | None = None,
    term: Any = None,
    path: str = os.environ["PATH"],
) -> subprocess.Popen[bytes]:
    call = f"main({str(folder)!r}, {KEY!r}, {commands or [words]!r}, {ask or ['true']!r}, {own or {}!r}, term={term!r})"
    program = folder.parent / f"batch-{len(list(folder.parent.iterdir()))}.py"  # one that runs must not be rewritten
    program.write_text(batch_program(call))
    with (folder.parent / "said").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(program)],
            stderr=said,
            env={**os.environ, "SLURM_JOB_ID": "77", "PATH": path},
        )


def record(folder: Path, name: str = "end") -> Any:
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize(("line", "status", "code"), [("exit 0", 0, 0), ("exit 3", 3, 3), ("kill -9 $$", -9, 137)])
def test_the_end_is_written_down_before_the_script_ends(folder: Path, line: str, status: int, code: int) -> None:
    assert batch(folder, ["sh", "-c", line]).wait(SECONDS) == code
    found = record(folder)
    assert (found["status"], found["epoch"], found["key"], found["job"]) == (status, 3, KEY, "77")
    assert found["begun"] == record(folder, "begun")["at"] <= found["at"]
    assert sorted(path.name for path in folder.iterdir()) == ["begun.json", "end.json"]


def test_a_second_job_for_the_same_attempt_runs_nothing(folder: Path) -> None:
    assert batch(folder, ["touch", str(folder / "first")]).wait(SECONDS) == 0
    before = record(folder)
    second = batch(folder, ["touch", str(folder / "second")])
    assert second.wait(SECONDS) == 73
    assert "was begun before" in (folder.parent / "said").read_text()
    assert not (folder / "second").exists()
    assert record(folder) == before


def test_of_many_scripts_at_once_one_begins(folder: Path) -> None:
    words = ["sh", "-c", f"echo x >> {folder}/ran"]
    scripts = [batch(folder, words) for _ in range(6)]
    assert sorted(one.wait(SECONDS) for one in scripts) == [0, 73, 73, 73, 73, 73]
    assert (folder / "ran").read_text() == "x\n"


def test_without_its_folder_nothing_is_run(tmp_path: Path) -> None:
    assert batch(tmp_path / "gone", ["touch", str(tmp_path / "ran")]).wait(SECONDS) == 73
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "gone").exists()


def test_a_missing_srun_is_told(folder: Path) -> None:
    assert batch(folder, ["/nowhere/srun"]).wait(SECONDS) == 73
    assert record(folder)["status"] is None
    assert record(folder)["reason"].startswith("/nowhere/srun: ")


def test_signals_do_not_keep_the_end_from_being_written(folder: Path) -> None:
    asked = folder / "asked"
    words = ["sh", "-c", f"touch {folder}/up; while [ ! -e {asked} ]; do sleep 0.01; done; exit 4"]
    process = batch(folder, words, ask=["sh", "-c", f"echo $1 >> {asked}", "-", "JOB"])
    until("it runs", (folder / "up").exists)
    process.send_signal(signal.SIGTERM)
    until("the first was told", lambda: process.poll() is None)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(SECONDS) == 4
    assert asked.read_text() == "77\n"  # once, by the warning alone
    assert sorted(record(folder)["signals"]) == sorted([signal.SIGTERM, signal.SIGUSR1])


def test_an_srun_that_waits_for_a_lost_node_is_ended_and_the_end_is_written(folder: Path) -> None:
    words = ["sh", "-c", f"trap '' TERM; touch {folder / 'runs'}; while :; do sleep 0.05; done"]
    process = batch(folder, words)
    until("srun runs", (folder / "runs").exists)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGUSR2)
    assert process.wait(SECONDS) == 128 + 9
    end = record(folder)
    assert (end["status"], set(end["signals"])) == (-9, {int(signal.SIGTERM), int(signal.SIGUSR2)})


def test_a_launcher_that_cannot_begin_ends_the_others_and_their_steps(folder: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scancel").write_text(f"#!/bin/sh\necho $* >> {folder / 'cancelled'}\n")
    (programs / "scancel").chmod(0o755)
    waits = ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    process = batch(
        folder, [], commands=[waits, ["sh", "-c", "exit 9"], ["true"]], path=f"{programs}:{os.environ['PATH']}"
    )
    assert process.wait(SECONDS) == 9
    assert record(folder)["status"] == 9
    until("the steps are ended", (folder / "cancelled").exists)
    assert (folder / "cancelled").read_text() == "--signal=KILL 77.0 77.1 77.2\n"


def test_all_end_well_where_each_does(folder: Path) -> None:
    assert batch(folder, [], commands=[["sh", "-c", "sleep 0.3"], ["true"], ["sh", "-c", "exit 0"]]).wait(SECONDS) == 0
    assert record(folder)["status"] == 0


def test_the_users_own_command_is_kept_from_a_folder_of_a_newer_attempt(folder: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / ".aiops-epoch.llama-1").write_text("4\n")
    own = {"folder": str(tmp_path), "checkpoints": str(checkpoints), "environment": {}}
    assert batch(folder, ["touch", str(tmp_path / "ran")], own=own).wait(SECONDS) == 73
    assert "a newer attempt" in record(folder)["reason"]
    assert not (tmp_path / "ran").exists()


def test_the_users_own_command_raises_the_epoch_and_sees_its_environment(folder: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / ".aiops-epoch.llama-1").write_text("2\n")
    own = {"folder": str(tmp_path), "checkpoints": str(checkpoints), "environment": {"WHO": "it's me"}}
    assert batch(folder, ["sh", "-c", 'test "$WHO" = "it\'s me"'], own=own).wait(SECONDS) == 0
    assert (checkpoints / ".aiops-epoch.llama-1").read_text() == "3\n"
    missing = {**own, "folder": str(tmp_path / "nowhere")}
    (folder / "begun.json").unlink()
    assert batch(folder, ["true"], own=missing).wait(SECONDS) == 73
    assert "there is no folder" in record(folder)["reason"]


# -- a later controller

LATER, OLD = ("a1", 4), ("a1", 3)


def claimed(base: Path, term: tuple[str, int] = LATER) -> None:
    """A controller of that term has been here."""
    assert place("here", base, term=term)["boot_id"]


def test_a_script_that_begins_after_a_later_controller_came_runs_nothing_and_says_so(folder: Path) -> None:
    claimed(folder.parent)
    words = ["touch", str(folder / "ran")]
    checkpoints = folder.parent / "checkpoints"
    checkpoints.mkdir()
    own = {"folder": str(folder), "checkpoints": str(checkpoints), "environment": {}}
    assert batch(folder, words, own=own, term=OLD).wait(SECONDS) == 73
    assert not (folder / "ran").exists()
    assert list(checkpoints.iterdir()) == []  # it has not taken the folder from whoever is the later one
    found = record(folder)
    assert (found["end"], found["status"]) == ("superseded", None)
    assert found["reason"] == "a later controller of this cluster (term 4, not 3) looks after the jobs"
    assert "term 4" in (folder.parent / "said").read_text()


@pytest.mark.parametrize("term", [LATER, ("a1", 5), ("b2", 1), None])
def test_the_latest_controller_and_one_of_other_jobs_have_theirs_run(folder: Path, term: Any) -> None:
    claimed(folder.parent)
    assert batch(folder, ["touch", str(folder / "ran")], term=term).wait(SECONDS) == 0
    assert (record(folder)["end"], record(folder)["status"]) == ("", 0)


def test_a_script_that_cannot_tell_runs_nothing(folder: Path) -> None:
    claimed(folder.parent)
    (folder.parent / ".terms" / "a1").write_bytes(b"\xff")
    assert batch(folder, ["touch", str(folder / "ran")], term=LATER).wait(SECONDS) == 73
    assert not (folder / "ran").exists()
    assert record(folder)["end"] == ""
    assert "cannot be read" in record(folder)["reason"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("by_an_earlier_release", [False, True])
def test_a_users_script_can_read_what_only_root_can_write(tmp_path: Path, by_an_earlier_release: bool) -> None:
    terms = tmp_path / ".terms"
    if by_an_earlier_release:
        terms.mkdir(mode=0o700)
        (terms / "a1").write_bytes(b"4\n")
        (terms / "a1").chmod(0o600)
    claimed(tmp_path)
    folder = os.open(terms, os.O_RDONLY)  # pytest's own folders let nobody else in
    child = os.fork()
    if child == 0:
        os.fchdir(folder)
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        os._exit(10 * int(Path("a1").read_text()) + os.access(".", os.R_OK | os.W_OK) + os.access("a1", os.W_OK))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 40
    os.close(folder)


@pytest.mark.parametrize("deed", ["place", "look", "swept", "here"])
def test_nothing_is_done_on_a_node_for_an_earlier_controller(tmp_path: Path, deed: str) -> None:
    base = tmp_path / "jobs"
    claimed(base)
    _, uid, gid = me()
    values: dict[str, tuple[Any, ...]] = {
        "place": (KEY, me(), {"a": "b"}),
        "look": (KEY, uid, gid),
        "swept": (KEY, uid, gid, "77"),
        "here": (),
    }
    assert place(deed, base, *values[deed], term=OLD) == {"deposed": 4}
    assert [path.name for path in base.iterdir()] == [".terms"]
    assert "deposed" not in place(deed, base, *values[deed], term=LATER)


# -- placing


def place(deed: str, base: Path, *values: Any, term: Any = None) -> Any:
    words = ", ".join(repr(one) for one in (deed, str(base), term, *values))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"],
        input=placing(f"tell({words})"),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def me() -> tuple[str, int, int]:
    import pwd

    account = pwd.getpwuid(os.getuid())
    return account.pw_name, account.pw_uid, account.pw_gid


def test_a_folder_is_made_once_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    base = tmp_path / "jobs"
    files = {"spec.json": '{"secret": "x"}', "launcher.py": "print('it\\'s')\n"}
    first = place("place", base, KEY, me(), files)
    assert (first["placed"], first["begun"], first["end"], first["launched"]) == (True, None, None, False)
    assert first["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert {path.name: path.read_text() for path in (base / KEY).iterdir()} == files
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (base / KEY, *(base / KEY).iterdir())]
    assert modes == [0o700, 0o600, 0o600]
    place("place", base, KEY, me(), dict(files, more="x"))
    assert sorted(path.name for path in (base / KEY).iterdir()) == sorted(files)
    assert [path.name for path in base.iterdir()] == [KEY]


def test_another_number_of_the_account_is_refused(tmp_path: Path) -> None:
    name, uid, gid = me()
    found = place("place", tmp_path, KEY, (name, uid + 1, gid), {})
    assert (found["causer"], list(tmp_path.iterdir())) == ("user", [])
    assert f"number {uid} here" in found["refused"]
    assert "no user" in place("place", tmp_path, KEY, ("nobody-here", uid, gid), {})["refused"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_of_somebody_else_goes_out_of_the_way_and_links_are_not_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    base, secret = tmp_path / "jobs", tmp_path / "secret"
    secret.write_text('{"epoch": 3}')
    secret.chmod(0o600)
    (base / KEY).mkdir(parents=True)
    os.chown(base / KEY, 12345, 12345)
    found = place("place", base, KEY, me(), {"a": "b"})
    assert found["placed"]
    assert (base / KEY / "a").read_text() == "b"
    theirs = base / "other-1.1"
    theirs.mkdir()
    for name in ("begun.json", "end.json", "batch.log"):
        (theirs / name).symlink_to(secret)
    os.chown(theirs, 12345, 12345)
    found = place("look", base, "other-1.1", 12345, 12345)
    assert (found["begun"], found["end"], found["said"]) == (None, None, "")


@settings(max_examples=12, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_stands_in_a_record_a_look_answers(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    base = tmp_path_factory.mktemp("jobs")
    (base / KEY).mkdir()
    for name in ("begun.json", "end.json", "batch.log", "events.jsonl"):
        (base / KEY / name).write_bytes(data)
    _, uid, gid = me()
    found = place("look", base, KEY, uid, gid)
    assert found["launched"] is bool(data)


@pytest.mark.parametrize(
    "odd",
    [
        '{"a":' * 900 + "1" + "}" * 900,
        "[" * 30_000,
        "9" * 60_000,
        "1e999",
        "NaN",
        str(10**30),
        "[1]",
        '{"b": 1}',
        "true",
    ],
)
def test_what_no_record_has_is_left_out_of_one(tmp_path: Path, odd: str) -> None:
    """The user may have put it there, and whoever reads the answer must be able to."""
    (tmp_path / KEY).mkdir()
    (tmp_path / KEY / "end.json").write_text(f'{{"epoch": 3, "status": null, "reason": "x", "more": {odd}}}')
    _, uid, gid = me()
    found = place("look", tmp_path, KEY, uid, gid)
    assert found["placed"]
    record = {key: value for key, value in (found["end"] or {}).items() if key != "more"}
    assert record in ({}, {"epoch": 3, "status": None, "reason": "x"})
    assert isinstance((found["end"] or {}).get("more"), bool | None)


def test_a_sweep_ends_what_bears_the_jobs_number_and_nothing_else(tmp_path: Path) -> None:
    _, uid, gid = me()
    number = f"9{os.getpid()}"
    line = "setsid sleep 600 & echo $!; setsid sh -c 'setsid sleep 600 & echo $!; exit 0'; exec sleep 600"
    ours = subprocess.Popen(
        ["sh", "-c", line], stdout=subprocess.PIPE, text=True, env={**os.environ, "SLURM_JOB_ID": number}
    )
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, "SLURM_JOB_ID": f"{number}1"})
    assert ours.stdout is not None
    pids = [int(ours.stdout.readline()) for _ in range(2)]
    try:
        assert place("swept", tmp_path, KEY, uid, gid, number)["left"] == 0
        assert ours.wait(SECONDS) == -9
        assert not any(alive(pid) for pid in pids)
        ours.stdout.close()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


class Answering:
    """Errands of an agent on a node where systemd knows no unit."""

    def run(self, argv: list[str], done: Callable[[int, str], None]) -> None:
        done(0, "ActiveState=inactive" if "show" in argv else "")


def test_an_agent_sees_and_ends_what_slurm_has_started(tmp_path: Path) -> None:
    """It is in no unit: what systemd does not know has not ended for that."""
    _, uid, _ = me()
    units: Any = Systemd(cast("Errands", Answering()), str(tmp_path))
    told: list[Any] = []
    environment = {**os.environ, "AIOPS_PROGRESS": f"{tmp_path}/{KEY}/progress"}
    with subprocess.Popen(["sleep", "600"], env=environment) as process:
        until("it is seen", lambda: (units.gone(KEY, uid, told.append), told[-1] is False)[1])
        units.kill(KEY, uid)
        assert process.wait(SECONDS) == -9
    units.gone(KEY, uid, told.append)
    assert told[-1] is True


# -- the keeper


def spec(folder: Path, line: str, **more: Any) -> None:
    found = {
        "v": 1,
        "key": KEY,
        "epoch": 3,
        "node": "n1",
        "node_rank": 0,
        "nodes": 1,
        "folder": "/tmp",
        "argv": ["sh", "-c", line],
        "environment": {"PATH": os.environ["PATH"]},
        "first_rank": 0,
        "processes": 1,
        "peers": [],
        "beat_port": 0,
        "secret": "00",
        "progress": None,
        "checkpoints": None,
        "stop_seconds": 5,
        "lease": {"beat": 0.1, "missed": 0.5, "freeze": 60.0, "kill": 60.0, "peers_only": 600.0},
        "user": dict(zip(("name", "uid", "gid"), me(), strict=True)),
        "limits": {},
        "time_limit": None,
        **more,
    }
    (folder / "spec.json").write_text(json.dumps(found))
    (folder / "launcher.py").write_text(keeper())


def kept(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(folder / "launcher.py"), str(folder)], env={**os.environ, **environment}
    )


def events(folder: Path) -> list[Any]:
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def pid_in(folder: Path, name: str = "pid") -> int:
    return int(until("a process has begun", lambda: (folder / name).exists() and (folder / name).read_text().strip()))


def test_a_group_ends_as_its_processes_do(folder: Path) -> None:
    spec(folder, f"setsid sleep 600 & echo $! > {folder}/pid; exit 3")
    assert kept(folder).wait(SECONDS) == 0
    last = events(folder)[-1]
    assert (last["kind"], last["end"], last["status"]) == ("ended", "failed", 3)
    assert not alive(pid_in(folder))


def test_one_that_cannot_begin_is_a_bad_exit_and_one_that_came_second_too(folder: Path) -> None:
    spec(folder, "true")
    (folder / "events.jsonl").write_text("")
    assert kept(folder).wait(SECONDS) == 75
    (folder / "events.jsonl").unlink()
    (folder / "spec.json").write_text("{}")
    assert kept(folder).wait(SECONDS) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_nothing_outlives_a_launcher_that_was_killed(folder: Path, number: int) -> None:
    spec(folder, f"setsid sh -c 'sleep 600 & echo $! > {folder}/pid; wait' & sleep 600")
    keeping = kept(folder)
    rank = pid_in(folder)
    (launcher,) = [int(word) for word in Path(f"/proc/{keeping.pid}/task/{keeping.pid}/children").read_text().split()]
    os.kill(launcher, number)
    assert keeping.wait(SECONDS) == 0
    assert not alive(rank)


def test_a_launcher_that_is_stopped_in_a_gang_is_ended_with_its_processes(folder: Path) -> None:
    times = {"beat": 0.1, "missed": 0.5, "freeze": 60.0, "kill": 2.0, "peers_only": 600.0}
    peers = [{"node": "n2", "address": "127.0.0.1", "port": 9}]
    spec(folder, f"echo $$ > {folder}/pid; exec sleep 600", peers=peers, lease=times)
    keeping = kept(folder)
    rank = pid_in(folder)
    (launcher,) = [int(word) for word in Path(f"/proc/{keeping.pid}/task/{keeping.pid}/children").read_text().split()]
    os.kill(launcher, signal.SIGSTOP)
    assert keeping.wait(SECONDS) == 0
    assert not alive(rank)
    assert not alive(launcher)


def test_slurms_own_devices_are_shown_where_it_says_which(folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "0,1", "ASCEND_RT_VISIBLE_DEVICES": "0,1"}
    line = f"echo $CUDA_VISIBLE_DEVICES $ASCEND_RT_VISIBLE_DEVICES > {folder}/seen"
    spec(folder, line, environment=environment, visible=["CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"])
    assert kept(folder, SLURM_STEP_GPUS="2,3", CUDA_VISIBLE_DEVICES="0,1").wait(SECONDS) == 0
    assert (folder / "seen").read_text() == "0,1 2,3\n"


def test_being_asked_to_leave_reaches_the_processes(folder: Path) -> None:
    spec(
        folder, f"trap 'echo saved > {folder}/saved; exit 0' TERM; echo $$ > {folder}/pid; while :; do sleep 0.05; done"
    )
    keeping = kept(folder)
    pid_in(folder)
    until("the launcher has told that it has begun", lambda: events(folder))
    keeping.terminate()
    assert keeping.wait(SECONDS) == 0
    assert (folder / "saved").exists()
    assert events(folder)[-1]["end"] == "stopped"
