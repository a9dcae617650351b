"""What `amd-smi` is asked, and the pure parser of its answers.

ROCm 6 prints a bare list, ROCm 7 an object with `gpu_data`; a value is `{"value": 133, "unit": "W"}`, and was `133 W`
or a bare number before; what a device does not have is `N/A`. Warnings (of power saving, of missing groups) stand
before the document. `amd-smi` needs no driver of its own: with none it prints an error and no document.
"""

from collections.abc import Mapping
from typing import Any

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_document import document, entries
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

from .device import device_of
from .rocm import rocm_devices

_LARGE = 1_048_576  # a node whose devices are divided tells of 64
_ROCM = (
    "amd-smi version >/dev/null 2>&1 || exec rocm-smi --showid --showuniqueid --showserial --showproductname "
    "--showbus --showvbios --showdriverversion --showmeminfo vram --showuse --showtemp --showpower --showmaxpower "
    "--showreplaycount --json"
)

ASKS = (
    Ask("amd.static", ("amd-smi", "static", "--json"), timeout=10.0, max_bytes=_LARGE),
    Ask("amd.metric", ("amd-smi", "metric", "--json"), timeout=10.0, max_bytes=_LARGE),
    Ask("amd.bad_pages", ("amd-smi", "bad-pages", "--json"), timeout=10.0, max_bytes=_LARGE),
    Ask("amd.xgmi", ("amd-smi", "xgmi", "-l", "--json"), timeout=10.0),
    Ask("amd.process", ("amd-smi", "process", "--json"), timeout=10.0, max_bytes=_LARGE),
    Ask("amd.rocm", ("sh", "-c", _ROCM), timeout=10.0),
)
_MOST = 1 << 16
"""Beyond, a number is no index of a device."""

_ENVELOPES = ("gpu_data", "link_status", "process_list")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    static = _by_device(record.answer("amd.static"), "static", unknown)
    metric = _by_device(record.answer("amd.metric"), "metric", unknown)
    indices = sorted({*static, *metric})
    if unknown.get("metric") == unknown.get("static"):
        unknown.pop("metric", None)
    if not indices:
        return _older(record, unknown)
    pages = _by_device(record.answer("amd.bad_pages"), "bad_pages", unknown, optional=True)
    links = _by_device(record.answer("amd.xgmi"), "xgmi", unknown, optional=True)
    processes = _by_device(record.answer("amd.process"), "process", unknown, optional=True)
    devices = []
    for index in indices:
        for name, part in (("static", static), ("metric", metric)):
            if index not in part and name not in unknown:
                unknown[f"{index}.{name}"] = f"amd-smi {name} says nothing of it"
        devices.append(
            device_of(
                index,
                static.get(index, {}),
                metric.get(index, {}),
                pages=pages.get(index, {}),
                links=links.get(index, {}),
                processes=processes.get(index, {}),
                unknown=unknown,
            )
        )
    return Reading(tuple(devices), unknown)


def _older(record: Record, unknown: dict[str, str]) -> Reading:
    """What `rocm-smi` tells, where `amd-smi` tells of no device: it is not installed there, or it is broken."""
    told: dict[str, str] = {}
    devices: list[Accelerator] = rocm_devices(record.answer("amd.rocm"), told)
    absent = record.answer("amd.static").missing.get("argv", "").endswith(": not found")
    if devices:
        return Reading(tuple(devices), told if absent else {**unknown, **told})
    return Reading(unknown=unknown or told)


def _by_device(
    answer: Answer, name: str, unknown: dict[str, str], *, optional: bool = False
) -> dict[int, Mapping[str, Any]]:
    """What `amd-smi NAME` says, by device.

    Args:
        answer: Its answer.
        name: The subject in `unknown` for an answer that is not good.
        unknown: Gets the reasons.
        optional: Whether older versions, and devices without such a thing, may refuse without a word in `unknown`.
    """
    problem = trouble(answer, "amd-smi")
    text = answer.stdout
    if name == "xgmi":  # it prints the links' document after another one, which is empty
        text = "[" + text.rpartition("]\n[")[2] if "]\n[" in text else text
    try:
        whole = document(text)
    except UnreadableError as error:
        if not (optional and not answer.timed_out and answer.exit_status != 0):
            unknown[name] = problem or f"amd-smi {name}: {error}"
        return {}
    if isinstance(whole, dict) and "gpu" in whole:
        whole = [whole]
    listed = entries(whole, *_ENVELOPES)
    found: dict[int, Mapping[str, Any]] = {}
    for position, one in enumerate(listed):
        index = one.get("gpu")
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < _MOST and index not in found:
            found[index] = one
        else:
            unknown[f"{name}.{position}"] = f"amd-smi {name} has an entry without a device's number"
    if not found and not optional:
        unknown[name] = problem or f"amd-smi {name} named no device"
    elif problem is not None and not optional:
        unknown[name] = problem
    return found
