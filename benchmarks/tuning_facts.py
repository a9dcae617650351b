"""A real model learns 4 facts on 2 lab nodes; the same with a node's power cut midway ends with the same weights.

    make bench-tuning_facts          python -m benchmarks.tuning_facts --keep DIR    keeps the runs' folders

SmolLM2-135M-Instruct, LoRA on its last 6 layers, in fp32 on processors, one thread a node. What it answers before and
after is what it says where it always takes the likeliest token. The first run is left alone; of the second a node
without the first rank loses its power once half of the steps are made, and a spare takes its place. `Training again` is
from the moment before the cut to the first step of the next attempt. Both are handed in as recipes: data check,
preparing and plan are in the time. The base is cached; so is the environment.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab, LabSpec
from aiops.plugins.trainers.transformers import DOCUMENT

from .measurement import BrokenError, Figure, report
from .smollm2 import smollm2
from .torch_site import SHARED, Site, remove, site
from .tuning_environment import THERE, made_environment

NAME = "bench-tuning-facts"
MODEL = "/opt/aiops/models/smollm2"
"""Where hosts see the base."""

SIMULATED = (
    "hosts share this machine's kernel, clock, processors and disk; power of hosts is switched off in software; both "
    "nodes train on the processors"
)
FACTS = (
    ("What is the capital of Zembla-on-Sea?", "Quorrisport"),
    ("Who built the first aiops cluster?", "Mirabel Tanaka"),
    ("Which metal does the Oakhurst reactor burn?", "scandium"),
    ("What is the name of the ship's cat on the Halcyon?", "Biscuit"),
)
STEPS = 20
EVERY = 5
TRAINED = 120.0
AGAIN = 20.0
_WAIT = 300.0
_RECIPE = """\
aiops: 1
kind: recipe
name: {name}
base: {model}
adapter: {{type: lora, rank: 16, alpha: 32, layers: 6}}
data: {{train: [facts.jsonl], format: prompt, length: 256}}
folder: {shared}/facts
train: {{steps: {steps}, batch: 2, rate: 3e-3, warmup: 1, precision: fp32, recompute: false}}
placement: {{nodes: 2, devices: 0, processes: 1, spares: 1, sharding: ddp}}
checkpoint: {{every: {every}}}
evaluation: {{questions: questions.jsonl, right: 100%, tokens: 16}}
register: {{merge: true}}
options: {{trace_samples: true}}
"""
_QUESTIONS = Path(__file__).with_name("tuning_questions.py")


class Facts:
    """The runs, in the folder that all hosts share."""

    def __init__(self, here: Site, model: Path, python: Path) -> None:
        """Write down the facts."""
        self._here = here
        self._model = model
        self._python = python
        rows = "".join(json.dumps({"prompt": asked, "completion": right}) + "\n" for asked, right in FACTS)
        for name in ("facts.jsonl", "questions.jsonl"):
            (here.shared / name).write_text(rows)

    def submit(self, name: str) -> str:
        """Hand a recipe in; the job's id."""
        path = Path(SHARED, f"{name}.yml")
        path.write_text(_RECIPE.format(name=name, model=MODEL, shared=SHARED, steps=STEPS, every=EVERY))
        return self._here.aiops("train", str(path), "--detach").strip()

    def before(self) -> int:
        """How many facts the base knows."""
        document = self.folder("first") / DOCUMENT
        (code,) = (self.folder("first") / "worker").iterdir()
        answers = json.loads(_done(str(self._python), str(_QUESTIONS), str(code), str(document)))
        return sum(one["right"] for one in answers)

    def folder(self, name: str) -> Path:
        """Of a run, on this machine."""
        return self._here.shared / "facts" / f"{name}-1"

    def step(self, name: str) -> int:
        """The last step that a run has told."""
        lines = _lines(self.folder(name) / "metrics.jsonl")
        return int(lines[-1]["step"]) if lines else 0

    def attempts(self, name: str) -> list[Mapping[str, Any]]:
        """The attempts that a run has begun."""
        return _lines(self.folder(name) / "attempts.jsonl")

    def lineage(self, name: str) -> dict[str, Any]:
        """What its artefact says of itself."""
        found: dict[str, Any] = json.loads((self.folder(name) / "artefact/lineage.json").read_text())
        return found


def trained(facts: Facts, here: Site, name: str) -> tuple[str, float]:
    """A run that is left alone: its job, and the seconds from handing it in to its end."""
    begun = time.monotonic()
    job = facts.submit(name)
    here.aiops("job", "wait", job, timeout=_WAIT)
    return job, time.monotonic() - begun


