"""The round on the nodes, by its real program on this machine: accounts, folders, the mark that proves them shared."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs.footing import Footing, Ground, Need, footings

NODES = tuple(Node(name) for name in ("gpu01", "gpu02", "gpu03"))


def here(folder: Path) -> Callable[[Command], tuple[int, bytes, bytes]]:
    """A node whose `/runs` is `folder`: the program is run on this machine."""

    def run(command: Command) -> tuple[int, bytes, bytes]:
        source = command.stdin.replace(b"'/runs'", repr(str(folder)).encode())
        done = subprocess.run([sys.executable, *command.argv[1:]], input=source, capture_output=True, check=False)
        return done.returncode, done.stdout.replace(str(folder).encode(), b"/runs"), done.stderr

    return run


def fleet(**folders: Path | None) -> Fleet:
    def connect(node: Node) -> Transport:
        folder = folders[node.name]
        if folder is None:
            raise UnreachableError(f"{node.name} did not answer", code="ssh.timeout")
        return FakeTransport(node, {"python3": here(folder)})

    return Fleet(connect, width=2)


def need(user: str | None = None) -> Need:
    return Need(user or pwd.getpwuid(os.geteuid()).pw_name, (("/", False), ("/runs", True)))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_a_folder_that_all_share(runs: Path) -> None:
    found = footings(fleet(gpu01=runs, gpu02=runs, gpu03=None), NODES, need())
    assert found["gpu01"] == Footing("gpu01", os.geteuid(), os.getegid(), (Ground("/"), Ground("/runs", None, True)))
    assert found["gpu02"].grounds == found["gpu01"].grounds
    assert found["gpu03"].silent == "gpu03 did not answer"
    assert list(runs.iterdir()) == [], "the mark is gone"


def test_a_folder_that_is_another_one(runs: Path, tmp_path: Path) -> None:
    """Even with the same content, and whatever its numbers are."""
    shutil.copytree(runs, tmp_path / "other")
    found = footings(fleet(gpu01=None, gpu02=runs, gpu03=tmp_path / "other"), NODES, need())
    assert found["gpu02"].grounds[1].same is True
    assert found["gpu03"].grounds[1].same is False


def test_a_folder_that_is_not_there_and_one_that_is_a_file(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = footings(fleet(gpu01=tmp_path / "none", gpu02=tmp_path / "file", gpu03=runs), NODES, need())
    assert [found[node.name].grounds[1].why for node in NODES] == ["it is not there", "it is no folder", None]


def test_an_account_that_is_not_there(runs: Path) -> None:
    found = footings(fleet(gpu01=runs, gpu02=runs, gpu03=runs), NODES, need("nobody-at-all"))
    assert {one.uid for one in found.values()} == {None}
    assert list(runs.iterdir()) == []


def test_marks_that_were_left_behind_go(runs: Path) -> None:
    old, young = runs / ".aiops-seen-old", runs / ".aiops-seen-young"
    for mark in (old, young):
        mark.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    footings(fleet(gpu01=runs, gpu02=runs, gpu03=runs), NODES, need())
    assert list(runs.iterdir()) == [young]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_folders_are_looked_at_as_the_jobs_user() -> None:
    """Below a folder that others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "runs"
        folder.mkdir(mode=0o700)
        found = footings(fleet(gpu01=folder, gpu02=folder, gpu03=folder), NODES, need("nobody"))
        assert {one.grounds[1].why for one in found.values()} == {"it may not be entered"}
        shutil.chown(folder, "nobody")
        found = footings(fleet(gpu01=folder, gpu02=folder, gpu03=folder), NODES, need("nobody"))
        assert {one.grounds[1] for one in found.values()} == {Ground("/runs", None, True)}
        assert list(folder.iterdir()) == []
