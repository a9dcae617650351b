"""A training script of torch, run with a pause in each step, and with the moment of each step written down.

    torchrun ... paced_training.py TRACE PACE SCRIPT [WORDS ...]

Each step of the script's optimizer appends `TIME ATTEMPT RANK` to the file TRACE, then waits for as many seconds as the
file PACE says. The script itself is not changed. Needs torch, and nothing of aiops.
"""

import os
import runpy
import sys
import time
from pathlib import Path


def main() -> None:
    """Run the script."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    trace, pace, *words = sys.argv[1:]
    attempt, rank = os.environ.get("AIOPS_ATTEMPT", "0"), os.environ.get("RANK", "0")
    handle = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def stepped(*_: object) -> None:
        os.write(handle, f"{time.time():.6f} {attempt} {rank}\n".encode())
        time.sleep(float(Path(pace).read_text(encoding="utf-8")))

    register_optimizer_step_post_hook(stepped)
    sys.argv[:] = words
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
