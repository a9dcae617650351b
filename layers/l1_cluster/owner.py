"""Who acts: a person, on a machine, in a process, in a run. Locks and journals name it and judge whether it lives."""

import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Owner:
    """One process of aiops and the person behind it.

    Attributes:
        boot_id: Of this start of the machine.
        namespace: Its pid namespace: a pid means something only there.
        process_start: Clock ticks from boot to the start of the process: with the pid, a name never used twice.
        run: Id of the run it does.
    """

    user: str
    host: str
    boot_id: str
    namespace: str
    pid: int
    process_start: int
    run: str

    @classmethod
    def here(cls, run: str) -> Self:
        """This process, for `run`."""
        pid = os.getpid()
        return cls(_user(), socket.gethostname(), _boot_id(), _namespace(), pid, _start(pid) or 0, run)

    def dead(self) -> bool:
        """Whether that process is known to have ended: it ran here, since this boot, and is there no more."""
        if (self.host, self.boot_id, self.namespace) != (socket.gethostname(), _boot_id(), _namespace()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it lives, and is another user's
        return _start(self.pid) not in {None, self.process_start}

    def ended(self) -> bool:
        """As `dead`, and also when this host was started anew since; only for records that never leave this machine."""
        return self.dead() or (self.host == socket.gethostname() and self.boot_id != _boot_id())

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (run {self.run}, pid {self.pid})"


def _user() -> str:
    """The person: behind sudo the one who typed."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
    return os.environ.get("SUDO_USER", name) if name == "root" else name


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; 0 for a zombie, which will do nothing more; None: not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in "ZX" else int(fields[19])
