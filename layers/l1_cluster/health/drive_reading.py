"""What a node's drives say of themselves: NVMe on the bus and in the kernel, and the health logs of all drives."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .children import AWAIT

NVME, NVME_LOGS, SMART = "drives.nvme", "drives.nvme_logs", "drives.smart"
_NVME_FOLDER = "/sys/class/nvme"
_NOT_INSTALLED = 127
_LARGEST_COUNT = 2**63 - 1  # what a counter that is remembered may hold

_ON_BUS = r"""
for device in /sys/bus/pci/devices/*; do
  { read -r class <"$device/class"; } 2>/dev/null || continue
  case $class in 0x0108*) cat "$device/uevent"; echo ;; esac
done
echo .
"""
"""The kernel's word on each NVMe drive that the bus shows, whether or not a driver has it."""

_EACH = (
    r"""
umask 077
running='' number=0
mkdir told || exit 1
"""
    + AWAIT
    + r"""
ended() {
  printf '\n== %s %s\n' "$(cat "told/$1.name")" "$2"
  [ -s "told/$1" ] && cat "told/$1" || cat "told/$1.error"
}
start() {
  number=$((number + 1))
  printf '%s' "$1" >"told/$number.name"
  shift
  "$@" >"told/$number" 2>"told/$number.error" </dev/null &
  running="$running $!:$number"
}
FIND
await 40
for child in $running; do
  kill -9 "${child%%:*}" 2>/dev/null
  printf '\n== %s silent\n' "$(cat "told/${child#*:}.name")"
done
printf '\n== . %s\n' "$number"
"""
)
_FIND_NVME = r"""
command -v nvme >/dev/null || exit 127
for drive in /sys/class/nvme/nvme*; do
  drive=${drive##*/}
  [ -c "/dev/$drive" ] && start "$drive" nvme smart-log -o json "/dev/$drive"
done
"""
_FIND_SMART = r"""
command -v smartctl >/dev/null || exit 127
command -v nvme >/dev/null && others=/dev/nvme* || others=-
smartctl --scan >told/scan || exit 1
while read -r drive dash type rest; do
  case $drive in $others) continue ;; esac
  block=/sys/block/${drive##*/}
  removable=0 size=1
  [ ! -r "$block/removable" ] || read -r removable <"$block/removable"
  [ ! -r "$block/size" ] || read -r size <"$block/size"
  [ "$removable" = 0 ] && [ "$size" != 0 ] || continue
  case $type in
    *,*) start "$drive $type" smartctl --json=c -i -H -A -d "$type" "$drive" ;;
    *) start "$drive" smartctl --json=c -i -H -A "$drive" ;;
  esac
done <told/scan
"""

NVME_ASK = Ask(
    NVME,
    ("sh", "-c", _ON_BUS),
    tuple(f"{_NVME_FOLDER}/nvme*/{name}" for name in ("state", "transport", "address", "serial")),
    max_bytes=65_536,
)
NVME_LOGS_ASK = Ask(NVME_LOGS, ("sh", "-c", _EACH.replace("FIND", _FIND_NVME)), timeout=6.0, scratch=True)
SMART_ASK = Ask(SMART, ("sh", "-c", _EACH.replace("FIND", _FIND_SMART)), timeout=6.0, scratch=True, max_bytes=1_048_576)
"""Each drive in a child of its own, 4 s for all: a drive that is dying keeps its tool waiting in the kernel."""


@dataclass(frozen=True, slots=True)
class Controller:
    """An NVMe controller in the kernel.

    Attributes:
        state: In the kernel's words: `live`, `resetting`, `dead`, ...
        transport: `pcie`, or how a drive elsewhere is reached.
        address: On the PCI bus; None where the kernel does not say.
    """

    name: str
    state: str
    transport: str
    address: str | None
    serial: str


@dataclass(frozen=True, slots=True)
class NvmeDrives:
    """What is on the bus, as driver by address (None: it has none), and what the kernel makes of it."""

    bus: Mapping[str, str | None]
    controllers: tuple[Controller, ...]

    @property
    def local(self) -> tuple[Controller, ...]:
        """Those on this node's own bus."""
        return tuple(one for one in self.controllers if one.transport == "pcie")


