"""A command behind the fence: it runs as it was meant to, until its node has seen a later owner of the cluster lock."""

import subprocess
import sys
from pathlib import Path

from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.gate import fenced
from aiops.layers.l1_cluster.remote.fence import FOLDER, STALE_STATUS


def run(epoch: int, folder: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run it here, with `folder` for the node's own."""
    command = fenced(Node("head"), epoch, Command(argv, timeout=7.0))
    assert (command.argv, command.root, command.timeout) == (("python3", "-I", "-S", "-"), True, 7.0)
    program = command.stdin.replace(repr(FOLDER).encode(), repr(str(folder)).encode())
    return subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=program, capture_output=True, timeout=30, check=False
    )


def test_a_command_of_an_owner_that_was_overtaken_is_not_run(tmp_path: Path) -> None:
    words = 'it\'s $HOME; touch "x"\nnot a line'
    done = run(7, tmp_path / "aiops", "printf", "%s", words)
    assert (done.returncode, done.stdout.decode()) == (0, words)
    assert run(8, tmp_path / "aiops", "false").returncode == 1
    made = tmp_path / "made"
    done = run(7, tmp_path / "aiops", "touch", str(made))
    assert done.returncode == STALE_STATUS
    assert done.stderr.decode() == "fence: epoch 7 is stale, this node has seen 8\n"
    assert not made.exists()
