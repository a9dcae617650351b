"""Kinds of faults, injected in three ways, and how many of them are found as they should be.

- Recorded facts: the cases of the suite, each a healthy node with one thing wrong. A kind is what somebody would have
  to do something else about: a check, with the severity, action and owner that it must say. It is found when every case
  of it is found by that check, in those words, and no other check is alarmed.
- Tool shims: the simulated tools of all vendors, really run, with a fault of a device in their state. A kind is a
  vendor and a fault.
- Lab faults (`--lab`): booted, deployed hosts with a fault of `aiops lab`, looked at by `aiops health`, and healed.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.l1_cluster.health.case import AT, FACTS, Case, subject
from tests.l1_cluster.health.suite import CASES, examined, wrong
from tests.support.simulated_host import SimulatedHost

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.layers.l0_nodes.vendor import vendors_of
from aiops.layers.l1_cluster.health.accelerators import CHECKS
from aiops.layers.l1_cluster.health.check import Subject
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rules import Rules

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import Figure, aiops, report

NAME = "bench-health-faults"
LEAST = 45
"""So many kinds at least, all of them found."""

DEVICE, COUNT = 3, 8
GPU = f"GPU {DEVICE}"
HOST = "gpu01"
LOOKS = 3
"""What must be seen twice is seen by then."""


@dataclass(frozen=True)
class Finds:
    """What must be said of a fault: one of these checks, with this severity, action and owner.

    Attributes:
        checks: Any of them; which it is depends on what the vendor's tool tells.
    """

    checks: frozenset[str]
    verdict: str
    action: str
    owner: str = "node"


def _finds(checks: str, verdict: str, action: str, owner: str = "node") -> Finds:
    return Finds(frozenset(checks.split()), verdict, action, owner)


OF_TOOLS: Mapping[str, Finds] = {
    "device-lost": _finds("gpu.count", "critical", "service"),
    "ecc-uncorrected": _finds("gpu.ecc_uncorrected gpu.health", "critical", "reset_device"),
    "thermal-throttle": _finds("gpu.temp", "warn", "service"),
    "firmware-skew": _finds("gpu.firmware_uniform", "warn", "service"),
}
OF_THE_LAB: Mapping[str, Finds] = {
    "device-lost": _finds("gpu.count", "critical", "service"),
    "ecc-uncorrected": _finds("gpu.ecc_uncorrected", "critical", "reset_device"),
    "xid": _finds("gpu.xid", "critical", "reboot"),
    "thermal-throttle": _finds("gpu.throttle", "critical", "service"),
    "tool-hang": _finds("gpu.tool_responds", "critical", "reboot"),
    "firmware-skew": _finds("gpu.firmware_uniform", "warn", "service"),
    "driver-skew": _finds("driver.skew gpu.driver_match", "warn", "none"),
    "disk-full": _finds("disk.used", "critical", "none"),
    "network-cut": _finds("node.reachable", "unknown", "none"),
    "frozen": _finds("node.reachable", "unknown", "none"),
    "power-loss": _finds("node.reachable", "unknown", "none"),
}


def _recorded() -> Iterator[tuple[str, bool, int]]:
    """(kind, whether all of its cases are found, how many)."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in CASES:
        if case.severity in {"warn", "critical"}:
            kinds[f"{case.check}: {case.severity}, {case.action}, {case.owner}"].append(case)
    for kind, cases in kinds.items():
        yield kind, not any(any(wrong(case, examined(case).findings)) for case in cases), len(cases)


