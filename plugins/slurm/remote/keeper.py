"""The keeper: what a unit of systemd is to a launcher elsewhere, for one that Slurm has started.

It is srun's task on a node, and the launcher is its child. Whatever becomes of that, and of slurmd, nothing of the rank
group outlives it: orphans become the keeper's children, and are ended. A launcher that is itself stopped, so that it
cannot hold its lease, is ended like systemd's watchdog would. Without a keeper both would run on: seen were ranks that
outlived their dead slurmd, and Slurm's own end of their job.

Standard library only, Python 3.6, imports nothing of ours but its sisters and those of the launcher.
"""

import json
import os
import select
import signal
import socket
import sys

from . import launcher, lease, processes

NOTIFY = "notify"
"""The socket on which the launcher says that it lives, in its folder."""

_TICK = 0.25
_ENDING = 2.0
"""Seconds that ended processes have to be gone; what is left then waits in the kernel, and Slurm goes on ending it."""


def main(folder, leave=False):
    # type: (str, bool) -> int
    """Keep the launcher of `folder`; its exit status, 0 once it has begun; this process's, if it is to leave."""
    os.umask(0o077)
    os.chdir(folder)
    spec = _with_devices("spec.json", os.environ)
    processes.become_subreaper()
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        os.unlink(NOTIFY)
    except FileNotFoundError:
        pass
    heard.bind(NOTIFY)  # relative, since the path of a socket may only be a hundred letters long
    heard.setblocking(False)
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        _become_launcher(folder)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: processes.signalled(child, signal.SIGTERM))
    status = _keep(child, heard, wake, spec["lease"]["kill"] if spec["peers"] else None)
    processes.Herd(None).kill_all(_ENDING)
    if os.path.exists("events.jsonl") and status != launcher.CLAIMED:
        # A group has begun: its end is told, or missed, by those who follow it. A bad status would have srun kill the
        # others at once (`--kill-on-bad-exit`), who have their last words to say too.
        status = 0
    if leave:
        sys.stderr.flush()
        os._exit(status)
    return status


def _with_devices(path, given):
    # type: (str, Mapping[str, str]) -> Dict[str, Any]
    """The spec at `path`, in which the devices are those that Slurm has given.

    aiops chooses nodes and counts; which devices of a node a job gets Slurm says, and nobody can tell it. Where it
    hides the others (ConstrainDevices) it also counts them anew, and its own variable is the only right one.
    """
    with open(path) as file:
        spec = json.load(file)  # type: Dict[str, Any]
    environment = spec["environment"]
    devices = given.get("SLURM_STEP_GPUS") or given.get("SLURM_JOB_GPUS")
    for name in spec.get("visible", ()):
        value = given.get(name) or devices
        if value:
            environment[name] = value
    with open(path + ".new", "w") as file:
        json.dump(spec, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
    return spec


def _become_launcher(folder):
    # type: (str) -> None
    status = 1
    try:
        os.environ["NOTIFY_SOCKET"] = NOTIFY
        os.umask(0o027)  # as units have it
        status = launcher.main(folder)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _keep(child, heard, wake, seconds):
    # type: (int, socket.socket, int, Optional[float]) -> int
    """Wait for the launcher's end; its exit status.

    A group without peers has no lease that could run out (`seconds` is None), and is never ended for being slow.
    """
    last = lease.clock()
    while True:
        found, code = os.waitpid(child, os.WNOHANG)
        if found:
            return processes.status_of(code) & 0xFF
        select.select([heard, wake], [], [], _TICK)
        if _emptied(lambda: heard.recv(256)):
            last = lease.clock()
        _emptied(lambda: os.read(wake, 4096))
        if seconds is not None and lease.clock() - last > seconds:
            sys.stderr.write("aiops: the launcher has not lived for %.1f s, and is ended\n" % (lease.clock() - last))
            processes.signalled(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 1


def _emptied(read):
    # type: (Callable[[], bytes]) -> bool
    """Take all there is; whether there was anything."""
    found = False
    try:
        while read():
            found = True
    except BlockingIOError:
        pass
    return found
