"""One at a time lays an environment, on one node or in a folder of all: others wait, and nobody waits for the dead."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.l1_cluster.playbook import TASK_SECONDS
from aiops.layers.l1_cluster.remote import environment_lock
from aiops.layers.l1_cluster.remote.environment_files import RefusedError
from aiops.layers.l1_cluster.remote.environment_lock import BEAT, OWNER, once, oneself

NAME = "trainer-aaaaaaaaaaaa"
ELSEWHERE = {"host": "gpu07", "machine": "f" * 32, "boot": "b", "pid": 4711, "start": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(environment_lock, "BEAT_SECONDS", 0.005)


class Thing:
    """What is laid, and how often."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.times = folder, folder / NAME, 0

    def work(self) -> None:
        self.times += 1
        self.path.mkdir()

    def once(self) -> None:
        once(str(self.folder), NAME, self.path.exists, self.work)


@pytest.fixture
def thing(tmp_path: Path) -> Thing:
    return Thing(tmp_path)


def held_by(thing: Thing, owner: object, beat: str = "1") -> Path:
    lock = thing.folder / f".lock-{NAME}"
    lock.mkdir()
    (lock / OWNER).write_text(json.dumps(owner))
    (lock / BEAT).write_text(beat)
    return lock


def left(thing: Thing) -> list[str]:
    return sorted(path.name for path in thing.folder.iterdir())


