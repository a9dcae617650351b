"""What `efsmi` is asked, and the pure parser of its answers.

`efsmi -q` and its JSON form tell the same, so either is enough. The table, which a person types, alone tells the
version of the firmware. Keys were renamed by driver 1.4 (`Mem Size`, now `Total Size`), and units with them (`C`, `℃`).
"""

import re
from dataclasses import replace
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, DeviceHealth, Ecc, Pcie
from aiops.layers.l0_nodes.answer_document import at, document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import blocks
from aiops.layers.l0_nodes.telling import Telling, first_line, reading, told
from aiops.layers.l0_nodes.vendor import Reading

TOOL = "efsmi"

ASKS = (
    Ask("enflame.query", (TOOL, "-q"), timeout=10.0),
    Ask("enflame.json", (TOOL, "-q", "--json-format"), timeout=10.0),
    Ask("enflame.table", (TOOL,), timeout=10.0),
)

_HEAD = re.compile(r"(?:DEV|Dev|Device) ID ([0-9]{1,6})")
_TABLE_BUS = re.compile(r"([0-9a-f]{2,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])\b", re.IGNORECASE)
_TABLE_POWER = re.compile(r"([0-9.]{1,12})W\s*/?\s*([0-9.]{1,12})W")
_VENDOR = "1e36"
_SWITCHED = {"enable": True, "enabled": True, "disable": False, "disabled": False}
_TRUE_FALSE = {"true": True, "false": False}
_GOOD_CABLE = frozenset({"normal", "ok", "good", "connected"})
_BAD_CABLE = ("abnormal", "error", "fault", "fail", "unplug", "disconnect", "not connect", "loss", "lost", "missing")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    query = told(record.answer("enflame.query"), TOOL, _parse_query)
    form = told(record.answer("enflame.json"), TOOL, _parse_document)
    table = told(record.answer("enflame.table"), TOOL, _parse_table)
    return reading(  # drivers before the JSON form say that they do not know it
        {"query": query, "json": form, "table": table},
        needed=("table",) if query.devices or form.devices else ("table", "query"),
    )


def _parse_query(text: str, telling: Telling) -> None:
    _, found = logs(text, _HEAD)
    for log in found:
        if log.head:
            telling.devices += _device(int(log.head[0]), log, telling.unknown)
    if not found:
        raise UnreadableError(_no_device(text))


def _parse_document(text: str, telling: Telling) -> None:
    listed = at(document(text), "devices")
    for position, one in enumerate(listed if isinstance(listed, list) else []):
        index = cell.whole(leaf(at(one, "id")))
        if index is None:
            telling.unknown[f"json {position}"] = f"efsmi --json-format has a device without an id: {str(one)[:100]}"
            continue
        telling.devices += _device(index, Log(entries=list(_flat(one, ()))), telling.unknown)
    if not telling.devices and not telling.unknown:
        raise UnreadableError("--json-format names no device")


