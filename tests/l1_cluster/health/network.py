"""What the tests of networks share: nodes, and what the checks of networks find of them."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from tests.l1_cluster.health.case import AT, BOOT_ID, Case, read, subject

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l1_cluster.health import (
    ethernet,
    ethernet_errors,
    fabric,
    flaps,
    infiniband,
    link_errors,
    names,
    packet_size,
    verbs,
)
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.ethernet_reading import BONDS, CARDS, MTU
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.past import Sample
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS
from aiops.layers.l1_cluster.health.rules import Rules

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (infiniband, link_errors, verbs, ethernet, ethernet_errors, packet_size, flaps, fabric, names)
    for check in module.CHECKS
)
HOUR = timedelta(hours=1)
NOTHING = "nothing matches"


def node(answers: Mapping[str, Answer] | None = None, name: str = "gpu01", **more: Any) -> Subject:
    return subject(Case("", "", "warn", "none", answers=dict(answers or {}), **more), name)


def examined(*subjects: Subject, rules: Rules | None = None) -> Examination:
    return examine(subjects, CHECKS, rules or Rules())


def found(*subjects: Subject, rules: Rules | None = None) -> tuple[Finding, ...]:
    return examined(*subjects, rules=rules).findings


def checks(findings: Iterable[Finding]) -> set[str]:
    return {one.check for one in findings}


def record(*answers: Answer) -> Record:
    return Record("gpu01", AT, {one.name: one for one in answers})


def sysfs(name: str, files: Mapping[str, str], **missing: str) -> Answer:
    return Answer(name, files=dict(files), missing=missing or {"/sys/*": NOTHING})


def samples(*told: tuple[float, int], boot: str | None = BOOT_ID) -> tuple[Sample, ...]:
    """Samples as (hours ago, value)."""
    return tuple(Sample(AT - hours * HOUR, value, boot) for hours, value in told)


NO_NETWORK = {
    PORTS: sysfs(PORTS, {}),
    COUNTERS: sysfs(COUNTERS, {}),
    verbs.DEVICES: Answer(
        verbs.DEVICES,
        2,
        stderr="ls: cannot access '/dev/infiniband': No such file or directory\n",
        missing={"/sys/class/infiniband_verbs/uverbs*/ibdev": NOTHING},
    ),
    CARDS: sysfs(CARDS, {}),
    BONDS: sysfs(BONDS, {}),
    MTU: read(MTU, {"/sys/class/net/lo/mtu": "65536\n"}),
}
