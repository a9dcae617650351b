"""How a launcher is run: as a transient unit of systemd, or as a plain process where there is no systemd.

A unit is a fence: whatever its processes do, they are in its control group, and end with it. Its main process is the
launcher; when that ends, however it does, systemd ends the rest at once (`KillMode=mixed`: SIGTERM goes to the launcher
alone, which lets its processes save, and what is left gets SIGKILL). A launcher that is itself stopped, so that it
cannot hold its lease, is ended by the watchdog.

Without systemd (a container, somebody's laptop) the processes are known by a variable in their environment. That is no
fence against a program that clears its environment, and is said in docs/decisions/jobs.md.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import os
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, List, Tuple

from . import processes
from .errands import Errands, as_user

SLICE = "aiops-jobs.slice"
_SYSTEMD = "/run/systemd/system"
_GONE = ("inactive", "failed")
_OOM_POLICY = 243
"""The version of systemd that brought OOMPolicy."""


def unit_of(key: str) -> str:
    """The unit of a rank group."""
    return "aiops-job-%s.service" % key


def words(key: str, folder: str, program: str, spec: Dict[str, Any], version: int) -> List[str]:
    """The command that starts a launcher as a unit. Pure; nothing secret is in it.

    Args:
        key: The attempt.
        folder: Its folder.
        program: The launcher's program.
        spec: What the launcher is given.
        version: Of systemd.
    """
    limits = spec.get("limits") or {}
    properties = [
        "Type=notify",
        "NotifyAccess=main",
        "KillMode=mixed",
        "UMask=0027",
        "TimeoutStartSec=60",
        "TimeoutStopSec=%d" % (float(spec["stop_seconds"]) + 10),
        "LimitNOFILE=1048576",
        "LimitMEMLOCK=infinity",
        "TasksMax=infinity",
    ]
    if version >= _OOM_POLICY:
        properties.append("OOMPolicy=continue")  # a rank that is killed for memory is told; the unit goes on
    if spec["peers"]:
        properties.append("WatchdogSec=%g" % spec["lease"]["kill"])
        properties.append("WatchdogSignal=SIGKILL") if version >= _OOM_POLICY else None
    if limits.get("memory"):
        properties.append("MemoryMax=%d" % limits["memory"])
    if limits.get("processors"):
        properties.append("CPUQuota=%d%%" % round(limits["processors"] * 100))
    user = spec["user"]
    found = ["systemd-run", "--quiet", "--collect", "--unit=" + unit_of(key), "--slice=" + SLICE]
    found += ["--uid=%d" % user["uid"], "--gid=%d" % user["gid"], "--description=aiops job " + key]
    for one in properties:
        found += ["-p", one]
    return [*found, "--", interpreter(), "-I", "-S", program, folder]


def _nobody(status: int, said: str) -> None:
    """Nobody waits for that end: it is seen by what is left."""
    del status, said


def interpreter() -> str:
    """A Python that every user here may run: the agent's own may lie in root's home."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/libexec/platform-python", "/usr/local/bin/python3"):
        parts = path.split("/")
        folders = ["/".join(parts[:count]) or "/" for count in range(1, len(parts) + 1)]
        try:
            if all(os.stat(folder).st_mode & 0o001 for folder in folders):
                return path
        except OSError:
            continue
    return sys.executable


class Systemd(object):
    """Launchers as units; those that Slurm has started are known by their environment, and end likewise."""

    def __init__(self, errands: Errands, base: str) -> None:
        self._errands = errands
        self._others = Processes(errands, base)
        self._version = _version()

    def start(
        self, key: str, folder: str, program: str, spec: Dict[str, Any], done: Callable[[int, str], None]
    ) -> None:
        """Have one run; `done` is told 0 once it listens."""
        self._errands.run(words(key, folder, program, spec, self._version), done)

    def gone(self, key: str, owner: int, told: Callable[[Any], None]) -> None:
        """Tell whether nothing of it runs any more; None when that is not known."""

        def done(status: int, said: str) -> None:
            state = said.partition("=")[2]
            if state in _GONE and not status:
                self._others.gone(key, owner, told)
            else:
                told(None if status or not state else False)

        self._errands.run(["systemctl", "show", "--property=ActiveState", unit_of(key)], done)

    def kill(self, key: str, owner: int) -> None:
        """End all of it at once."""
        self._errands.run(["systemctl", "kill", "--signal=SIGKILL", unit_of(key)], _nobody)
        self._others.kill(key, owner)


class Processes(object):
    """Launchers as plain processes, in a session of their own."""

    def __init__(self, errands: Errands, base: str) -> None:
        self._errands = errands
        self._base = base

    def start(self, _: str, folder: str, program: str, spec: Dict[str, Any], done: Callable[[int, str], None]) -> None:
        """Have one run; `done` is told 0 at once, since whoever follows it waits until it listens."""
        user = spec["user"]

        def launch() -> int:
            as_user(user["uid"], user["gid"], user["name"])
            environment = dict(os.environ, **dict([mark(folder)]))
            subprocess.Popen(
                [interpreter(), "-I", "-S", program, folder],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            return 0

        # Twice removed: it must not become a zombie of ours, nor end when we do.
        self._errands.fork(launch, done)

    def gone(self, key: str, owner: int, told: Callable[[Any], None]) -> None:
        """Tell whether nothing of it runs any more."""
        told(not self._living(key, owner))

    def kill(self, key: str, owner: int) -> None:
        """End all of it at once."""
        for pid in self._living(key, owner):
            processes.signalled(pid, signal.SIGKILL)

    def _living(self, key: str, owner: int) -> List[int]:
        name, value = mark(os.path.join(self._base, key))
        found = []
        for number in os.listdir("/proc"):
            if not number.isdigit() or int(number) == os.getpid():
                continue
            try:
                if os.stat("/proc/" + number).st_uid != owner:
                    continue
            except OSError:
                continue
            pid = int(number)
            state = processes.stat(pid)
            if state is None or state["state"] in "ZX":
                continue
            if processes.variable(pid, name) == value:
                found.append(pid)
        return found


def mark(folder: str) -> Tuple[str, str]:
    """The variable by which processes of an attempt's launcher, and that, are known."""
    return "AIOPS_PROGRESS", os.path.join(folder, "progress")


def units(errands: Errands, base: str) -> Any:
    """What this node has."""
    return Systemd(errands, base) if os.path.isdir(_SYSTEMD) and os.geteuid() == 0 else Processes(errands, base)


def _version() -> int:
    try:
        said = subprocess.check_output(["systemctl", "--version"], stdin=subprocess.DEVNULL, timeout=10)
        return int(said.split()[1].split(b".")[0])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return 0