def _seen(host: SimulatedHost, lost: tuple[str, ...] = (), past: Past | None = None) -> Subject:
    """The host as checks see it: a healthy one, with its own bus and what its tool says."""
    files = {
        f"/sys/bus/pci/devices/{address}/{name}": attributes[name]
        for address, attributes in host.tool.bus.items()
        for name in ("vendor", "class")
        if address not in lost
    }
    record = Record("gpu01", AT, {**host.asked().answers, "bus": Answer("bus", files=files)})
    facts = facts_of(record, (host.vendor,))
    own = {name: getattr(facts, name) for name in ("accelerators", "bus_accelerators", "driver_mismatch")}
    unknown = {name: reason for name, reason in facts.unknown.items() if name.startswith("accelerators")}
    wanted = {"aiops_accelerators": {"vendor": host.vendor.name, "count": COUNT}}
    one = subject(Case("", "", "warn", "none", variables=wanted))
    seen = replace(FACTS, **own, unknown=unknown, simulated=True)
    return replace(one, record=record, facts=seen, past=past or Past())


def _of_tools() -> Iterator[tuple[str, bool, int]]:
    for vendor in sorted(vendors_of(Plugins()), key=lambda one: one.name):
        with tempfile.TemporaryDirectory() as folder:
            host = SimulatedHost(Path(folder), vendor, COUNT)
            before = examine([_seen(host)], CHECKS, Rules()).counters["gpu01"]
            past = Past({name: (Sample(AT - timedelta(minutes=5), value),) for name, value in before.items()})
            for kind, meant in OF_TOOLS.items():
                effect = host.tool.fault(host.tool.state, kind, DEVICE, None)
                if effect is None:
                    continue
                host.write(effect.state)
                findings = examine([_seen(host, effect.lost, past)], CHECKS, Rules()).findings
                told = {(one.check, one.verdict, one.action, one.owner) for one in findings}
                yield f"{vendor.name}: {kind}", bool(told & _rows(meant)), 1


def _rows(meant: Finds) -> set[tuple[str, str, str, str]]:
    return {(check, meant.verdict, meant.action, meant.owner) for check in meant.checks}


def _of_the_lab(made: Rig) -> Iterator[tuple[str, bool, int]]:
    for kind, meant in OF_THE_LAB.items():
        aiops("lab", "fault", HOST, kind, "--device", str(DEVICE), "--name", NAME, "-q")
        told = set[tuple[str, str, str, str]]()
        for _ in range(LOOKS):
            ran = aiops("health", "-i", made.inventory, "--json", expect=(0, 3, 4))
            findings = json.loads(ran.stdout)["findings"]
            told |= {(one["check"], one["verdict"], one["action"], one["owner"]) for one in findings}
            if told & _rows(meant):
                break
        yield f"lab: {kind}", bool(told & _rows(meant)), 1
        aiops("lab", "heal", HOST, "--name", NAME, "-q")


def main() -> int:
    """Inject and look; exit 1 when one is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", action="store_true", help="with faults of booted hosts (root, minutes)")
    options = parser.parse_args()
    groups: dict[str, list[tuple[str, bool, int]]] = {
        "recorded facts": list(_recorded()),
        "tool shims": list(_of_tools()),
    }
    if options.lab:
        with rig(NAME, 4) as made:  # a majority to differ from
            made.deploy()
            groups["lab faults"] = list(_of_the_lab(made))
    figures, missed = [], list[str]()
    for name, kinds in groups.items():
        figures.append(Figure(f"{name}: kinds", "", (float(len(kinds)),)))
        figures.append(Figure(f"{name}: found", "", (float(sum(found for _, found, _ in kinds)),)))
        missed += [kind for kind, found, _ in kinds if not found]
    print(*missed, sep="\n", file=sys.stderr)
    checks = Counter(case.check for case in CASES if case.severity in {"warn", "critical"})
    return report(
        "health_faults",
        [
            *figures,
            Figure("checks with a fault of their own", "", (float(len(checks)),)),
            Figure("recorded faults", "", (float(checks.total()),)),
            Figure("kinds found", "", (float(sum(f for k in groups.values() for _, f, _ in k)),), LEAST, at_least=True),
            Figure("kinds not found", "", (float(len(missed)),), 0.0),
        ],
        simulated=f"recorded answers; the vendors' tools; {SIMULATED}",
        details=[{name: {kind: found for kind, found, _ in kinds} for name, kinds in groups.items()}],
    )


if __name__ == "__main__":
    sys.exit(main())
