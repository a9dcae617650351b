"""What `hy-smi` is asked, and the pure parser of its answers.

It descends from `rocm-smi`, and old images still call it so. Its labels differ by release: `DCU use (%)` became
`HCU use (%)`, and memory has its unit in the label, `(MiB)` or `(B)`. Releases that do not know one of the options
refuse the whole command, so it is asked again with those that all know, and power is asked apart.
"""

import re
from collections.abc import Mapping
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_document import Branch, at, document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

_KNOWN_TO_ALL = "--showid --showproductname --showmeminfo vram --showuse --showtemp --json"
_ALL = f"--showserial --showuniqueid --showbus --showdriverversion --showvbios {_KNOWN_TO_ALL}"
# A `rocm-smi` is asked only where a device of Hygon's is on the bus: elsewhere it is AMD's, who asks it.
_DEVICES = (
    f"if command -v hy-smi >/dev/null 2>&1; then hy-smi {_ALL} || exec hy-smi {_KNOWN_TO_ALL}; "
    "elif command -v rocm-smi >/dev/null 2>&1 && grep -qxi 0x1d94 /sys/bus/pci/devices/*/vendor 2>/dev/null; "
    f"then exec rocm-smi {_KNOWN_TO_ALL}; "
    "else echo 'hy-smi: not found' >&2; exit 127; fi"
)
_POWER = "hy-smi --showpower --showmaxpower --json || exec hy-smi --showpower --json"

ASKS = (
    Ask("hygon.devices", ("sh", "-c", _DEVICES), timeout=10.0),
    Ask("hygon.power", ("sh", "-c", _POWER), timeout=10.0),
)
_EXITS: Mapping[int, str] = {127: "the vendor's tools are not installed"}
_CARD = re.compile(r"card([0-9]{1,4})$")
_MEMORY = re.compile(r"vram total (used )?memory \((mib|b|kb|kib)\)$")
_OURS = re.compile(r"\b[dh]cu\b|haiguang|hygon", re.IGNORECASE)
_SERIAL = re.compile(r"-->\s*SN:\s*(\S+)")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    cards = _cards(record.answer("hygon.devices"), "devices", unknown)
    if not cards:
        return Reading(unknown=unknown)
    asked = record.answer("hygon.power")
    power: dict[str, Any] = {}
    if asked.timed_out or asked.exit_status == 0:
        power = _cards(asked, "power", unknown)
    driver = cell.text(leaf(at(cards.get("system"), "Driver version")))
    devices = []
    for name, values in cards.items():
        match = _CARD.match(name)
        if match is None:
            continue
        if not isinstance(values, dict):
            unknown[name] = "hy-smi says nothing of it"
        others = power.get(name)
        merged = {**(others if isinstance(others, dict) else {}), **(values if isinstance(values, dict) else {})}
        devices.append(_device(int(match[1]), merged, driver, unknown))
    if not devices:
        unknown["devices"] = "hy-smi named no device"
    return Reading(tuple(sorted(devices, key=lambda device: device.index or 0)), unknown)


def _cards(answer: Answer, name: str, unknown: dict[str, str]) -> dict[str, Any]:
    """What an answer says, by card; empty with a reason in `unknown` when it says nothing of Hygon's cards."""
    problem = trouble(answer, "hy-smi", _EXITS)
    try:
        found = document(answer.stdout)
    except UnreadableError as error:
        unknown[name] = problem or f"hy-smi: {error}"
        return {}
    if not isinstance(found, dict) or not any(_CARD.match(card) for card in found):
        unknown[name] = problem or "hy-smi named no device"
        return {}
    if name == "devices" and not _OURS.search(answer.stdout):
        unknown[name] = "this tool is another maker's: it names neither DCU nor HCU"
        return {}
    if problem is not None and name == "devices":
        unknown[name] = problem
    return found


def _device(index: int, values: Mapping[str, Any], driver: str | None, unknown: dict[str, str]) -> Accelerator:
    lowered = {str(label).strip().lower(): value for label, value in values.items()}
    card = Branch(lowered, str(index), unknown)
    junction = card.take(cell.celsius, "temperature (sensor junction) (c)")
    core = card.take(cell.celsius, "temperature (sensor core) (c)", "temperature (sensor edge) (c)")
    used, total = _memory(lowered, index, unknown)
    on_bus = _SERIAL.search(leaf(lowered.get("pci bus")))
    return Accelerator(
        vendor="hygon",
        index=index,
        uuid=card.take(cell.text, "unique id"),
        serial=card.take(cell.text, "serial number") or (cell.text(on_bus[1]) if on_bus else None),
        bus=card.take(cell.bus, "pci bus"),
        model=card.take(cell.text, "card series", "card model"),
        driver=card.take(cell.text, "driver version") or driver,
        firmware=card.take(cell.text, "vbios version"),
        memory_total_mib=total,
        memory_used_mib=used,
        utilization=card.take(cell.percent, "hcu use (%)", "dcu use (%)"),
        temperature_c=junction if core is None else core,
        temperature_memory_c=card.take(cell.celsius, "temperature (sensor mem) (c)", "temperature (sensor memory) (c)"),
        temperature_hotspot_c=junction,
        power_w=card.take(cell.watts, "average graphics package power (w)") or None,
        power_cap_w=card.take(cell.watts, "max graphics package power (w)") or None,
    )


def _memory(values: Mapping[str, Any], index: int, unknown: dict[str, str]) -> tuple[int | None, int | None]:
    """Used and total in MiB; the unit is in the label."""
    used = total = None
    for label, value in values.items():
        match = _MEMORY.match(label)
        if match is None:
            continue
        told = leaf(value)
        amount = cell.mebibytes(told, match[2])
        if amount is None and cell.text(told) is not None:
            unknown[f"{index}.{label}"] = f"it says `{told[:60]}`"
        if match[1]:
            used = amount
        else:
            total = amount
    return used, total or None
