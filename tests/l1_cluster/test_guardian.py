"""The guardian of a deploy: what aiops had started ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.l1_cluster import guardian

DEPLOY = """
import os, subprocess, sys
from pathlib import Path
from aiops.layers.l1_cluster.render import PrivateFolder
with PrivateFolder({}, Path(sys.argv[1])) as private:
    mark = {**os.environ, "AWX_ISOLATED_DATA_DIR": f"{private.path}/artifacts/base"}
    # As Ansible's workers: in a session of its own, with no pipe of ours.
    worker = subprocess.Popen(["sleep", "90"], env=mark, start_new_session=True, stdout=subprocess.DEVNULL)
    print(private.path, worker.pid, flush=True)
    sys.stdin.readline()
    worker.kill()
    worker.wait()
"""


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def a_deploy(home: Path) -> tuple[subprocess.Popen[str], Path, int]:
    deploy = subprocess.Popen(
        [sys.executable, "-c", DEPLOY, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert deploy.stdout is not None
    folder, worker = deploy.stdout.readline().split()
    return deploy, Path(folder), int(worker)


def guardians(folder: Path) -> list[str]:
    found = []
    for path in [one / "cmdline" for one in Path("/proc").glob("[0-9]*")]:
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_deploy_had_started_is_ended_and_its_secrets_are_removed(
    tmp_path: Path, number: signal.Signals
) -> None:
    deploy, folder, worker = a_deploy(tmp_path)
    with deploy:
        assert folder.is_dir()
        deploy.send_signal(number)
        deploy.wait(10)
        until(lambda: gone(worker))
        until(lambda: not folder.exists())
        until(lambda: not guardians(folder))


def test_a_deploy_that_ends_by_itself_leaves_no_guardian(tmp_path: Path) -> None:
    deploy, folder, _ = a_deploy(tmp_path)
    with deploy:
        assert guardians(folder)
        deploy.communicate("go\n", timeout=10)
        assert deploy.returncode == 0
        assert not folder.exists()
        assert not guardians(folder)


def test_a_paused_deploy_loses_its_workers_before_its_lock_can_be_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l1_cluster.lock import RENEW_SECONDS, STALE_SECONDS

    assert guardian.PAUSED_SECONDS + RENEW_SECONDS < STALE_SECONDS
    monkeypatch.setattr(guardian, "PAUSED_SECONDS", 0.1)
    monkeypatch.setattr(guardian, "_LOOK_SECONDS", 0.02)
    looks, look = [], guardian._stopped

    def counted(process: int) -> bool:
        looks.append(process)
        return look(process)

    monkeypatch.setattr(guardian, "_stopped", counted)
    private = tmp_path / "private"
    private.mkdir()
    mark = {**os.environ, "AWX_ISOLATED_DATA_DIR": f"{private}/artifacts/base"}
    reading, writing = os.pipe()
    with subprocess.Popen(["sleep", "90"]) as deploy, subprocess.Popen(["sleep", "90"], env=mark) as worker:
        import threading

        watching = threading.Thread(target=guardian.watch, args=(private, deploy.pid, reading))
        watching.start()
        until(lambda: len(looks) >= 10)  # for longer than a paused one keeps its workers
        assert set(looks) == {deploy.pid}
        assert worker.poll() is None, "a deploy that runs keeps its workers"
        deploy.send_signal(signal.SIGSTOP)
        assert worker.wait(10) == -signal.SIGKILL
        until((private / guardian.PAUSED).exists)  # it may wake, and says so then
        os.write(writing, b".")
        watching.join(10)
        deploy.kill()
    os.close(reading)
    os.close(writing)
    assert not private.exists()
