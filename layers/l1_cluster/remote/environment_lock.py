"""One at a time lays an environment in a folder; others wait until it is there. The folder may be shared by nodes.

Standard library only, Python 3.6, imports nothing of ours but `environment_files`. The lock is a folder beside the
environment: making one is refused by every file server when it is there already, and asked of the server each time,
whatever a node remembers. Its owner writes a growing number into it. Whoever is on the same machine can tell whether an
owner is alive, and waits for it or not; one elsewhere whose number has stood still has lost it. Should such a one wake
up all the same, nothing breaks: each works in a folder of its own, which nobody else removes while it may be at work,
and a whole environment is never renamed away.
"""

import errno
import json
import os
import threading
import time
from typing import Any, Callable, Dict, Optional

from .environment_files import RefusedError, forget

LOCK = ".lock-"
STALE = ".stale-"
OWNER = "owner.json"
BEAT = "beat"
BEAT_SECONDS = 5.0
STALE_SECONDS = 120.0
"""A number that stands still for longer is of one that is gone: file servers tell of what was written within 60 s."""
WAIT_SECONDS = 1800.0
"""Less than a task of a deploy may take (`TASK_SECONDS` of playbook.py), so that it ends with our words."""
POLL_SECONDS = 1.0
ABANDONED_SECONDS = 7200.0
"""A folder that was begun earlier by a node that we cannot ask is nobody's any more: no task of a deploy takes as long
(`TASK_SECONDS` of playbook.py)."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def once(folder: str, name: str, done: Callable[[], bool], work: Callable[[], None]) -> None:
    """Have `work` done by one, here or on another node, unless it is done.

    Args:
        folder: Where it is to lie; made where it is not there.
        name: What it is called there.
        done: Whether it is there, whole. It is asked again once we have the lock.
        work: Does it.

    Raises:
        RefusedError: Another has not come to an end in time, or we may not write there and nobody else does it.
        OSError: The folder cannot be written, for another reason.
    """
    lock = os.path.join(folder, LOCK + name)
    deadline, watch = time.monotonic() + WAIT_SECONDS, Watch()
    while not done():
        try:
            os.makedirs(folder, 0o755, exist_ok=True)
            os.mkdir(lock, 0o755)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
            if watch.gone(lock):
                take_away(lock)
            elif time.monotonic() >= deadline:
                words = (
                    "%s is being laid by %s, which has not come to an end within %d s; see what it does, or remove %s"
                )
                raise RefusedError(words % (name, holder_of(lock), WAIT_SECONDS, lock)) from None
            else:
                time.sleep(POLL_SECONDS)
        except OSError as error:
            if error.errno not in _FORBIDDEN:
                raise
            # A file server may let only some nodes write.
            if not os.path.isdir(lock) and watch.idle():
                words = "%s cannot be written from here (%s), and no other node has laid %s there"
                raise RefusedError(words % (folder, error.strerror, name)) from None
            time.sleep(POLL_SECONDS)
        else:
            with_lock(lock, done, work)


def with_lock(lock: str, done: Callable[[], bool], work: Callable[[], None]) -> None:
    """Do it with a lock that we have just made, and leave none."""
    over, own = threading.Event(), number_of(lock)
    try:
        with open(os.path.join(lock, OWNER), "w") as stream:
            json.dump(oneself(), stream)
        beat = os.open(os.path.join(lock, BEAT), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        thread = threading.Thread(target=keep_beating, args=(beat, over), daemon=True)
        thread.start()
        try:
            if not done():
                work()
        finally:
            over.set()
            thread.join()
            os.close(beat)
    finally:
        if number_of(lock) == own:  # nobody has taken it away and made one of their own
            forget(lock)


def number_of(lock: str) -> Optional[int]:
    """Which folder it is; None where it is gone."""
    try:
        return os.stat(lock).st_ino
    except OSError:
        return None


def keep_beating(beat: int, over: threading.Event) -> None:
    """Write a growing number, in place: who opens a file of a file server sees what was written before."""
    number = 0
    while True:
        number += 1
        try:
            os.pwrite(beat, b"%012d\n" % number, 0)
            os.fsync(beat)
        except OSError:
            return  # the work fails of the same, or is taken over
        if over.wait(BEAT_SECONDS):
            return


class Watch:
    """What of a lock has been seen so far, by a clock that nobody sets."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._seen: Any = None
        self._since = time.monotonic()

    def gone(self, lock: str) -> bool:
        """Whether its owner is dead, or has not been heard of for too long."""
        owner = owner_of(lock)
        if owner is not None and dead(owner):
            return True
        if owner is not None and alive(owner):
            return False  # a disk under load may hold its number up for minutes
        seen = (owner, content(os.path.join(lock, BEAT)))
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return self.idle()

    def idle(self) -> bool:
        """Whether nothing new was seen for too long."""
        return time.monotonic() - self._since >= STALE_SECONDS


