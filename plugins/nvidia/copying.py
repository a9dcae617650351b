"""How fast data goes between a host and its NVIDIA devices, by NVIDIA's nvbandwidth."""

import json

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.rate import Rate
from aiops.layers.l1_cluster.health.rates import among_equals, by_expectation, thresholds
from aiops.layers.l1_cluster.health.trial import absent

from .presence import has_nvidia

COPY = "nvidia.trial.copy"
_CASES = {
    "host_to_device_memcpy_ce": ("gpu.h2d_gbs", "host to device"),
    "device_to_host_memcpy_ce": ("gpu.d2h_gbs", "device to host"),
}
COPY_ASK = Ask(COPY, ("nvbandwidth", "-j", "-t", *_CASES), timeout=180.0, makers=("10de",), alone=True)

_FLOORS = (("H100 80GB HBM3", 48.0), ("H200", 48.0), ("A100-SXM4", 23.0))
_FLOOR_SOURCE = "azurehpc-health-checks"


def read_copies(record: Record) -> tuple[Rate, ...]:
    """GB/s of each device in both directions.

    Raises:
        UnreadableError: nvbandwidth does not say.
    """
    text = said(record.answer(COPY))
    start = text.find("{")
    if start < 0:
        raise UnreadableError(f"nvbandwidth says `{text.strip()[:120]}`")
    document, _ = json.JSONDecoder().raw_decode(text[start:])
    body = document["nvbandwidth"]
    cases = {case["name"]: case for case in body.get("testcases") or ()}
    found: list[Rate] = []
    for name, (trait, title) in _CASES.items():
        case = cases.get(name, {})
        if case.get("status") != "Passed":
            why = case.get("error") or body.get("error") or case.get("status") or "it is not in the answer"
            raise UnreadableError(f"nvbandwidth did not measure {title}: {str(why)[:160]}")
        for number, cell in enumerate(cell for row in case["bandwidth_matrix"] for cell in row):
            if cell != "N/A":
                found.append(Rate(trait, title, float(cell), "GB/s", f"GPU {number}"))
    if not found:
        raise UnreadableError("nvbandwidth measured no device")
    return tuple(found)


def _rates(subject: Subject) -> tuple[Rate, ...]:
    model = next((one.model or "" for one in subject.facts.accelerators or () if one.vendor == "nvidia"), "")
    floor = next((limit for name, limit in _FLOORS if name in model), None)
    return tuple(
        Rate(one.trait, one.title, one.value, one.unit, one.about, floor=floor, floor_source=_FLOOR_SOURCE)
        for one in subject.read(read_copies)
    )


def _lacks(subject: Subject) -> str:
    return absent(subject.record.answer(COPY)) if has_nvidia(subject) else ""


CHECKS = (
    Check(
        id="gpu.copy",
        title="data goes between host and devices as fast as it should",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Warn when a device is 10 % slower than health.yml says, critical from 50 % on. Where it says nothing:"
        " warn below 48 GB/s on H100 and H200 and 23 GB/s on A100 of the SXM kind; for other models when it is 10 %"
        " slower than in the middle of four and more nodes like it.",
        remedy="See its link, `nvidia-smi -q -d PERFORMANCE,CLOCK` and `lspci -vv -s BUS`, and whether the IOMMU or the"
        " NUMA setting differs from a node that is well. A reboot trains the link anew.",
        source="azurehpc-health-checks, check_gpu_bw: 48 to 52 GB/s for H100, 23 GB/s for A100",
        asks=(COPY_ASK,),
        judge=by_expectation(_rates),
        compare=among_equals(_rates),
        rates=_rates,
        applies=has_nvidia,
        lacks=_lacks,
        thresholds=thresholds(10.0, "aiops' own: links of one kind differ by less"),
        tags=("performance", "trial"),
        level="deep",
    ),
)
