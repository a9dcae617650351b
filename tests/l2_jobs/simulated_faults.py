"""Faults of all classes, as they are done to the simulated cluster, and what must come of each."""

from collections.abc import Callable

from tests.l2_jobs.simulated_cluster import TICK
from tests.l2_jobs.simulated_program import Flaw
from tests.l2_jobs.simulated_stage import Stage

from aiops.layers.l2_jobs.report import Signed


def rank_killed(stage: Stage) -> None:
    """A rank dies by a signal."""
    stage.cluster.exit(stage.key, stage.victim, -11, "process_exit")
    stage.attempts = (2, 2)


def rank_failed(stage: Stage) -> None:
    """A rank ends with 1 once, and its log shows nothing."""
    stage.cluster.exit(stage.key, stage.victim, 1, "process_exit")
    stage.attempts = (2, 2)


def collective_timeout(stage: Stage) -> None:
    """A rank ends, and the log shows an echo only."""
    stage.cluster.exit(stage.key, stage.victim, -6, "nccl_timeout")
    stage.attempts = (2, 2)


def rank_stopped(stage: Stage) -> None:
    """A rank hangs without a word."""
    stage.cluster.runs[stage.key].stuck = "stopped"
    stage.attempts = (2, 2)


def power_lost(stage: Stage) -> None:
    """A node loses its power for good."""
    stage.cluster.power(stage.victim, on=False)
    stage.attempts = (2, 2)


def rebooted(stage: Stage) -> None:
    """A node loses its power, and boots a minute later."""
    victim = stage.victim
    stage.cluster.power(victim, on=False)
    stage.after(stage.random.uniform(5, 60), lambda: stage.cluster.power(victim, on=True))
    stage.attempts = (2, 2)


def cut_off(stage: Stage) -> None:
    """A node is cut off from all for a while; what runs there ends itself."""
    host = stage.cluster.hosts[stage.victim]
    host.head, host.side = False, 99

    def heal() -> None:
        host.head, host.side = True, 0

    stage.after(stage.random.uniform(8, 90), heal)
    stage.attempts = (2, 3)


def one_way(stage: Stage) -> None:
    """Nobody hears a node, which hears its peers and the head: its lease lasts as long as they speak."""
    host = stage.cluster.hosts[stage.victim]
    host.mute = True
    stage.after(stage.random.uniform(40, 120), lambda: setattr(host, "mute", False))
    stage.attempts = (2, 3)


