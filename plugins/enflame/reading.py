"""What `efsmi` is asked, and the pure parser of its answers.

`efsmi -q` and its JSON form tell the same, so either is enough. The table, which a person types, alone tells the
version of the firmware. Keys were renamed by driver 1.4 (`Mem Size`, now `Total Size`), and units with them (`C`, `℃`).
"""

import re
from dataclasses import replace
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, DeviceHealth, Ecc, Pcie
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.answer_document import at, document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import blocks
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

ASKS = (
    Ask("enflame.query", ("efsmi", "-q"), timeout=10.0),
    Ask("enflame.json", ("efsmi", "-q", "--json-format"), timeout=10.0),
    Ask("enflame.table", ("efsmi",), timeout=10.0),
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
    unknown: dict[str, str] = {}
    queried = _queried(record.answer("enflame.query"), unknown)
    documented = _documented(record.answer("enflame.json"), unknown)
    tabled = _tabled(record.answer("enflame.table"), unknown)
    if documented and queried:
        unknown.pop("json", None)
    elif documented:
        unknown.pop("query", None)
    elif queried:
        unknown.pop("json", None)  # drivers before the JSON form say that they do not know it
    devices = united(queried, documented, tabled)
    if not devices and not unknown:
        unknown["query"] = "efsmi named no device"
    return Reading(devices, unknown)


def _trouble(answer: Answer) -> str | None:
    if answer.truncated:
        return "efsmi's answer was cut at its size limit"
    return trouble(answer, "efsmi")


def _queried(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    _, found = logs(answer.stdout, _HEAD)
    problem = _trouble(answer)
    if problem is None and not found:
        problem = _no_device(answer)
    if problem is not None:
        unknown["query"] = problem
    return [device for log in found if log.head for device in _device(int(log.head[0]), log, unknown)]


def _documented(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    try:
        tree = document(answer.stdout)
        listed = at(tree, "devices")
    except UnreadableError as error:
        unknown["json"] = problem or f"efsmi --json-format: {error}"
        return []
    found = []
    for one in listed if isinstance(listed, list) else []:
        index = cell.whole(leaf(at(one, "id")))
        if index is None:
            unknown["json"] = f"efsmi --json-format has a device without an id: {str(one)[:100]}"
            continue
        found += _device(index, Log(entries=list(_flat(one, ()))), unknown)
    if problem is not None or not found:
        unknown.setdefault("json", problem or "efsmi --json-format names no device")
    return found


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
            utilization=cell.number(log.find("Device Usage Info", "GCU Usage")),
            temperature_c=cell.number(log.find("Temperature Info", "GCU Temp")),
            power_w=cell.number(log.find("Power Info", "Cur Power")),
            power_cap_w=cell.number(log.find("Power Info", "Power Capa")),
            pcie=Pcie(
                generation=_generation(log.find("PCIe Info", "Cur Link Speed")),
                width=_width(log.find("PCIe Info", "Cur Link Width")),
                max_generation=_generation(log.find("PCIe Info", "Max Link Speed")),
                max_width=_width(log.find("PCIe Info", "Max Link Width")),
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


def _tabled(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    text = answer.stdout
    found = []
    if "Enflame" in text or "EFSMI" in text:
        driver = re.search(r"Driver Ver: *([0-9A-Za-z._-]{1,40})", text)
        for block in blocks(text):
            device = _of_table(block, driver[1] if driver else None)
            if device is None:
                unknown["table"] = f"efsmi's table is not understood: {' | '.join(block[0])[:120]}"
            else:
                found.append(device)
    if problem is not None or not found:
        unknown.setdefault("table", problem or _no_device(answer))
    return found


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
        temperature_c=cell.number(block[1][0]),
        power_w=cell.number(power[1]) if power else None,
        power_cap_w=cell.number(power[2]) if power else None,
        memory_total_mib=cell.mebibytes(memory),
        utilization=cell.number(load),
        partitioned={"sriov": True, "disable": False}.get(virtual.strip().lower()),
    )


def _no_device(answer: Answer) -> str:
    said = next((line.strip()[:200] for line in answer.stdout.splitlines() if line.strip(" -+|")), "nothing")
    return f"efsmi named no device; it said: {said}"


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


def _width(width: str) -> int | None:
    return cell.whole(width.lower().removeprefix("x"))


def _truth(value: str, subject: str, unknown: dict[str, str]) -> bool | None:
    """True or False as the tool says it; another word is unknown."""
    found = _TRUE_FALSE.get(value.lower())
    if found is None and cell.text(value) is not None:
        unknown[subject] = f"efsmi says `{value[:40]}`, neither True nor False"
    return found
