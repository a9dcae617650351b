"""The devices in `nvidia-smi -q -x`, whose element names differ by driver."""

from collections.abc import Callable
from typing import TypeVar
from xml.etree import ElementTree as ET

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Answer, Record

from .tool import BAD_INFOROM, trouble

_REASON_PREFIXES = ("clocks_event_reason_", "clocks_throttle_reason_")

T = TypeVar("T")
_END = "</nvidia_smi_log>"
XML = "nvidia.xml"


def described_devices(answer: Answer, unknown: dict[str, str], *, asked: Answer) -> list[Accelerator]:
    """The devices of `nvidia-smi -q -x`.

    Args:
        answer: What `-q -x` said.
        unknown: Gets `details` with a reason when the answer is not good.
        asked: The csv query's answer: the same trouble is not told twice.
    """
    problem = trouble(answer)
    if answer.truncated:
        problem = "nvidia-smi -q -x was cut at its size limit"
    if "<" not in answer.stdout:
        if problem is not None and problem != trouble(asked):
            unknown["details"] = problem
        return []
    try:
        log = log_of(answer.stdout)
    except UnreadableError as error:
        unknown["details"] = problem or str(error)
        return []
    if problem is not None and problem != trouble(asked) and answer.exit_status != BAD_INFOROM:
        unknown["details"] = problem
    driver = cell.text(log.findtext("driver_version", ""))
    return [_of_xml(position, gpu, driver) for position, gpu in enumerate(log.findall("gpu"))]


def read_log(record: Record) -> ET.Element:
    """The root element of a record's description; large, so checks share it by `once`.

    Raises:
        UnreadableError: `nvidia-smi -q -x` cannot be read.
    """
    answer = record.answer(XML)
    if "<" not in answer.stdout:
        said(answer)
    return log_of(answer.stdout)


def log_of(text: str) -> ET.Element:
    """The root element of what `nvidia-smi -q -x` printed; warnings may stand around it.

    Raises:
        UnreadableError: It is not whole, or not what the tool prints.
    """
    if "<!ENTITY" in text:  # nvidia-smi declares none; one could be made to swell without end
        raise UnreadableError("nvidia-smi -q -x declares entities, which it never does")
    start, end = text.find("<"), text.rfind(_END)
    try:
        return ET.fromstring(text[max(0, start) : None if end < 0 else end + len(_END)])  # noqa: S314 - see above
    except (ET.ParseError, ValueError) as error:
        raise UnreadableError(f"nvidia-smi -q -x is not whole: {error}") from error


def _of_xml(position: int, gpu: ET.Element, driver: str | None) -> Accelerator:
    def take(parse: Callable[[str], T | None], *paths: str) -> T | None:
        """The first of several paths (they differ by driver) that holds a value."""
        for path in paths:
            value = parse(gpu.findtext(path, ""))
            if value is not None:
                return value
        return None

    link = "pci/pci_gpu_link_info"
    return Accelerator(
        vendor="nvidia",
        index=position,
        uuid=take(cell.text, "uuid"),
        serial=take(cell.text, "serial"),
        bus=cell.bus(gpu.get("id", "")) or take(cell.bus, "pci/pci_bus_id"),
        model=take(cell.text, "product_name"),
        driver=driver,
        firmware=take(cell.text, "vbios_version"),
        memory_total_mib=take(cell.whole, "fb_memory_usage/total"),
        memory_used_mib=take(cell.whole, "fb_memory_usage/used"),
        utilization=take(cell.percent, "utilization/gpu_util"),
        temperature_c=take(cell.celsius, "temperature/gpu_temp"),
        temperature_memory_c=take(cell.celsius, "temperature/memory_temp"),
        power_w=take(
            cell.watts,
            "gpu_power_readings/power_draw",
            "gpu_power_readings/average_power_draw",
            "gpu_power_readings/instant_power_draw",
            "power_readings/power_draw",
        ),
        power_cap_w=take(
            cell.watts,
            "gpu_power_readings/current_power_limit",
            "gpu_power_readings/power_limit",
            "power_readings/power_limit",
        ),
        pcie=Pcie(
            generation=take(cell.whole, f"{link}/pcie_gen/current_link_gen"),
            width=take(cell.whole, f"{link}/link_widths/current_link_width"),
            max_generation=take(cell.whole, f"{link}/pcie_gen/max_link_gen"),
            max_width=take(cell.whole, f"{link}/link_widths/max_link_width"),
            replays=take(cell.whole, "pci/replay_counter"),
            with_slot=True,
        ),
        ecc=Ecc(
            enabled=take(cell.flag, "ecc_mode/current_ecc"),
            corrected_volatile=_errors(gpu, "ecc_errors/volatile", "_correctable", "single_bit"),
            uncorrected_volatile=_errors(gpu, "ecc_errors/volatile", "_uncorrectable", "double_bit"),
            corrected_aggregate=_errors(gpu, "ecc_errors/aggregate", "_correctable", "single_bit"),
            uncorrected_aggregate=_errors(gpu, "ecc_errors/aggregate", "_uncorrectable", "double_bit"),
            remapped_correctable=take(cell.whole, "remapped_rows/remapped_row_corr"),
            remapped_uncorrectable=take(cell.whole, "remapped_rows/remapped_row_unc"),
            remap_pending=take(cell.flag, "remapped_rows/remapped_row_pending"),
            remap_failed=take(cell.flag, "remapped_rows/remapped_row_failure"),
            retired=_retired(gpu),
            retire_pending=take(cell.flag, "retired_pages/pending_retirement", "retired_pages/pending_blacklist"),
        ),
        persistence=take(cell.flag, "persistence_mode"),
        fabric_state=take(cell.text, "fabric/state"),
        partitioned=take(cell.flag, "mig_mode/current_mig"),
        processes=_processes(gpu),
        throttle_reasons=_throttle_reasons(gpu),
        problems=_problems(gpu),
    )


def _errors(gpu: ET.Element, path: str, part: str, old: str) -> int | None:
    """The sum of a group's counters: `sram_uncorrectable_parity` and its sisters, or the older `double_bit/total`."""
    group = gpu.find(path)
    if group is None:
        return None
    total = cell.whole(group.findtext(f"{old}/total", ""))
    if total is not None:
        return total
    counts = [
        cell.whole(counter.text or "") for counter in group if part in counter.tag and "threshold" not in counter.tag
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _retired(gpu: ET.Element) -> int | None:
    """Pages retired for single and for double bit errors together; drivers name the two differently."""
    group = gpu.find("retired_pages")
    counts = [] if group is None else [cell.whole(count.text or "") for count in group.iter("retired_count")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _processes(gpu: ET.Element) -> int | None:
    group = gpu.find("processes")
    if group is None or (len(group) == 0 and (group.text or "").strip().upper() == "N/A"):
        return None
    return len(group.findall("process_info"))


def _problems(gpu: ET.Element) -> tuple[str, ...]:
    banks = cell.whole(gpu.findtext("remapped_rows/row_remapper_histogram/row_remapper_histogram_none", ""))
    return (f"{banks} banks of its memory have no spare row left",) if banks else ()


def _throttle_reasons(gpu: ET.Element) -> tuple[str, ...] | None:
    for path in ("clocks_event_reasons", "clocks_throttle_reasons"):
        group = gpu.find(path)
        if group is None:
            continue
        reasons = []
        for reason in group:
            name = reason.tag
            for prefix in _REASON_PREFIXES:
                name = name.removeprefix(prefix)
            if cell.flag(reason.text or "") is True:
                reasons.append(name)
        return tuple(reasons)
    return None
