"""Ctrl-C while an inventory is read: we end at once, and nothing that Ansible started goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE = 30.0
SCRIPT = """#!/bin/sh
echo $$ > {folder}/started.new && mv {folder}/started.new {folder}/started
exec sleep 300
"""


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)
    return path.read_text().strip()


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("configured", [False, True], ids=["", "with ansible.cfg"])
def test_an_interrupted_reading_ends_with_everything_it_started(configured: bool, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.sh"
    inventory.write_text(SCRIPT.format(folder=tmp_path))
    inventory.chmod(0o755)
    if configured:
        (tmp_path / "ansible.cfg").write_text("[defaults]\ntimeout = 7\n")
    environment = {**os.environ, "AIOPS_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "aiops", "node", "list", "-i", str(inventory)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        script = int(wait_for(tmp_path / "started"))
        since = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE)
        assert time.monotonic() - since < 5
        assert process.returncode == 130
        assert "Traceback" not in stderr
        while alive(script):
            assert time.monotonic() - since < 5, "the inventory's script goes on"
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
