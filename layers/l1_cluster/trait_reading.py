"""What a node is asked for its traits, and the pure reading of its answers.

What is not there at all (no OFED, no BIOS in a virtual machine) is a value like any other; what could not be read is
unknown, with its reason. Names that change from boot to boot (sda, loop3) are in no value.
"""

from collections.abc import Callable, Mapping

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file, said
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.facts import Facts

from .disk_layout import disks
from .privilege import PRIVILEGE_ASKS, privileged_users, sudoers
from .trait import Trait, plain

_DMI = "/sys/class/dmi/id"
_INFINIBAND = "/sys/class/infiniband"
_NVME = "/sys/class/nvme"
_BMC = "/sys/bus/platform/devices"
_BYTES = 1_048_576
_NO_FILE = "No such file or directory"

BOARD, CHIPS, CPU = "trait.board", "trait.chips", "trait.cpu"
OFED, DISKS, PACKAGES = "trait.ofed", "trait.disks", "trait.packages"
TIME = "trait.time"

TRAIT_ASKS = (
    Ask(
        BOARD,
        paths=tuple(f"{_DMI}/{name}" for name in ("sys_vendor", "product_name", "bios_version", "bios_date")),
        max_bytes=256,
    ),
    Ask(
        CHIPS,
        paths=(
            f"{_INFINIBAND}/*/board_id",
            f"{_INFINIBAND}/*/fw_ver",
            f"{_NVME}/*/model",
            f"{_NVME}/*/firmware_rev",
            f"{_BMC}/ipmi_bmc*/firmware_revision",
        ),
        max_bytes=128,
    ),
    Ask(CPU, paths=("/proc/cpuinfo",), max_bytes=8192),
    Ask(OFED, ("ofed_info", "-s"), timeout=10.0),
    Ask(
        DISKS,
        ("lsblk", "--json", "--bytes", "--output", "NAME,MAJ:MIN,TYPE,SIZE,FSTYPE,RM,MODEL"),
        ("/proc/self/mountinfo",),
        timeout=10.0,
        max_bytes=_BYTES,
    ),
    Ask(
        PACKAGES,
        ("dpkg-query", "--show", "--showformat=${binary:Package}\\t${Version}\\t${db:Status-Abbrev}\\n"),
        timeout=10.0,
        max_bytes=_BYTES,
    ),
    *PRIVILEGE_ASKS,
    Ask(TIME, ("chronyc", "-c", "-N", "sources", "-a")),
)
"""Beside the facts, which are asked with them. All of it is read, nothing is changed."""


def traits_of(record: Record, facts: Facts) -> dict[str, Trait]:
    """The traits of a node, by name. Pure, and never raises.

    A trait that the node cannot have (the driver of no accelerator) is not among them.
    """
    found = {}
    for name, read in _READERS.items():
        try:
            trait = read(record, facts)
        except UnreadableError as error:
            trait = Trait(name, unknown=str(error))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            trait = Trait(name, unknown=f"the answer is garbled: {type(error).__name__}")
        if trait is not None:
            found[name] = trait
    return found


def _system(_record: Record, facts: Facts) -> Trait:
    return plain("system", _fact(facts, "os_name"))


def _kernel(_record: Record, facts: Facts) -> Trait:
    return plain("kernel", _fact(facts, "kernel"), _release(facts))


def _release(facts: Facts) -> str:
    return f"{facts.os_id} {facts.os_version} {facts.architecture}"


def _fact(facts: Facts, name: str) -> str:
    value = getattr(facts, name)
    if value is None:
        raise UnreadableError(facts.unknown.get(name, "it was not told"))
    return str(value)


def _processor(_record: Record, facts: Facts) -> Trait:
    return plain("processor", f"{_fact(facts, 'sockets')} × {_fact(facts, 'cpu_model')}")


