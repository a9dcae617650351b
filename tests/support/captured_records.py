"""The captured outputs of all vendors' tools as answers, each as one version of the tool would give them together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.plugins import test_nvidia_reading as nvidia
from tests.plugins.ascend_answers import BOARD, ECC, UNSUPPORTED, WELL, chips
from tests.support.vendor_records import ABSENT, REFUSED

from aiops.layers.l0_nodes.ask import Answer

_LAYOUTS = Path(__file__).parents[1] / "plugins" / "layouts"
_PLACES = {
    "20.2_310": [(215, chip) for chip in range(4)],
    "21.0_310": [(6, chip) for chip in range(4)],
    "22.0_910A": [(card, 0) for card in range(8)],
    "24.1_910A": [(card, 0) for card in range(8)],
    "23.0_310B": [(0, 0)],
    "25.2_910B": [(0, 0), (1, 0)],
    "25.3_310P": [(0, 0), (0, 1), (32, 0)],
    "25.0_910C": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "source_950": [(0, 0), (1, 0)],
}
"""Of the Ascend tables, the cards and chips."""

_FORMS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "amd": (
        {"static": "rocm6_static.json", "metric": "rocm6_metric.json"},
        {"metric": "rocm7_metric.json"},
        {"rocm": "rocm-smi_mi250.json"},
        {"rocm": "rocm-smi_rx7800xt.json"},
    ),
    "biren": ({"table": "table-1.11.0.txt"},),
    "cambricon": (
        {"info": "info-5.10.22.txt"},
        {"table": "table-4.20.11.txt"},
        {"table": "table-5.10.13.txt"},
        {"table": "table-5.10.22.txt"},
    ),
    "enflame": (
        {"query": "query-1.2.4.txt"},
        {"query": "query-1.4.3.txt"},
        {"table": "table-1.2.0.txt"},
        {"table": "table-1.6.3.txt"},
        {"table": "table-1.7.2.txt"},
    ),
    "gaudi": (
        {"log": "log-1.12.1.txt"},
        {"table": "table-1.4.1.txt"},
        {"table": "table-1.18.0.txt"},
        {"table": "table-1.22.1.txt"},
    ),
    "hygon": (
        {"devices": "hy-smi_dcu.json"},
        {"devices": "hy-smi_hcu.json"},
        {"devices": "rocm-smi_z100.json"},
    ),
    "iluvatar": ({"xml": "description-4.2.0.txt"}, {"table": "table-3.0.1.txt"}, {"table": "table-4.0.0.txt"}),
    "kunlunxin": (
        {"machine": "machine-5.0.txt"},
        {"query": "query-5.0.21.txt"},
        {"table": "table-5.0.21.txt"},
        {"table": "table-container.txt"},
    ),
    "metax": (
        {"state": "state-2.2.12.txt", "details": "details-2.2.12.txt"},
        {"list": "list-2.2.12.txt", "state": "state-2.2.9.txt"},
        {"state": "state-2.2.9.txt"},
        {"table": "table-2.1.12.txt"},
        {"table": "table-2.2.4.txt"},
        {"table": "table-2.2.8.txt"},
        {"table": "table-2.3.1.txt"},
    ),
    "mthreads": (
        {"json": "query-3.3.5.txt"},
        {"table": "table-1.6.0.txt"},
        {"table": "table-1.12.2.txt"},
        {"table": "table-1.14.0.txt"},
        {"table": "table-2.0.0.txt"},
        {"table": "table-2.4.1.txt"},
    ),
    "thead": ({"log": "log-manual.txt"}, {"table": "table-1.17.txt"}, {"table": "table-1.28.txt"}),
}
_ASKS: Mapping[str, tuple[str, ...]] = {
    "amd": ("static", "metric", "rocm"),
    "biren": ("table", "query"),
    "cambricon": ("json", "info", "table"),
    "enflame": ("query", "json", "table"),
    "gaudi": ("query", "log", "table", "links"),
    "hygon": ("devices", "power"),
    "iluvatar": ("xml", "query", "query_3", "table"),
    "kunlunxin": ("machine", "query", "table"),
    "metax": ("list", "state", "details", "table"),
    "mthreads": ("json", "table"),
    "thead": ("query", "log", "table", "links"),
}
_NVIDIA: Mapping[str, Mapping[str, str]] = {
    "h100": {"query": nvidia.H100, "xml": nvidia.EVENT, "nvlink": nvidia.LINKS, "nvlink_errors": nvidia.ERRORS},
    "h100 before 535": {"query": nvidia.H100, "xml": nvidia.THROTTLE, "nvlink": nvidia.LINKS},
    "gb10": {"query": nvidia.GB10},
}


@dataclass(frozen=True)
class Captured:
    """What one version of a vendor's tool said.

    Attributes:
        name: Of the layouts, as their files are called.
    """

    vendor: str
    name: str
    answers: Mapping[str, Answer]


def captured(vendor: str) -> tuple[Captured, ...]:
    """All of one vendor's. What a version does not know it refuses."""
    if vendor == "nvidia":
        return tuple(
            Captured(
                vendor, name, {f"nvidia.{ask}": Answer(f"nvidia.{ask}", 0, stdout=text) for ask, text in of.items()}
            )
            for name, of in _NVIDIA.items()
        )
    if vendor == "ascend":
        return tuple(_of_ascend(name, places) for name, places in _PLACES.items())
    return tuple(_of_forms(vendor, forms) for forms in _FORMS[vendor])


def _of_forms(vendor: str, forms: Mapping[str, str]) -> Captured:
    refusal = ABSENT if vendor == "amd" and "rocm" in forms else REFUSED
    answers = {f"{vendor}.{name}": replace(refusal, name=f"{vendor}.{name}") for name in _ASKS[vendor]}
    for ask, file in forms.items():
        name = f"{vendor}.{ask}"
        answers[name] = Answer(name, 0, stdout=(_LAYOUTS / vendor / file).read_text("utf-8"))
    return Captured(vendor, " and ".join(forms.values()), answers)


def _of_ascend(name: str, places: list[tuple[int, int]]) -> Captured:
    told = {
        "info": (_LAYOUTS / "ascend" / f"{name}.txt").read_text("utf-8"),
        "health": chips(places, WELL),
        "ecc": chips(places, ECC),
        "hccs": chips(places, UNSUPPORTED.format("hccs")),
        "board": chips([place for place in places if place[1] == 0], BOARD.format("OK")),
    }
    return Captured(
        "ascend",
        f"{name}.txt",
        {f"ascend.{ask}": Answer(f"ascend.{ask}", 0, stdout=text) for ask, text in told.items()},
    )
