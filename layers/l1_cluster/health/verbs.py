"""Whether programs can open RDMA adapters: each needs its character device."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .infiniband import is_bare
from .rdma_reading import PORTS_ASK, read_adapters, read_ports
from .sysfs import found

DEVICES = "health.rdma.devices"
_CLASSES: Mapping[str, str] = {
    "uverbs": "/sys/class/infiniband_verbs/uverbs*/ibdev",
    "umad": "/sys/class/infiniband_mad/umad*/ibdev",
}
DEVICES_ASK = Ask(DEVICES, ("ls", "-1", "/dev/infiniband"), tuple(_CLASSES.values()), max_bytes=65_536)
_PLACE = re.compile(r"/sys/class/infiniband_(?:verbs|mad)/([a-z0-9]+)/ibdev")
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_NO_FOLDER = "No such file or directory"


@dataclass(frozen=True, slots=True)
class CharacterDevices:
    """What programs open.

    Attributes:
        there: Names in /dev/infiniband: `uverbs0`, `umad0`, `rdma_cm`, ...
        drivers: By adapter, the names that the kernel has given it: `uverbs0`, `umad0`.
    """

    there: frozenset[str]
    drivers: Mapping[str, tuple[str, ...]]


def read_devices(record: Record) -> CharacterDevices:
    """The character devices of RDMA adapters.

    Raises:
        UnreadableError: They cannot be listed.
    """
    answer = record.answer(DEVICES)
    files = found(answer)
    if answer.exit_status not in (0, None) and _NO_FOLDER in answer.stderr:
        names = frozenset[str]()
    else:
        names = frozenset(said(answer).split())
    if not all(_NAME.fullmatch(name) for name in names):
        raise UnreadableError("ls lists names that no device has")
    for path, reason in answer.missing.items():
        if _PLACE.fullmatch(path):
            raise UnreadableError(f"{path}: {reason}")
    drivers: dict[str, tuple[str, ...]] = {}
    for path, text in sorted(files.items()):
        place, adapter = _PLACE.fullmatch(path), text.strip()
        if place is None or not _NAME.fullmatch(adapter):
            raise UnreadableError(f"{path} is `{adapter[:40]}`")
        drivers[adapter] = (*drivers.get(adapter, ()), place[1])
    return CharacterDevices(names, drivers)


def _chardev(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    devices = subject.read(read_devices)
    ports = subject.read(read_ports)
    strange = sorted(devices.drivers.keys() - subject.read(read_adapters))
    managed = any(name.startswith("umad") for names in devices.drivers.values() for name in names)
    for adapter in sorted({port.device for port in ports if port.hardware}):
        names = devices.drivers.get(adapter, ())
        kinds = ["uverbs"]
        if managed and any(port.device == adapter and port.kind == "infiniband" for port in ports):
            kinds.append("umad")  # where the module is loaded at all: programs do without
        missing = [kind for kind in kinds if not any(name.startswith(kind) for name in names)]
        missing += [f"/dev/infiniband/{name}" for name in names if name not in devices.there]
        if missing and strange:
            said = f"{devices.drivers[strange[0]][0]} is of `{strange[0]}`, and there is no such adapter"
            raise UnreadableError(said)
        if missing:
            evidence = {"devices": list(names), "missing": missing}
            yield Sighting("critical", f"programs cannot open it: no {', no '.join(missing)}", adapter, evidence)


def _applies(subject: Subject) -> bool:
    return is_bare(subject) and any(port.hardware for port in subject.read(read_ports))


CHECKS = (
    Check(
        id="rdma.chardev",
        title="programs can open each RDMA adapter",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when an adapter has no uverbs device, or an InfiniBand one no umad device while others have"
        " one, or when the kernel has made one that is not in /dev/infiniband.",
        remedy="Load what makes them: `modprobe -a ib_uverbs ib_umad`, `udevadm trigger`; else look for errors of the"
        " adapter in `dmesg`, and reboot.",
        source="NVIDIA's NVSentinel watches the same devices; nothing over RDMA starts without them",
        asks=(DEVICES_ASK, PORTS_ASK),
        judge=_chardev,
        applies=_applies,
        sightings=2,
        grace=True,
    ),
)
