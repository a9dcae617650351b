"""A training run of torch with at least 20 kills ends with the same weights, bit for bit, as one that was left alone.

    make bench-jobs_exact          python -m benchmarks.jobs_exact --kills 6 --steps 400 --seed 7

The same job, of two nodes with two ranks each, is trained twice over lab hosts by `aiops train`: left alone, and with
kills of ranks, launchers, hosts and the controller, by a seed, at random moments between and during its saves. A digest
is made of all tensors of the last checkpoint: of the model, and of the optimizer.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

from .measurement import BrokenError, Figure, report
from .torch_site import RANK, SIMULATED, Shape, Site, site, torch_lab

NAME = "bench-jobs-exact"
KILLS = 24
STEPS = 3000
"""More than are made while it is hurt: 20 to 75 for each kill, the slower the machine the more."""

SEED = 20261128
_MIX = ("rank", "launcher", "host", "rank", "controller", "launcher")
_MOMENT = 2.0
"""A kill comes within so many seconds after an attempt was seen to step and save: it steps, saves or starts a step."""

_RESTART = 180.0
_DIGEST = """
import hashlib, json, sys, torch
def tensors(value, name=""):
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from tensors(value[key], f"{name}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, one in enumerate(value):
            yield from tensors(one, f"{name}/{index}")
    else:
        yield name, torch.tensor([float(value)]) if isinstance(value, (int, float)) else torch.zeros(0)
saved = torch.load(sys.argv[1], weights_only=True)
found = {}
for part in ("model", "optimizer"):
    digest, count = hashlib.sha256(), 0
    for name, one in tensors(saved[part]):
        digest.update(f"{name} {one.dtype} {tuple(one.shape)}".encode())
        digest.update(one.contiguous().numpy().tobytes())
        count += one.numel()
    found[part] = [digest.hexdigest(), count]
print(json.dumps(found | {"step": saved["step"]}))
"""


def digest(here: Site, name: str, steps: int, python: str) -> dict[str, object]:
    """The digests of what was saved last.

    Raises:
        BrokenError: It cannot be read.
    """
    path = here.shared / name / f"step-{steps}" / "checkpoint.pt"
    done = subprocess.run([python, "-c", _DIGEST, str(path)], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise BrokenError(f"{path}: {done.stderr}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


class Run:
    """The job that is hurt."""

    def __init__(self, here: Site, chance: random.Random, shape: Shape) -> None:
        self._here = here
        self._chance = chance
        self._shape = shape
        self.job = here.submit(shape)
        self.done: Counter[str] = Counter()
        self._kills: dict[str, Callable[[str], None]] = {
            "rank": lambda node: void(here.kill(node, RANK)),
            "launcher": lambda node: void(here.kill_launcher(node)),
            "host": self._host,
            "controller": lambda _: self._controller(),
        }

    def kill(self, kind: str) -> None:
        """Kill something at a moment by chance, and wait until the job goes on where it has to start again."""
        if self._here.saved(self._shape.name) >= self._shape.steps:
            raise BrokenError(f"it was done after {self.done.total()} kills: give it more `--steps`")
        number, nodes = self._here.steady(self.job, self._shape.name, seconds=_RESTART)
        time.sleep(self._chance.uniform(0, _MOMENT))
        self._kills[kind](self._chance.choice(nodes))
        self.done[kind] += 1
        print(f"{kind} of attempt {number} on {','.join(nodes)}", file=sys.stderr, flush=True)
        if kind != "controller":
            self._here.until(lambda: self._here.running(self.job)[0] > number, _RESTART, f"an attempt after {number}")
        self._heal()

    def _host(self, node: str) -> None:
        self._here.lab.fault(node, "power-loss")

    def _controller(self) -> None:
        self._here.end(signal.SIGKILL)
        self._here.begin()

    def _heal(self) -> None:
        for host in self._here.lab.status():
            if "power-loss" in host.faults:
                self._here.heal(host.name)


def void(_: object) -> None:
    """Nothing."""


def main() -> int:
    """Train twice, and compare; exit 1 where the weights differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - a seed is what is wanted
    begun = time.monotonic()
    with torch_lab(NAME, 3) as (app, lab), site(lab, app) as here:
        python = str(app.home / "cache/torch/bin/python")
        here.begin()
        nodes = ",".join(here.workers)
        alone = Shape("alone", 2, nodes, options.processes, options.steps, save_every=20)
        left = here.submit(alone)
        here.until(lambda: bool(here.running(left)[0]), _RESTART, f"{left} runs")
        here.pace(0)
        here.aiops("job", "wait", left, timeout=600)
        hurt = Run(here, chance, Shape("hurt", 2, nodes, options.processes, options.steps, save_every=20))
        for number in range(options.kills):
            hurt.kill(_MIX[number % len(_MIX)])
        here.steady(hurt.job, "hurt", seconds=_RESTART)
        here.pace(0)
        here.aiops("job", "wait", hurt.job, timeout=600)
        steps = here.steps("hurt")
        found = {name: digest(here, name, options.steps, python) for name in ("alone", "hurt")}
        attempts = len(here.ledger.attempts(hurt.job))
        untouched = len(here.ledger.attempts(left))
    same = found["alone"] == found["hurt"]
    ranks = 2 * options.processes
    figures = [
        Figure("kills", "", (float(hurt.done.total()),), 20.0, at_least=True),
        *(Figure(f"of them: {kind}", "", (float(count),)) for kind, count in hurt.done.items()),
        Figure("attempts of the run that was hurt", "", (float(attempts),)),
        Figure("attempts of the run that was left alone", "", (float(untouched),), 1.0),
        Figure("steps made, those again that were lost", "", (len(steps) / ranks,)),
        Figure("steps that count", "", (float(options.steps),)),
        Figure("tensors that differ in the end: 0 none, 1 some", "", (float(not same),), 0.0),
        Figure("wall time", "s", (time.monotonic() - begun,)),
    ]
    details = [{"seed": options.seed, "ranks": ranks, "digests": found}]
    return report("jobs_exact", figures, simulated=SIMULATED, details=details)


if __name__ == "__main__":
    sys.exit(main())
