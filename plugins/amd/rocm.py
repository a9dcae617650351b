"""The devices in `rocm-smi ... --json`, for nodes whose ROCm has no `amd-smi` that works.

Labels differ by release in their capitals (`Card series`, `Card Series`), and the power's by whether the device can
tell an average. Hygon's images call their own tool `rocm-smi` too: it is known by its labels and its cards' maker.
"""

import re
from collections.abc import Mapping
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Pcie
from aiops.layers.l0_nodes.answer_document import Branch, at, document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.trouble import trouble

_CARD = re.compile(r"card([0-9]{1,4})$")
_ANOTHER_S = re.compile(r"\b[dh]cu\b|haiguang|hygon", re.IGNORECASE)


def rocm_devices(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    """The devices of an answer; `unknown` gets `rocm-smi` with a reason when there is none.

    The exit status does not count: `rocm-smi` ends with 0 when it fails, and with 2 when one of many values failed.
    """
    try:
        cards = document(answer.stdout)
    except UnreadableError as error:
        unknown["rocm-smi"] = trouble(answer, "rocm-smi") or f"rocm-smi: {error}"
        return []
    if _ANOTHER_S.search(answer.stdout):
        unknown["rocm-smi"] = "this rocm-smi is another maker's"
        return []
    if not isinstance(cards, dict):
        cards = {}
    driver = cell.text(leaf(at(cards, "system", "Driver version")))
    found = []
    for name, values in cards.items():
        match = _CARD.match(name)
        if match is None:
            continue
        if not isinstance(values, dict):
            unknown[name] = "rocm-smi says nothing of it"
            values = {}  # noqa: PLW2901 - the device is there all the same
        found.append(_device(int(match[1]), values, driver, unknown))
    if not found:
        unknown["rocm-smi"] = trouble(answer, "rocm-smi") or "rocm-smi named no device"
    return sorted(found, key=lambda device: device.index or 0)


def _device(index: int, values: Mapping[str, Any], driver: str | None, unknown: dict[str, str]) -> Accelerator:
    lowered = {str(label).strip().lower(): value for label, value in values.items()}
    card = Branch(lowered, str(index), unknown)
    edge = card.take(cell.celsius, "temperature (sensor edge) (c)")
    junction = card.take(cell.celsius, "temperature (sensor junction) (c)")
    return Accelerator(
        vendor="amd",
        index=index,
        uuid=card.take(cell.text, "unique id"),
        serial=card.take(cell.text, "serial number"),
        bus=card.take(cell.bus, "pci bus"),
        model=card.take(cell.text, "card series", "device name", "card model"),
        driver=driver,
        firmware=card.take(cell.text, "vbios version"),
        memory_total_mib=card.take(_bytes, "vram total memory (b)"),
        memory_used_mib=card.take(_bytes, "vram total used memory (b)"),
        utilization=card.take(cell.percent, "gpu use (%)"),
        temperature_c=junction if edge is None else edge,
        temperature_memory_c=card.take(cell.celsius, "temperature (sensor memory) (c)"),
        temperature_hotspot_c=junction,
        power_w=card.take(
            cell.watts,
            "average graphics package power (w)",
            "current socket graphics package power (w)",
            "current graphics package power (w)",
        )
        or None,  # the second die of an MI250 says 0: it is the first that tells of both
        power_cap_w=card.take(cell.watts, "max graphics package power (w)") or None,
        pcie=Pcie(replays=card.take(cell.whole, "pcie replay count")),
    )


def _bytes(value: str) -> int | None:
    return cell.mebibytes(value, "B")