def _microcode(record: Record, facts: Facts) -> Trait | None:
    """None where the processor tells none, as on arm64."""
    for line in file(record.answer(CPU), "/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "microcode":
            return plain("microcode", value.strip(), facts.cpu_model or "")
    return None


def _board(record: Record, _facts: Facts) -> Trait:
    return plain("machine", _product(record.answer(BOARD)) or "does not tell its maker")


def _bios(record: Record, _facts: Facts) -> Trait | None:
    answer = record.answer(BOARD)
    version, date = (_optional(answer, f"{_DMI}/bios_{name}") for name in ("version", "date"))
    if not version and not date:
        return None
    return plain("BIOS", " of ".join(word for word in (version, date) if word), _product(answer))


def _product(answer: Answer) -> str:
    words = (_optional(answer, f"{_DMI}/{name}") for name in ("sys_vendor", "product_name"))
    return " ".join(word for word in words if word)


def _optional(answer: Answer, path: str) -> str:
    """A file that need not be there; empty then."""
    if answer.missing.get(path) == _NO_FILE:
        return ""
    return " ".join(file(answer, path).split())


def _accelerators(_record: Record, facts: Facts) -> Trait:
    if facts.accelerators is None:
        raise UnreadableError(facts.unknown.get("accelerators", "they could not be read"))
    models = [one.model or one.vendor for one in facts.accelerators]
    return plain("accelerators", ", ".join(_counted(models)) or "none")


def _driver(_record: Record, facts: Facts) -> Trait | None:
    if not facts.accelerators:
        return None
    versions: dict[str, list[str]] = {}
    for one in facts.accelerators:
        versions.setdefault(one.vendor, []).append(one.driver or "not told")
    return Trait("driver", {vendor: _joined(found) for vendor, found in versions.items()})


def _firmware(record: Record, facts: Facts) -> Trait | None:
    """Of accelerators, of what has a place below /sys (network adapters, NVMe disks, the BMC), by model."""
    versions: dict[str, list[str]] = {}
    for one in facts.accelerators or ():
        versions.setdefault(one.model or one.vendor, []).append(one.firmware or "not told")
    files = record.answer(CHIPS).files
    _unreadable(record.answer(CHIPS))
    for folder, model, version in ((_INFINIBAND, "board_id", "fw_ver"), (_NVME, "model", "firmware_rev")):
        for path in sorted(files):
            if path.startswith(folder) and path.endswith(f"/{version}"):
                named = " ".join(files.get(path.removesuffix(version) + model, "").split())
                versions.setdefault(named or "unnamed device", []).append(files[path].strip() or "not told")
    for path, content in sorted(files.items()):
        if path.startswith(_BMC):
            versions.setdefault("BMC", []).append(content.strip() or "not told")
    return Trait("firmware", {model: _joined(found) for model, found in versions.items()}) if versions else None


def _unreadable(answer: Answer) -> None:
    """Raise for what is there and cannot be read; that nothing matches a pattern is no trouble."""
    for path, reason in answer.missing.items():
        if reason not in {"nothing matches", _NO_FILE}:
            raise UnreadableError(f"{path}: {reason}")


def _counted(values: list[str]) -> list[str]:
    return [f"{values.count(value)} × {value}" for value in sorted(set(values))]


def _joined(values: list[str]) -> str:
    """One version, or several with how many have each."""
    return values[0] if len(set(values)) == 1 else ", ".join(_counted(values))


def _ofed(record: Record, _facts: Facts) -> Trait:
    answer = record.answer(OFED)
    if _absent(answer):
        return plain("OFED", "not installed")
    return plain("OFED", " ".join(said(answer).split()).rstrip(":") or "tells no version")


def _absent(answer: Answer) -> bool:
    """Whether the program that was asked is not on the node."""
    return answer.missing.get("argv", "").endswith(": not found")


def _layout(record: Record, _facts: Facts) -> Trait:
    answer = record.answer(DISKS)
    found = disks(said(answer), file(answer, "/proc/self/mountinfo"))
    counts = {one: found.count(one) for one in found}
    return Trait("disk layout", {one: "" if n == 1 else f"× {n}" for one, n in counts.items()}, whole=True)


def _packages(record: Record, facts: Facts) -> Trait | None:
    """All that is installed; None where there is no dpkg."""
    answer = record.answer(PACKAGES)
    if _absent(answer):
        return None
    items = {}
    for line in said(answer).splitlines():
        name, _, rest = line.partition("\t")
        version, _, status = rest.partition("\t")
        if status[1:2] == "i":
            items[name] = version
        elif status[1:2] not in {"n", "c", ""}:
            items[name] = f"{version} half installed"
    if not items:
        raise UnreadableError("dpkg-query names no package")
    return Trait("packages", items, _release(facts), whole=True)


def _time(record: Record, _facts: Facts) -> Trait:
    """The sources chronyd has now, whatever its files say; none where it does not run."""
    answer = record.answer(TIME)
    if _absent(answer) or "Cannot talk to daemon" in answer.stdout + answer.stderr:
        return Trait("time sources", whole=True)
    kinds = {"^": "", "=": "as peer", "#": "as clock"}
    items = {}
    for line in said(answer).splitlines():
        fields = line.split(",")
        items[fields[2]] = kinds.get(fields[0], "")
    return Trait("time sources", items, whole=True)


_READERS: Mapping[str, Callable[[Record, Facts], Trait | None]] = {
    "system": _system,
    "kernel": _kernel,
    "machine": _board,
    "BIOS": _bios,
    "processor": _processor,
    "microcode": _microcode,
    "accelerators": _accelerators,
    "driver": _driver,
    "firmware": _firmware,
    "OFED": _ofed,
    "disk layout": _layout,
    "packages": _packages,
    "sudoers": lambda record, _facts: sudoers(record),
    "privileged users": lambda record, _facts: privileged_users(record),
    "time sources": _time,
}

TRAITS = tuple(_READERS)
"""The names of all traits, in the order in which they are told."""
