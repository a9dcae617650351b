"""Asks a node for somebody: the probe's questions, answered by that user and nobody else. Nothing of it goes on.

Root opens no path that the user has named and runs no program: all of it is done in a child that is the user for good,
and whatever that has started, daemons too, is ended with it. Who cannot be answered so is told why on stderr, with the
status `REFUSED`.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import os
import pwd
import select
import sys
import time

from . import processes
from .errands import as_user, forked

REFUSED = 3
"""The status of who was asked for a user that cannot be had here."""

_KILLING = 3.0
_PIECE = 65536
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(spec):
    """Pass through what the probe prints for the user, then end this process."""
    user, why = found(spec["user"], spec["uid"])
    if user is None:
        sys.stderr.write(" ".join(why.split()) + "\n")
        sys.exit(REFUSED)
    # While we are root still: the user need not be able to read the library that our interpreter imports of.
    program = {"__name__": "aiops_probe"}
    exec(compile(spec["probe"], "probe.py", "exec"), program)  # noqa: S102 - it is our own
    with open(os.devnull):  # the first file of text imports more (until Python 3.9)
        pass
    processes.become_subreaper()
    reading, writing = os.pipe()
    forked(lambda: asked(spec, program["main"], user, reading, writing))
    os.close(writing)
    text = received(reading, spec["longest"], time.monotonic() + spec["seconds"])
    processes.Herd(None).kill_all(_KILLING)
    if not text:
        sys.stderr.write("its questions were not answered in time, or at too great length\n")
        sys.exit(1)
    with os.fdopen(1, "wb") as stream:
        stream.write(text)
    os._exit(0)


def found(name, uid):
    """The account to ask as, and why it cannot be had; one of them is None."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None, "there is no account `%s`" % name
    if user.pw_uid != uid or uid == 0:
        return None, "`%s` has the number %d there, and asks as %d" % (name, user.pw_uid, uid)
    if os.geteuid() not in (0, uid):
        return None, "nobody who logs in as number %d can ask as `%s`" % (os.geteuid(), name)
    return user, None


def asked(spec, answer, user, reading, writing):
    """Be the user, and have the probe's own program answer on `writing`."""
    os.close(reading)
    os.dup2(writing, 1)
    os.close(writing)
    as_user(user.pw_uid, user.pw_gid, user.pw_name)
    os.umask(0o077)
    # Nothing that root was given is for the user's programs.
    os.environ.clear()
    os.environ.update(PATH=_PATH, LANG="C.UTF-8", USER=user.pw_name, LOGNAME=user.pw_name, HOME=user.pw_dir)
    answer(spec["request"])


def received(source, longest, end):
    """What comes through a pipe until it is closed; None when that is not by `end`, or it is more than `longest` bytes.

    None too when nobody is there any more to whom it could be told.
    """
    pieces, size = [], 0
    waiter = select.poll()
    waiter.register(source, select.POLLIN)
    waiter.register(1, 0)  # says only that nobody reads there any more
    while size <= longest:
        left = end - time.monotonic()
        ready = dict(waiter.poll(left * 1000.0)) if left > 0 else {}
        if source not in ready:
            return None
        piece = os.read(source, _PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    return None
