"""One device, of what the parts of `amd-smi` say of it."""

from collections.abc import Mapping
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.answer_document import Branch, at, leaf

_VIOLATION = "_violation_status"
_WHOLE_PARTITIONS, _PARTITIONS = frozenset({"SPX"}), frozenset({"DPX", "TPX", "QPX", "CPX"})


def device_of(
    index: int,
    static: Mapping[str, Any],
    metric: Mapping[str, Any],
    *,
    pages: Mapping[str, Any],
    links: Mapping[str, Any],
    processes: Mapping[str, Any],
    unknown: dict[str, str],
) -> Accelerator:
    """The device; each part is empty where its command said nothing.

    A device without an edge sensor (all of MI300) tells the hottest spot as its temperature as well.
    """
    is_, has = Branch(static, str(index), unknown), Branch(metric, str(index), unknown)
    edge = has.take(cell.celsius, "temperature.edge")
    hotspot = has.take(cell.celsius, "temperature.hotspot", "temperature.junction")
    return Accelerator(
        vendor="amd",
        index=index,
        uuid=is_.take(cell.text, "asic.asic_serial"),
        serial=is_.take(cell.text, "board.product_serial"),
        bus=is_.take(cell.bus, "bus.bdf"),
        model=is_.take(cell.text, "asic.market_name", "board.product_name"),
        driver=is_.take(cell.text, "driver.version", "driver.driver_version"),
        firmware=is_.take(cell.text, "vbios.version", "ifwi.version", "vbios.part_number"),
        memory_total_mib=has.take(cell.mebibytes, "mem_usage.total_vram")
        or is_.take(cell.mebibytes, "vram.size", "vram.vram_size"),
        memory_used_mib=has.take(cell.mebibytes, "mem_usage.used_vram"),
        utilization=has.take(cell.percent, "usage.gfx_activity"),
        temperature_c=hotspot if edge is None else edge,
        temperature_memory_c=has.take(cell.celsius, "temperature.mem", "temperature.vram"),
        temperature_hotspot_c=hotspot,
        power_w=has.take(cell.watts, "power.socket_power", "power.current_socket_power", "power.average_socket_power"),
        power_cap_w=is_.take(
            cell.watts,
            "limit.socket_power",
            "limit.socket_power_limit",
            "limit.ppt0.socket_power_limit",
            "limit.current_power",
        )
        or None,
        pcie=_pcie(is_, has),
        ecc=_ecc(is_, has, pages, unknown),
        links=_links(links, metric, unknown, index),
        partitioned=is_.take(
            _partitioned,
            "partition.accelerator_partition",
            "partition.compute_partition",
            "partition.current_partition",
        ),
        processes=_processes(processes),
        throttle_reasons=_throttle_reasons(metric),
        problems=_problems(metric, pages),
    )


def _pcie(is_: Branch, has: Branch) -> Pcie:
    return Pcie(
        generation=has.take(_generation, "pcie.speed", "pcie.current_speed"),
        width=has.take(_lanes, "pcie.width", "pcie.current_lanes"),
        max_generation=is_.take(_generation, "bus.max_pcie_speed", "bus.pcie_interface_version"),
        max_width=is_.take(_lanes, "bus.max_pcie_width", "bus.max_pcie_lanes"),
        replays=has.take(cell.whole, "pcie.replay_count"),
    )


def _ecc(is_: Branch, has: Branch, pages: Mapping[str, Any], unknown: dict[str, str]) -> Ecc:
    """Counts are since the driver was loaded. Deferred errors are not among them: nothing has used what they hit."""
    pending = _pages(pages.get("pending"))
    retired = _pages(pages.get("retired"))
    for kind, count in (("pending", pending), ("retired", retired)):
        if count is None and cell.text(leaf(pages.get(kind))) is not None:
            unknown[f"{is_.name}.bad_pages.{kind}"] = f"it says `{leaf(pages.get(kind))[:60]}`"
    return Ecc(
        enabled=is_.take(cell.flag, "ras.ecc_block_state.UMC"),
        corrected_volatile=has.take(cell.whole, "ecc.total_correctable_count", "ecc.total_correctable"),
        uncorrected_volatile=has.take(cell.whole, "ecc.total_uncorrectable_count", "ecc.total_uncorrectable"),
        retired=retired,
        retire_pending=None if pending is None else pending > 0,
    )