def test_of_many_one_does_it_and_all_end_with_it_there(thing: Thing) -> None:
    threads = [threading.Thread(target=thing.once) for _ in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert thing.times == 1
    assert left(thing) == [NAME]


def test_what_is_there_is_not_done_and_not_locked(thing: Thing) -> None:
    thing.path.mkdir()
    thing.once()
    assert (thing.times, left(thing)) == (0, [NAME])


def test_work_that_fails_leaves_no_lock(thing: Thing) -> None:
    def fail() -> None:
        raise RefusedError("no")

    with pytest.raises(RefusedError, match=r"^no$"):
        once(str(thing.folder), NAME, thing.path.exists, fail)
    assert left(thing) == []


def test_one_that_was_killed_here_is_not_waited_for(thing: Thing) -> None:
    program = (
        "import sys, time; from aiops.layers.l1_cluster.remote.environment_lock import once\n"
        "once(sys.argv[1], sys.argv[2], lambda: False, lambda: (print('has it', flush=True), time.sleep(60)))"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(thing.folder), NAME], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert left(thing) == [f".lock-{NAME}"]
    thing.once()
    assert (thing.times, left(thing)) == (1, [NAME])


def test_one_of_an_earlier_boot_of_this_machine_is_not_waited_for(
    thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_lock, "oneself", lambda: {**ELSEWHERE, "boot": "a later one"})
    held_by(thing, ELSEWHERE)
    thing.once()
    assert thing.times == 1


class Time:
    """A clock that goes on only where somebody sleeps; `meanwhile` is done then."""

    def __init__(self, meanwhile: Callable[[float], object] = lambda _now: None) -> None:
        self.now, self.meanwhile = 0.0, meanwhile

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile(self.now)


def test_one_elsewhere_that_stands_still_has_lost_it(thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 1.0)
    monkeypatch.setattr(environment_lock, "time", clock := Time())
    held_by(thing, ELSEWHERE)
    thing.once()
    assert (thing.times, left(thing), clock.now) == (1, [NAME], environment_lock.STALE_SECONDS)


def test_one_here_that_stands_still_and_lives_is_waited_for(thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk under the load of its own build may hold its number up for minutes: two would build at once."""
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(environment_lock, "time", clock := Time())
    held_by(thing, oneself())
    with pytest.raises(RefusedError, match="has not come to an end within 1800 s"):
        thing.once()
    assert (thing.times, left(thing), clock.now) == (0, [f".lock-{NAME}"], environment_lock.WAIT_SECONDS)


@pytest.mark.parametrize("owner", [ELSEWHERE, {}, None, [1]])
def test_one_elsewhere_that_goes_on_is_waited_for_and_named(
    thing: Thing, monkeypatch: pytest.MonkeyPatch, owner: object
) -> None:
    lock = held_by(thing, owner)
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(environment_lock, "time", Time(lambda now: (lock / BEAT).write_text(str(now))))
    with pytest.raises(RefusedError, match=f"{NAME} is being laid by (gpu07 .process 4711|somebody)") as caught:
        thing.once()
    assert str(lock) in str(caught.value)
    assert (thing.times, left(thing)) == (0, [f".lock-{NAME}"])


def test_who_may_not_write_there_waits_for_who_may(thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refused(path: str, mode: int) -> None:
        if path == str(thing.folder / f".lock-{NAME}"):
            asked.append(mode)
        if len(asked) == 3:
            thing.path.symlink_to(thing.folder)
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refused)
    thing.once()
    assert (len(asked), thing.times) == (3, 0)


def test_who_may_not_make_the_folder_waits_for_who_may(thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    thing.folder, kept = thing.folder / "shared/env", os.mkdir
    thing.path = thing.folder / NAME
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 10.0)

    def another(now: float) -> None:
        if now == 30.0:
            for path in (thing.folder.parent, thing.folder, thing.path):
                kept(path)

    def refused(path: str, mode: int) -> None:
        raise PermissionError(13, "Permission denied", path, mode)

    monkeypatch.setattr(environment_lock, "time", clock := Time(another))
    monkeypatch.setattr(os, "mkdir", refused)
    thing.once()
    assert (thing.times, clock.now) == (0, 30.0)


def test_a_file_where_the_folder_is_to_be_is_told(thing: Thing) -> None:
    (thing.folder / "env").write_text("")
    with pytest.raises(FileExistsError):
        once(str(thing.folder / "env"), NAME, lambda: False, thing.work)


def test_where_nobody_may_write_it_is_told(thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str, mode: int) -> None:
        raise PermissionError(13, "Permission denied", path, mode)

    monkeypatch.setattr(environment_lock, "time", Time())
    monkeypatch.setattr(environment_lock, "POLL_SECONDS", 10.0)
    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(RefusedError, match=r"cannot be written from here \(Permission denied\), and no other node"):
        thing.once()


def test_one_that_woke_up_leaves_the_lock_of_who_came_after(thing: Thing) -> None:
    lock = thing.folder / f".lock-{NAME}"

    def slept() -> None:
        lock.rename(thing.folder / "aside")
        held_by(thing, ELSEWHERE)
        thing.work()

    once(str(thing.folder), NAME, thing.path.exists, slept)
    assert json.loads((lock / OWNER).read_text()) == ELSEWHERE


def test_the_wait_ends_before_a_deploy_ends_the_task() -> None:
    assert environment_lock.WAIT_SECONDS + environment_lock.POLL_SECONDS < TASK_SECONDS


PREFIX = f".building-{NAME}"
HOST = os.uname()[1]
NOBODY = 1 << 23
"""More than any Linux numbers its processes."""


def test_each_works_in_a_folder_of_its_own(thing: Thing) -> None:
    found = environment_lock.own_folder(str(thing.folder), PREFIX)
    (Path(found) / "half").write_text("")
    assert left(thing) == [f"{PREFIX}-{HOST}-{os.getpid()}-{environment_lock.start_of(os.getpid())}"]
    assert environment_lock.own_folder(str(thing.folder), PREFIX) == found
    assert list(Path(found).iterdir()) == []


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (f"{PREFIX}-{HOST}-1-{environment_lock.start_of(1)}", 1e6, True),
        (f"{PREFIX}-{HOST}-1-another", 0, False),  # somebody else has its number now
        (f"{PREFIX}-{HOST}-{NOBODY}-1", 0, False),
        (f"{PREFIX}-gpu07-4711-1", 0, True),
        (f"{PREFIX}-gpu07-4711-1", environment_lock.ABANDONED_SECONDS + 60, False),
        (f"{PREFIX}-gpu07-4711", 0, True),
        (PREFIX, environment_lock.ABANDONED_SECONDS + 60, False),
        (f"{PREFIX}.tar.gz", environment_lock.ABANDONED_SECONDS + 60, False),
        (f".building-other-{HOST}-{NOBODY}-1", 1e6, True),
    ],
)
def test_of_what_others_have_left_only_what_is_of_nobody_goes(thing: Thing, name: str, age: float, stays: bool) -> None:
    path = thing.folder / name
    (path / "lib").mkdir(parents=True)
    (path / "lib/half").write_text("")
    path.chmod(0o555)
    begun = time.time() - age
    os.utime(path, (begun, begun))
    environment_lock.own_folder(str(thing.folder), PREFIX)
    assert path.exists() == stays


def test_a_folder_is_kept_longer_than_a_deploy_lets_one_work() -> None:
    assert environment_lock.ABANDONED_SECONDS > 2 * TASK_SECONDS


def test_we_are_alive_and_others_are_not_judged() -> None:
    assert environment_lock.alive(oneself())
    assert not environment_lock.alive({**oneself(), "start": "1"})
    assert not environment_lock.alive({**oneself(), "pid": NOBODY, "start": None})
    assert not environment_lock.alive({**oneself(), "boot": "another"})
    assert not environment_lock.alive({})
    assert not environment_lock.dead(oneself())
    assert environment_lock.dead({**oneself(), "start": "1"})
    assert environment_lock.dead({**oneself(), "pid": "../1"})
    assert not environment_lock.dead({**oneself(), "machine": "f" * 32, "start": "1"})
