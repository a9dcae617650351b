"""Healthy nodes are drawn by a seed, and looked at: nothing may be found.

Every captured layout of every vendor's tool and what the simulated tools say of 8, 4 and 1 devices (with what is not
well in the captures mended) is put into groups of equal nodes: of four releases, bare, virtual and containers, with and
without InfiniBand, RoCE, BMC, drives and Slurm. Temperatures, power, load, memory, disks, clocks, sensors and counters
move between the looks, benign lines come into the kernel's log, and some nodes boot. Each look is one record, taken
through what `aiops health` does at the level standard, and remembered for the next.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.l1_cluster.health.healthy import LOOKS, NODES, Group, alarms, examined
from tests.l1_cluster.health.healthy_devices import Devices, healthy
from tests.l1_cluster.health.suite import ALL
from tests.support.captured_records import Captured, captured
from tests.support.simulated_host import SimulatedHost

from aiops.layers.core.plugin import Plugins
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.vendor import Vendor, vendors_of
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject

from .measurement import Figure, report

SEED = 20261128
RECORDS = 1_000
COUNTS = (8, 4, 1)
_BARE = 6
"""Kinds of nodes without accelerators, beside those of every layout."""


def _devices(vendor: Vendor) -> Iterator[Devices]:
    yield from (healthy(vendor, one) for one in captured(vendor.name))
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            answers = SimulatedHost(Path(folder), vendor, count).asked().answers
        yield healthy(vendor, Captured(vendor.name, f"simulated, {count}", answers))


def _watched(checks: Sequence[Check], judged: set[str]) -> list[Check]:
    """The checks, noting which of them judge anything."""

    def watched(check: Check) -> Check:
        judge = check.judge
        if judge is None:
            return check

        def noted(subject: Subject, limits: Limits) -> Iterator[Sighting]:
            judged.add(check.id)
            yield from judge(subject, limits)

        return replace(check, judge=noted)

    return [watched(check) for check in checks]


def main() -> int:
    """Draw and look; exit 1 when anything is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--records", type=int, default=RECORDS)
    options = parser.parse_args()
    vendors = vendors_of(Plugins())
    kinds: list[Devices | None] = [one for vendor in vendors for one in _devices(vendor)]
    kinds += [None] * _BARE
    records, found, judged = Counter[str](), list[str](), set[str]()
    checks = _watched(ALL, judged)
    number = 0
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder), {}) as store:
        while records.total() < options.records:
            kind = kinds[number % len(kinds)]
            looks = LOOKS if len(kinds) * NODES * LOOKS <= options.records else 2
            dice = random.Random(f"{options.seed} {number}")  # noqa: S311 - no secret
            group = Group.draw(dice, kind)
            for told in examined(group, store, vendors, f"c{number}", looks=looks, checks=checks):
                records["no accelerator" if kind is None else kind.vendor.name] += len(told.nodes)
                found += [f"{number}: {one}" for one in alarms(group, told)]
            number += 1
    print(*found[:40], sep="\n", file=sys.stderr)
    compared = [check for check in ALL if check.compare is not None]
    return report(
        "health_healthy",
        [
            Figure("healthy records", "", (float(records.total()),), float(options.records), at_least=True),
            Figure("layouts, simulated ones included", "", (float(len(kinds) - _BARE),)),
            Figure("checks of one node that had something to judge", "", (float(len(judged)),)),
            Figure("findings", "", (float(len(found)),), 0.0),
        ],
        simulated="all: the records are captured or simulated answers with values drawn by a seed",
        details=[
            {
                "seed": options.seed,
                "groups": number,
                "records by vendor": records,
                "found": found[:100],
                "checks that had nothing to judge": sorted({one.id for one in ALL if one not in compared} - judged),
            }
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
