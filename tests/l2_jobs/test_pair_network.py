"""Pairs over networks of the kernel's own, some of which lose what is sent: root, `ip` and `nft` are needed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.local import LocalTransport
from aiops.layers.l0_nodes.local_stream import LocalStream
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l2_jobs.pair_probe import End, probe_pairs
from aiops.layers.l2_jobs.pair_test import Pair

NAMES = tuple(f"pair{os.getpid()}-{number}" for number in range(1, 7))
ENDS = {name: End(Node(name), f"10.211.77.{number}") for number, name in enumerate(NAMES, 1)}
INPUT = "add table inet lost; add chain inet lost in { type filter hook input priority 0; }; add rule inet lost in"


class Inside(LocalTransport):
    """A node that is a network of its own on this machine."""

    def _inside(self, command: Command) -> Command:
        return replace(command, root=False, argv=("ip", "netns", "exec", self.node.name, *command.argv))

    def run(self, command: Command) -> Completed:
        return super().run(self._inside(command))

    def open(self, command: Command) -> LocalStream:
        return super().open(self._inside(command))


def done(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def networks() -> Iterator[None]:
    """Six nodes behind one switch."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None:
        pytest.skip("needs root, `ip` and `nft`")
    with ExitStack() as stack:
        switch = f"pair{os.getpid()}-0"
        for name in (switch, *NAMES):
            if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
                pytest.skip("this machine makes no networks")
            stack.callback(done, "ip", "netns", "del", name)
        done("ip", "-n", switch, "link", "add", "switch", "up", "type", "bridge")
        for number, (name, end) in enumerate(ENDS.items()):
            port = f"port{number}"
            done("ip", "-n", name, "link", "add", "data", "type", "veth", "peer", "name", port, "netns", switch)
            done("ip", "-n", switch, "link", "set", port, "master", "switch", "up")
            done("ip", "-n", name, "address", "add", f"{end.address}/24", "dev", "data")
            done("ip", "-n", name, "link", "set", "data", "up")
        yield


@pytest.mark.usefixtures("networks")
def test_a_node_that_hears_no_peer_and_one_that_loses_large_packets() -> None:
    one, two, three, four, five, six = NAMES
    done("ip", "netns", "exec", two, "nft", f"{INPUT} meta l4proto tcp drop")
    done("ip", "netns", "exec", four, "nft", f"{INPUT} meta length > 900 drop")
    pairs = [Pair(one, two), Pair(three, four), Pair(five, six)]
    with Fleet(Inside, width=3) as nodes:
        found = probe_pairs(nodes, ENDS, pairs, range(21001, 21016))
    assert [(result.passed, result.silent) for result in found] == [(False, ()), (False, ()), (True, ())]
    assert found[0].why == f"{two}: no connection to 10.211.77.1 within 5 s"
    assert f"{four}: nothing " in found[1].why
    assert found[2].rate is not None
    assert all(result.seconds is not None and result.seconds < 15 for result in found)
