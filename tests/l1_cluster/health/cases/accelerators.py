"""Accelerators of any vendor: the facts of a node with one thing wrong."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.l1_cluster.health.case import AT, BOOT_ID, FACTS, Case, h100

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past, Sample

HEALTHY: dict[str, Answer] = {}
BUS = tuple(f"0000:{0x18 + number:02x}:00.0" for number in range(8))
SICK = 3
"""The device of the cases that is not well."""

FROM_DEVICES = (
    "gpu.health",
    "gpu.model_uniform",
    "gpu.firmware_uniform",
    "gpu.ecc_mode",
    "gpu.ecc_uncorrected",
    "gpu.ecc_corrected",
    "gpu.remap_pending",
    "gpu.remap_failed",
    "gpu.retired_pages",
    "gpu.mem_leftover",
    "gpu.links",
    "gpu.link_errors",
    "gpu.pcie_width",
    "gpu.pcie_gen",
    "gpu.pcie_replays",
    "gpu.temp",
    "gpu.throttle",
    "gpu.power",
)
"""What cannot be judged where a tool shows no device."""
_OF_NVIDIA = ("gpu.persistence", "gpu.fabricmanager", "gpu.nvlink")


def device(index: int = SICK, **changes: Any) -> Callable[[Facts], Facts]:
    """Facts in which one device is different; `ecc`, `links` and `pcie` take the fields that differ."""

    def change(facts: Facts) -> Facts:
        own = h100(index)
        parts = {
            name: replace(getattr(own, name), **fields) if isinstance(fields, dict) else fields
            for name, fields in changes.items()
        }
        found = [*(facts.accelerators or ())]
        found[index] = replace(own, **parts)
        return replace(facts, accelerators=tuple(found))

    return change


def every(**changes: Any) -> Callable[[Facts], Facts]:
    """Facts in which all devices are different."""

    def change(facts: Facts) -> Facts:
        for index in range(8):
            facts = device(index, **changes)(facts)
        return facts

    return change


def unread(subject: str, reason: str, **changes: Any) -> Callable[[Facts], Facts]:
    """Facts in which a value of a device could not be read."""
    return lambda facts: replace(device(**changes)(facts), unknown={f"accelerators.nvidia.{SICK}.{subject}": reason})


def mute(reason: str, *, buses: tuple[str, ...] = BUS) -> Callable[[Facts], Facts]:
    """Facts of a node whose tool shows nothing."""
    return lambda facts: replace(
        facts,
        accelerators=None,
        bus_accelerators=(BusAccelerators("nvidia", len(buses), buses, 4),),
        unknown={"accelerators": reason, "accelerators.nvidia.query": reason},
    )


def beside(vendor: str, reason: str) -> Callable[[Facts], Facts]:
    """Facts of a node that has a device of another vendor too, whose tool does not answer."""
    return lambda facts: replace(
        facts,
        bus_accelerators=(*(facts.bus_accelerators or ()), BusAccelerators(vendor, 1, ("0000:c1:00.0",))),
        unknown={f"accelerators.{vendor}.tool": reason},
    )


def before(counter: str, value: int, minutes: float, boot_id: str = BOOT_ID) -> Past:
    """A counter of the device of the cases, as it was a while ago; of a memory's errors by the device's number."""
    whose = h100(SICK).uuid if counter.startswith("gpu.ecc") else f"GPU {SICK}"
    return Past({f"{counter}.{whose}": (Sample(AT - timedelta(minutes=minutes), value, boot_id),)})


_HAS_AMD: Mapping[str, object] = {"aiops_accelerators": {"vendor": "amd", "count": 1}}
_HAS_EIGHT: Mapping[str, object] = {"aiops_accelerators": {"vendor": "nvidia", "count": 8, "model": "H100"}}
_SEVEN = replace(
    FACTS,
    bus_accelerators=(BusAccelerators("nvidia", 7, BUS[:SICK] + BUS[SICK + 1 :], 4),),
    accelerators=tuple(h100(index) for index in range(8) if index != SICK),
)
NAME = f"GPU {SICK}"

CASES = (
    Case(
        "a device is gone from the bus",
        "gpu.count",
        "critical",
        "service",
        words="7 on the bus, expected 8 (aiops_accelerators)",
        facts=lambda _: _SEVEN,
        variables={**_HAS_EIGHT, "aiops_engine": "ssh"},
    ),
    Case(
        "fewer devices than the group was learned to have",
        "gpu.count",
        "critical",
        "service",
        words="7 on the bus, expected 8 (health.yml)",
        facts=lambda _: _SEVEN,
        expected=Expected({"gpu.count": 8.0}, "health.yml"),
        also=("slurm.gres_match",),
    ),
    Case(
        "a device that the tool does not show",
        "gpu.count",
        "critical",
        "reboot",
        about=f"GPU at {BUS[SICK]}",
        words="nvidia's tool does not show it (7 of 8)",
        facts=lambda facts: replace(facts, accelerators=_SEVEN.accelerators),
        also=("slurm.gres_match",),
    ),
    Case(
        "a tool that counts fewer and tells no address",
        "gpu.count",
        "critical",
        "reboot",
        words="shows 7 of 8",
        facts=lambda facts: replace(
            facts, accelerators=tuple(replace(one, bus=None) for one in _SEVEN.accelerators or ())
        ),
        also=("slurm.gres_match",),
    ),
    Case(
        "the bus cannot be read",
        "gpu.count",
        "unknown",
        "none",
        facts=lambda facts: replace(facts, bus_accelerators=None, unknown={"bus_accelerators": "it hangs"}),
        also=("pcie.acs", "pcie.iommu", "pcie.link"),
    ),
    Case(
        "the tool of one of two vendors hangs",
        "gpu.tool_responds",
        "critical",
        "reboot",
        words="it hangs: amd-smi did not answer in 5 s",
        facts=beside("amd", "amd-smi did not answer in 5 s"),
        variables=_HAS_AMD,
    ),
    Case(
        "one of two vendors has no driver",
        "gpu.tool_responds",
        "critical",
        "none",
        words="no driver is installed",
        facts=beside("amd", "amd-smi: not found"),
        variables=_HAS_AMD,
    ),
    Case(
        "one of two vendors speaks nonsense",
        "gpu.tool_responds",
        "unknown",
        "none",
        words="amd-smi said: <html>",
        facts=beside("amd", "amd-smi said: <html>"),
        variables=_HAS_AMD,
    ),
    Case(
        "the tool hangs",
        "gpu.tool_responds",
        "critical",
        "reboot",
        words="it hangs",
        facts=mute("nvidia-smi did not answer in 10 s"),
        also=("gpu.count", *FROM_DEVICES, *_OF_NVIDIA),
    ),
    Case(
        "the driver is not loaded",
        "gpu.tool_responds",
        "critical",
        "reboot",
        words="the driver is not loaded",
        facts=mute("nvidia-smi exit 9: the driver is not loaded: NVIDIA-SMI has failed"),
        also=("gpu.count", *FROM_DEVICES, *_OF_NVIDIA),
    ),
    Case(
        "a device is lost, and the tool shows none of the others either",
        "gpu.tool_responds",
        "critical",
        "reboot",
        words="a device is lost",
        facts=mute("nvidia-smi exit 15: a device has fallen off the bus: GPU is lost", buses=BUS[1:]),
        also=("gpu.count", "slurm.gres_match", *FROM_DEVICES, *_OF_NVIDIA),
    ),
    Case(
        "the tool sees no devices, as in a session that may see none",
        "gpu.tool_responds",
        "unknown",
        "none",
        words="no devices were found",
        facts=mute("nvidia-smi exit 6: no devices were found"),
        also=("gpu.count", *FROM_DEVICES, *_OF_NVIDIA),
    ),
    Case(
        "the loaded driver is the old one",
        "gpu.driver_match",
        "critical",
        "reboot",
        words="it needs a reboot",
        facts=lambda facts: replace(
            facts, driver_mismatch="driver 570.86.10 is loaded while 580.95.05 is installed: it needs a reboot"
        ),
    ),
    Case(
        "packages of the driver are of two versions",
        "gpu.driver_match",
        "critical",
        "none",
        words="several versions",
        facts=lambda facts: replace(facts, driver_mismatch="its driver is of several versions: a 1; b 2"),
    ),
    Case(
        "the vendor's tool calls a device critical",
        "gpu.health",
        "critical",
        "reset_device",
        about=NAME,
        words="nvidia's tool calls it critical: code 0x80E01801",
        facts=device(health="critical", health_codes=("0x80E01801",)),
    ),
    Case(
        "the vendor's tool warns of a device",
        "gpu.health",
        "warn",
        "reset_device",
        about=NAME,
        facts=device(health="warning"),
    ),
    Case(
        "a condition that only this vendor tells of",
        "gpu.health",
        "warn",
        "service",
        about=NAME,
        words="it is marked for return",
        facts=device(problems=("it is marked for return",)),
    ),
    Case(
        "codes of a tool that has no word for them",
        "gpu.health",
        "warn",
        "service",
        about=NAME,
        words="code 0x80E01801",
        facts=device(health_codes=("0x80E01801",)),
    ),
    Case(
        "the vendor's word could not be read",
        "gpu.health",
        "unknown",
        "none",
        about=NAME,
        words="Unknown Error",
        facts=unread("health", "Unknown Error"),
    ),
    Case(
        "a device of another model",
        "gpu.model_uniform",
        "warn",
        "none",
        words="NVIDIA H100 80GB HBM3 on 7, NVIDIA H200 on GPU 3",
        facts=device(model="NVIDIA H200"),
    ),
    Case(
        "a device of another model than was bought",
        "gpu.model_uniform",
        "warn",
        "none",
        about=NAME,
        words="expected H100 (aiops_accelerators)",
        facts=device(model="NVIDIA H800"),
        variables=_HAS_EIGHT,
    ),
    Case(
        "a device with another firmware",
        "gpu.firmware_uniform",
        "warn",
        "service",
        words="96.00.A5.00.01 on 7, 96.00.30.00.01 on GPU 3",
        facts=device(firmware="96.00.30.00.01"),
    ),
)

WELL: Mapping[str, Callable[[Facts], Facts]] = {
    "idle links are slow": every(pcie={"generation": 1}),
    "all at work, at their cap": every(
        utilization=100.0,
        power_w=712.0,
        temperature_c=72.0,
        temperature_memory_c=88.0,
        memory_used_mib=79000,
        processes=1,
        throttle_reasons=("sw_power_cap",),
    ),
    "clocks that were set": every(throttle_reasons=("gpu_idle", "applications_clocks_setting", "sync_boost")),
    "divided into parts": every(
        partitioned=True, utilization=None, links=Links(0, 18, None), memory_used_mib=150, processes=None
    ),
    "no error correction anywhere, and none expected": every(ecc=Ecc(), firmware=None),
    "drivers that need much memory": every(memory_used_mib=3420, processes=0),
    "a job between two steps": every(memory_used_mib=70000, processes=1),
    "a card for the screen": lambda facts: replace(
        facts,
        bus_accelerators=(BusAccelerators("nvidia", 9, (*BUS, "0000:c1:00.0")),),
        accelerators=(
            *(facts.accelerators or ()),
            Accelerator("nvidia", 8, bus="0000:c1:00.0", model="NVIDIA DGX Display", driver="580.95.05"),
        ),
    ),
    "virtual functions beside each device": lambda facts: replace(
        facts,
        bus_accelerators=(
            BusAccelerators("nvidia", 24, (*BUS, *(f"{bus[:-4]}0{n}.4" for bus in BUS for n in (0, 1))), 4),
        ),
    ),
    "graphics of another vendor without its tool": beside("intel", "xpu-smi: not found"),
    "well by its vendor's word": every(health="ok", health_codes=("0",)),
    "idle in slots that have fewer lanes": every(pcie={"width": 8}),
    "at work in slots that the tool leaves out": every(
        pcie={"width": 8, "generation": 3, "with_slot": False}, utilization=99.0, processes=1
    ),
    "old errors by a tool that counts over a device's life": every(
        ecc={"uncorrected_volatile": None, "uncorrected_aggregate": 5}
    ),
    "a tool of a version that has fewer answers": lambda facts: replace(
        every(throttle_reasons=None, ecc=Ecc())(facts),
        unknown={"accelerators.nvidia.query": "its-smi exit 2: unknown option"},
    ),
    "few errors long ago": every(ecc={"corrected_volatile": 40}, links={"errors": 2}, pcie={"replays": 12}),
}
"""Facts of nodes on which nothing is wrong, by what is special about them."""


def gb10(facts: Facts) -> Facts:
    """A node whose one device shares the host's memory: most values are not told, its link is not what it seems."""
    only = replace(
        h100(0),
        model="NVIDIA GB10",
        serial=None,
        bus="000f:01:00.0",
        memory_total_mib=None,
        memory_used_mib=None,
        utilization=96.0,
        temperature_c=71.0,
        temperature_memory_c=None,
        power_w=61.0,
        power_cap_w=None,
        pcie=replace(h100(0).pcie, generation=1, width=1),
        ecc=Ecc(),
        links=Links(),
        fabric_state=None,
    )
    return replace(facts, accelerators=(only,), bus_accelerators=(BusAccelerators("nvidia", 1, ("000f:01:00.0",), 0),))
