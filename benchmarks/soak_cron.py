"""Health from a real cron, on a cluster with a real Slurm.

It is silent while nothing changes, never looks twice at once, and tells each change in one message; a node is out of
Slurm within a cycle of its ECC error and back in it after that is healed.

`make soak-cron`; half an hour, most of it the ten minutes for which what was seen is not over yet. Debian's cron runs
in a mount namespace of its own, so that this machine's /etc/cron.d and mail are not touched; its mails go to files.
"""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.l1_cluster.health.history import HealthHistory

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import AIOPS, BrokenError, Figure, aiops, report, run

NAME = f"cron-{os.getpid()}"  # what is remembered of a cluster goes by its name
NODES = 3
CYCLE = 60.0
ILL = "gpu02"
QUIET_CYCLES = 4
_BACK_SECONDS = 1200.0
_MAIL = """#!/bin/sh
# What cron mails, one file for each message.
exec cat > "{folder}/$(date +%s.%N)"
"""
_SETUP = """
set -e
for part in etc usr; do
  mount -t overlay overlay -o "lowerdir=/$part,upperdir=$1/$part,workdir=$1/work-$part" "/$part"
done
mount -t tmpfs tmpfs /var/spool
mkdir -p /var/spool/cron/crontabs
echo crontab:x:999: >> /etc/group
echo ready > "$1/ready"
exec cron -f
"""


class Cron:
    """A cron daemon in its own mount namespace."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._process = process

    def aiops(self, *words: str) -> str:
        """Run `aiops WORDS` where the daemon lives."""
        return run("nsenter", "--target", str(self._process.pid), "--mount", AIOPS, *words).stdout

    @property
    def mails(self) -> tuple[str, ...]:
        """The bodies of what it has mailed, oldest first."""
        texts = [path.read_text("utf-8") for path in sorted((self._folder / "mail").iterdir())]
        return tuple(text.partition("\n\n")[2].strip() for text in texts)

    @property
    def looks(self) -> tuple[int, ...]:
        """The processes that look at the nodes now."""
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                try:
                    words = (place / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if words[1:4] == [os.fsencode(AIOPS), b"health", b"--cron"]:
                    found.append(int(place.name))
        return tuple(sorted(found))


@contextmanager
def cron() -> Iterator[Cron]:
    """Debian's cron, unpacked beside the system and started where nobody else sees its tables.

    Raises:
        BrokenError: It did not start.
    """
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as name:
        folder = Path(name)
        (folder / "mount").mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", str(folder / "mount"))  # an overlay's upper side may not be an overlay
        try:
            top = folder / "mount"
            for part in ("etc", "usr", "work-etc", "work-usr", "mail"):
                (top / part).mkdir(mode=0o755)
            run("sh", "-c", f"cd {shlex.quote(name)} && apt-get -qq download cron && dpkg -x cron_*.deb unpacked")
            run("cp", "-a", f"{folder}/unpacked/etc", f"{folder}/unpacked/usr", str(top))
            mail = top / "usr" / "sbin" / "sendmail"
            mail.write_text(_MAIL.format(folder=top / "mail"), "utf-8")
            mail.chmod(0o755)
            words = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _SETUP, "sh", str(top))
            with subprocess.Popen(words) as process:
                try:
                    until("cron starts", (top / "ready").exists, 30)
                    daemon = Cron(top, process)
                    daemon.aiops("--version")
                    yield daemon
                finally:
                    process.terminate()
        finally:
            run("umount", "--lazy", str(folder / "mount"))


def until(what: str, condition: Callable[[], bool], seconds: float) -> float:
    """Wait until `condition` holds; after how many seconds it did.

    Raises:
        BrokenError: It did not in time.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() > begun + seconds:
            raise BrokenError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.2)
    return time.monotonic() - begun


def cycles(daemon: Cron, number: int) -> None:
    """Wait until so many looks have begun and ended."""
    seen: set[int] = set()

    def over() -> bool:
        now = daemon.looks
        seen.update(now)
        return len(seen) >= number and not now

    until(f"{number} looks of cron", over, (number + 2) * CYCLE)


