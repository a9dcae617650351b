"""After any kill a run reads the samples that the unbroken one reads, in their order, and ends with the same weights.

    make bench-tuning_exact          python -m benchmarks.tuning_exact --runs 8 --kills 3 --seed 7

Each run trains a tiny random Llama with LoRA and dropout, on two processes over gloo. It is done twice: left alone, and
killed with SIGKILL at moments by a seed: between steps, while saving, while judging, while writing the artefact. All
processes are forks of one that has loaded torch, so that many kills take little time. `samples` are the numbers of all
samples of each step, pass and rank with a digest of the tokens that were read. With a node and a controller around it
the same is shown by `tuning_facts`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiops.cli.app import App
from aiops.plugins.trainers.transformers import TransformersTrainer

from .measurement import BrokenError, Figure, report
from .tuning_environment import made_environment

RUNS = 8
KILLS = 3
STEPS = 24
SEED = 20261129
WORLD = 2
SIMULATED = "two processes of one machine, on processors; each kill is a real SIGKILL of both"
_TINY = Path(__file__).with_name("tuning_tiny.py")


def main() -> int:
    """Train, kill and compare; exit 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    begun = time.monotonic()
    python = made_environment(App(os.environ).home) / "bin/python"
    with tempfile.TemporaryDirectory() as place:
        for name, content in TransformersTrainer().code().items():
            path = Path(place, "code", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        numbers = map(str, (options.runs, options.kills, WORLD, options.steps, options.seed))
        done = subprocess.run(
            [str(python), str(_TINY), f"{place}/code", f"{place}/runs", *numbers],
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode:
        raise BrokenError(f"the runs ended with {done.returncode}: {done.stderr[-2000:]}")
    runs = json.loads(done.stdout.splitlines()[-1])["runs"]
    figures = [
        Figure("kills", "", (float(sum(one["kills"] for one in runs)),), 20.0, at_least=True),
        Figure("attempts", "", (float(sum(one["attempts"] for one in runs)),)),
        Figure(
            "runs that read other samples, or in another order",
            "",
            (float(sum(not one["samples"] for one in runs)),),
            0.0,
        ),
        Figure("runs that end with other weights", "", (float(sum(not one["weights"] for one in runs)),), 0.0),
        Figure("wall time", "s", (time.monotonic() - begun,)),
    ]
    return report("tuning_exact", figures, simulated=SIMULATED, details=[{"seed": options.seed, "runs": runs}])


if __name__ == "__main__":
    sys.exit(main())
