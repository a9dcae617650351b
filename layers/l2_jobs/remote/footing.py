"""What a job would stand on at a node: its account, its folders, and whether a folder is the one that others see.

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one call
of `main` behind it. It runs as root where it may, so that every account can be asked about; folders are looked at by a
child that is the job's user and nobody else: root never opens a path that a user has named.
"""

import json
import os
import pwd
import signal
import stat
import sys
import time

MARK = ".aiops-seen-"
STALE_SECONDS = 3600
SECONDS = 20
"""A folder of a file server that is away would hold a look at it for ever."""


def account(name):
    """The numbers of an account; None where there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"uid": found.pw_uid, "gid": found.pw_gid}


def become(name, uid, gid):
    """Be that user, for good."""
    if os.geteuid() == 0 and uid != 0:
        os.setgroups(os.getgrouplist(name, gid))
        os.setgid(gid)
        os.setuid(uid)


def folder(path, write, action, token):
    """What of a folder is there for who asks; `why` says in a few words what is not."""
    found = {"path": path, "why": None, "seen": None}
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            found["why"] = "it is no folder"
        elif not os.access(path, os.X_OK):
            found["why"] = "it may not be entered"
        elif write and not os.access(path, os.R_OK | os.W_OK):
            found["why"] = "it may not be written to"
        elif write and token:
            found["seen"] = marked(path, action, token)
    except FileNotFoundError:
        found["why"] = "it is not there"
    except OSError as error:
        found["why"] = error.strerror or str(error)
    return found


def marked(path, action, token):
    """Leave a mark in a folder, look for it, or take it away; whether it is there afterwards.

    A name is asked for that was never asked for before, so no cache of a file server's client answers.
    """
    mark = os.path.join(path, MARK + token)
    if action == "leave":
        for name in os.listdir(path):
            old = os.path.join(path, name)
            if name.startswith(MARK) and time.time() - os.lstat(old).st_mtime > STALE_SECONDS:
                os.unlink(old)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    elif action == "take" and os.path.lexists(mark):
        os.unlink(mark)
    return os.path.lexists(mark)


def looked(spec):
    """The folders, one after the other, as the job's user."""
    action, token = spec["action"], spec["token"]
    return [folder(one["path"], one["write"], action, token) for one in spec["folders"]]


def as_user(spec, found):
    """`looked` in a child that is the job's user; None where it does not answer in time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            become(spec["user"], found["uid"], found["gid"])
            with os.fdopen(writing, "w") as stream:
                json.dump(looked(spec), stream)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)

    def late(_number, _frame):
        os.kill(child, signal.SIGKILL)
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with os.fdopen(reading) as stream:
            text = stream.read()
        os.waitpid(child, 0)
        signal.alarm(0)
        return json.loads(text) if text else None
    except (TimeoutError, ValueError):
        return None


def main(spec):
    """Print what was found, as JSON."""
    found = account(spec["user"])
    json.dump({"account": found, "folders": as_user(spec, found) if found is not None else []}, sys.stdout)
