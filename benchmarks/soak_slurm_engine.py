"""All tests of the Slurm engine on real daemons, the contract of engines among them: they wait for leases and power.

`make soak-slurm_engine`; its wall time and verdict are kept in benchmarks/results/soak_slurm_engine.json.
"""

import subprocess
import sys
import time

from .measurement import Figure, report


def main() -> int:
    """Run them and report."""
    begun = time.monotonic()
    words = ["-m", "pytest", "-q", "-m", "soak or not soak", "tests/lab/test_slurm_engine.py"]
    failed = subprocess.run([sys.executable, *words], check=False).returncode
    return report(
        "soak_slurm_engine",
        [
            Figure("exit status of its tests", "", (float(failed),), limit=0),
            Figure("wall time, the deploy of the lab included", "s", (time.monotonic() - begun,)),
        ],
        simulated="accelerators and their driver packages; hosts share this machine's kernel and clock",
    )


if __name__ == "__main__":
    sys.exit(main())