def slurm(made: Rig, node: str) -> str:
    """The state of a node in Slurm, and the reason."""
    return made.on("head", f"sinfo -h -N -n {node} -o '%T %E'")


def looked(cluster: str) -> datetime:
    """When a node was last looked at, by what is kept of it."""
    with App(os.environ).store() as store:
        return HealthHistory(store, cluster).latest([ILL])[ILL].last


def under_way(cluster: str) -> bool:
    """Whether a look has begun, and not only its process."""
    with (App(os.environ).home / "clusters" / cluster / "health.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def overlap(daemon: Cron, cluster: str) -> int:
    """Stop one look on its way until the next has come and gone; how many looks were made meanwhile."""
    until("a look begins", lambda: len(daemon.looks) == 1 and under_way(cluster), 2 * CYCLE)
    (stopped,) = daemon.looks
    os.kill(stopped, signal.SIGSTOP)
    before = looked(cluster)
    try:
        until("the next look comes", lambda: len(daemon.looks) > 1, 2 * CYCLE)
        until("it goes again", lambda: daemon.looks == (stopped,), CYCLE)
        made = int(looked(cluster) != before)
    finally:
        os.kill(stopped, signal.SIGCONT)
    until("the first one ends", lambda: stopped not in daemon.looks, CYCLE)
    return made


def main() -> int:
    """Measure and report."""
    with cron() as daemon, rig(NAME, NODES) as made:
        made.deploy()
        until("Slurm gives work", lambda: slurm(made, ILL).startswith("idle"), CYCLE)
        aiops("health", "-i", made.inventory, "-q")
        daemon.aiops("health", "schedule", "--every", "1m", "--act", "-i", made.inventory)
        cycles(daemon, QUIET_CYCLES)
        silent = len(daemon.mails)
        doubled = overlap(daemon, made.lab.state.name)
        after_overlap = len(daemon.mails) - silent

        begun = time.monotonic()
        aiops("lab", "fault", ILL, "ecc-uncorrected", "--name", NAME, "-q")
        until(f"{ILL} is drained", lambda: slurm(made, ILL).startswith("drain"), 3 * CYCLE)
        out = time.monotonic() - begun
        cycles(daemon, 3)
        came = daemon.mails[silent + after_overlap :]

        aiops("lab", "heal", ILL, "--name", NAME, "-q")
        begun = time.monotonic()
        until(f"{ILL} is given back", lambda: slurm(made, ILL).startswith("idle"), _BACK_SECONDS)
        back = time.monotonic() - begun
        cycles(daemon, 2)
        over = daemon.mails[silent + after_overlap + len(came) :]
        daemon.aiops("health", "unschedule", "-i", made.inventory)
        until("the last look ends", lambda: not daemon.looks, CYCLE)
    drained = sum(f"drained {ILL}" in text for text in (*came, *over))
    given = sum(f"gave {ILL} work again" in text for text in (*came, *over))
    return report(
        "soak_cron",
        [
            Figure(f"messages in {QUIET_CYCLES} cycles in which nothing changed", "", (float(silent),), limit=0),
            Figure("messages of cycles that found another look under way", "", (float(after_overlap),), limit=0),
            Figure("looks made while another was under way", "", (float(doubled),), limit=0),
            Figure("from the ECC error to being out of Slurm (cycle, jitter, look)", "s", (out,), limit=CYCLE + 40),
            Figure("messages that told of it, in three cycles and more", "", (float(len(came)),), limit=1),
            Figure("messages that said it was drained", "", (float(drained),), limit=1, at_least=True),
            Figure("from its healing to being back in Slurm (10 minutes until it is over)", "s", (back,), limit=1000),
            Figure("messages that told of that: over, and given back", "", (float(len(over)),), limit=2),
            Figure("messages that said it was given back", "", (float(given),), limit=1, at_least=True),
        ],
        simulated=SIMULATED,
        details=[*came, *over],
    )


if __name__ == "__main__":
    sys.exit(main())
