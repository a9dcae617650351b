"""The processes of a rank group: all that live below its launcher, whatever they have done to get away.

The launcher is a subreaper, so a process whose parent has ended becomes its child and not init's: `setsid`, double
forks and daemons stay below it. In a unit the control group's list is read beside, and the two are taken together.

Standard library only, Python 3.6, imports nothing of ours.
"""

import ctypes
import errno
import os
import signal
import time
from typing import Any, Dict, List, Optional, Set

_PR_SET_CHILD_SUBREAPER = 36
_PIDFD_OPEN = 434  # the same number on all architectures; os.pidfd_open came with Python 3.9
_EXIT_CODE = 52  # of /proc/PID/stat, counted from 1, see proc(5)
_STATE = 3
_PARENT = 4
_STARTED = 22
_RECENT = 5.0
"""Seconds after which a process that was killed for want of memory is no more taken for the rank that has ended."""


def boot_id() -> str:
    """Names the time since the machine booted; in a container its own, where it has one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def become_subreaper() -> None:
    """Have orphans below this process become its children."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pidfd(pid: int) -> Optional[int]:
    """A file that can be read once the process has ended; None where the kernel has none (before 5.3)."""
    found = int(ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_OPEN, pid, 0))
    return found if found >= 0 else None


def stat(pid: int) -> Optional[Dict[str, Any]]:
    """State, parent, start and exit code of a process; None when there is none."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (OSError, IOError):
        return None
    if len(fields) < _STARTED - 2:
        return None
    known: Dict[str, Any] = {
        "state": fields[_STATE - 3].decode("ascii"),
        "parent": int(fields[_PARENT - 3]),
        "started": int(fields[_STARTED - 3]),
        "exit": None,
    }
    if len(fields) > _EXIT_CODE - 3:
        known["exit"] = int(fields[_EXIT_CODE - 3])
    return known


def zombie_status(pid: int) -> Optional[int]:
    """The exit status of a process that has ended and was not yet waited for by its parent: -N for signal N.

    None where the parent was quicker, or the kernel does not show it.
    """
    found = stat(pid)
    if found is None or found["state"] != "Z" or found["exit"] is None:
        return None
    return status_of(found["exit"])


def status_of(code: int) -> int:
    """An exit status of what wait(2) gives: -N for signal N."""
    return -(code & 0x7F) if code & 0x7F else (code >> 8) & 0xFF


def ended(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    found = stat(pid)
    return found is None or found["state"] in "ZX"


def halted(pid: int) -> bool:
    """Whether a process was stopped by a signal; one that a debugger holds is another matter."""
    found = stat(pid)
    return found is not None and found["state"] == "T"


def children(pid: int) -> List[int]:
    """The processes that `pid` has started and that still live, or wait to be waited for."""
    found = []
    try:
        threads = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return []
    for thread in threads:
        try:
            with open("/proc/%d/task/%s/children" % (pid, thread)) as file:
                found += [int(word) for word in file.read().split()]
        except (OSError, IOError):
            if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
                return [other for other, parent in _parents().items() if parent == pid]
    return found


def _parents() -> Dict[int, int]:
    """Of each process its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            one = stat(int(name))
            if one is not None:
                found[int(name)] = one["parent"]
    return found


def descendants(pid: int) -> Set[int]:
    """All that live below `pid`."""
    found: Set[int] = set()
    parents = _parents()
    new = {pid}
    while new:
        new = set(one for one, parent in parents.items() if parent in new) - found
        found |= new
    return found