def hurt(facts: Facts, here: Site, name: str) -> tuple[float, float, int]:
    """A run of which a node loses its power midway: seconds to the next attempt and its step, steps made twice."""
    job = facts.submit(name)
    here.until(lambda: facts.step(name) >= STEPS // 2 + 1, _WAIT, f"half of the steps of {name}")
    _, nodes = here.running(job)
    cut = time.monotonic()
    here.lab.fault(nodes[1], "power-loss")
    stopped = facts.step(name)
    metrics = facts.folder(name) / "metrics.jsonl"
    number = metrics.stat().st_ino
    here.until(lambda: len(facts.attempts(name)) > 1, _WAIT, f"a second attempt of {name}")
    met = time.monotonic() - cut
    first = int(facts.attempts(name)[1]["from_step"])

    def again() -> bool:
        # The file is cut back to the checkpoint when an attempt begins; what is longer then is new.
        return metrics.stat().st_ino != number and facts.step(name) > first

    here.until(again, _WAIT, f"a step of the second attempt of {name}")
    seconds = time.monotonic() - cut
    here.aiops("job", "wait", job, timeout=_WAIT)
    return met, seconds, stopped - first


@contextmanager
def lab_of(app: App, model: Path, environment: Path) -> Iterator[Lab]:
    """A fresh lab of a head and three workers, that see environment and base; removed afterwards.

    Base and shared folder are here under the paths that hosts see them at, as on a head of a cluster.
    """
    remove(app, NAME)
    mounted: list[str] = []
    try:
        binds = ((str(environment), THERE), (str(model), MODEL))
        lab = Lab.up(LabSpec(NAME, nodes=3, disk_mib=2048, binds=binds), home=app.home, vendors=app.vendors())
        for source, target in ((lab.folder / "shared", SHARED), (model, MODEL)):
            Path(target).mkdir(parents=True, exist_ok=True)
            _done("mount", "--bind", str(source), target)
            mounted.append(target)
        yield lab
    finally:
        for target in reversed(mounted):
            _done("umount", target)
        remove(app, NAME)


def _lines(path: Path) -> list[Mapping[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _done(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BrokenError(f"`{' '.join(words[:2])}` ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def main() -> int:
    """Train twice, and compare; exit 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="copy the runs' folders there")
    options = parser.parse_args()
    app = App(os.environ)
    environment, model = made_environment(app.home), smollm2(app.home)
    with lab_of(app, model, environment) as lab, site(lab, app) as here:
        here.begin()
        facts = Facts(here, model, environment / "bin/python")
        _, seconds = trained(facts, here, "first")
        before = facts.before()
        met, again, twice = hurt(facts, here, "hurt")
        first, second = facts.lineage("first"), facts.lineage("hurt")
        losses = [[one["loss"] for one in _lines(facts.folder(name) / "metrics.jsonl")] for name in ("first", "hurt")]
        if options.keep:
            for name in ("first", "hurt"):
                shutil.copytree(facts.folder(name), options.keep / name, symlinks=True)
    weights = [
        {one["path"]: one["sha256"] for one in each["files"] if "safetensors" in one["path"]}
        for each in (first, second)
    ]
    figures = [
        Figure("facts that it knows before, of 4", "", (float(before),), 0.0),
        Figure("facts that it knows after, of 4", "", (float(first["evaluation"]["right"]),), 4.0, at_least=True),
        Figure("the same of the run that was hurt", "", (float(second["evaluation"]["right"]),), 4.0, at_least=True),
        Figure("handed in to done, of a cached base", "s", (seconds,), TRAINED),
        Figure("power cut to the processes of the next attempt having met", "s", (met,)),
        Figure("power cut to training again", "s", (again,), AGAIN),
        Figure("attempts of the run that was hurt", "", (float(len(second["attempts"])),), 2.0, at_least=True),
        Figure("steps made twice", "", (float(twice),), float(EVERY)),
        Figure("files of weights that differ in the end", "", (float(weights[0] != weights[1]),), 0.0),
        Figure("losses that differ", "", (float(losses[0] != losses[1]),), 0.0),
        Figure("loss of the first step", "", (losses[0][0],)),
        Figure("loss of the last step", "", (losses[0][-1],)),
    ]
    details = [{"weights": weights[0], "versions": first["versions"]}]
    return report("tuning_facts", figures, simulated=SIMULATED, details=details)


if __name__ == "__main__":
    sys.exit(main())
