"""The asks behind the facts, and the pure reading of their answers.

A reader raises `UnreadableError` with a reason; whatever else goes wrong in one of them is a reason too. So garbage
from a node costs the fact it is about and nothing else.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from .accelerator_reading import read_accelerators
from .answer_reading import UnreadableError, file, said, word
from .ask import Ask, Record
from .facts import ClockReading, Disk, Facts
from .network_reading import NETWORK_ASKS, read_interfaces, read_rdma_ports
from .probe import CLOCK, PYTHON
from .vendor import Vendor

FACT_ASKS = (
    Ask("os.release", paths=("/etc/os-release",)),
    Ask(
        "os.kernel",
        ("uname", "-rm"),
        ("/proc/sys/kernel/hostname", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/random/boot_id"),
    ),
    Ask("os.machine", paths=("/etc/machine-id",)),
    Ask("os.virtualization", ("systemd-detect-virt",)),
    Ask("os.mounts", paths=("/proc/self/mounts",)),
    Ask("os.hosts", paths=("/etc/hosts",)),
    Ask("os.simulated", paths=("/etc/aiops-lab.json",)),
    Ask("cpu.topology", ("lscpu", "-p=CPU,CORE,SOCKET")),
    Ask("cpu.model", paths=("/proc/cpuinfo",), max_bytes=8192),
    Ask("memory", paths=("/proc/meminfo", "/proc/swaps")),
    Ask("disks", ("df", "-P", "-k", "/", "/var")),
    *NETWORK_ASKS,
    Ask("bus", paths=tuple(f"/sys/bus/pci/devices/*/{name}" for name in ("vendor", "class", "device")), max_bytes=64),
    Ask(
        "packages.kernel",
        (
            "dpkg-query",
            "-W",
            "--showformat=${Package}\\t${db:Status-Abbrev}\\n",
            "linux-image-*",
            "linux-headers-*",
            "linux-modules-*",
            "nvidia-driver-*",
            "nvidia-dkms-*",
            "nvidia-kernel-*",
            "nvidia-fabricmanager*",
        ),
    ),
    Ask(
        "packages.lock",
        ("stat", "-c", "%i", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"),
        ("/proc/locks", "/proc/self/mountinfo"),
    ),
)

_CONTAINERS = ("systemd-nspawn", "lxc", "lxc-libvirt", "docker", "podman", "rkt", "wsl", "openvz", "proot", "pouch")
_KIB_PER_MIB = 1024
_DF_FIELDS = 6
_LOCK_FIELDS = 6
_MOUNT_POINT = 4


def fact_asks(vendors: Iterable[Vendor] = ()) -> tuple[Ask, ...]:
    """What is asked of a node for its facts, accelerators of `vendors` included."""
    return (*FACT_ASKS, *(ask for vendor in vendors for ask in asks_where_present(vendor)))


def asks_where_present(vendor: Vendor) -> tuple[Ask, ...]:
    """What `vendor` asks, on nodes whose bus shows a device of its."""
    return tuple(replace(ask, makers=vendor.pci_vendor_ids) for ask in vendor.asks())


def facts_of(record: Record, vendors: Iterable[Vendor] = ()) -> Facts:
    """The facts in a record. Pure, and never raises: what cannot be read is in `unknown`."""
    values: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, read in _READERS.items():
        try:
            values[name] = read(record)
        except UnreadableError as error:
            unknown[name] = str(error)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            unknown[name] = f"the answer is garbled: {type(error).__name__}"
    simulated = "/etc/aiops-lab.json" in record.answer("os.simulated").files
    values |= read_accelerators(record, tuple(vendors), simulated=simulated, unknown=unknown)
    return Facts(record.node, record.at, simulated=simulated, unknown=unknown, **values)


def _proc(path: str) -> Callable[[Record], str]:
    return lambda record: word(file(record.answer("os.kernel"), path), path)


def _uname(record: Record) -> list[str]:
    """`RELEASE MACHINE`; older records have the machine alone."""
    words = said(record.answer("os.kernel")).split()
    if not 0 < len(words) <= 2:  # noqa: PLR2004
        raise UnreadableError(f"uname says `{' '.join(words)[:80]}`")
    return words


def _kernel(record: Record) -> str:
    words = _uname(record)
    return words[0] if len(words) > 1 else _proc("/proc/sys/kernel/osrelease")(record)


def _release(key: str) -> Callable[[Record], str]:
    def read(record: Record) -> str:
        for line in file(record.answer("os.release"), "/etc/os-release").splitlines():
            name, separator, value = line.strip().partition("=")
            if name == key and separator and value.strip("\"'"):
                return value.strip("\"'")
        raise UnreadableError(f"/etc/os-release has no {key}")

    return read


def _machine_id(record: Record) -> str:
    return word(file(record.answer("os.machine"), "/etc/machine-id"), "/etc/machine-id")


def _virtualization(record: Record) -> str:
    """`systemd-detect-virt` says `none` with exit status 1."""
    answer = record.answer("os.virtualization")
    if answer.exit_status == 1 and answer.stdout.strip() == "none":
        return "none"
    return word(said(answer), "systemd-detect-virt")


def _container(record: Record) -> bool:
    return _virtualization(record) in _CONTAINERS


def _cgroup(record: Record) -> str:
    kinds: dict[str, str] = {}
    for line in file(record.answer("os.mounts"), "/proc/self/mounts").splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1].startswith("/sys/fs/cgroup"):  # noqa: PLR2004 - source, path, type
            kinds[fields[1]] = fields[2]
    if kinds.get("/sys/fs/cgroup") == "cgroup2":
        return "v2"
    if "cgroup" in kinds.values():
        return "hybrid" if "cgroup2" in kinds.values() else "v1"
    raise UnreadableError("no cgroup file system is mounted")


def _topology(record: Record) -> list[tuple[int, int, int]]:
    """`(CPU, core, socket)` of every online CPU; a CPU without a known core is a core of its own."""
    found = []
    for line in said(record.answer("cpu.topology")).splitlines():
        if line.startswith("#") or not line.strip():
            continue
        cpu, core, socket = [*line.split(","), "", ""][:3]
        found.append((int(cpu), int(core or cpu), int(socket or 0)))
    if not found:
        raise UnreadableError("lscpu shows no CPU")
    return found


def _sockets(record: Record) -> int:
    return len({socket for _, _, socket in _topology(record)})


def _cores(record: Record) -> int:
    return len({(core, socket) for _, core, socket in _topology(record)})


def _threads(record: Record) -> int:
    return len(_topology(record))


def _cpu_model(record: Record) -> str:
    for line in file(record.answer("cpu.model"), "/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    raise UnreadableError("/proc/cpuinfo names no model")


def _meminfo(key: str) -> Callable[[Record], int]:
    def read(record: Record) -> int:
        for line in file(record.answer("memory"), "/proc/meminfo").splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) // _KIB_PER_MIB
        raise UnreadableError(f"/proc/meminfo has no {key}")

    return read


def _swaps(record: Record) -> tuple[str, ...]:
    lines = file(record.answer("memory"), "/proc/swaps").splitlines()
    return tuple(line.split()[0] for line in lines[1:] if line.split())


def _disks(record: Record) -> tuple[Disk, ...]:
    answer = record.answer("disks")
    disks: dict[str, Disk] = {}
    for line in (answer.stdout if answer.exit_status == 1 else said(answer)).splitlines()[1:]:
        fields = line.rsplit(None, _DF_FIELDS - 1)
        if len(fields) != _DF_FIELDS:
            raise UnreadableError(f"df says `{line[:80]}`")
        path = fields[5]
        disks[path] = Disk(path, int(fields[1]) // _KIB_PER_MIB, int(fields[3]) // _KIB_PER_MIB)
    if not disks:
        raise UnreadableError("df shows nothing")
    return tuple(disks.values())


def _hosts(record: Record) -> str:
    return file(record.answer("os.hosts"), "/etc/hosts")


def _clock(record: Record) -> ClockReading:
    epoch = float(said(record.answer(CLOCK)))
    if not math.isfinite(epoch):
        raise UnreadableError(f"its clock says {epoch}")
    return ClockReading(epoch, record.at.timestamp())


def _python(record: Record) -> str:
    return word(said(record.answer(PYTHON)), "the version of python")


def _kernel_packages(record: Record) -> tuple[str, ...]:
    """Exit status 1 means that a pattern matched nothing, which is fine."""
    answer = record.answer("packages.kernel")
    text = answer.stdout if answer.exit_status == 1 else said(answer)
    found = set()
    for line in text.splitlines():
        name, _, status = line.partition("\t")
        if status[1:2] == "i":  # the second letter is what it is, the first what is wanted
            found.add(name)
    return tuple(sorted(found))


def _package_lock_held(record: Record) -> bool:
    """Whether /proc/locks has one of the lock files, locked as apt and dpkg do it (fcntl).

    An inode number alone would not do: a pid file below /run may have the same one. Devices are compared as the
    kernel names them in mountinfo, since `stat` has another for a file on an overlay.
    """
    answer = record.answer("packages.lock")
    locks = file(answer, "/proc/locks")
    if answer.timed_out or answer.exit_status is None:
        said(answer)
    inodes = {int(line) for line in answer.stdout.split()}
    device = _device_of("/var/lib/dpkg", answer.files.get("/proc/self/mountinfo") or "")
    for line in locks.splitlines():
        fields = [word for word in line.split() if word != "->"]
        if len(fields) < _LOCK_FIELDS or fields[1] != "POSIX":
            continue
        major, minor, inode = fields[5].split(":")
        if int(inode) in inodes and device in {None, (int(major, 16), int(minor, 16))}:
            return True
    return False


def _device_of(path: str, mountinfo: str) -> tuple[int, int] | None:
    """Major and minor of what is mounted where `path` lies; None where the table does not say."""
    best: tuple[str, tuple[int, int]] | None = None
    for line in mountinfo.splitlines():
        fields = line.split()
        point = fields[4] if len(fields) > _MOUNT_POINT else ""
        inside = f"{path}/".startswith(point.rstrip("/") + "/")
        if point and inside and (best is None or len(point) >= len(best[0])):  # of two at one point the later is on top
            major, _, minor = fields[2].partition(":")
            best = (point, (int(major), int(minor)))
    return best[1] if best else None


_READERS: Mapping[str, Callable[[Record], Any]] = {
    "hostname": _proc("/proc/sys/kernel/hostname"),
    "os_id": _release("ID"),
    "os_version": _release("VERSION_ID"),
    "os_codename": _release("VERSION_CODENAME"),
    "os_name": _release("PRETTY_NAME"),
    "kernel": _kernel,
    "architecture": lambda record: _uname(record)[-1],
    "boot_id": _proc("/proc/sys/kernel/random/boot_id"),
    "machine_id": _machine_id,
    "virtualization": _virtualization,
    "container": _container,
    "cgroup": _cgroup,
    "sockets": _sockets,
    "cores": _cores,
    "threads": _threads,
    "cpu_model": _cpu_model,
    "memory_mib": _meminfo("MemTotal"),
    "swap_mib": _meminfo("SwapTotal"),
    "swaps": _swaps,
    "disks": _disks,
    "hosts": _hosts,
    "interfaces": read_interfaces,
    "rdma_ports": read_rdma_ports,
    "clock": _clock,
    "python": _python,
    "kernel_packages": _kernel_packages,
    "package_lock_held": _package_lock_held,
}
