"""One job through one fault, judged against what is true; nothing found is a good answer."""

from collections.abc import Callable
from random import Random

from tests.l2_jobs.simulated_faults import FROM_THE_START, fabric_broken, gpu_broken, split
from tests.l2_jobs.simulated_program import Script
from tests.l2_jobs.simulated_stage import Stage

from aiops.layers.l2_jobs.record import OVER
from aiops.layers.l2_jobs.request import Submit

SCRIPTS = (Script(steps=120, step=0.5), Script(), Script(step=2.0))


def suffer(fault: Callable[[Stage], None], seed: int, *, longest: float = 3600.0, bmc: str = "") -> list[str]:
    """What went wrong when one job met one fault.

    Args:
        fault: The fault.
        seed: Of when it comes, whom it hits, and all that varies.
        longest: Seconds of fake time within which the job must have ended.
        bmc: What the BMCs of all nodes say, see `Host.bmc`.
    """
    random = Random(seed)  # noqa: S311 - drawn by a seed
    gang = 4 if fault is split else random.choice([2, 2, 3, 4])
    stage = Stage(seed, gang=gang, script=SCRIPTS[seed % len(SCRIPTS)])
    for name in stage.cluster.hosts:
        stage.controller.wire_bmc(name, bmc)
    stage.controller.ask(Submit(stage.job))
    began = stage.cluster.now
    if fault in FROM_THE_START:
        fault(stage)
    else:
        stage.at = random.uniform(22, 45) * max(1.0, stage.script.step)
    played = fault in FROM_THE_START
    while stage.cluster.now - began < longest:
        stage.tick()
        record = stage.controller.written[stage.job.id]
        if not played and record.state == "running" and stage.cluster.now - began >= stage.at:
            played = True
            fault(stage)
        if record.state in {*OVER, "held"} and not stage.later:
            break
    for _ in range(8):
        stage.tick()
    if fault in {gpu_broken, fabric_broken} and not stage.controller.drained:
        stage.cluster.wrongs.append("the broken node is not drained")
    return _judge(stage, played=played)


def _judge(stage: Stage, *, played: bool) -> list[str]:
    record = stage.controller.written[stage.job.id]
    wrong = list(stage.cluster.wrongs)
    if not played:
        wrong.append(f"the fault never came: {record.state}")
    if record.state not in stage.expected:
        wrong.append(f"it is {record.state} after {record.launched} attempts: {record.reason}")
    least, most = (1, 1) if stage.unbroken else stage.attempts
    if not least <= record.launched <= most:
        wrong.append(f"{record.launched} attempts, expected {least} to {most}: {[one.kind for one in record.past]}")
    healthy = [name for name in stage.controller.drained if _well(stage, name)]
    wrong += [f"{name} is healthy and drained: {stage.controller.drained[name]}" for name in healthy]
    wrong += [f"{unit.key} still runs on {unit.host.name}" for unit in stage.cluster.live(stage.job.id)]
    return wrong


def _well(stage: Stage, name: str) -> bool:
    host = stage.cluster.hosts[name]
    return not host.bad and host.fabric
