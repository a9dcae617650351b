"""A real model learns 4 facts on 2 lab nodes; the same with a node's power cut midway ends with the same weights.

    make bench-tuning_facts          python -m benchmarks.tuning_facts --keep      keeps the runs' folders

SmolLM2-135M-Instruct, LoRA on its last 6 layers, in fp32 on processors, one thread a node. What it answers before and
after is what it says where it always takes the likeliest token. The first run is left alone; of the second a node
without the first rank loses its power once half of the steps are made, and a spare takes its place. `Training again` is
from the moment before the cut to the first step of the next attempt. The base is cached; so is the environment.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab, LabSpec
from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.recipe import (
    Adapter,
    CheckpointPlan,
    DataPlan,
    Evaluation,
    Handing,
    Placement,
    Recipe,
    TrainPlan,
)
from aiops.layers.l3_tuning.run import Base, Prepared, Run
from aiops.plugins.trainers.transformers import DOCUMENT, TransformersTrainer

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
_JOB = """\
aiops: 1
name: {name}
command: {command}
launch: torchrun
nodes: {{min: 2, max: 2}}
processes: 1
engine: ssh
folder: {folder}
env: {environment}
checkpoint: {{path: {folder}/checkpoints, format: files}}
"""
_TINY = Path(__file__).with_name("tuning_tiny.py")
_QUESTIONS = Path(__file__).with_name("tuning_questions.py")
_PREPARE = """
import json, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import tuning_tiny
rows = [{"form": "prompt", "turns": [{"role": "user", "content": asked}],
         "answer": [{"role": "assistant", "content": right}]} for asked, right in json.loads(sys.argv[5])]
tuning_tiny.prepare(Path(sys.argv[4]), Path(sys.argv[3]), rows)
"""


def recipe() -> Recipe:
    """What is tuned, as the hosts see it."""
    return Recipe(
        name="facts",
        base=MODEL,
        method="sft",
        data=DataPlan(train=(f"{SHARED}/facts.jsonl",), form="prompt", length=256),
        folder=f"{SHARED}/facts",
        adapter=Adapter(rank=16, alpha=32, layers=6),
        train=TrainPlan(steps=STEPS, batch=2, rate=3e-3, precision="fp32", recompute=False, warmup=1),
        placement=Placement(nodes=2, devices=0, processes=1, spares=1, sharding="ddp"),
        checkpoint=CheckpointPlan(every=EVERY),
        evaluation=Evaluation(questions=f"{SHARED}/questions.jsonl", right=1.0, tokens=16),
        handing=Handing(merge=True),
        options={"trace_samples": True},
    )


class Facts:
    """The runs, in the folder that all hosts share."""

    def __init__(self, here: Site, model: Path, python: Path) -> None:
        """Prepare the data once, with the tokenizer of the model."""
        self._here = here
        self._model = model
        self._python = python
        self._trainer = TransformersTrainer()
        self._shared = here.shared
        rows = "".join(json.dumps({"prompt": asked, "completion": right}) + "\n" for asked, right in FACTS)
        (self._shared / "questions.jsonl").write_text(rows)
        self.code = hashlib.sha256(b"".join(self._trainer.code().values())).hexdigest()
        worker = self._run("first").worker
        for name, content in self._trainer.code().items():
            for folder in ("first", "hurt"):
                path = self.here(worker.replace("/first/", f"/{folder}/")) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        self.laid = self.here(worker)
        words = ("-c", _PREPARE, str(self.laid), str(_TINY.parent), str(model), str(self.here(f"{SHARED}/data")))
        _done(str(python), *words, json.dumps(FACTS))

    def here(self, there: str) -> Path:
        """Where this machine sees a path of the hosts'."""
        return self._shared / Path(there).relative_to(SHARED)

    def _run(self, name: str) -> Run:
        what = recipe()
        digest = hashlib.sha256(json.dumps(FACTS).encode()).hexdigest()
        manifest = Manifest(digest, "prompt", len(FACTS), len(FACTS), 1, 1, 1, packed=False, length=256, vocabulary=1)
        return Run(
            name=name,
            folder=f"{SHARED}/{name}",
            recipe=replace(what, digest=hashlib.sha256(repr(what).encode()).hexdigest()),
            base=Base(MODEL, hashlib.sha256((self._model / "model.safetensors").read_bytes()).hexdigest()),
            data=Prepared(f"{SHARED}/data", manifest),
            code=self.code,
            steps=STEPS,
            total_tokens=1,
            world=2,
            environment=THERE,
        )

    def submit(self, name: str) -> str:
        """Write the folder of a run, and hand it in; the job's id."""
        run = self._run(name)
        rendered = self._trainer.render(run)
        folder = self.here(run.folder)
        (folder / "checkpoints").mkdir(parents=True)
        for file, content in rendered.files.items():
            (folder / file).write_bytes(content)
        text = _JOB.format(
            name=name,
            command=json.dumps(list(rendered.command)),
            folder=run.folder,
            environment=json.dumps(dict(rendered.variables)),
        )
        path = folder / "job.yml"
        path.write_text(text, encoding="utf-8")
        return self._here.aiops("train", str(path), "--detach").strip()

    def before(self) -> int:
        """How many facts the base knows."""
        document = json.loads((self.folder("first") / DOCUMENT).read_text())
        told = self.folder("first") / "before.json"
        told.write_text(
            json.dumps({**document, "base": str(self._model), "questions": str(self._shared / "questions.jsonl")})
        )
        answers = json.loads(_done(str(self._python), str(_QUESTIONS), str(self.laid), str(told)))
        return sum(one["right"] for one in answers)

    def folder(self, name: str) -> Path:
        """Of a run, on this machine."""
        return self._shared / name

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


def hurt(facts: Facts, here: Site, name: str) -> tuple[str, float, int]:
    """A run of which a node loses its power midway: its job, seconds until it trained again, steps made twice."""
    job = facts.submit(name)
    here.until(lambda: facts.step(name) >= STEPS // 2 + 1, _WAIT, f"half of the steps of {name}")
    _, nodes = here.running(job)
    cut = time.monotonic()
    here.lab.fault(nodes[1], "power-loss")
    stopped = facts.step(name)
    metrics = facts.folder(name) / "metrics.jsonl"
    number = metrics.stat().st_ino
    here.until(lambda: len(facts.attempts(name)) > 1, _WAIT, f"a second attempt of {name}")
    first = int(facts.attempts(name)[1]["from_step"])

    def again() -> bool:
        # The file is cut back to the checkpoint when an attempt begins; what is longer then is new.
        return metrics.stat().st_ino != number and facts.step(name) > first

    here.until(again, _WAIT, f"a step of the second attempt of {name}")
    seconds = time.monotonic() - cut
    here.aiops("job", "wait", job, timeout=_WAIT)
    return job, seconds, stopped - first


@contextmanager
def lab_of(app: App, model: Path, environment: Path) -> Iterator[Lab]:
    """A fresh lab of a head and three workers, that see environment and base; removed afterwards."""
    remove(app, NAME)
    try:
        binds = ((str(environment), THERE), (str(model), MODEL))
        yield Lab.up(LabSpec(NAME, nodes=3, disk_mib=2048, binds=binds), home=app.home, vendors=app.vendors())
    finally:
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
        _, again, twice = hurt(facts, here, "hurt")
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
