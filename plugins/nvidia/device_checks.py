"""Checks of what only NVIDIA's tool and driver tell of a device."""

import re
from collections.abc import Iterator

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.answer_reading import UnreadableError, once
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject
from aiops.layers.l1_cluster.health.devices import at_bus

from .description import read_log
from .presence import has_nvidia, named_nvidia, names_by_bus
from .reading import ASKS
from .tool import BAD_INFOROM, trouble
from .xid import recovery_action

PEERMEM = "nvidia.peermem"
_QUERY, _XML, _DRIVER = (
    next(ask for ask in ASKS if ask.name == name) for name in ("nvidia.query", "nvidia.xml", "nvidia.driver")
)
_PEERMEM_FILES = ("/sys/module/nvidia_peermem/initstate", "/sys/module/nv_peer_mem/initstate")
DEVICE_ASKS = (Ask(PEERMEM, paths=_PEERMEM_FILES),)
_PROC = "/proc/driver/nvidia/version"
_CORRUPT = re.compile(r"infoROM is corrupted at gpu (\S+)", re.IGNORECASE)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})")
_DMABUF_KERNEL = (5, 12)
_FAST = 100.0  # Gbit/s: slower RoCE ports are there because the card can do it, not for GPUs


def read_recovery(record: Record) -> dict[str, str]:
    """What to do to recover each device, in the tool's words, by its bus id; devices that tell nothing are left out.

    Drivers before 565 tell whether a reset is required instead.

    Raises:
        UnreadableError: The description cannot be read.
    """
    found = {}
    for gpu in once(record, read_log).findall("gpu"):
        action = (gpu.findtext("gpu_recovery_action") or "").strip()
        if not action or action.upper() == "N/A":
            old = gpu.find("gpu_reset_status")
            required = None if old is None else cell.flag(old.findtext("reset_required", ""))
            drained = None if old is None else cell.flag(old.findtext("drain_and_reset_recommended", ""))
            action = "Drain and Reset" if drained else "Reset" if required else "" if required is None else "None"
        if action:
            found[gpu.get("id", "")] = action
    return found


