"""One step as a pipeline of datatrove on this machine: its words are WORK STEP SHARES."""

import sys
from pathlib import Path

from aiops.layers.l3_tuning.data.work import STEPS

from . import Datatrove


def main() -> int:
    """Run it; what a share raises is kept in the work folder."""
    work, wanted, shares = sys.argv[1:]
    step = next(step for step, _ in STEPS if step == wanted)
    Datatrove().executor(Path(work), step, int(shares)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