def control_group(unit: Optional[str]) -> Optional[str]:
    """The file that lists the processes of our unit's control group; None where it is not the unit's own.

    It is used only when the group bears the unit's name: to stop the processes of any other group would be a disaster.
    """
    if not unit:
        return None
    try:
        with open("/proc/self/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except (OSError, IOError):
        return None
    for _, controllers, path in lines:
        if os.path.basename(path) != unit:
            continue
        for root in {"": ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")}.get(controllers, ("/sys/fs/cgroup/systemd",)):
            if controllers in ("", "name=systemd"):
                listing = "%s%s/cgroup.procs" % (root, path)
                if os.access(listing, os.R_OK):
                    return listing
    return None


def out_of_memory(unit: Optional[str]) -> Optional[int]:
    """How many processes of our unit's control group the kernel has killed for want of memory, in it or on the host.

    None where the kernel does not count them for this group (version 1 does where the unit has a limit of memory).
    """
    try:
        with open("/proc/self/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except (OSError, IOError):
        return None
    for _, controllers, path in lines:
        if not unit or os.path.basename(path) != unit:
            continue
        if controllers == "":
            places = ["/sys/fs/cgroup%s/memory.events" % path, "/sys/fs/cgroup/unified%s/memory.events" % path]
        elif "memory" in controllers.split(","):
            places = ["/sys/fs/cgroup/memory%s/memory.oom_control" % path]
        else:
            continue
        for place in places:
            try:
                with open(place) as file:
                    counts = dict(line.split(None, 1) for line in file)
                return int(counts["oom_kill"])
            except (OSError, IOError, KeyError, ValueError):
                continue
    return None


def out_of_memory_on_host() -> Optional[int]:
    """How many processes the kernel has killed for want of memory on the whole host; None before Linux 4.13."""
    try:
        with open("/proc/vmstat") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, IOError, ValueError, IndexError):
        pass
    return None


class Herd(object):
    """All processes of a rank group but its launcher."""

    def __init__(self, unit: Optional[str]) -> None:
        self._unit = unit
        self._listing = control_group(unit)
        self._out_of_memory = [(out_of_memory(unit), out_of_memory_on_host())] * 2
        """How many were, at the look before the last and at the last one."""
        self._counted = 0.0

    def ran_out_of_memory(self) -> Optional[bool]:
        """Whether the kernel has killed one of them for want of memory since `look`; None where it does not tell.

        Where it does not count for this group, it may have killed somebody on the host; where nobody, none of these.
        """
        (before, on_host), now = self._out_of_memory[0], out_of_memory(self._unit)
        if before is not None and now is not None:
            return now > before
        return False if on_host is not None and on_host == out_of_memory_on_host() else None

    def look(self, now: float) -> None:
        """Forget what was killed for want of memory a while ago: a loader that was is not why a rank ends later."""
        if now - self._counted >= _RECENT:
            self._counted = now
            self._out_of_memory = [*self._out_of_memory[1:], (out_of_memory(self._unit), out_of_memory_on_host())]

    def living(self) -> Set[int]:
        """Those that have not ended."""
        found = descendants(os.getpid())
        if self._listing is not None:
            try:
                with open(self._listing) as file:
                    found |= set(int(line) for line in file if line.strip() != "0")
            except (OSError, IOError, ValueError):
                pass
        found.discard(os.getpid())
        states = ((pid, stat(pid)) for pid in found)
        return set(pid for pid, one in states if one is not None and one["state"] not in "ZX")

    def send(self, number: int) -> Set[int]:
        """Send a signal to all; those that were there."""
        found = self.living()
        for pid in found:
            signalled(pid, number)
        return found

    def stop_all(self) -> None:
        """Stop all, and what they have started meanwhile, until nobody new is found."""
        seen: Set[int] = set()
        for _ in range(20):
            new = self.living() - seen
            if not new:
                return
            for pid in new:
                signalled(pid, signal.SIGSTOP)
            seen |= new

    def kill_all(self, seconds: float) -> Set[int]:
        """End all at once, and what they have started meanwhile; those that live on after `seconds`.

        What lives on waits in the kernel, or is another user's: the unit's end is the end of those too.
        """
        deadline = time.monotonic() + seconds
        while True:
            left = self.send(signal.SIGKILL)
            reap()
            if not left:
                return left
            if time.monotonic() >= deadline:
                return self.living()
            time.sleep(0.005)


def signalled(pid: int, number: int) -> bool:
    """Send a signal; whether there was somebody who got it."""
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EPERM):
            raise
        return False
    return True


def reap() -> Dict[int, int]:
    """The children that have ended, with their exit status."""
    found = {}
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except OSError:
            return found
        if pid == 0:
            return found
        found[pid] = status_of(code)


def variable(pid: int, name: str) -> Optional[str]:
    """A variable of the environment a process was started with."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            words = file.read().split(b"\0")
    except (OSError, IOError):
        return None
    mark = name.encode("ascii") + b"="
    for word in words:
        if word.startswith(mark):
            return word[len(mark) :].decode("utf-8", "replace")
    return None
