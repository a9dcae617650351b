"""What `hl-smi` is asked, and the pure parser of its answers.

Three layouts tell of the same devices: csv of chosen fields, the log of everything, and the table for people. `hl-smi`
writes logs of its own and fails where it may not, so each call gets a folder for them. Only ports are asked of each
device apart, and of all at once.

Traps: memory is in bytes or MiB, by version. `power.draw` is one of two supply rails, so the log's sum or the table's
value is believed before it. From 1.20 on the table's last column counts events of any kind, not memory errors; cards
that are well show some.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, DeviceHealth, Ecc, Links, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import Row, parse_devices
from aiops.layers.l0_nodes.telling import Telling, parse_rows, reading, told
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

TOOL = "hl-smi"

FIELDS = (
    "index",
    "uuid",
    "serial",
    "bus_id",
    "name",
    "driver_version",
    "memory.used",
    "memory.total",
    "temperature.aip",
    "utilization.aip",
    "power.draw",
    "ecc.mode.current",
    "ecc.errors.corrected.aggregate.total",
    "ecc.errors.dram.aggregate.total",
)
"""Fields that every documented version knows: one unknown field fails the whole query."""

_LINKS = """\
command -v hl-smi >/dev/null || exit 127
for bus in $(hl-smi -Q bus_id -f csv,noheader); do hl-smi -n link -i "$bus" >"$bus.ports" 2>&1 & done
wait
for file in *.ports; do [ -f "$file" ] && echo "device ${file%.ports}" && cat "$file"; done
rm -f ./*.ports
"""
_LOGS = (("HABANA_LOGS", "{scratch}"),)

ASKS = (
    Ask(
        "gaudi.query",
        (TOOL, "-Q", ",".join(FIELDS), "-f", "csv,noheader,nounits"),
        timeout=10.0,
        scratch=True,
        environment=_LOGS,
    ),
    Ask("gaudi.log", (TOOL, "-L"), timeout=10.0, scratch=True, environment=_LOGS),
    Ask("gaudi.table", (TOOL,), timeout=10.0, scratch=True, environment=_LOGS),
    Ask("gaudi.links", ("sh", "-c", _LINKS), timeout=10.0, scratch=True, environment=_LOGS),
)

_HEAD = re.compile(r"(?:\[([0-9]{1,6})\] )?AIP(?: \(\w{1,20}\))? ([0-9A-Fa-f:.]{7,16})")
_PORT = re.compile(r"port\s*[0-9]{1,3}\s*:\s*(UP|DOWN)\b", re.IGNORECASE)
_TITLE = re.compile("HL-SMI")
_DRIVER = re.compile(r"\| Driver Version: +([0-9A-Za-z._-]{1,60})")
_FIRMWARE = re.compile(r"hl-gaudi\S{1,60}|[0-9]\S{1,60}")
_MANY = 1 << 24  # MiB would be 16 TiB: it is bytes
_NOT_FOUND = 127

_STATUS: dict[str, DeviceHealth] = {
    "operational": "ok",
    "in reset": "warning",
    "in device creation": "warning",
    "in reset after device release": "warning",
    "malfunction": "critical",
    "needs reset": "critical",
}


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    query = told(record.answer("gaudi.query"), TOOL, partial(parse_rows, FIELDS, _of_query, address="bus_id"))
    rails = Telling(query.devices)
    query.devices = [replace(device, power_w=None) for device in rails.devices]
    table = told(record.answer("gaudi.table"), TOOL, _parse_table)
    found = reading(
        {"query": query, "log": told(record.answer("gaudi.log"), TOOL, _parse_log), "table": table, "rails": rails},
        needed=() if query.devices and table.devices else ("log",),
    )
    unknown = dict(found.unknown or {})
    devices = found.accelerators
    if devices:
        devices = _linked(devices, record.answer("gaudi.links"), unknown)
    return Reading(devices, unknown)


def _of_query(values: Mapping[str, str], _: Telling) -> Accelerator:
    unit = _unit(values["memory.total"], values["memory.used"])
    return Accelerator(
        vendor="gaudi",
        index=cell.whole(values["index"]),
        uuid=cell.text(values["uuid"]),
        serial=cell.text(values["serial"]),
        bus=cell.bus(values["bus_id"]),
        model=cell.text(values["name"]),
        driver=cell.text(values["driver_version"]),
        memory_used_mib=cell.mebibytes(values["memory.used"], unit),
        memory_total_mib=cell.mebibytes(values["memory.total"], unit),
        temperature_c=cell.celsius(values["temperature.aip"]),
        utilization=cell.percent(values["utilization.aip"]),
        power_w=cell.watts(values["power.draw"]),
        ecc=Ecc(
            enabled=cell.flag(values["ecc.mode.current"]),
            corrected_volatile=cell.whole(values["ecc.errors.corrected.aggregate.total"]),
            uncorrected_volatile=cell.whole(values["ecc.errors.dram.aggregate.total"]),
        ),
    )


def _unit(*amounts: str) -> Literal["B", "MiB"]:
    """What bare numbers of memory are in: by their size, as the versions differ and do not say it."""
    return "B" if any((cell.whole(amount) or 0) >= _MANY for amount in amounts) else "MiB"


def _parse_log(text: str, telling: Telling) -> None:
    before, found = logs(text, _HEAD)
    if not found:
        raise UnreadableError("-L names no device")
    driver = cell.text(before.value("Driver Version"))
    telling.devices += [_of_log(log, position, driver, telling.unknown) for position, log in enumerate(found)]


def _of_log(log: Log, position: int, driver: str | None, unknown: dict[str, str]) -> Accelerator:
    told, head = log.head or ("", "")
    index = cell.whole(told)
    index = position if index is None else index
    status = log.value("Module status")
    health = _STATUS.get(status.lower())
    if health is None and cell.text(status) is not None:
        unknown[f"{index}.health"] = f"hl-smi says that it is `{status[:60]}`"
    spi = log.value("Firmware [SPI] Version")
    firmware = _FIRMWARE.search(spi)
    chip = [value for path, value in log.below("Temperature") if "On Chip" in path[-1]]
    memory = [value for path, value in log.below("Temperature") if "HBM" in path[-1]]
    link = ("PCI", "AIP Link Info")
    return Accelerator(
        vendor="gaudi",
        index=index,
        uuid=cell.text(log.value("AIP UUID")),
        serial=cell.text(log.value("Serial Number")),
        bus=cell.bus(log.value("PCI", "Bus Id")) or cell.bus(head),
        model=cell.text(log.value("Product Name")),
        driver=driver,
        firmware=firmware[0] if firmware else None,
        memory_total_mib=cell.mebibytes(log.value("Memory Usage", "Total")),
        memory_used_mib=cell.mebibytes(log.value("Memory Usage", "Used")),
        temperature_hotspot_c=_hottest(chip),
        temperature_memory_c=_hottest(memory),
        power_w=_sum(log, "Power Draw"),
        power_cap_w=_sum(log, "Power Limit"),
        pcie=Pcie(
            generation=_generation(log.value(*link, "Link Speed", "Current")),
            width=cell.lanes(log.value(*link, "Link Width", "Current")),
            max_generation=_generation(log.value(*link, "Link Speed", "Max")),
            max_width=cell.lanes(log.value(*link, "Link Width", "Max")),
        ),
        ecc=Ecc(
            remapped_correctable=cell.whole(log.value("Replaced Rows", "Single Bit ECC")),
            remapped_uncorrectable=cell.whole(log.value("Replaced Rows", "Double Bit ECC")),
            remap_pending=cell.flag(log.value("Replaced Rows", "Pending")),
        ),
        throttle_reasons=log.active("Clocks Throttle Reasons"),
        health=health,
        health_codes=() if health in {None, "ok"} else (status,),
    )


def _parse_table(text: str, telling: Telling) -> None:
    driver = _DRIVER.search(text)
    errors = "Uncorr. ECC" in text

    def of_row(_: Row, device: Accelerator) -> Accelerator:
        return replace(device, driver=driver[1] if driver else None, ecc=device.ecc if errors else Ecc())

    parse_devices("gaudi", _TITLE, of_row, text, telling)


def _linked(devices: tuple[Accelerator, ...], answer: Answer, unknown: dict[str, str]) -> tuple[Accelerator, ...]:
    """The devices with the state of their ports; without an option for ports, those that lead to other devices."""
    ports: dict[str | None, list[bool]] = {}
    current: list[bool] = []
    strange = ""
    for line in answer.stdout.splitlines():
        head, _, bus = line.strip().partition(" ")
        port = _PORT.search(line)
        if head == "device":
            current = ports.setdefault(cell.bus(bus), [])
        elif port is not None:
            current.append(port[1].upper() == "UP")
        else:
            strange = strange or line.strip()
    problem = None if answer.exit_status == _NOT_FOUND else trouble(answer, TOOL)
    if answer.truncated:
        problem = "what hl-smi said of the links was cut at its size limit"
    if problem is not None:
        unknown["links"] = problem
        return devices
    if strange:
        unknown["links"] = f"hl-smi said: {strange[:200]}"
    return tuple(
        replace(device, links=Links(active=sum(ports[device.bus]), total=len(ports[device.bus])))
        if ports.get(device.bus)
        else device
        for device in devices
    )


def _hottest(values: list[str]) -> float | None:
    return max((heat for heat in map(cell.celsius, values) if heat is not None), default=None)


def _sum(log: Log, key: str) -> float | None:
    """Of both supply rails; None where one of them is not told."""
    told = [
        cell.watts(value) for path, value in log.entries if path[0].startswith("Power Readings") and path[-1] == key
    ]
    return sum(filter(None, told)) if told and None not in told else None


def _generation(speed: str) -> int | None:
    return cell.generation(speed.replace("GT", " GT"))
