"""The machine the lab runs on: its programs, and whether it can carry a lab at all."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError, InputError, Problem

MIB = 1024 * 1024
KERNEL = (5, 14)
HOST_MEMORY_MIB = 48
"""What one idle host is reckoned at: systemd, journald, logind, dbus, sshd and cron were measured to take 13 to 20."""
HOST_DISK_MIB = 64
"""What one idle host writes: file system, journal, keys (its disk is sparse)."""

PACKAGES: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "setsid": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
}
"""Programs the lab needs, and the Debian package that brings each."""

BUILD_PACKAGES: Mapping[str, str] = {"mmdebstrap": "mmdebstrap", "chroot": "coreutils"}
"""Programs that only building the base image needs."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What this machine has to give.

    Attributes:
        memory_mib: Memory that can be had without swapping.
        disk_mib: Room in the file system that will hold the lab.
    """

    memory_mib: int
    disk_mib: int


def run(argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0) -> str:
    """Run a program of this machine and return its stdout.

    Raises:
        FailedError: It is missing, failed, or was still running after `timeout` seconds and was killed.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise _missing([argv[0]]) from error
    except subprocess.TimeoutExpired as error:
        raise FailedError(
            f"`{argv[0]}` did not end within {timeout:g} s on this machine: `{' '.join(argv)}`",
            code="lab.command_timeout",
            hints=["`aiops lab down` removes what was made so far"],
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-2000:]
        raise FailedError(
            f"`{' '.join(argv)}` failed on this machine with exit status {done.returncode}: {said}",
            code="lab.command_failed",
            hints=["`aiops lab down` removes what was made so far"],
        )
    return done.stdout


def missing_programs(needed: Iterable[str]) -> list[str]:
    """Those of `needed` that are not in PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [program for program in needed if shutil.which(program, path=path) is None]


def unfit(*, building: bool = False) -> Problem | None:
    """Why this machine can carry no lab, or None: Linux, root, what the kernel must have, programs.

    Args:
        building: Whether the base image is to be built too.
    """
    if sys.platform != "linux":
        return Problem(f"the lab needs Linux; this is {sys.platform}", hint="run it in a Linux virtual machine")
    if os.geteuid() != 0:
        return Problem(
            "the lab needs root: it mounts, makes network namespaces and boots hosts",
            hint=f"sudo -E {sys.executable} -m aiops lab up",
        )
    missing = missing_programs({**PACKAGES, **(BUILD_PACKAGES if building else {})})
    if missing:
        error = _missing(missing)
        return Problem(error.message, hint=error.hints[0])
    return kernel_lacks(
        platform.release(), Path("/proc/filesystems").read_text("ascii"), loops=Path("/dev/loop-control").exists()
    )


def kernel_lacks(release: str, filesystems: str, *, loops: bool) -> Problem | None:
    """What the kernel would need for a lab, or None. Pure.

    Args:
        release: As `uname -r` tells it.
        filesystems: The text of /proc/filesystems.
        loops: Whether there is /dev/loop-control.
    """
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    if numbers < KERNEL:
        least = ".".join(map(str, KERNEL))
        return Problem(
            f"the lab needs Linux {least} or newer, to kill a control group at one blow; this is {release}",
            hint="use Debian 12 or Ubuntu 22.04, or newer",
        )
    known = filesystems.split()
    for name in ("overlay", "cgroup2", "ext4"):
        if name not in known:
            return Problem(f"this kernel does not offer the {name} file system", hint=f"sudo modprobe {name}")
    if not loops:
        return Problem("this kernel offers no loop devices (/dev/loop-control)", hint="sudo modprobe loop")
    return None


def require_fit(*, building: bool = False) -> None:
    """Raise what `unfit` found.

    Raises:
        InputError: This machine can carry no lab; the hint says what to do.
    """
    problem = unfit(building=building)
    if problem is not None:
        raise InputError(problem.message, code="lab.unfit_machine", hints=[problem.hint] if problem.hint else [])


def resources(folder: Path) -> Resources:
    """What is free now; `folder` or its nearest existing parent says where the lab will be."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    available = next(line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return Resources(memory_mib=int(available) // 1024, disk_mib=shutil.disk_usage(existing).free // MIB)


def require_room(free: Resources, hosts: int, *, image_mib: int) -> None:
    """Refuse a lab that would not fit; disks are sparse, so only what idle hosts use is asked for.

    Raises:
        InputError: Too little memory or disk.
    """
    memory, disk = hosts * HOST_MEMORY_MIB, hosts * HOST_DISK_MIB + image_mib
    if free.memory_mib < memory:
        raise InputError(
            f"{hosts} hosts need about {memory} MiB of memory; {free.memory_mib} MiB are free",
            code="lab.memory",
            hints=[f"ask for fewer hosts, at most `--nodes {max(1, free.memory_mib // HOST_MEMORY_MIB - 1)}`"],
        )
    if free.disk_mib < disk:
        raise InputError(
            f"{hosts} hosts need about {disk} MiB of disk; {free.disk_mib} MiB are free",
            code="lab.disk",
            hints=["set AIOPS_HOME to a folder on a larger file system"],
        )


def _missing(programs: Sequence[str]) -> InputError:
    known = {**PACKAGES, **BUILD_PACKAGES}
    packages = sorted({known.get(program, program) for program in programs})
    return InputError(
        f"this machine lacks {', '.join(f'`{program}`' for program in programs)}",
        code="lab.missing_program",
        hints=[f"sudo apt-get install {' '.join(packages)}"],
    )
