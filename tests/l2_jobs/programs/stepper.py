"""A training run without torch: it steps, saves, resumes, tells its progress, and fails as it is told to.

    stepper.py --steps 200 --rate 20 --save-every 10 --fault crash@30 --fault hang@60:rank=1:attempt=any

Its state is a chain of digests, so a run that was interrupted and resumed ends with the same `result` line as one that
was not. Ranks, if there are several, wait for each other at each step over TCP, as collectives do. It takes what aiops
gives (`AIOPS_*`, `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`) and runs without any of it. Standard library only.
"""

import argparse
import errno
import hashlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NOTHING = "0" * 64
MANIFEST = "aiops-manifest.json"

TEXTS = {
    "oom": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of "
    "79.11 GiB of which 1.12 GiB is free.",
    "ecc": "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    "nccl": "[rank{rank}]:[E ProcessGroupNCCL.cpp:616] [Rank {rank}] Watchdog caught collective operation timeout: "
    "WorkNCCL(SeqNum={step}, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600004 milliseconds",
}
"""Faults that a program only tells: the words stand in its output, and it ends with 1."""

SIGNALS = {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV, "stop": signal.SIGSTOP}
ENDINGS = ("crash", "exit", "bug", "enospc", "torn")
STAYS = ("hang", "spin", "nan", "spike", "slow", "stubborn", "orphan")


class Fault:
    """`KIND@STEP[:rank=N|all][:attempt=N|any][:status=N]`: by default of rank 0, in the first attempt."""

    def __init__(self, text: str) -> None:
        head, *options = text.split(":")
        self.kind, _, step = head.partition("@")
        words = dict(option.split("=", 1) for option in options)
        self.step = int(step or 0)
        self.rank = words.pop("rank", "0")
        self.attempt = words.pop("attempt", "1")
        self.status = int(words.pop("status", "3"))
        if words or self.kind not in (*ENDINGS, *STAYS, *SIGNALS, *TEXTS):
            raise ValueError(f"no such fault: {text}")

    def hits(self, rank: int, attempt: int) -> bool:
        """Whether it is of this rank in this attempt."""
        return self.rank in ("all", str(rank)) and self.attempt in ("any", str(attempt))


class Gang:
    """All ranks at one step together: each tells rank 0, which answers all once it has heard all."""

    def __init__(self, rank: int, world: int, address: str, port: int) -> None:
        self.links: list[socket.socket] = []
        self.leads = rank == 0
        if world == 1:
            return
        if self.leads:
            with socket.create_server(("", port), backlog=world) as server:
                server.settimeout(120)
                self.links = [server.accept()[0] for _ in range(world - 1)]
        else:
            self.links = [self._reach(address, port)]
        for link in self.links:
            link.settimeout(None)  # a collective waits for ever, too

    @staticmethod
    def _reach(address: str, port: int) -> socket.socket:
        last = time.monotonic() + 120
        while True:
            try:
                return socket.create_connection((address, port), timeout=10)
            except OSError:
                if time.monotonic() > last:
                    raise
                time.sleep(0.05)

    def wait(self, *, leaving: bool = False) -> bool:
        """Until all are here; whether any of them is to leave, so that all do so at the same step."""
        mine = b"l" if leaving else b"."  # the greater one counts
        if not self.leads:
            self.links[0].sendall(mine)
        heard = [link.recv(1) for link in self.links]
        if b"" in heard:
            raise RuntimeError("Connection closed by peer: another rank has gone")
        agreed = max([*heard, mine]) if self.leads else heard[0]
        if self.leads:
            for link in self.links:
                link.sendall(agreed)
        return agreed == b"l"


class Progress:
    """Tells aiops where the run is, by the socket or file that it gave; nobody is waited for."""

    def __init__(self, rank: int) -> None:
        self.path = os.environ.get("AIOPS_PROGRESS", "")
        self.rank = rank
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def __call__(self, step: int, phase: str, loss: float | None = None) -> None:
        if not self.path:
            return
        said = {"step": step, "phase": phase, "rank": self.rank} | ({} if loss is None else {"loss": loss})
        line = json.dumps(said).encode() + b"\n"
        try:
            if Path(self.path).is_socket():
                self.socket.sendto(line, self.path)
            else:
                with Path(self.path).open("ab") as file:
                    file.write(line)
        except OSError:
            pass


