"""A Slurm in memory behind a `FakeTransport`: it answers scontrol and squeue in the words of the real ones (22.05)."""

import ast
from dataclasses import dataclass, field

from tests.support.fake_transport import FakeTransport, Program

from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.remote.fence import STALE_STATUS
from aiops.plugins.slurm import Slurm

BLOCK = """NodeName={name} Arch=x86_64 CoresPerSocket=2
   CPUAlloc=0 CPUEfctv=2 CPUTot=2 CPULoad=7.98
   AvailableFeatures=(null)
   Gres=gpu:4
   NodeAddr={address} NodeHostName={name} Version=22.05.8
   OS=Linux 6.18.44 #1 SMP State=WRONG Reason=wrong
   RealMemory=22848 AllocMem=0 FreeMem=8185 Sockets=1 Boards=1
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=main
   BootTime=2026-11-21T20:44:47 SlurmdStartTime={started}
   CfgTRES=cpu=2,mem=22848M,billing=2
   AllocTRES=
   ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s
"""


@dataclass
class FakeNode:
    """What slurmctld has of one node."""

    base: str = "IDLE"
    drained: bool = False
    reason: str = ""
    address: str = ""
    started: str = "2026-11-22T00:11:02"
    jobs: list[str] = field(default_factory=list)


class FakeSlurm:
    """slurmctld and its commands on a head."""

    def __init__(self, *names: str) -> None:
        self.nodes = {name: FakeNode(address=f"10.0.0.{number}") for number, name in enumerate(names, 1)}
        self.silent = False
        self.updates: list[tuple[str, ...]] = []
        self.epoch = 0
        programs: dict[str, Program] = {"scontrol": self._scontrol, "squeue": self._squeue, "python3": self._fenced}
        self.head = FakeTransport(Node("head"), programs)
        self.workload = Slurm(self.head, Fleet(FakeTransport))

    def _state(self, node: FakeNode) -> str:
        base = "MIXED" if node.jobs and node.base == "IDLE" else node.base
        return f"{base}+DRAIN" if node.drained else base

    def _scontrol(self, command: Command) -> tuple[int, bytes, bytes]:
        if self.silent:
            return 1, b"", b"slurm_load_node error: Unable to contact slurm controller (connect failure)\n"
        if command.argv[1] == "update":
            return self._update(command.argv[2:])
        blocks = []
        for name, node in self.nodes.items():
            block = BLOCK.format(name=name, address=node.address, state=self._state(node), started=node.started)
            signed = f"   Reason={node.reason} [root@2026-11-22T00:11:43]\n" if node.reason else ""
            blocks.append(block + signed)
        return 0, "\n".join(blocks).encode(), b""

    def _fenced(self, command: Command) -> tuple[int, bytes, bytes]:
        """Do what the fence does: run what stands behind it, unless a higher epoch was seen."""
        *_, passing, running = command.stdin.decode().rstrip().split("\n")
        epoch = int(passing.removeprefix("main(").partition(",")[0])
        if epoch < self.epoch:
            words = f"fence: epoch {epoch} is stale, this node has seen {self.epoch}\n"
            return STALE_STATUS, b"", words.encode()
        self.epoch = epoch
        _, words = ast.literal_eval(running.removeprefix("os.execvp"))
        return self._scontrol(Command(tuple(words), timeout=command.timeout, root=True))

    def _update(self, words: tuple[str, ...]) -> tuple[int, bytes, bytes]:
        self.updates.append(words)
        values = dict(word.split("=", 1) for word in words)
        for name in values["NodeName"].split(","):
            node = self.nodes[name]
            if values["State"] == "DRAIN":
                node.drained = True
                # What scontrol does with the value: a quotation mark at either end goes.
                node.reason = values["Reason"].removeprefix('"').removesuffix('"')
            else:
                node.drained, node.reason = False, ""
        return 0, b"", b""

    def _squeue(self, command: Command) -> tuple[int, bytes, bytes]:
        if self.silent:
            return 1, b"", b"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
        lines = ["7|PENDING|bob|", "8|COMPLETED|bob|" + ",".join(self.nodes)]
        lines += [f"{job}|RUNNING|alice|{name}" for name, node in self.nodes.items() for job in node.jobs]
        return 0, "".join(f"{line}\n" for line in lines).encode(), b""