def _recovery_action(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    names = names_by_bus(subject)
    for bus_id, words in subject.read(read_recovery).items():
        rule = recovery_action(words)
        if rule.severity is not None:
            bus = cell.bus(bus_id) or bus_id
            about = names.get(bus, at_bus(bus))
            yield Sighting(rule.severity, rule.words, about, {"action": words}, rule.action)


def read_bad_inforoms(record: Record) -> tuple[str, ...]:
    """Bus addresses of devices whose infoROM the tool calls corrupted; one empty word where it names none.

    Raises:
        UnreadableError: The tool did not run, or ended in another trouble.
    """
    answers = [record.answer(_QUERY.name), record.answer(_XML.name)]
    text = "\n".join(stream for answer in answers for stream in (answer.stdout, answer.stderr))
    found = tuple(dict.fromkeys(cell.bus(word) or "" for word in _CORRUPT.findall(text)))
    if found or any(answer.exit_status == BAD_INFOROM for answer in answers):
        return found or ("",)
    troubles = [trouble(answer) for answer in answers]
    if all(troubles):
        raise UnreadableError(troubles[0] or "nvidia-smi did not run")
    return ()


def _inforom(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for bus in subject.read(read_bad_inforoms):
        about = names_by_bus(subject).get(bus, at_bus(bus)) if bus else ""
        yield Sighting("warn", "its infoROM is corrupted", about, {"bus": bus or None})


def _persistence(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = named_nvidia(subject)
    off = [name for name, device in found if device.persistence is False]
    if off:
        whose = "all GPUs" if len(off) == len(found) else ", ".join(off)
        yield Sighting("warn", f"persistence mode is off on {whose}", evidence={"devices": off})


def _speaks_rdma(subject: Subject) -> bool:
    if not has_nvidia(subject):
        return False
    ports = [port for port in subject.fact("rdma_ports") if port.state == "active"]
    return any(port.kind == "infiniband" or (port.speed_gbit or 0.0) >= _FAST for port in ports)


def read_peermem(record: Record) -> bool:
    """Whether a module is loaded that lets network cards reach the memory of GPUs.

    Raises:
        UnreadableError: It was not asked.
    """
    answer = record.answer(PEERMEM)
    if answer.files:
        return True
    why = {path: answer.missing.get(path, "not asked") for path in _PEERMEM_FILES}
    wrong = [f"{path}: {reason}" for path, reason in why.items() if "No such file" not in reason]
    if wrong:
        raise UnreadableError(wrong[0])
    return False


def read_open_driver(record: Record) -> bool:
    """Whether the loaded driver is of the open kind, which shares its memory by DMA-BUF.

    Raises:
        UnreadableError: No driver is loaded.
    """
    answer = record.answer(_DRIVER.name)
    if _PROC not in answer.files:
        raise UnreadableError(f"{_PROC}: {answer.missing.get(_PROC, 'not asked')}")
    return "Open Kernel Module" in answer.files[_PROC]


def _peermem(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    if subject.read(read_peermem):
        return
    release = _RELEASE.match(subject.fact("kernel"))
    new = release is not None and (int(release[1]), int(release[2])) >= _DMABUF_KERNEL
    if not (new and subject.read(read_open_driver)):
        yield Sighting(
            "warn",
            "nvidia_peermem is not loaded: network cards cannot reach the memory of GPUs",
            evidence={"loaded": False, "kernel": subject.facts.kernel},
        )


CHECKS = (
    Check(
        id="gpu.recovery_action",
        title="the driver asks for nothing to recover a GPU",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="As the driver says: critical when it asks for a reset or a reboot, warn when it asks for less.",
        remedy="Drain the node, then as it says: `nvidia-smi --gpu-reset -i N`, or"
        " `aiops node exec --on NODE --root -- systemctl reboot`.",
        source="NVIDIA: `GPU Recovery Action` of `nvidia-smi -q`, since driver 565; healthagent judges it likewise",
        asks=(_XML,),
        judge=_recovery_action,
        applies=has_nvidia,
        tags=("hardware",),
    ),
    Check(
        id="gpu.inforom",
        title="the infoROM of GPUs is whole",
        severity="warn",
        action="service",
        owner="node",
        judges="Warns when `nvidia-smi` ends with status 14 or names a device whose infoROM is corrupted.",
        remedy="Reset the GPU once it is idle, `nvidia-smi --gpu-reset -i N`; when it stays so, NVIDIA takes it back.",
        source="the manual of nvidia-smi; azurehpc-health-checks: InforomCorruption",
        asks=(_QUERY, _XML),
        judge=_inforom,
        applies=has_nvidia,
        tags=("hardware",),
    ),
    Check(
        id="gpu.persistence",
        title="the driver stays loaded between programs",
        severity="warn",
        action="restart_service",
        owner="node",
        judges="Warns when the persistence mode of a GPU is off.",
        remedy="`nvidia-smi -pm 1` until the next boot; for good, have nvidia-persistenced run without"
        " `--no-persistence-mode` (`systemctl edit nvidia-persistenced`).",
        source="NVIDIA's guide to driver persistence; healthagent and azurehpc-health-checks want it on",
        judge=_persistence,
        applies=has_nvidia,
        tags=("driver",),
        grace=True,
        units=("nvidia-persistenced.service",),
    ),
    Check(
        id="gpu.peermem",
        title="network cards can reach the memory of GPUs",
        severity="warn",
        action="none",
        owner="node",
        judges="Warns where there is InfiniBand or fast RoCE and neither nvidia_peermem is loaded nor the driver of the"
        " open kind on a kernel with DMA-BUF.",
        remedy="`modprobe nvidia_peermem`, and for good: `echo nvidia_peermem | sudo tee"
        " /etc/modules-load.d/nvidia-peermem.conf`.",
        source="gpud and imbue's host checks; that DMA-BUF does without it: NVIDIA's GPUDirect RDMA guide",
        asks=(*DEVICE_ASKS, _DRIVER),
        judge=_peermem,
        applies=_speaks_rdma,
        tags=("driver", "network"),
    ),
)