class Stepper:
    """One rank of the run."""

    def __init__(self, options: argparse.Namespace) -> None:
        world = os.environ
        self.options = options
        self.rank = int(world.get("RANK", world.get("AIOPS_NODE_RANK", "0")))
        self.world = int(world.get("WORLD_SIZE", world.get("AIOPS_NODES", "1")))
        self.attempt = int(world.get("AIOPS_ATTEMPT", "1"))
        self.faults = [fault for fault in options.fault if fault.hits(self.rank, self.attempt)]
        self.folder = Path(options.checkpoints or world.get("AIOPS_CHECKPOINTS") or "checkpoints").absolute()
        self.progress = Progress(self.rank)
        self.stubborn = self.stopping = False
        self.step, self.value = 0, NOTHING
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self.asked)

    def asked(self, _number: int, _frame: object) -> None:
        """A signal that asks it to save and leave."""
        self.stopping = not self.stubborn

    def run(self) -> int:
        """Step to the end."""
        self.progress(0, "start")
        self.suffer(starting=True)
        time.sleep(self.options.first)
        port = int(os.environ.get("MASTER_PORT", "29500")) + ("TORCHELASTIC_RUN_ID" in os.environ)
        gang = Gang(self.rank, self.world, os.environ.get("MASTER_ADDR", "127.0.0.1"), port)
        self.resume()
        while self.step < self.options.steps or not self.options.steps:
            self.suffer()
            slow = any(fault.kind == "slow" and fault.step <= self.step + 1 for fault in self.faults)
            time.sleep((10 if slow else 1) / self.options.rate)
            leaving = gang.wait(leaving=self.leaving())
            self.advance()
            if leaving or self.step % self.options.save_every == 0:
                self.save(gang)
            if self.options.evaluate_every and self.step % self.options.evaluate_every == 0:
                self.progress(self.step, "evaluate")
                time.sleep(self.options.evaluate_seconds)
            if leaving:
                return 0
        print("result", self.value, flush=True)
        return 0

    def leaving(self) -> bool:
        """Whether it was asked to save and leave, by a signal or by the file AIOPS_STOP."""
        told = os.environ.get("AIOPS_STOP", "")
        asked = bool(told) and Path(told).exists()
        return (asked or self.stopping) and not self.stubborn

    def advance(self) -> None:
        """One step: a digest of all before, a loss that falls, and the words about it."""
        self.step += 1
        self.value = hashlib.sha256(f"{self.value} {self.step}".encode()).hexdigest()
        loss = 0.5 + 4 / math.sqrt(self.step)
        for fault in self.faults:
            if fault.step <= self.step:
                loss = math.nan if fault.kind == "nan" else loss * 100 if fault.kind == "spike" else loss
        if not self.options.mute:
            self.progress(self.step, "step", loss)
        if self.options.print_every and self.step % self.options.print_every == 0:
            print(f"step {self.step}/{self.options.steps} loss {loss:.4f}", flush=True)
        if self.options.trace:
            line = f"{time.time():.6f} {self.attempt} {self.rank} {self.step}\n"
            with Path(self.options.trace).open("ab", buffering=0) as file:
                file.write(line.encode())

    def resume(self) -> None:
        """Go on from what aiops says, else from the newest sealed checkpoint, else from nothing."""
        told = os.environ.get("AIOPS_RESUME")
        sealed = self.sealed()
        source = Path(told) if told else sealed[-1] if sealed and told is None else None
        if source is None:
            return
        mine = source / f"rank-{self.rank}.json"
        state = json.loads((mine if mine.exists() else source / "rank-0.json").read_text())
        self.step, self.value = state["step"], state["value"]
        print(f"resumed from step {self.step}", flush=True)

    def save(self, gang: Gang) -> None:
        """Write a checkpoint: each rank its file, then rank 0 seals it with a manifest and a rename."""
        self.progress(self.step, "save")
        failing = [fault for fault in self.faults if fault.step == self.step]
        if any(fault.kind == "enospc" for fault in failing):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        folder = self.folder / f"step-{self.step}"
        making = self.folder / f".step-{self.step}.{self.attempt}"
        making.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"step": self.step, "value": self.value, "filler": "x" * self.options.size})
        write(making / f"rank-{self.rank}.json", text)
        time.sleep(self.options.save_seconds)
        gang.wait()
        if self.rank == 0:
            if any(fault.kind == "torn" for fault in failing):
                os.truncate(making / "rank-0.json", len(text) // 2)
                making.rename(folder)
                os.kill(os.getpid(), signal.SIGKILL)
            write(making / MANIFEST, json.dumps(self.manifest(making)))
            if folder.exists():
                shutil.rmtree(folder)
            making.rename(folder)
            sync(self.folder)
            for old in self.sealed()[: -self.options.keep]:
                shutil.rmtree(old)
        gang.wait()

    def sealed(self) -> list[Path]:
        """Whole checkpoints, the newest last."""
        found = [path.parent for path in self.folder.glob(f"step-*/{MANIFEST}")]
        return sorted(found, key=lambda path: int(path.name.partition("-")[2]))

    def manifest(self, folder: Path) -> dict[str, Any]:
        """What stands in a sealed checkpoint."""
        files = [
            {"path": path.name, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(folder.glob("rank-*.json"))
        ]
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        job, head = os.environ.get("AIOPS_JOB"), {"aiops": 1, "step": self.step, "world_size": self.world}
        epoch = int(os.environ["AIOPS_EPOCH"]) if "AIOPS_EPOCH" in os.environ else None
        return head | {"job": job, "epoch": epoch, "format": "glob", "written": written, "data": None, "files": files}

    def suffer(self, *, starting: bool = False) -> None:
        """The faults that are due: at the start those of step 0, later those of the step about to be made."""
        for fault in self.faults:
            if fault.step == 0 if starting else fault.step == self.step + 1 and fault.step > 0:
                self.fail(fault)

    def fail(self, fault: Fault) -> None:
        """Do what a fault is called after."""
        if fault.kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[fault.kind])
        elif fault.kind in TEXTS:
            print(TEXTS[fault.kind].format(rank=self.rank, step=fault.step), file=sys.stderr, flush=True)
            sys.exit(1)
        elif fault.kind in ("bug", "crash", "exit"):
            self.end(fault)
        elif fault.kind in ("hang", "spin"):
            while not self.stopping:
                time.sleep(0.2 if fault.kind == "hang" else 0)
            sys.exit(1)
        elif fault.kind == "stubborn":
            self.stubborn = True
        elif fault.kind == "orphan":
            self.folder.mkdir(parents=True, exist_ok=True)
            words = f'while date +%s.%N >> "$0/orphan-{self.attempt}"; do sleep 0.1; done'
            subprocess.Popen(["/bin/sh", "-c", words, str(self.folder)], start_new_session=True)

    def end(self, fault: Fault) -> None:
        """End by itself."""
        if fault.kind == "exit":
            sys.exit(fault.status)
        if fault.kind == "bug":
            self.options.optimiser.zero_grad()  # no such attribute: the traceback of an ordinary mistake
        raise RuntimeError(f"injected crash at step {fault.step}")


def write(path: Path, text: str) -> None:
    """Write a file that is on the disk when this returns."""
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    """What it is told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="0 for ever")
    parser.add_argument("--rate", type=float, default=10.0, help="steps per second")
    parser.add_argument("--first", type=float, default=0.0, help="seconds before the first step")
    parser.add_argument("--save-every", type=int, default=10, help="steps between two checkpoints")
    parser.add_argument("--save-seconds", type=float, default=0.0, help="how long a save takes")
    parser.add_argument("--size", type=int, default=0, help="bytes more in each rank's file")
    parser.add_argument("--keep", type=int, default=3, help="checkpoints that are left")
    parser.add_argument("--evaluate-every", type=int, default=0, help="steps between two evaluations")
    parser.add_argument("--evaluate-seconds", type=float, default=0.0, help="how long one takes")
    parser.add_argument("--print-every", type=int, default=1, help="0 for a silent log")
    parser.add_argument("--mute", action="store_true", help="tell no steps through AIOPS_PROGRESS")
    parser.add_argument("--checkpoints", help="the folder; AIOPS_CHECKPOINTS by default")
    parser.add_argument("--trace", help="a file to which each step appends `TIME ATTEMPT RANK STEP`")
    parser.add_argument("--fault", type=Fault, action="append", default=[], help=str(Fault.__doc__))
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(Stepper(options_of()).run())
