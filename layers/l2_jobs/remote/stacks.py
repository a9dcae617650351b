"""What the processes of a hung group are doing, in words: by py-spy where there is one, else by what the kernel shows.

Standard library only, Python 3.6, imports nothing of ours.
"""

import os
import shutil
import subprocess
from typing import Iterable, Optional

_SECONDS = 10
_THREADS = 64


def find_spy(path: str) -> Optional[str]:
    """Where py-spy is, for the job's own PATH."""
    return shutil.which("py-spy", path=path)


def stacks(pids: Iterable[int], spy: Optional[str]) -> str:
    """The stacks of processes; of one that cannot be read the reason."""
    return "\n".join(_of(pid, spy) for pid in sorted(pids))


def _of(pid: int, spy: Optional[str]) -> str:
    head = "process %d: %s" % (pid, _text("/proc/%d/cmdline" % pid).replace("\0", " ").strip()[:500])
    if spy is not None:
        try:
            done = subprocess.run(
                [spy, "dump", "--nonblocking", "--pid", str(pid)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                return head + "\n" + done.stdout.decode("utf-8", "replace").rstrip()
        except (OSError, subprocess.TimeoutExpired):
            pass  # then as if there were none
    lines = [head]
    try:
        threads = sorted(os.listdir("/proc/%d/task" % pid), key=int)[:_THREADS]
    except OSError:
        return head + "\n  it has ended"
    for thread in threads:
        base = "/proc/%d/task/%s/" % (pid, thread)
        status = dict(line.split(":", 1) for line in _text(base + "status").splitlines() if ":" in line)
        lines.append(
            "  thread %s %s: %s, waits in %s"
            % (
                thread,
                status.get("Name", "?").strip(),
                status.get("State", "?").strip(),
                _text(base + "wchan").strip() or "?",
            )
        )
        stack = _text(base + "stack").strip()  # only root may read it
        lines += ["    " + line for line in stack.splitlines()]
    return "\n".join(lines)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(65536).decode("utf-8", "replace")
    except (OSError, IOError):
        return ""
