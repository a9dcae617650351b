"""200 faults of all classes against `decide`, by a seed, under a fake clock; a simulated cluster knows what is true.

The cluster keeps the rules of leases and epochs exactly; the controller's loop is that of docs/decisions/jobs.md. What
is counted is what was wrong: bad checkpoints gone on from, two attempts that could write, gangs that were not whole,
devices given twice, healthy nodes left drained, jobs that did not end as they had to, or with other attempts.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.measurement import Figure, report
from tests.l2_jobs.simulated_faults import FAULTS
from tests.l2_jobs.simulated_trial import suffer

COUNT = 200
WRONGS = {
    "resumes from a bad checkpoint": "from a bad checkpoint",
    "overlaps of attempts that can write": "overlap",
    "gangs that are not whole": "no whole gang",
    "devices given twice": "times",
    "healthy nodes left drained": "healthy and drained",
    "jobs that did not end as they had to, held ones too": "it is ",
    "jobs with more or fewer attempts than the fault asks for": " attempts, expected",
    "anything else": "",
}


def main(argv: Sequence[str] = ()) -> int:
    """Inject, count, write down."""
    first = int(argv[0]) if argv else 1000
    found: Counter[str] = Counter()
    details: list[object] = []
    kinds: Counter[str] = Counter()
    began = time.process_time()
    for number in range(COUNT):
        fault = FAULTS[number % len(FAULTS)]
        kinds[fault.__name__] += 1
        for wrong in suffer(fault, first + number):
            name = next(name for name, sign in WRONGS.items() if sign in wrong)
            found[name] += 1
            details.append({"fault": fault.__name__, "seed": first + number, "wrong": wrong})
    figures = [Figure("faults injected", "", (float(COUNT),), float(COUNT), at_least=True)]
    figures.append(Figure("kinds of faults", "", (float(len(kinds)),)))
    figures += [Figure(name, "", (float(found[name]),), 0.0) for name in WRONGS]
    figures.append(Figure("processor time", "s", (time.process_time() - began,)))
    return report(
        "jobs_faults", figures, simulated="nodes, launchers, programs and time; decide is real", details=details
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
