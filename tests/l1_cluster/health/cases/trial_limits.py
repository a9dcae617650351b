"""Either side of the limits of trials and of trends: what is just beyond one, and what is just within it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tests.l1_cluster.health.case import Case
from tests.l1_cluster.health.cases.metrics import has
from tests.l1_cluster.health.cases.trials import copies, disks, expects, fio, looped, reduced, stream

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.accelerator_trends import REMAPPED
from aiops.layers.l1_cluster.health.collective import ALL_REDUCE
from aiops.layers.l1_cluster.health.disk_trial import FIO
from aiops.layers.l1_cluster.health.loopback import LOOPBACK
from aiops.layers.l1_cluster.health.memory_trial import STREAM
from aiops.layers.l1_cluster.health.trends import FILLING
from aiops.layers.l1_cluster.health.verdict import Action
from aiops.plugins.nvidia.copying import COPY

HEALTHY: Mapping[str, Answer] = {}
Found = Literal["warn", "critical", "ok"]
_SMALLER = 1024**3
"""Bytes: an all-reduce of this size is under no limit of the field's."""

_ACTIONS: Mapping[str, Action] = {"gpu.allreduce": "reset_device", "gpu.copy": "reboot"}
_ABOUT = {"disk.speed": "/scratch", "gpu.copy": "GPU 3", "ib.loopback": "mlx5_2"}
_TRAITS = {
    "memory.bandwidth": "memory_gbs",
    "disk.speed": "disk./scratch.read_mbs",
    "gpu.allreduce": "gpu.allreduce_gbs",
    "gpu.copy": "gpu.h2d_gbs",
    "ib.loopback": "ib.mlx5_2.loopback_gbit",
}
_WHOLE = {
    "memory.bandwidth": 612.0,
    "disk.speed": 6400.0,
    "gpu.allreduce": 478.11,
    "gpu.copy": 55.62,
    "ib.loopback": 392.04,
}
"""What a healthy node reaches, in the unit of the trait."""


def _measured(check: str, rate: float) -> dict[str, Answer | None]:
    """The answer of a trial that measured `rate`."""
    match check:
        case "memory.bandwidth":  # two processes, and two thirds of what each reads is written beside it
            return {STREAM: stream(rate * 1000.0 / 2 / (1 + 1 / 1.5))}
        case "disk.speed":
            return {FIO: disks(scratch=fio(read=rate))}
        case "gpu.allreduce":
            return {ALL_REDUCE: reduced(f"{rate:.2f}", size=_SMALLER, other=f"{rate - 0.2:.2f}")}
        case "gpu.copy":
            return {COPY: copies(f"{rate:.2f}")}
        case _:
            return {LOOPBACK: looped(f"{rate:.2f}")}


def _beside(check: str, percent: float, severity: Found) -> Case:
    """A node that is so much slower than what is expected."""
    return Case(
        f"{check} {percent:g} % below what is expected",
        check,
        severity,
        "none" if severity == "ok" else _ACTIONS.get(check, "service"),
        about=_ABOUT.get(check, ""),
        words="" if severity == "ok" else f"{percent:.0f} % slower",
        answers=_measured(check, _WHOLE[check] * (1 - percent / 100)),
        expected=expects(_TRAITS[check], _WHOLE[check]),
    )


def _other_model(facts: Facts) -> Facts:
    """Devices for which the field has no limit."""
    return replace(facts, accelerators=tuple(replace(one, model="NVIDIA L40S") for one in facts.accelerators or ()))


def _among(check: str, percent: float, severity: Found) -> Case:
    """A node that is so much slower than its equals, or one device of each that is slower than all others."""
    everywhere = check == "gpu.copy"
    return Case(
        f"{check} {percent:g} % below its equals",
        check,
        severity,
        "none" if severity == "ok" else _ACTIONS.get(check, "service"),
        about=_ABOUT.get(check, ""),
        words="" if severity == "ok" else f"{percent:.0f} % slower",
        answers=_measured(check, _WHOLE[check] * (1 - percent / 100)),
        facts=_other_model if everywhere else lambda facts: facts,
        unlike_peers=not everywhere,
        everywhere=everywhere,
    )


_RATES = tuple(
    case
    for check in _TRAITS
    for case in (
        _beside(check, 9, "ok"),
        _beside(check, 11, "warn"),
        _beside(check, 49, "warn"),
        _beside(check, 51, "critical"),
        _among(check, 29 if check == "disk.speed" else 9, "ok"),
        _among(check, 31 if check == "disk.speed" else 11, "warn"),
    )
)
_TRENDS = (
    Case(
        "a file system that is full in a day and more",
        "metrics.filling",
        "ok",
        "none",
        metrics=has(FILLING, 30.0, mountpoint="/scratch"),
    ),
    Case(
        "a device that lost one row of memory",
        "metrics.gpu_remapped",
        "ok",
        "none",
        metrics=has(REMAPPED, 1.0, gpu="5"),
    ),
)
CASES = (*_RATES, *_TRENDS)
