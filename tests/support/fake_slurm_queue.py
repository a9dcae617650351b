"""A queue of Slurm in memory, and nodes that answer what the Slurm engine asks: one cluster for its quick tests."""

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_slurm import BLOCK, FakeNode
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.report import Report

BOOT = "boot-of-"
SILENT = b"error: Unable to contact slurm controller (connect failure)\n"


@dataclass
class FakeJob:
    """One job that slurmctld has."""

    number: int
    uid: int
    comment: str
    nodes: tuple[str, ...]
    script: str
    words: tuple[str, ...]
    state: str = "PENDING"
    reason: str = "None"
    signals: list[str] = field(default_factory=list)
    began: str = "2026-11-22T01:00:00"


@dataclass
class FakePlace:
    """What a node has of an attempt."""

    files: Mapping[str, str] = field(default_factory=dict)
    begun: Mapping[str, Any] | None = None
    end: Mapping[str, Any] | None = None
    launched: bool = False
    said: str = ""


class FakeQueue:
    """slurmctld on a head, and nodes."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.jobs: dict[int, FakeJob] = {}
        self.silent = False
        self.deaf = True
        """Whether scripts do not hear that they are to end, as where their node is lost."""
        self.nudges = 0
        self.nodes = {name: FakeNode(address=f"10.0.0.{number}") for number, name in enumerate(names, 1)}
        self.boots = {name: f"{BOOT}{name}" for name in names}
        self.left: dict[str, int] = {}
        """By node, how many processes of Slurm's jobs are there."""
        self.deeds: list[tuple[Any, ...]] = []
        """What the head was asked to do to nodes that Slurm keeps."""
        self.meanwhile: Callable[[], None] = lambda: None
        """What comes to pass between the last look at such a node and the deed."""
        self.cut_off = 0
        """So many of those end once the node is down."""
        self.lost_answers = 0
        """So many submissions are taken and never answered."""
        self.refusal = b""
        self.next = 41
        self.asked: list[tuple[str, ...]] = []
        self.places: dict[tuple[str, str], FakePlace] = {}
        self.dead: set[str] = set()
        self.refusing: dict[str, str] = {}
        self.swept: list[tuple[str, str]] = []
        self.terms: dict[str, int] = {}
        """By node, the highest term of a controller that was there."""

    def transport(self, node: Any) -> FakeTransport:
        """The connection to a node, or to the head."""
        if node.name not in self.names:
            programs = {name: self._slurms(name) for name in ("scontrol", "squeue", "sbatch", "scancel")}
            return FakeTransport(node, {**programs, "python3": self._freeing})
        return FakeTransport(node, {"python3": lambda command: self._remote(node.name, command)})

    def place(self, node: str, key: Key) -> FakePlace:
        """What a node has of an attempt; made where it has nothing."""
        return self.places.setdefault((node, str(key)), FakePlace())

    def job(self, key: Key) -> FakeJob:
        """The only job of an attempt."""
        (found,) = self.of(key)
        return found

    def of(self, key: Key) -> list[FakeJob]:
        """All jobs that were ever submitted for it and are not forgotten."""
        return [one for one in self.jobs.values() if one.comment.endswith(f":{key}")]

    def run(self, key: Key) -> FakeJob:
        """Have its job run, with launchers where it has such."""
        job = self.job(key)
        job.state = "RUNNING"
        about = {"v": 1, "epoch": key.number, "job": str(job.number), "at": 1.0}
        for number, node in enumerate(job.nodes):
            place = self.place(node, key)
            place.begun = about if number == 0 else None
            place.launched = "launcher.py" in job.script
        return job

    def finish(self, key: Key, state: str, status: int | None = 0) -> None:
        """Have its job end; without a status its script has left no record."""
        job = self.job(key)
        job.state = state
        if status is not None:
            self.place(job.nodes[0], key).end = {"v": 1, "epoch": key.number, "status": status, "reason": ""}

    def _slurms(self, name: str) -> Any:
        def answer(command: Command) -> tuple[int, bytes, bytes]:
            self.asked.append(command.argv)
            if self.silent:
                return 1, b"", name.encode() + b": " + SILENT
            found: tuple[int, bytes, bytes] = getattr(self, f"_{name}")(command)
            return found

        return answer

    def _scontrol(self, command: Command) -> tuple[int, bytes, bytes]:
        if command.argv[1] == "update":
            self.nudges += 1
            return 0, b"", b""
        blocks = []
        for name, node in self.nodes.items():
            block = BLOCK.format(name=name, address=node.address, state=node.base, started=node.started)
            signed = f"   Reason={node.reason} [root@2026-11-22T00:11:43]\n" if node.reason else ""
            blocks.append(block + signed)
        return 0, "\n".join(blocks).encode(), b""

    def _freeing(self, command: Command) -> tuple[int, bytes, bytes]:
        """Do what `remote/freeing.py` does."""
        call = ast.parse(command.stdin.decode().rstrip().rpartition("\n")[2].rpartition("'].")[2], mode="eval").body
        assert isinstance(call, ast.Call)
        deed, name, *values = (ast.literal_eval(value) for value in call.args)
        self.deeds.append((deed, name))
        node = self.nodes[name]
        self.meanwhile()
        if deed == "free":
            states, jobs, _, reason = values
            mine = [f"{job.number}|{job.state}" for job in self.jobs.values() if name in job.nodes]
            if sorted(node.base.split("+")) != states or not set(jobs) <= set(mine):
                return 0, b'{"done": "changed", "said": ""}', b""
            node.base, node.reason = "DOWN", reason
            if self.cut_off:
                self.cut_off -= 1
                return 1, b"", b"killed\n"
        if node.base == "DOWN" and node.reason == values[-1]:
            node.base, node.reason = "IDLE", ""
        return 0, b'{"done": "freed", "said": ""}', b""

    def _squeue(self, command: Command) -> tuple[int, bytes, bytes]:
        options = dict(word.partition("=")[::2] for word in command.argv[1:])
        jobs = list(self.jobs.values())
        if "--jobs" in options:
            wanted = [int(word) for word in options["--jobs"].split(",")]
            jobs = [job for job in jobs if job.number in wanted]
            if len(wanted) == 1 and not jobs:
                return 1, b"", b"slurm_load_jobs error: Invalid job id specified\n"
        if "--user" in options:
            jobs = [job for job in jobs if job.uid == int(options["--user"])]
        if "--nodelist" in options:
            jobs = [job for job in jobs if options["--nodelist"] in job.nodes and job.state != "PENDING"]
            told = [f"{job.number}|{job.state}|{job.uid}|{job.began}|{job.comment}\n" for job in jobs]
            return 0, "".join(told).encode(), b""
        last = {"%k": "comment", "%r": "reason"}[options["--format"].rpartition("|")[2]]
        lines = [f"{job.number}|{job.state}|{job.uid}|{getattr(job, last)}\n" for job in jobs]
        return 0, "".join(lines).encode(), b""

    def _sbatch(self, command: Command) -> tuple[int, bytes, bytes]:
        if self.refusal:
            return 1, b"", b"sbatch: error: Batch job submission failed: " + self.refusal + b"\n"
        options = dict(word.partition("=")[::2] for word in command.argv[1:])
        number, self.next = self.next, self.next + 1
        self.jobs[number] = FakeJob(
            number,
            int(options["--uid"]),
            options["--comment"],
            tuple(options["--nodelist"].split(",")),
            command.stdin.decode(),
            command.argv,
        )
        if self.lost_answers:
            self.lost_answers -= 1
            return 1, b"", b"sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
        return 0, f"{number}\n".encode(), b""

    def _scancel(self, command: Command) -> tuple[int, bytes, bytes]:
        *options, number = command.argv[1:]
        job = self.jobs.get(int(number))
        if job is None:
            return 1, b"", b"scancel: error: Kill job error on job id: Invalid job id specified\n"
        signals = [word.partition("=")[2] for word in options if word.startswith("--signal=")]
        if f"--user={job.uid}" not in options:
            return 1, b"", b"scancel: error: no job of this user\n"
        job.signals += signals or ["CANCEL"]
        if "USR2" in signals and job.state == "RUNNING" and not self.deaf:
            self.finish(Key.of(job.comment.rpartition(":")[2]), "FAILED", -9)
        if not signals and job.state in {"PENDING", "RUNNING"}:
            job.state = "CANCELLED"
        return 0, b"", b""

    def _remote(self, node: str, command: Command) -> tuple[int, bytes, bytes]:
        if node in self.dead:
            return 1, b"", b"no route to host\n"
        line = command.stdin.decode().rstrip().rpartition("\n")[2]
        call = ast.parse(line, mode="eval").body
        assert isinstance(call, ast.Call)
        deed, _, term, *values = (ast.literal_eval(value) for value in call.args)
        if term is not None:
            self.terms[node] = max(self.terms.get(node, 0), term[1])
            if self.terms[node] > term[1]:
                return 0, json.dumps({"deposed": self.terms[node]}).encode(), b""
        place = self.places.get((node, values[0])) if values else None
        if deed == "place":
            if node in self.refusing:
                return 0, json.dumps({"refused": self.refusing[node], "causer": "user"}).encode(), b""
            place = self.places.setdefault((node, values[0]), FakePlace(values[2]))
        if deed == "remains":
            return 0, json.dumps({"boot_id": self.boots[node], "left": self.left.get(node, 0)}).encode(), b""
        if deed == "swept":
            self.swept.append((node, values[3]))
        answer = {"boot_id": self.boots[node], "placed": place is not None, "left": 0}
        place = place or FakePlace()
        answer |= {"begun": place.begun, "end": place.end, "launched": place.launched, "said": place.said}
        return 0, json.dumps(answer).encode(), b""


class FakeLines:
    """Lines to nodes that keep what was asked of them, and tell what a test has them tell."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.waiting: list[Report] = []

    def start(self, key: Key, node: str, spec: Mapping[str, Any]) -> None:
        raise AssertionError("the Slurm engine starts no unit")

    def follow(self, key: Key, node: str, owner: int, *, awaited: bool = False) -> None:
        self.calls.append(("follow", key, node, owner))

    def stop(self, key: Key, node: str, seconds: float) -> None:
        self.calls.append(("stop", key, node, seconds))

    def kill(self, key: Key, node: str) -> None:
        self.calls.append(("kill", key, node))

    def dump(self, key: Key, node: str) -> None:
        self.calls.append(("dump", key, node))

    def release(self, key: Key, node: str) -> None:
        self.calls.append(("release", key, node))

    def reports(self, keys: Sequence[Key] | None = None) -> list[Report]:
        found, self.waiting = self.waiting, []
        return found

    def wait(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass
