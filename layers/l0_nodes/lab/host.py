"""A host: what is written on it before it first boots, the command that boots it, and when it counts as up."""

import contextlib
import json
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import ConflictError, FailedError

from .cgroup import Group
from .disk import in_private_namespace
from .identity import HostKeys
from .machine import run
from .state import HostState

BOOT_SECONDS = 90.0
START_SECONDS = 15.0
"""How long the first process of a host may take to appear on a busy machine."""
RUN = "/run/aiops-lab"
"""Where a host sees what the lab shares with it."""
MARKER = "etc/aiops-lab.json"
CAPABILITIES = ("CAP_MKNOD", "CAP_NET_ADMIN", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_IPC_LOCK")
"""Beyond nspawn's own: device nodes of simulated accelerators, network settings, what schedulers set for jobs."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Where everything of one host is when it boots.

    Attributes:
        shared: The folder that all hosts see as /run/aiops-lab/shared.
        entrances: Files to which a process writes its id to be in the host's control group.
        launcher_entrances: Those of the group for the loop that starts it.
        binds: Folders of this machine that it sees, read-only: (here, there).
    """

    host: HostState
    folder: Path
    shared: Path
    entrances: tuple[str, ...]
    launcher_entrances: tuple[str, ...]
    binds: tuple[tuple[str, str], ...] = ()

    @property
    def root(self) -> Path:
        """The root, in the host's own mount namespace."""
        return self.folder / "root"

    def seen(self, path: Path) -> Path:
        """`path` as the running host's own mount namespace has it.

        Raises:
            ConflictError: The host is off, or whoever mounted its disk was killed.
        """
        for entrance in (*self.launcher_entrances, *self.supervisor_entrances):
            with contextlib.suppress(OSError):
                for process in Path(entrance).read_text("ascii").split():
                    found = Path(f"/proc/{process}/root") / path.relative_to("/")
                    if os.path.ismount(Path(f"/proc/{process}/root") / self.root.relative_to("/")):
                        return found
        raise ConflictError(
            f"{self.host.name}: the host is off", code="lab.host_off", hints=[f"aiops lab heal {self.host.name}"]
        )

    @property
    def supervisor_entrances(self) -> tuple[str, ...]:
        """Those of the group that nspawn makes for itself."""
        return tuple(entrance.replace("/cgroup.procs", "/supervisor/cgroup.procs") for entrance in self.entrances)

    @property
    def kernel_log(self) -> Path:
        """The file bound over the host's /dev/kmsg."""
        return self.folder / "kmsg"

    @property
    def bus(self) -> Path:
        """The folder that a mount unit of the host binds over /sys/bus/pci/devices."""
        return self.folder / "pci"

    @property
    def state(self) -> Path:
        """The folder that the host sees as /run/aiops-lab/state; only the lab writes it."""
        return self.folder / "state"

    @property
    def console(self) -> Path:
        """What the host printed while booting."""
        return self.folder / "console.log"


def nspawn(launch: Launch) -> list[str]:
    """The command that boots a host. Pure."""
    host = launch.host
    return [
        "systemd-nspawn",
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--console=pipe",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        f"--machine={host.machine}",
        f"--hostname={host.name}",
        f"--uuid={host.machine_id}",
        f"--directory={launch.root}",
        f"--network-namespace-path=/run/netns/{host.namespace}",
        f"--capability={','.join(CAPABILITIES)}",
        f"--bind={launch.kernel_log}:/dev/kmsg",
        f"--bind-ro={launch.bus}:{RUN}/pci",
        f"--bind-ro={launch.state}:{RUN}/state",
        f"--bind={launch.shared}:{RUN}/shared",
        *(f"--bind-ro={source}:{target}" for source, target in launch.binds),
    ]


_LAUNCHER = """\
exec </dev/null >{console} 2>&1
set -e
for group in {launcher}; do echo $$ > "$group"; done
{mounts}
set +e
while :; do
  read -r up _ < /proc/uptime
  printf '5,0,%s0000,-;%s\\n5,1,%s0000,-;%s\\n' "${{up%.*}}${{up#*.}}" "$(cat /proc/version)" \\
    "${{up%.*}}${{up#*.}}" "aiops lab host {name} booted" > {kernel_log}
  grep -qs faketime {root}/etc/ld.so.preload && rm {root}/etc/ld.so.preload
  sh -c 'for group in {host}; do echo $$ > "$group"; done; exec "$@"' - {nspawn}
  [ $? -eq 133 ] || exit
done
"""
"""Mounts a host's disk and boots it, again each time it reboots itself (nspawn then ends with 133), with a new
kernel log each time and without what the clock-skew fault preloads.

The loop stays in a group of its own below the host's: cgroup v2 allows no processes in a group that has children.
"""


def launcher(launch: Launch, mounts: str) -> list[str]:
    """The command that runs a host until it is switched off, detached from us. Pure.

    Args:
        launch: The host.
        mounts: Shell lines that mount its root, in a mount namespace of its own.
    """
    # net.* settings belong to the host's namespace; all others are the machine's and stay read-only.
    command = ["env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", "SYSTEMD_NSPAWN_LOCK=0", *nspawn(launch)]
    script = _LAUNCHER.format(
        console=shlex.quote(str(launch.console)),
        launcher=" ".join(launch.launcher_entrances),
        mounts=mounts,
        host=" ".join(launch.entrances),
        name=launch.host.name,
        root=shlex.quote(str(launch.root)),
        kernel_log=shlex.quote(str(launch.kernel_log)),
        nspawn=shlex.join(command),
    )
    return ["setsid", "--fork", *in_private_namespace(["sh", "-c", script])]


def boot(launch: Launch, mounts: str) -> None:
    """Start the host with a kernel log of its own; returns before it is up."""
    run(launcher(launch, mounts))


def kernel_line(sequence: int, seconds: float, level: int, text: str) -> str:
    """One record as /dev/kmsg gives it: `level,sequence,microseconds,-;text`. Pure."""
    return f"{level},{sequence},{int(seconds * 1e6)},-;{text}\n"


def log_kernel(launch: Launch, lines: Iterable[tuple[int, str]]) -> None:
    """Append (level, text) records to the host's kernel log, and to no other's."""
    sequence = launch.kernel_log.read_text("utf-8").count("\n")
    with launch.kernel_log.open("a", encoding="utf-8") as log:
        for offset, (level, text) in enumerate(lines):
            log.write(kernel_line(sequence + offset, time.monotonic(), level, text))


def processes_called(group: Group, name: str) -> list[int]:
    """The processes of a host whose program is called `name`, as the kernel tells it."""
    found = []
    for process in group.processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{process}/comm").read_text("utf-8", "replace").rstrip("\n") == name:
                found.append(process)
    return found


def wait_up(launches: Iterable[tuple[Launch, Group]], came: Callable[[HostState, float], None]) -> None:
    """Wait until sshd answers on every host; tell `came` of each with its seconds.

    Raises:
        FailedError: A host died or did not answer in time; the message ends with its console's last lines.
    """
    started = time.monotonic()
    waiting = list(launches)
    alive: set[str] = set()
    while waiting:
        still = []
        for launch, group in waiting:
            if answers(launch.host.address):
                came(launch.host, time.monotonic() - started)
                continue
            still.append((launch, group))
            seconds = time.monotonic() - started
            running = group.populated
            if running:
                alive.add(launch.host.name)
            died = not running and (launch.host.name in alive or seconds > START_SECONDS)
            if seconds > BOOT_SECONDS or died:
                what = "died while booting" if died else "did not answer on port 22"
                raise FailedError(
                    f"{launch.host.name}: the host {what} ({seconds:.0f} s); its console ended with:\n"
                    f"{console_tail(launch)}",
                    code="lab.boot_failed",
                    hints=[f"all of it: {launch.console}", "`aiops lab down` removes the lab"],
                )
        waiting = still
        if waiting:
            time.sleep(0.05)


def answers(address: str, *, timeout: float = 0.5) -> bool:
    """Whether an ssh server greets at `address`."""
    try:
        with socket.create_connection((address, 22), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def console_tail(launch: Launch, lines: int = 15) -> str:
    """The last lines of the host's console."""
    try:
        text = launch.console.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "(nothing)"
    return "\n".join(text.splitlines()[-lines:]) or "(nothing)"


BUS_UNIT = "sys-bus-pci-devices.mount"
_BUS_UNIT = f"""\
[Unit]
Description=The PCI bus of this lab host (simulated)
DefaultDependencies=no
Before=local-fs.target
ConditionPathIsDirectory=/sys/bus/pci/devices
[Mount]
What={RUN}/pci
Where=/sys/bus/pci/devices
Type=none
Options=bind,ro
"""
"""nspawn mounts /sys after its own binds, so this one is the host's."""


_SSHD_UNIT = """\
# -r: sshd forks for a connection without executing itself again, so that what the clock-skew fault preloads into new
# programs stays out of its sandbox, which would kill it.
[Service]
ExecStart=
ExecStart=/usr/sbin/sshd -D -r $SSHD_OPTS
"""

_JOURNALD_UNIT = """\
# The kernel log of a lab host is a file: what journald says of itself would be written over the records in it.
[Service]
Environment=SYSTEMD_LOG_TARGET=null
"""


def identity_files(
    host: HostState, *, lab: str, keys: HostKeys, simulated: Sequence[str]
) -> Mapping[str, tuple[str, int]]:
    """Content and mode, by path below the root, of what makes a host itself. Pure.

    Args:
        host: The host.
        lab: The lab's name.
        keys: The keys it has, and the one it accepts.
        simulated: What on this host is not real, as the fact `simulated` reports it.
    """
    marker = {"lab": lab, "host": host.name, "simulated": sorted(simulated)}
    return {
        "etc/hostname": (f"{host.name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost ip6-localhost\n", 0o644),
        "etc/machine-id": (f"{host.machine_id}\n", 0o444),
        "etc/ssh/ssh_host_ed25519_key": (keys.private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (keys.public, 0o644),
        "root/.ssh/authorized_keys": (keys.login, 0o600),
        f"usr/lib/systemd/system/{BUS_UNIT}": (_BUS_UNIT, 0o644),
        "etc/systemd/system/ssh.service.d/aiops-lab.conf": (_SSHD_UNIT, 0o644),
        "etc/systemd/system/systemd-journald.service.d/aiops-lab.conf": (_JOURNALD_UNIT, 0o644),
        MARKER: (json.dumps(marker, indent=1) + "\n", 0o644),
    }


def write_files(root: Path, files: Mapping[str, tuple[str, int]], links: Mapping[str, str]) -> None:
    """Write `files` (content and mode) and symbolic `links` below `root`, making folders that are missing."""
    for name, (content, mode) in files.items():
        path = _vacant(root / name)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    for name, target in links.items():
        _vacant(root / name).symlink_to(target)


def _vacant(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path
