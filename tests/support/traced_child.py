"""Forks that do some work when they are told to: to be killed, or to be watched by strace."""

import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Self

from .power_cut import Recording
from .system_calls import OPTIONS, Recorder, UnreadableError


def recorded(root: Path, work: Callable[[], object], log: Path, *, limit: float = 120.0) -> Recording:
    """Do `work` in a child of this process under strace, and tell what it did below `root`.

    Args:
        root: A folder that is there; what is in it before counts as on the disk. No link may lead to it.
        work: Must end; what it returns is lost.
        log: Where strace writes.
        limit: Seconds that it may take.

    Raises:
        UnreadableError: It failed, or changed files in a way that is not told by its calls.
    """
    recorder = Recorder(root)
    with Child(work) as one:
        tracer = subprocess.Popen(("strace", *OPTIONS, "-o", log, "-p", str(one.process)), stdin=subprocess.DEVNULL)
        try:
            one.wait_for_tracer(limit)
            one.go()
            status = one.status(limit)
        finally:
            one.end()
            tracer.wait(limit)
    if status != 0:
        raise UnreadableError(f"what was to be recorded ended with {status}")
    with log.open(encoding="ascii", errors="replace") as stream:
        return recorder.recording(stream)


class Child:
    """A fork of this process that does some work once it is told to, and is gone at the end of a `with`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._read, self._write = os.pipe()
        self._ended: int | None = None
        self.process = os.fork()
        if self.process == 0:
            status = 1
            try:
                os.close(self._write)
                os.read(self._read, 1)
                work()
                status = 0
            except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self._write)

    def wait_for_tracer(self, limit: float) -> None:
        """Wait until strace is there."""
        end = time.monotonic() + limit
        status = Path(f"/proc/{self.process}/status")
        while "TracerPid:\t0\n" in status.read_text(encoding="ascii"):
            if time.monotonic() > end:
                raise UnreadableError("strace did not come")
            time.sleep(0.005)

    def go(self) -> None:
        """Let it begin."""
        os.write(self._write, b"x")

    def kill(self) -> None:
        """Kill it, if it is still there."""
        if self._ended is None:
            os.kill(self.process, signal.SIGKILL)

    def status(self, limit: float) -> int | None:
        """Its exit status, -N by signal N; None when it has not ended within so many seconds."""
        end = time.monotonic() + limit
        pause = 0.0005
        while self._ended is None and time.monotonic() < end:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self._ended = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(pause)
                pause = min(0.02, pause * 1.5)
        return self._ended

    def end(self) -> None:
        """Kill it and wait."""
        self.kill()
        self.status(60.0)
