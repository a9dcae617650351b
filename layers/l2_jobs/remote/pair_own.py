"""A site's own test of two nodes: one end of it, as the user whose job it is for. Nothing of it is left behind.

It prints how the test ended, and the last line that it wrote; nobody else's files are opened as root.

Standard library only, Python 3.6, imports nothing of ours but its sister.
"""

import json
import os
import pwd
import select
import shutil
import subprocess
import sys
import time

from . import processes

KEPT = 4096
"""Bytes of what the test writes: the last ones."""

_KILLING = 3.0
_PIECE = 65536
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(spec):
    """Run it, and say what became of it."""
    json.dump(ran(spec), sys.stdout)


def ran(spec):
    """How it ended: `status`, None where its time was over; or `none`, why it could not be run."""
    try:
        user = pwd.getpwnam(spec["user"])
    except KeyError:
        return {"none": "there is no account %s" % spec["user"]}
    if user.pw_uid != spec["uid"]:
        return {"none": "%s has the number %d there" % (spec["user"], user.pw_uid)}
    environment = {"PATH": _PATH, "LANG": "C.UTF-8", "USER": user.pw_name, "LOGNAME": user.pw_name}
    environment.update(HOME=user.pw_dir, SHELL=user.pw_shell)
    environment.update(spec["environment"])
    argv = list(spec["argv"])
    argv[0] = shutil.which(argv[0], path=environment["PATH"]) or argv[0]

    def become():
        if os.geteuid() == 0 and user.pw_uid != 0:
            os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        os.umask(0o022)
        os.chdir(spec["folder"])

    processes.become_subreaper()
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            preexec_fn=become,  # noqa: PLW1509 - there is one thread
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = "its user or folder: %s" % spec["folder"] if isinstance(error, subprocess.SubprocessError) else str(error)
        return {"none": "it cannot be started: %s" % why}
    finally:
        os.close(writing)
    said = _followed(process, reading, time.monotonic() + spec["seconds"])
    status = process.poll()
    left = processes.Herd(None).kill_all(_KILLING)
    return {"status": status, "said": said, "left": len(left)}


def _followed(process, reading, until):
    """The last line that it writes until it has ended, or its time is over."""
    os.set_blocking(reading, False)
    tail, opened = b"", True
    while time.monotonic() < until:
        over = process.poll() is not None
        ready, _, _ = select.select([reading] if opened else [], [], [], 0.0 if over else 0.05)
        data = os.read(reading, _PIECE) if ready else b""
        opened = opened and not (ready and not data)
        tail = (tail + data)[-KEPT:]
        if over and not data:
            break
    os.close(reading)
    lines = [line for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
