"""480 healthy runs under a fake clock: whether `decide` ever finds a fault where there is none.

Nodes and programs are simulated: slow first steps, saves of a minute, pauses for evaluation, programs that tell
nothing, storage that stalls for 30 s, steps that vary by 90 %, late beats, clean exits of long and short jobs.
"""

import sys
import time
from collections.abc import Sequence

from benchmarks.measurement import Figure, report
from tests.l2_jobs.simulated_health import KINDS, live

EACH = 32


def main(argv: Sequence[str] = ()) -> int:
    """Run, count, write down."""
    first = int(argv[0]) if argv else 5000
    details: list[object] = []
    began = time.process_time()
    wrong = dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        for seed in range(first, first + EACH):
            found = live(kind, seed)
            wrong[kind] += bool(found)
            details += [{"kind": kind, "seed": seed, "wrong": one} for one in found]
    runs = EACH * len(KINDS)
    figures = [Figure("healthy runs", "", (float(runs),), 450.0, at_least=True)]
    figures.append(
        Figure("runs in which a fault was found or anything restarted", "", (float(sum(wrong.values())),), 0.0)
    )
    figures += [Figure(f"of them: {kind}", "", (float(count),), 0.0) for kind, count in wrong.items()]
    figures.append(Figure("processor time", "s", (time.process_time() - began,)))
    return report(
        "jobs_healthy", figures, simulated="nodes, launchers, programs and time; decide is real", details=details
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