def take_away(lock: str) -> None:
    """Remove the lock of one that is gone: by renaming it first, which only one of those that wait can do."""
    aside = "%s%s-%d-%d" % (lock, STALE, os.getpid(), time.monotonic() * 1000)
    try:
        os.rename(lock, aside)
    except FileNotFoundError:
        return
    forget(aside)


def oneself() -> Dict[str, Any]:
    """Who we are, so that whoever is on the same machine can tell whether we still are."""
    return {
        "host": os.uname()[1],
        "machine": (content("/etc/machine-id") or "").strip(),
        "boot": (content("/proc/sys/kernel/random/boot_id") or "").strip(),
        "pid": os.getpid(),
        "start": start_of(os.getpid()),
    }


def dead(owner: Dict[str, Any]) -> bool:
    """Whether an owner was on this machine and is no more."""
    own = oneself()
    if not own["machine"] or owner.get("machine") != own["machine"]:
        return False
    return owner.get("boot") != own["boot"] or owner.get("start") != start_of(owner.get("pid"))


def alive(owner: Dict[str, Any]) -> bool:
    """Whether an owner is on this machine and at work, by what only one boot of one machine has."""
    own = oneself()
    if not own["boot"] or owner.get("boot") != own["boot"]:
        return False
    return owner.get("start") is not None and owner.get("start") == start_of(owner.get("pid"))


def own_folder(folder: str, prefix: str) -> str:
    """A new folder that is ours alone, called `PREFIX-HOST-PID-START`; what the dead have left is removed.

    Args:
        folder: Where it is made.
        prefix: What it is for.
    """
    own = "%s-%s-%d-%s" % (prefix, os.uname()[1], os.getpid(), start_of(os.getpid()))
    path = os.path.join(folder, own)
    forget(path)  # what we have failed at before
    os.makedirs(path, 0o755)
    now = os.stat(path).st_mtime  # by the clock of the file server, as what others have left
    for left in os.listdir(folder):
        if left != own and left.startswith(prefix) and abandoned(os.path.join(folder, left), prefix, now):
            forget(os.path.join(folder, left))
    return path


def abandoned(path: str, prefix: str, now: float) -> bool:
    """Whether whoever has begun a folder of `own_folder` is known to be gone, or must be by now."""
    host, pid, start = (["", "", *os.path.basename(path)[len(prefix) + 1 :].rsplit("-", 2)])[-3:]
    if host == os.uname()[1] and pid.isdigit():
        return start_of(pid) != start
    try:
        return now - os.lstat(path).st_mtime > ABANDONED_SECONDS
    except OSError:
        return False


def start_of(pid: Any) -> Optional[str]:
    """When a process has begun, in clock ticks since boot; None where there is none."""
    said = content("/proc/%s/stat" % pid)
    return said.rpartition(")")[2].split()[19] if said else None


def owner_of(lock: str) -> Optional[Dict[str, Any]]:
    """Who holds a lock; None where that is not written yet."""
    try:
        found = json.loads(content(os.path.join(lock, OWNER)) or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def holder_of(lock: str) -> str:
    """The same, in words."""
    owner = owner_of(lock) or {}
    return "%s (process %s)" % (owner.get("host", "somebody"), owner.get("pid", "unknown"))


def content(path: str) -> Optional[str]:
    """What is in a small file; None where it cannot be read."""
    try:
        with open(path) as stream:
            return stream.read()
    except (OSError, ValueError):
        return None
