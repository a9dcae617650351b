"""The work of a rank group: its processes, from the first to the last.

The ranks that torchrun starts are its children and not ours. They are known by looking for them, and their ends are
seen by pidfd, before torchrun looks itself: the kernel shows how they ended until torchrun has waited for them.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Dict, Optional

from . import processes, stacks
from .output import BARE, Output, Ranks, executable
from .peers import interface_towards
from .readiness import Readiness

_KILLING = 1.0
"""Seconds that ended processes have to be gone."""
_DRAINING = 2.0
_SETTLING = 0.2
"""Seconds in which the last words of a rank are read before its end is told."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Worker(object):
    """A rank that torchrun has started."""

    def __init__(self, rank: int, file: Optional[int]) -> None:
        self.rank = rank
        self.file = file
        self.ended = False


class Work(object):
    """All processes of the group. Used by the launcher's one thread."""

    def __init__(self, folder: str, spec: Dict[str, Any], umask: int) -> None:
        """Start nothing yet.

        Args:
            folder: Of the attempt.
            spec: What the launcher was given.
            umask: For the processes.
        """
        self._folder = folder
        self._spec = spec
        self._umask = umask
        self._torchrun = spec.get("options_end") is not None
        self._herd = processes.Herd(spec.get("unit"))
        self._workers: Dict[int, Worker] = {}
        self._output: Optional[Output] = None
        self._selector: Any = None
        self._exited: Any = None
        self._readiness: Optional[Readiness] = None
        self.main: Any = None
        self.first_bad: Optional[int] = None
        """The first bad exit status of a rank."""

    def start(
        self,
        selector: selectors.BaseSelector,
        write: Callable[[bytes], None],
        stepped: Any,
        exited: Callable[[int, Optional[int], Optional[bool]], None],
    ) -> int:
        """Start the processes; the pid of the first.

        Args:
            selector: Calls `data(file, now)` of what is ready.
            write: Keeps output.
            stepped: Told of rank, step and loss that the job's regex finds, by another thread.
            exited: Told of a rank that has ended, its status, and whether it was killed for want of memory.

        Raises:
            OSError: The program cannot be started.
            ValueError: It, or its environment, cannot be said to the kernel.
        """
        self._selector, self._exited = selector, exited
        spec = self._spec
        self._output = Output(write, stepped, (spec.get("progress") or {}).get("regex"))
        environment = self._environment()
        argv = list(spec["argv"])
        if self._torchrun:
            argv[spec["options_end"] : spec["options_end"]] = self._of_ranks(environment)
        if "/" not in argv[0]:
            argv[0] = shutil.which(argv[0], path=environment["PATH"]) or argv[0]
        read, write_end = os.pipe()
        self._output.add(read, None if self._torchrun else spec["first_rank"], b"")
        try:
            os.umask(self._umask)
            self.main = subprocess.Popen(
                argv,
                cwd=spec["folder"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        finally:
            os.umask(0o077)
            os.close(write_end)
        self._output.start()
        return self.main.pid

    def _of_ranks(self, environment: Dict[str, str]) -> Any:
        """A pipe for each rank; the words that torchrun is to be given for it."""
        spec = self._spec
        found = ["--log-dir", os.path.join(self._folder, "torchrun")]
        if executable(self._folder):
            ranks = Ranks(self._folder, spec["processes"])
            environment.update(ranks.environment(environment))
            found += [ranks.shim, BARE] if spec.get("bare") else []
            for number, file in enumerate(ranks.files):
                rank = spec["first_rank"] + number
                self._output.add(file, rank, b"[rank%d]: " % rank)
        return found

    def _environment(self) -> Dict[str, str]:
        """What a login would have, then what the spec says, then where the launcher listens."""
        import pwd

        user = self._spec["user"]
        found = {"PATH": _PATH, "LANG": "C.UTF-8", "USER": user["name"], "LOGNAME": user["name"], "HOME": "/"}
        try:
            known = pwd.getpwuid(user["uid"])
            found.update(HOME=known.pw_dir, SHELL=known.pw_shell)
        except KeyError:
            pass  # a number without a name: the agent has looked, and a launcher of Slurm's need not have one
        # Gloo listens at what the host's own name means, which on Debian is 127.0.1.1: nobody else comes there.
        towards = interface_towards(self._spec["peers"][0]["address"]) if self._spec["peers"] else None
        if towards is not None:
            found["GLOO_SOCKET_IFNAME"] = towards
        found.update(self._spec["environment"])
        found["AIOPS_PROGRESS"] = os.path.join(self._folder, "progress")
        found["AIOPS_STOP"] = os.path.join(self._folder, "stop")
        return found

    # -- ends

    def look(self) -> None:
        """Know the ranks that torchrun has started, and those that have ended where the kernel tells nobody."""
        self._herd.look(time.monotonic())
        if not self._torchrun or self.main is None:
            return
        for pid in processes.children(self.main.pid):
            rank = processes.variable(pid, "RANK") if pid not in self._workers else None
            if rank is None or not rank.isdigit():
                continue
            file = processes.pidfd(pid)
            self._workers[pid] = Worker(int(rank), file)
            if file is not None:
                self._selector.register(file, selectors.EVENT_READ, self._worker_ended)
        for pid, worker in self._workers.items():
            if worker.file is None and not worker.ended and processes.ended(pid):
                self._end_of(worker, processes.zombie_status(pid))

    def halted(self) -> Any:
        """The ranks that a signal has stopped and nobody has let go on.

        Which processes of a command are ranks is not known: the node's first is stopped where its main process is, or
        all that the main one has started. One of several that a program stops itself is its own affair.
        """
        if self.main is None:
            return set()
        if self._torchrun:
            alive = [(pid, worker.rank) for pid, worker in self._workers.items() if not worker.ended]
            return set(rank for pid, rank in alive if processes.halted(pid))
        others = self._herd.living() - {self.main.pid}
        stopped = processes.halted(self.main.pid) or (bool(others) and all(processes.halted(pid) for pid in others))
        return {self._spec["first_rank"]} if stopped else set()

    def _worker_ended(self, file: int, now: float) -> None:
        del now
        self._selector.unregister(file)
        os.close(file)
        for pid, worker in self._workers.items():
            if worker.file == file:
                worker.file = None
                self._end_of(worker, processes.zombie_status(pid))
                return

    def _end_of(self, worker: Worker, status: Optional[int]) -> None:
        if worker.ended:
            return
        worker.ended = True
        if status and self.first_bad is None:
            self.first_bad = status
        oom = self._herd.ran_out_of_memory() if status == -signal.SIGKILL else None
        if status and self._output is not None:
            self._output.settle(worker.rank, _SETTLING)
        self._exited(worker.rank, status, oom)

    def reaped(self) -> Optional[int]:
        """Take note of children that have ended; the status of the first process once it is among them."""
        found = processes.reap()
        if self._readiness is not None:
            self._readiness.reaped(found)
        if self.main is None or self.main.pid not in found:
            return None
        status = found[self.main.pid]
        self.main.returncode = status
        if self._torchrun:
            for pid, worker in self._workers.items():
                if not worker.ended and processes.ended(pid):
                    self._end_of(worker, found.get(pid))
        else:
            self._end_of(Worker(self._spec["first_rank"], None), status)
        return status

    # -- what is done to them

    def freeze(self) -> None:
        """Stop all."""
        if self._readiness is not None:
            self._readiness.pause(True)
        self._herd.stop_all()

    def thaw(self) -> None:
        """Let all go on."""
        self._herd.send(signal.SIGCONT)
        if self._readiness is not None:
            self._readiness.pause(False)

    def probe(self, tell: Callable[[bool], None]) -> None:
        """Ask a service whether it serves, where the spec says how.

        Args:
            tell: Told when it is ready, and when it is no longer, by another thread.
        """
        if self._spec.get("ready"):
            self._readiness = Readiness(self._spec["ready"], self._spec["folder"], self._environment())
            self._readiness.start(tell)

    def ask_to_leave(self) -> None:
        """SIGTERM to the ranks.

        Torchrun itself would kill ranks that take longer than 30 s to save; it is asked only where there are none.
        """
        if self.main is None:
            return
        self.look()
        for pid in [pid for pid, worker in self._workers.items() if not worker.ended] or [self.main.pid]:
            processes.signalled(pid, signal.SIGTERM)

    def dump(self) -> None:
        """Write the stacks of the ranks to the log, in a thread of its own."""
        threading.Thread(target=self._dump, name="dump", daemon=True).start()

    def _dump(self) -> None:
        if self._output is not None:
            ranks = [pid for pid, worker in list(self._workers.items()) if not worker.ended]
            path = os.path.dirname(self._spec["argv"][0]) + ":" + self._environment()["PATH"]
            self._output.note(stacks.stacks(ranks or self._herd.living(), stacks.find_spy(path)))

    def kill(self) -> Any:
        """End all at once, and take what they have written; the pids of those that live on."""
        if self._readiness is not None:
            self._readiness.end()
        left = self._herd.kill_all(_KILLING)
        if self._output is not None:
            self._output.close(_DRAINING)
        return left