def _links(links: Mapping[str, Any], metric: Mapping[str, Any], unknown: dict[str, str], index: int) -> Links:
    """XGMI: `U` is up, `D` down, `X` not there. A device all of whose links are down has none: virtual functions do."""
    told = links.get("link_status")
    states = [leaf(one).upper() for one in told] if isinstance(told, list) else []
    strange = [state for state in states if state not in {"U", "D", "X", "N/A", "SELF", ""}]
    if strange:
        unknown[f"{index}.xgmi"] = f"a link is `{strange[0][:60]}`"
    up, down = states.count("U"), states.count("D")
    faults = [
        cell.whole(leaf(at(metric, "ecc_blocks", "XGMI_WAFL", kind)))
        for kind in ("correctable_count", "uncorrectable_count")
    ]
    known = [count for count in faults if count is not None]
    return Links(active=up or None, total=up + down if up else None, errors=sum(known) if up and known else None)


def _processes(processes: Mapping[str, Any]) -> int | None:
    """How many; where there is none, the list has one entry that says so."""
    told = processes.get("process_list")
    if not isinstance(told, list):
        return None
    return sum(isinstance(at(one, "process_info"), dict) for one in told)


def _throttle_reasons(metric: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What is violated, by name (`prochot`, `ppt`, `socket_thermal`); a bare `THROTTLED` says that, and not why."""
    told = metric.get("throttle")
    states = {
        str(name).removesuffix(_VIOLATION): _words(value)
        for name, value in (told.items() if isinstance(told, dict) else ())
        if str(name).endswith(_VIOLATION)
    }
    known = {name: words for name, words in states.items() if words & {"ACTIVE", "NOT ACTIVE", "TRUE", "FALSE"}}
    if known:
        return tuple(name.lower() for name, words in known.items() if words & {"ACTIVE", "TRUE"})
    return () if leaf(at(metric, "power", "throttle_status")).upper() == "UNTHROTTLED" else None


def _words(value: Any) -> set[str]:
    """The states in a value: one, or one for each part of a divided device."""
    if isinstance(value, dict) and "value" not in value:
        return set().union(*(_words(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_words(one) for one in value))
    return {leaf(value).upper()}


def _problems(metric: Mapping[str, Any], pages: Mapping[str, Any]) -> tuple[str, ...]:
    problems = []
    if leaf(metric.get("xgmi_err")).upper().removeprefix("AMDSMI_XGMI_STATUS_") in {"ERROR", "MULTIPLE_ERRORS"}:
        problems.append("its XGMI links have had errors")
    stuck = _pages(pages.get("un_res"))
    if stuck:
        problems.append(f"{stuck} bad pages of its memory cannot be set aside")
    return tuple(problems)


def _pages(told: Any) -> int | None:
    """How many pages: a list, one page without its list, or the sentence that there is none."""
    if isinstance(told, list):
        return len(told)
    if isinstance(told, dict):
        return 1
    return 0 if leaf(told).lower().startswith("no bad pages") else None


def _generation(value: str) -> int | None:
    """Of `32 GT/s`, of `32000 MT/s` and of `Gen 5`."""
    words = value.lower().split()
    if words[:1] == ["gen"] and len(words) == 2:  # noqa: PLR2004 - `Gen 5`
        return cell.whole(words[1])
    if words[1:] == ["mt/s"]:
        thousands = cell.number(words[0])
        return cell.generation(str(thousands / 1000)) if thousands is not None else None
    return cell.generation(value)


def _lanes(value: str) -> int | None:
    lanes = cell.whole(value)
    return lanes if lanes in {1, 2, 4, 8, 12, 16, 32} else None


def _partitioned(value: str) -> bool | None:
    word = value.upper()
    return True if word in _PARTITIONS else False if word in _WHOLE_PARTITIONS else None