@dataclass(frozen=True, slots=True)
class Log:
    """What the tool of one drive said.

    Attributes:
        drive: `nvme0`, `/dev/sda`, `/dev/bus/0 megaraid,8`.
        status: Its exit status; None where it gave no answer in time.
    """

    drive: str
    status: int | None
    text: str

    def document(self) -> Mapping[str, Any]:
        """Its JSON.

        Raises:
            UnreadableError: It is none.
        """
        if self.status is None:
            raise UnreadableError("its log was not read within 4 s")
        try:
            document = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            first = (self.text.strip().splitlines() or ["nothing"])[0]
            how = f"reading its log ended with {self.status}" if self.status else "its log is garbled"
            raise UnreadableError(f"{how}: `{first[:80]}`") from error
        if not isinstance(document, Mapping):
            raise UnreadableError("its log is garbled: it is no object")
        return document


@dataclass(frozen=True, slots=True)
class Wear:
    """The health log of an NVMe drive.

    Attributes:
        warnings: The bits of its critical warning.
        spare: Percent of the spare blocks that are left; below `spare_limit` the drive calls for help.
        used: Percent of the endurance that the maker promises; it may pass 100.
        media_errors: Since the drive was made; None where it is not told.
    """

    warnings: int
    spare: int | None
    spare_limit: int | None
    used: int | None
    media_errors: int | None


def read_nvme(record: Record) -> NvmeDrives:
    """The NVMe drives of a node; none where it has none.

    Raises:
        UnreadableError: It does not say.
    """
    answer = record.answer(NVME)
    text = said(answer)
    if text.splitlines()[-1:] != ["."]:
        raise UnreadableError("the list of drives on the bus has no end")
    bus: dict[str, str | None] = {}
    for block in text.split("\n\n")[:-1]:
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        bus[values["PCI_SLOT_NAME"]] = values.get("DRIVER") or None
    controllers = []
    for path, state in sorted(answer.files.items()):
        folder, _, attribute = path.rpartition("/")
        if attribute == "state":
            controllers.append(_controller(folder, state.strip(), answer.files))
    return NvmeDrives(bus, tuple(controllers))


def read_nvme_logs(record: Record) -> tuple[Log, ...] | None:
    """The logs that nvme-cli gives; None where it is not installed."""
    return _logs(record, NVME_LOGS)


def read_smart(record: Record) -> tuple[Log, ...] | None:
    """The logs that smartctl gives, NVMe drives included where there is no nvme-cli; None where it is not installed."""
    return _logs(record, SMART)


def read_wear(document: Mapping[str, Any]) -> Wear:
    """The health log of an NVMe drive, as nvme-cli (1 and 2) or smartctl (7) gives it.

    Raises:
        UnreadableError: Its critical warning is not in it.
    """
    log = document.get("nvme_smart_health_information_log", document)
    if not isinstance(log, Mapping):
        raise UnreadableError("its log is garbled: it is no object")
    warnings = log.get("critical_warning")
    if isinstance(warnings, Mapping):  # newer nvme-cli, which spells the bits out beside it
        warnings = warnings.get("value")
    known = _number(warnings)
    if known is None:
        raise UnreadableError("its log has no critical warning")
    return Wear(
        warnings=known,
        spare=_number(log.get("avail_spare", log.get("available_spare"))),
        spare_limit=_number(log.get("spare_thresh", log.get("available_spare_threshold"))),
        used=_number(log.get("percent_used", log.get("percentage_used"))),
        media_errors=_number(log.get("media_errors")),
    )


def _controller(folder: str, state: str, files: Mapping[str, str]) -> Controller:
    def attribute(name: str) -> str:
        return " ".join(files.get(f"{folder}/{name}", "").split())

    name = folder.rpartition("/")[2]
    if not re.fullmatch(r"[a-z]+( .*)?", state):
        raise UnreadableError(f"the state of {name} is `{state[:80]}`")
    return Controller(name, state, attribute("transport"), attribute("address") or None, attribute("serial"))


def _logs(record: Record, ask: str) -> tuple[Log, ...] | None:
    answer = record.answer(ask)
    if answer.exit_status == _NOT_INSTALLED and not answer.timed_out:
        return None
    return tuple(_parts(said(answer)))


def _parts(text: str) -> Iterator[Log]:
    pieces = re.split(r"^== (.+) (\d+|silent)$", text, flags=re.MULTILINE)
    names, statuses, texts = pieces[1::3], pieces[2::3], pieces[3::3]
    if names[-1:] != ["."] or statuses[-1] != str(len(names) - 1):
        raise UnreadableError("the logs of the drives have no end")
    for name, status, content in zip(names[:-1], statuses, texts, strict=False):
        yield Log(name, None if status == "silent" else int(status), content)


def _number(value: Any) -> int | None:
    """A count; older nvme-cli writes them as 0.0, newer ones may quote them."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_COUNT:
        return None
    return int(value)