def split(stage: Stage) -> None:
    """Half of a gang of four is cut off together: the two hear each other, and go on without the head."""
    attempt = stage.controller.written[stage.job.id].attempt
    assert attempt is not None
    for name in attempt.allocation.nodes[len(attempt.allocation.nodes) // 2 :]:
        host = stage.cluster.hosts[name]
        host.head, host.side = False, 97
        stage.after(200, lambda host=host: setattr(host, "head", True))  # type: ignore[misc]
        stage.after(200, lambda host=host: setattr(host, "side", 0))  # type: ignore[misc]
    stage.attempts = (2, 3)


def log_that_lies(stage: Stage) -> None:
    """A program prints that a GPU is broken, and it is not."""
    stage.cluster.exit(stage.key, stage.victim, 1, "gpu_ecc")
    stage.attempts = (2, 2)


def head_cut(stage: Stage) -> None:
    """The head cannot reach one node, which its peers hear."""
    host = stage.cluster.hosts[stage.victim]
    host.head = False
    stage.after(stage.random.uniform(5, 120), lambda: setattr(host, "head", True))
    stage.unbroken = True


def partition(stage: Stage) -> None:
    """The head is cut off from all nodes for ten minutes; they hear each other."""
    for host in stage.cluster.hosts.values():
        host.head = False
        stage.after(600, lambda host=host: setattr(host, "head", True))  # type: ignore[misc]
    stage.unbroken = True


def flapping(stage: Stage) -> None:
    """Lines to all nodes break and come back, again and again."""
    for number in range(25):
        for host in stage.cluster.hosts.values():
            stage.after(number * 12, lambda host=host: setattr(host, "head", False))  # type: ignore[misc]
            stage.after(number * 12 + 5, lambda host=host: setattr(host, "head", True))  # type: ignore[misc]
    stage.unbroken = True


def fabric_cut(stage: Stage) -> None:
    """The nodes of a gang do not hear each other for a while, and the head hears all."""
    host = stage.cluster.hosts[stage.victim]
    host.side = 98
    stage.after(stage.random.uniform(60, 120), lambda: setattr(host, "side", 0))
    stage.attempts = (1, 4)


def gpu_broken(stage: Stage) -> None:
    """A GPU falls off the bus: the kernel says so, the rank dies, and health finds it."""
    victim = stage.victim
    host = stage.cluster.hosts[victim]
    host.bad = "gpu_lost"
    text = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
    host.kernel.append(Signed(None, victim, stage.cluster.now, "gpu_lost", text, immediate=True, source="kernel"))
    if stage.random.random() < 0.5:
        stage.cluster.exit(stage.key, victim, -6, "nccl_timeout")
    else:
        stage.cluster.runs[stage.key].stuck = "GPU"
    stage.attempts = (2, 2)


def gpu_ecc_in_log(stage: Stage) -> None:
    """A log names a broken GPU, and health finds it."""
    victim = stage.victim
    stage.cluster.hosts[victim].bad = "gpu_ecc"
    stage.cluster.exit(stage.key, victim, 1, "gpu_ecc")
    stage.attempts = (2, 3)


def launcher_killed(stage: Stage) -> None:
    """A unit is gone without a word."""
    unit = stage.cluster.units[stage.key, stage.victim]
    unit.alive = False
    stage.attempts = (2, 2)


def stopped_by_other(stage: Stage) -> None:
    """Somebody else stops the units."""
    for unit in stage.cluster.group(stage.key):
        stage.cluster.end(unit, "stopped", -15)
    stage.attempts = (2, 2)


def user_bug(stage: Stage) -> None:
    """An exception before the first step, in each attempt."""
    stage.cluster.flaws[stage.job.id] = Flaw("user_code")
    stage.expected, stage.attempts = ("failed",), (1, 2)


def silent_bug(stage: Stage) -> None:
    """The same, with a log that shows nothing."""
    stage.cluster.flaws[stage.job.id] = Flaw("process_exit", status=3)
    stage.expected, stage.attempts = ("failed",), (1, 2)


def crash_loop(stage: Stage) -> None:
    """A crash before the first checkpoint, in each attempt."""
    kind = stage.random.choice(["process_exit", "nccl_timeout", "gpu_oom", "data_error"])
    stage.cluster.flaws[stage.job.id] = Flaw(kind, at=5, status=-11)
    stage.expected, stage.attempts = ("held", "failed"), (2, 3)


def out_of_memory(stage: Stage) -> None:
    """The GPU's memory runs out once, late."""
    stage.cluster.flaws[stage.job.id] = Flaw("gpu_oom", at=25, times=1)
    stage.attempts = (2, 2)


def loss_lost(stage: Stage) -> None:
    """The loss is no number from a step on, once."""
    stage.cluster.flaws[stage.job.id] = Flaw("loss_nan", at=25, times=1)
    stage.attempts = (2, 2)


def loss_lost_again(stage: Stage) -> None:
    """The loss is no number from a step on, each time."""
    stage.cluster.flaws[stage.job.id] = Flaw("loss_nan", at=25)
    stage.expected, stage.attempts = ("held",), (2, 2)


def loss_jumped(stage: Stage) -> None:
    """The loss jumps, once."""
    stage.cluster.flaws[stage.job.id] = Flaw("loss_spike", at=45, times=1)
    stage.attempts = (2, 2)


def storage_broken(stage: Stage) -> None:
    """The storage fails for some minutes."""
    stage.cluster.storage = "broken"
    stage.after(stage.random.uniform(30, 400), lambda: setattr(stage.cluster, "storage", ""))
    stage.attempts = (2, 9)


def storage_stalled(stage: Stage) -> None:
    """The storage does not answer for 30 s, which harms nothing."""
    stage.cluster.storage = "stalled"
    stage.after(30, lambda: setattr(stage.cluster, "storage", ""))
    stage.unbroken = True


def checkpoint_damaged(stage: Stage) -> None:
    """The newest checkpoints are damaged, and a rank dies."""
    saved = sorted(stage.cluster.folders[stage.job.id].saved.values(), key=lambda one: -one.step)
    for one in saved[: stage.random.choice([1, 1, 2])]:
        one.damaged = True
    rank_killed(stage)


def killed_while_saving(stage: Stage) -> None:
    """A rank dies in the middle of a save."""

    def when_saving() -> None:
        if stage.cluster.runs[stage.key].phase == "save":
            rank_killed(stage)
        else:
            stage.after(TICK, when_saving)

    when_saving()


def controller_killed(stage: Stage) -> None:
    """The controller is killed, several times."""
    for number in range(stage.random.randint(1, 5)):
        stage.after(number * stage.random.uniform(0, 7), stage.controller.killed)
    stage.unbroken = True


def controller_away(stage: Stage) -> None:
    """The controller is away for minutes: the job ends meanwhile, or goes on."""
    stage.controller.away = True
    stage.cluster.beats.clear()

    def back() -> None:
        stage.controller.away = False
        stage.controller.killed()

    stage.after(stage.random.uniform(10, 400), back)
    stage.unbroken = True


def rank_and_controller(stage: Stage) -> None:
    """A rank dies, and the controller is killed while it deals with that."""
    rank_killed(stage)
    for _ in range(3):
        stage.after(stage.random.uniform(0, 12), stage.controller.killed)


def node_and_controller(stage: Stage) -> None:
    """A node is lost, and the controller is killed while it deals with that."""
    cut_off(stage)
    for _ in range(3):
        stage.after(stage.random.uniform(0, 20), stage.controller.killed)


def fabric_broken(stage: Stage) -> None:
    """Data of ranks does not come through to one node; its beats do, and its health is good."""
    stage.cluster.hosts[stage.victim].fabric = False
    stage.attempts = (3, 3)


def fabric_and_controller(stage: Stage) -> None:
    """The same, and the controller is killed several times: the test goes again, or is given up."""
    fabric_broken(stage)
    for _ in range(5):
        stage.after(stage.random.uniform(0, 40), stage.controller.killed)
    stage.attempts = (3, 5)


def echoes_of_a_lost_node(stage: Stage) -> None:
    """A node is lost, and ranks of the others end before the head knows."""
    victim = stage.victim
    stage.cluster.power(victim, on=False)
    other = next(unit.host.name for unit in stage.cluster.group(stage.key) if unit.alive)
    stage.after(stage.random.uniform(0, 1.5), lambda: stage.cluster.exit(stage.key, other, -6, "nccl_network"))
    stage.attempts = (2, 2)


FAULTS: tuple[Callable[[Stage], None], ...] = (
    rank_killed,
    rank_failed,
    collective_timeout,
    rank_stopped,
    power_lost,
    rebooted,
    cut_off,
    one_way,
    split,
    log_that_lies,
    head_cut,
    partition,
    flapping,
    fabric_cut,
    gpu_broken,
    gpu_ecc_in_log,
    launcher_killed,
    stopped_by_other,
    user_bug,
    silent_bug,
    crash_loop,
    out_of_memory,
    loss_lost,
    loss_lost_again,
    loss_jumped,
    storage_broken,
    storage_stalled,
    checkpoint_damaged,
    killed_while_saving,
    controller_killed,
    controller_away,
    rank_and_controller,
    node_and_controller,
    echoes_of_a_lost_node,
    fabric_broken,
    fabric_and_controller,
)

FROM_THE_START = frozenset({user_bug, silent_bug, crash_loop, out_of_memory, loss_lost, loss_lost_again, loss_jumped})
