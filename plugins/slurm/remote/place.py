"""What the Slurm engine does on a node itself: an attempt's folder is made, looked at, and what was left over is ended.

Standard library only, Python 3.6, imports nothing of ours but what a node remembers of controllers. It runs as root; a
folder that belongs to a user is read as that user alone, for he may have put anything there. For a controller that is
not the latest any more nothing is done.
"""

import json
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import time

from .terms import Terms

BEGUN, END, EVENTS = "begun.json", "end.json", "events.jsonl"
LOGS = ("batch.log", "step.log")
MOST = 65536
"""Bytes that are read of a record."""

LARGEST = 2**53
"""What is no smaller is no number of ours."""

TAIL = 2000
"""Bytes of a log's end that are told."""

SECONDS = 5.0
"""Within which what was killed must be gone."""


def boot_id():
    """This boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        return stream.read().strip()


def as_user(uid, gid, work):
    """What `work()` returns, called in a child that is this user; JSON-ready.

    Raises:
        OSError: It failed; the words are its own.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
            answer = {"answer": work()}
            status = 0
        except BaseException as error:
            answer = {"error": str(error) or error.__class__.__name__}
        try:
            with os.fdopen(writing, "w") as stream:
                json.dump(answer, stream)
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {"error": "no answer"}
    if "error" in answer:
        raise OSError(answer["error"])
    return answer["answer"]


def record_at(path):
    """The record in a file; None where there is none, or what is there is no record.

    Its user may have put anything there: what no record of ours has is left out, or the answer could not be read.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            found = json.loads(stream.read(MOST).decode("utf-8", "replace"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: value for name, value in found.items() if isinstance(value, str) or fits(value)}


def fits(value):
    """Whether it is a number of a size that any reader of JSON takes, or null."""
    return value is None or (isinstance(value, (int, float)) and abs(value) < LARGEST)


def tail(path):
    """The last words in a log; empty where there are none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL))
            return stream.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return ""


def owner_of(path):
    """Whose folder that is; None where there is nothing, -1 where it is no folder."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_uid if stat.S_ISDIR(found.st_mode) else -1


def look(base, key, uid, gid):
    """What there is of an attempt on this node.

    Returns:
        `boot_id`; `placed`: whether it has its folder; `begun` and `end`: the batch script's records, on the node where
        it ran; `launched`: whether a launcher has ever said a word; `said`: the last words of Slurm's own logs.
    """
    folder = os.path.join(base, key)

    def found():
        try:
            launched = os.stat(os.path.join(folder, EVENTS)).st_size > 0
        except OSError:
            launched = False
        return {
            "begun": record_at(os.path.join(folder, BEGUN)),
            "end": record_at(os.path.join(folder, END)),
            "launched": launched,
            "said": "".join(tail(os.path.join(folder, name)) for name in LOGS),
        }

    answer = {"boot_id": boot_id(), "placed": owner_of(folder) == uid}
    answer.update(as_user(uid, gid, found))
    return answer


def made(base):
    """The folder of all attempts, made where there is none; as the agent has it: only root makes folders there."""
    os.makedirs(base, exist_ok=True)
    os.chmod(base, 0o711 if os.getuid() == 0 else 0o700)
    return base


def place(base, key, owner, files):
    """Make the folder of an attempt of `owner` (name, uid, gid) with `files` in it, unless it is there; then `look`.

    The files are texts by name, and get mode 0600. The folder is made under another name as root's, given to the user,
    and renamed: there is never a part of it.

    Returns:
        As `look`, or `refused` and `causer` where the account is not the same here.
    """
    user, uid, gid = owner
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return {"refused": "there is no user %s here" % user, "causer": "user"}
    if account.pw_uid != uid:
        return {"refused": "user %s has number %d here, not %d" % (user, account.pw_uid, uid), "causer": "user"}
    folder = os.path.join(made(base), key)
    if owner_of(folder) not in (None, uid):  # somebody else's: it goes out of the way
        os.rename(folder, "%s/.odd-%d-%d" % (base, time.time(), os.getpid()))
    if not os.path.isdir(folder):
        temporary = tempfile.mkdtemp(prefix=".new-", dir=base)
        try:
            for name, text in sorted(files.items()):
                path = os.path.join(temporary, name)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fchown(stream.fileno(), uid, gid)
                    os.fsync(stream.fileno())
            settle(temporary)
            os.chown(temporary, uid, gid)
            os.rename(temporary, folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not os.path.isdir(folder):  # else another call was first
                raise
        settle(base)
    return look(base, key, uid, gid)


def settle(folder):
    """Have the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def members(job, uid):
    """Processes of this user that Slurm has started for its job, and their children that kept the environment."""
    mark = b"SLURM_JOB_ID=" + job.encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            if os.stat("/proc/" + name).st_uid != uid:
                continue
            with open("/proc/%s/environ" % name, "rb") as stream:
                words = stream.read().split(b"\0")
            with open("/proc/%s/stat" % name, "rb") as stream:
                state = stream.read().rpartition(b")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if mark in words and state not in (b"Z", b"X"):
            found.append(int(name))
    return found


def sweep(job, uid):
    """End what runs of a job here, whatever became of slurmd; return how many are left, which should be none."""
    deadline = time.time() + SECONDS
    while True:
        left = members(job, uid)
        if not left or time.time() > deadline:
            return len(left)
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.02)


def swept(base, key, uid, gid, job):
    """`sweep`, then `look`; `left` tells how many processes could not be ended."""
    left = sweep(job, uid) if job else 0
    return dict(look(base, key, uid, gid), left=left)


def here(_base):
    """Nothing but whether its controller is obeyed here."""
    return {"boot_id": boot_id()}


def remains(_base, uid, jobs):
    """This boot, and how many processes of this user there are of Slurm's `jobs`."""
    return {"boot_id": boot_id(), "left": sum(len(members(job, uid)) for job in jobs)}


DEEDS = {"place": place, "look": look, "swept": swept, "here": here, "remains": remains}


def tell(deed, base, term, *values):
    """Print what one of `DEEDS` answers; `deposed`, the later term, where the controller is not the latest any more.

    Args:
        deed: Its name.
        base: The folder of all attempts.
        term: The lineage and number of the controller's term; None where nobody is to be told apart.
        values: What the deed is given beside `base`.
    """
    later = 0
    if term is not None:
        terms = Terms(made(base), term[0], term[1])
        terms.claim()
        later = terms.outranked()
    json.dump({"deposed": later} if later else DEEDS[deed](base, *values), sys.stdout)
