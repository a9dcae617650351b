"""Healthy runs of all kinds on the simulated cluster, by a seed: no fault may be found and nothing restarted."""

from dataclasses import replace
from random import Random

from tests.l2_jobs.simulated_program import Script
from tests.l2_jobs.simulated_stage import Stage, a_job

from aiops.layers.l2_jobs.job import ProgressPlan
from aiops.layers.l2_jobs.record import OVER
from aiops.layers.l2_jobs.request import Submit

KINDS = {
    "clean": Script(steps=40),
    "short": Script(steps=2, start=0.5, step=0.25, every=0),
    "slow first step": Script(steps=20, start=900.0),
    "long saves": Script(steps=40, every=10, save=60.0),
    "evaluations": Script(steps=20, evaluate_every=10, evaluate=240.0),
    "silent logs": Script(steps=200, tells="nothing"),
    "steps told only": Script(steps=40, tells="steps", every=10, save=20.0),
    "long saves, steps told only": Script(steps=40, tells="steps", every=10, save=60.0),
    "storage stalled": Script(steps=60, every=10),
    "storage stalled, steps told only": Script(steps=60, every=10, tells="steps"),
    "noisy neighbours": Script(steps=60, jitter=0.9),
    "beats jittered": Script(steps=60),
    "slow steps": Script(steps=8, step=45.0, every=4, save=30.0),
    "quick steps": Script(steps=2000, step=0.05, every=400, save=2.0),
    "drained meanwhile": Script(steps=40),
}


def live(kind: str, seed: int, *, longest: float = 7200.0) -> list[str]:
    """What was found wrong with a healthy run; nothing is the good answer.

    Args:
        kind: One of `KINDS`.
        seed: Of the size of the gang, of jitter and of when things happen.
        longest: Seconds of fake time within which it must have ended.
    """
    random = Random(seed)  # noqa: S311 - drawn by a seed
    script = KINDS[kind]
    script = replace(script, step=script.step * random.uniform(0.5, 2.0))
    stage = Stage(seed, gang=random.choice([1, 2, 3, 4]), script=script)
    job = a_job("llama", stage.gang)
    if script.tells == "nothing":
        job = replace(job, checkpoint=None)
    elif script.tells == "steps":
        job = replace(job, progress=ProgressPlan("step (?P<step>[0-9]+)"))
    stage.job = job
    stage.controller.ask(Submit(job))
    if kind.startswith("storage stalled"):
        for number in range(3):
            at = random.uniform(8, 60) + 60 * number
            stage.after(at, lambda: setattr(stage.cluster, "storage", "stalled"))
            stage.after(at + 30, lambda: setattr(stage.cluster, "storage", ""))
    began = stage.cluster.now
    while stage.cluster.now - began < longest:
        if kind == "beats jittered":
            _jitter(stage, random)
        if kind == "drained meanwhile" and stage.cluster.now - began == 30:
            stage.controller.close("gpu01", "drained by hand")
        stage.tick()
        if stage.controller.written[job.id].state in {*OVER, "held"}:
            break
    record = stage.controller.written[job.id]
    found = [f"{one.at - began:.1f} {one.kind}: {one.message}" for one in stage.controller.decisions]
    bad = [one for one in found if "fault" in one or "straggler" in one or "rejected" in one]
    if record.state != "succeeded" or record.launched != 1:
        bad.append(f"{record.state} after {record.launched} attempts: {record.reason}")
    return bad + stage.cluster.wrongs + [f"{name} is drained" for name in stage.controller.drained]


def _jitter(stage: Stage, random: Random) -> None:
    """Every few seconds a beat is late, by up to two seconds, to the head or to peers."""
    for host in stage.cluster.hosts.values():
        if random.random() < 0.02:
            host.head = False
            stage.after(random.uniform(0.5, 2.0), lambda host=host: setattr(host, "head", True))  # type: ignore[misc]
