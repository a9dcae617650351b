"""10,000 spoilt outputs for each vendor of accelerators, by a seed: no traceback, and no false ok.

The originals are all captured layouts and what the simulated tools say of well and of faulty devices. They are cut,
their lines dropped, doubled, swapped and shifted, their bits flipped, their numbers replaced, they come in another
language, with colours, NULs and other line ends, as another vendor's, endless, empty, in another shape, and with the
wrong exit status.

A false ok is a reading in which devices are missing though nothing is unknown, neither by the tool nor beside the bus;
or a device that was not well has a good value in the place of the one that told it, though only the form was spoilt and
nothing is unknown. A value that no device can have is wrong too, and so is a reading that takes a second.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.captured_records import Captured, captured
from tests.support.false_ok import false_oks
from tests.support.garbling import garbled
from tests.support.simulated_host import SimulatedHost
from tests.support.vendor_records import AT

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.ask import Record
from aiops.layers.l0_nodes.vendor import Vendor, vendors_of

from .measurement import Figure, report

SEED = 20261128
OUTPUTS = 10_000
SLOW = 1.0
"""Seconds of processor time after which reading one record is a fault of its own."""

FAULTS = ("ecc-uncorrected", "thermal-throttle", "device-lost", "firmware-skew")
_SHOWN = 20


def _simulated(vendor: Vendor) -> Iterator[Captured]:
    with tempfile.TemporaryDirectory() as folder:
        host = SimulatedHost(Path(folder), vendor, 4)
        yield Captured(vendor.name, "simulated", host.asked().answers)
        for kind in FAULTS:
            effect = host.tool.fault(host.tool.state, kind, 2, None)
            if effect is not None:
                host.write(effect.state)
                yield Captured(vendor.name, f"simulated {kind}", host.asked().answers)


def _fuzz(vendor: Vendor, originals: list[Captured], others: list[str], seed: int, count: int) -> list[str]:
    """What went wrong."""
    wrong = []
    right = [vendor.read(Record("n1", AT, one.answers)) for one in originals]
    for number in range(count):
        dice = random.Random(f"{seed} {vendor.name} {number}")  # noqa: S311 - no secret
        which = number % len(originals)
        spoilt = garbled(dice, originals[which].answers, others)
        ways = ", ".join(f"{ask} {way}" for ask, way in spoilt.ways.items())
        said = f"{vendor.name} {number} ({originals[which].name}; {ways})"
        begun = time.process_time()
        try:
            wrong += [f"{said}: {one}" for one in false_oks(vendor, right[which], spoilt)]
        except Exception:  # noqa: BLE001 - that is what is looked for
            wrong.append(f"{said}: {traceback.format_exc().splitlines()[-1]}")
        if (took := time.process_time() - begun) > SLOW:
            wrong.append(f"{said}: it took {took:.1f} s")
    return wrong


def main() -> int:
    """Spoil and read; exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--outputs", type=int, default=OUTPUTS, help="for each vendor")
    parser.add_argument("--vendor", action="append", help="only this one; may be given again")
    options = parser.parse_args()
    vendors = sorted(vendors_of(Plugins()), key=lambda one: one.name)
    texts = {
        one.name: [a.stdout for c in captured(one.name) for a in c.answers.values() if a.stdout] for one in vendors
    }
    read, layouts, wrong, by_vendor = 0, 0, list[str](), Counter[str]()
    for vendor in vendors:
        if options.vendor and vendor.name not in options.vendor:
            continue
        originals = [*captured(vendor.name), *_simulated(vendor)]
        others = [text for name, several in texts.items() if name != vendor.name for text in several]
        found = _fuzz(vendor, originals, others, options.seed, options.outputs)
        print(
            f"{vendor.name}: {len(originals)} originals, {options.outputs} spoilt, {len(found)} wrong", file=sys.stderr
        )
        print(*found[:_SHOWN], sep="\n", file=sys.stderr)
        read, layouts, wrong = read + options.outputs, layouts + len(originals), wrong + found
        by_vendor[vendor.name] = len(found)
    return report(
        "health_fuzz",
        [
            Figure("vendors", "", (float(len(by_vendor)),)),
            Figure("originals", "", (float(layouts),)),
            Figure("spoilt outputs read", "", (float(read),)),
            Figure("tracebacks, false oks, impossible values, slow readings", "", (float(len(wrong)),), 0.0),
        ],
        simulated="the tools: captured outputs, and simulated ones",
        details=[{"seed": options.seed, "wrong by vendor": by_vendor, "wrong": wrong[:100]}],
    )


if __name__ == "__main__":
    sys.exit(main())
