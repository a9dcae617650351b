"""What `nvidia-smi` is asked, and the pure parser of its answers.

The csv query has only fields that every driver since R450 knows: one unknown field fails the whole query, and
names have changed (`clocks_throttle_reasons` became `clocks_event_reasons` in 535). What changed names, or came
later, is read from `-q -x`, which also stands in when the query fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.vendor import Reading

from .description import XML, described_devices
from .tool import trouble

T = TypeVar("T")

FIELDS = (
    "index",
    "uuid",
    "serial",
    "pci.bus_id",
    "name",
    "driver_version",
    "vbios_version",
    "persistence_mode",
    "ecc.mode.current",
    "ecc.errors.corrected.volatile.total",
    "ecc.errors.uncorrected.volatile.total",
    "ecc.errors.corrected.aggregate.total",
    "ecc.errors.uncorrected.aggregate.total",
    "pcie.link.gen.current",
    "pcie.link.gen.max",
    "pcie.link.width.current",
    "pcie.link.width.max",
    "temperature.gpu",
    "temperature.memory",
    "power.draw",
    "power.limit",
    "memory.used",
    "memory.total",
    "utilization.gpu",
)
REMAPPED_FIELDS = (
    "gpu_uuid",
    "remapped_rows.correctable",
    "remapped_rows.uncorrectable",
    "remapped_rows.pending",
    "remapped_rows.failure",
)
_CSV = "--format=csv,noheader,nounits"

ASKS = (
    Ask("nvidia.query", ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", _CSV), timeout=10.0),
    Ask("nvidia.remapped", ("nvidia-smi", f"--query-remapped-rows={','.join(REMAPPED_FIELDS)}", _CSV), timeout=10.0),
    Ask(XML, ("nvidia-smi", "-q", "-x"), timeout=10.0, max_bytes=1_048_576),
    Ask("nvidia.nvlink", ("nvidia-smi", "nvlink", "-s"), timeout=10.0),
    Ask("nvidia.nvlink_errors", ("nvidia-smi", "nvlink", "-e"), timeout=10.0),
    Ask("nvidia.driver", paths=("/proc/driver/nvidia/version", "/sys/module/nvidia/version")),
)


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    query = record.answer("nvidia.query")
    devices = _query_devices(query, unknown)
    described = described_devices(record.answer(XML), unknown, asked=query)
    devices = list(united(devices, described))
    devices = _with_remapped(devices, record.answer("nvidia.remapped"))
    states, errors = record.answer("nvidia.nvlink"), record.answer("nvidia.nvlink_errors")
    devices = _with_links(devices, states, errors)
    for answer in (states, errors):  # an exit status tells nothing: some end so where there are no links
        if devices and (answer.timed_out or answer.truncated):
            unknown["links"] = trouble(answer) or "nvidia-smi nvlink was cut at its size limit"
    if described:
        unknown = {subject: reason for subject, reason in unknown.items() if subject != "query"}
    if not devices and not unknown:
        unknown["query"] = "nvidia-smi named no device"
    return Reading(tuple(devices), unknown)


def _query_devices(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = trouble(answer)
    if problem is not None:
        unknown["query"] = problem
    devices = []
    for line in answer.stdout.splitlines():
        row = [word.strip() for word in line.split(",")]
        if len(row) != len(FIELDS) or cell.whole(row[0]) is None:
            if line.strip() and problem is None:
                unknown.setdefault("query", f"nvidia-smi said: {line.strip()[:200]}")
            continue
        values = dict(zip(FIELDS, row, strict=True))
        device = _of_query(values)
        devices.append(device)
        for field, value in values.items():
            if cell.is_error(value):
                unknown[f"{device.index}.{field}"] = value.strip("[]")
    if answer.truncated:
        unknown["query"] = "nvidia-smi's answer was cut at its size limit"
    return devices


def _of_query(values: Mapping[str, str]) -> Accelerator:
    def take(field: str, parse: Callable[[str], T | None]) -> T | None:
        return parse(values[field])

    return Accelerator(
        vendor="nvidia",
        index=take("index", cell.whole),
        uuid=take("uuid", cell.text),
        serial=take("serial", cell.text),
        bus=take("pci.bus_id", cell.bus),
        model=take("name", cell.text),
        driver=take("driver_version", cell.text),
        firmware=take("vbios_version", cell.text),
        memory_total_mib=take("memory.total", cell.whole),
        memory_used_mib=take("memory.used", cell.whole),
        utilization=take("utilization.gpu", cell.percent),
        temperature_c=take("temperature.gpu", cell.celsius),
        temperature_memory_c=take("temperature.memory", cell.celsius),
        power_w=take("power.draw", cell.watts),
        power_cap_w=take("power.limit", cell.watts),
        pcie=Pcie(
            generation=take("pcie.link.gen.current", cell.whole),
            width=take("pcie.link.width.current", cell.whole),
            max_generation=take("pcie.link.gen.max", cell.whole),
            max_width=take("pcie.link.width.max", cell.whole),
            with_slot=True,
        ),
        ecc=Ecc(
            enabled=take("ecc.mode.current", cell.flag),
            corrected_volatile=take("ecc.errors.corrected.volatile.total", cell.whole),
            uncorrected_volatile=take("ecc.errors.uncorrected.volatile.total", cell.whole),
            corrected_aggregate=take("ecc.errors.corrected.aggregate.total", cell.whole),
            uncorrected_aggregate=take("ecc.errors.uncorrected.aggregate.total", cell.whole),
        ),
        persistence=take("persistence_mode", cell.flag),
    )


def _with_remapped(devices: list[Accelerator], answer: Answer) -> list[Accelerator]:
    rows: dict[str, list[str]] = {}
    for line in answer.stdout.splitlines():
        row = [word.strip() for word in line.split(",")]
        if len(row) == len(REMAPPED_FIELDS):
            rows[row[0]] = row
    result = []
    for device in devices:
        row = rows.get(device.uuid or "", [])
        if not row:
            result.append(device)
            continue
        ecc = replace(
            device.ecc,
            remapped_correctable=_or(cell.whole(row[1]), device.ecc.remapped_correctable),
            remapped_uncorrectable=_or(cell.whole(row[2]), device.ecc.remapped_uncorrectable),
            remap_pending=_or(cell.flag(row[3]), device.ecc.remap_pending),
            remap_failed=_or(cell.flag(row[4]), device.ecc.remap_failed),
        )
        result.append(replace(device, ecc=ecc))
    return result


def _with_links(devices: list[Accelerator], states: Answer, errors: Answer) -> list[Accelerator]:
    by_state, by_error = _link_lines(states.stdout), _link_lines(errors.stdout)
    result = []
    for device in devices:
        links = by_state.get(device.uuid or "", [])
        counts = [cell.whole(value) for _, value in by_error.get(device.uuid or "", [])]
        known = [count for count in counts if count is not None]
        result.append(
            replace(
                device,
                links=Links(
                    active=sum("inactive" not in state.lower() for _, state in links) if links else None,
                    total=len(links) if links else None,
                    errors=sum(known) if known else None,
                ),
            )
        )
    return result


def _link_lines(text: str) -> dict[str, list[tuple[str, str]]]:
    """`(what, value)` of every `Link N: ...` line, by the UUID of the `GPU ...` line above it."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("GPU ") and "UUID:" in words:
            current = found.setdefault(words.partition("UUID:")[2].strip(" )"), [])
        elif words.startswith("Link "):
            what, _, value = words.rpartition(":")
            current.append((what, value.strip()))
    return found


def _or(value: T | None, other: T | None) -> T | None:
    return other if value is None else value