def _flat(tree: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    if not isinstance(tree, dict) or "value" in tree:
        return [(path, leaf(tree))] if path else []
    return [entry for key, value in tree.items() for entry in _flat(value, (*path, str(key)))]


def _device(index: int, log: Log, unknown: dict[str, str]) -> list[Accelerator]:
    """The device of one log; none when what is there is of another maker, or nothing is."""
    maker = log.find("PCIe Info", "Vendor ID").lower().removeprefix("0x")
    if maker not in {_VENDOR, ""}:
        unknown[f"{index}.maker"] = f"efsmi tells of a device of another maker, {maker[:20]}"
        return []
    if not log.entries:
        unknown[f"{index}.query"] = "efsmi says nothing of it"
        return []
    healthy = _truth(log.find("Device Info", "Health"), f"{index}.health", unknown)
    health: DeviceHealth | None = None if healthy is None else ("ok" if healthy else "critical")
    problems = []
    if _truth(log.find("RMA Info", "Flags", "Flag"), f"{index}.rma", unknown):
        problems.append("it is marked for return")
    cable = log.find("Power Cable", "Status").lower()
    if any(word in cable for word in _BAD_CABLE):
        problems.append(f"its power cable is {cable[:40]}")
    elif cable not in _GOOD_CABLE and cell.text(cable) is not None:
        unknown[f"{index}.power_cable"] = f"efsmi says `{cable[:40]}` of its power cable"
    return [
        Accelerator(
            vendor="enflame",
            index=index,
            uuid=cell.text(log.find("Device Info", "Dev UUID", "Device UUID")),
            serial=cell.text(log.find("Device Info", "Dev SN", "Device SN")),
            bus=_bus(log),
            model=_model(log.find("Device Info", "Dev Name", "Device Name")),
            driver=cell.text(log.find("Driver Info", "Ver", "Driver Ver", "Driver Version")),
            memory_total_mib=cell.mebibytes(log.find("Device Mem Info", "Total Size", "Mem Size")),
            memory_used_mib=cell.mebibytes(log.find("Device Mem Info", "Used Size", "Mem Usage")),
            utilization=cell.percent(log.find("Device Usage Info", "GCU Usage")),
            temperature_c=cell.celsius(log.find("Temperature Info", "GCU Temp")),
            power_w=cell.watts(log.find("Power Info", "Cur Power")),
            power_cap_w=cell.watts(log.find("Power Info", "Power Capa")),
            pcie=Pcie(
                generation=_generation(log.find("PCIe Info", "Cur Link Speed")),
                width=cell.lanes(log.find("PCIe Info", "Cur Link Width")),
                max_generation=_generation(log.find("PCIe Info", "Max Link Speed")),
                max_width=cell.lanes(log.find("PCIe Info", "Max Link Width")),
            ),
            ecc=Ecc(
                enabled=_SWITCHED.get(
                    (log.find("ECC Mode", "Current") or log.find("Device Mem Info", "Mem Ecc")).lower()
                ),
                uncorrected_aggregate=cell.whole(log.find("RMA Info", "Total DBE", "DBE")),
            ),
            health=health,
            problems=tuple(problems),
        )
    ]


def _parse_table(text: str, telling: Telling) -> None:
    found = blocks(text) if "Enflame" in text or "EFSMI" in text else []
    driver = re.search(r"Driver Ver: *([0-9A-Za-z._-]{1,40})", text)
    for number, block in enumerate(found):
        device = _of_table(block, driver[1] if driver else None)
        if device is None:
            telling.unreadable(f"table row {number}", " | ".join(block[0]))
        else:
            telling.devices.append(device)
    if not found:
        raise UnreadableError(_no_device(text))


def _of_table(block: list[list[str]], driver: str | None) -> Accelerator | None:
    index, _, name = block[0][0].partition(" ")
    bus = _TABLE_BUS.match(block[0][2])
    number = cell.whole(index)
    if number is None or bus is None:
        return None
    place, _, ecc = block[0][2].partition(" ")
    device = Accelerator(
        vendor="enflame",
        index=number,
        bus=cell.bus(f"{bus[1][-4:].rjust(4, '0')}:{bus[2]}"),
        model=_model(name),
        driver=driver,
        firmware=cell.text(block[0][1]),
        ecc=Ecc(enabled=_SWITCHED.get(ecc.strip().lower())),
    )
    if len(block) == 1 or not place:
        return device
    power = _TABLE_POWER.search(block[1][0])
    memory, _, virtual = block[1][1].partition(" ")
    load, _, serial = block[1][2].partition(" ")
    return replace(
        device,
        serial=cell.text(serial),
        temperature_c=cell.celsius(block[1][0]),
        power_w=cell.watts(power[1]) if power else None,
        power_cap_w=cell.watts(power[2]) if power else None,
        memory_total_mib=cell.mebibytes(memory),
        utilization=cell.percent(load),
        partitioned={"sriov": True, "disable": False}.get(virtual.strip().lower()),
    )


def _no_device(text: str) -> str:
    return f"named no device; it said: {first_line(text, '-+|')}"


def _bus(log: Log) -> str | None:
    parts = [log.find("PCIe Info", key).lower() for key in ("Domain", "Bus", "Dev", "Func")]
    domain, bus, device, function = (part.removeprefix("0x") for part in parts)
    if not (domain and bus and device and function):
        return None
    return cell.bus(f"{domain.rjust(4, '0')}:{bus.rjust(2, '0')}:{device.rjust(2, '0')}.{function}")


def _model(name: str) -> str | None:
    """`Enflame S60` and `S60` are the same, told by different drivers."""
    return cell.text(name.strip().removeprefix("Enflame "))


def _generation(speed: str) -> int | None:
    return cell.whole(speed.lower().removeprefix("gen")) or cell.generation(speed)


def _truth(value: str, subject: str, unknown: dict[str, str]) -> bool | None:
    """True or False as the tool says it; another word is unknown."""
    found = _TRUE_FALSE.get(value.lower())
    if found is None and cell.text(value) is not None:
        unknown[subject] = f"efsmi says `{value[:40]}`, neither True nor False"
    return found
