"""The whole machine under whatever may happen, in any order: what must never be, never is; and every job ends.

I: at most one attempt of a job can write. II: a gang is whole or not there. III: no device is given twice. IV: every
job ends or waits for a reason. V: to decide is deterministic, and to decide again gives nothing new.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.l2_jobs.simulated_program import Flaw, Script
from tests.l2_jobs.simulated_stage import ANN, Stage, a_job

from aiops.layers.l2_jobs.job import Devices
from aiops.layers.l2_jobs.record import OVER
from aiops.layers.l2_jobs.report import Signed
from aiops.layers.l2_jobs.request import Cancel, Hold, Resume, Submit

NODES = st.integers(0, 4)


class Machine(RuleBasedStateMachine):
    """Five nodes, up to six jobs, and a hostile world."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.stage = Stage(seed)
        self.cluster, self.controller = self.stage.cluster, self.stage.controller
        self.names = list(self.cluster.hosts)

    @property
    def jobs(self) -> list[str]:
        return sorted(self.controller.written)

    @rule(
        nodes=st.integers(1, 4),
        more=st.integers(0, 1),
        devices=st.sampled_from([0, 1, 4, 8]),
        priority=st.sampled_from([10, 50, 90]),
        script=st.sampled_from([Script(steps=30), Script(steps=8, step=0.5), Script(steps=20, tells="nothing")]),
        flaw=st.sampled_from([None, None, None, Flaw("user_code"), Flaw("process_exit", at=12, status=-11, times=2)]),
    )
    def submit(  # noqa: PLR0917 - hypothesis gives them by name
        self, nodes: int, more: int, devices: int, priority: int, script: Script, flaw: Flaw | None
    ) -> None:
        if len(self.jobs) >= 6:
            return
        name = f"job{len(self.jobs)}"
        job = a_job(name, nodes, min(nodes + more, 4), devices=Devices(devices), priority=priority)
        self.cluster.scripts[job.id] = script
        if flaw is not None:
            self.cluster.flaws[job.id] = flaw
        self.controller.ask(Submit(job))
        self._ticks(2)

    @rule(ticks=st.integers(1, 120))
    def wait(self, ticks: int) -> None:
        self._ticks(ticks)

    @precondition(lambda self: self.controller.written)
    @rule(number=st.integers(0, 5), what=st.sampled_from([Cancel, Hold, Resume]))
    def ask(self, number: int, what: type[Cancel | Hold | Resume]) -> None:
        self.controller.ask(what(self.jobs[number % len(self.jobs)], ANN))

    @rule(node=NODES)
    def power_off(self, node: int) -> None:
        if self.cluster.hosts[self.names[node]].up:
            self.cluster.power(self.names[node], on=False)

    @rule(node=NODES)
    def power_on(self, node: int) -> None:
        if not self.cluster.hosts[self.names[node]].up:
            self.cluster.power(self.names[node], on=True)

    @rule(node=NODES, head=st.booleans(), side=st.integers(0, 2))
    def cut(self, node: int, head: bool, side: int) -> None:
        host = self.cluster.hosts[self.names[node]]
        host.head, host.side = head, side

    @rule(node=NODES)
    def heal(self, node: int) -> None:
        host = self.cluster.hosts[self.names[node]]
        host.head, host.side = True, 0

    @rule()
    def partition(self) -> None:
        for host in self.cluster.hosts.values():
            host.head = False

    @rule(node=NODES, status=st.sampled_from([1, -9, -11]))
    def kill_ranks(self, node: int, status: int) -> None:
        for unit in list(self.cluster.units.values()):
            if unit.alive and unit.host.name == self.names[node]:
                self.cluster.exit(unit.key, unit.host.name, status, "process_exit")

    @rule(node=NODES)
    def kill_launchers(self, node: int) -> None:
        for unit in self.cluster.units.values():
            if unit.host.name == self.names[node]:
                unit.alive = False

    @rule(node=NODES)
    def hang(self, node: int) -> None:
        for unit in self.cluster.units.values():
            if unit.alive and unit.host.name == self.names[node] and unit.key in self.cluster.runs:
                run = self.cluster.runs[unit.key]
                if (
                    run.script.tells != "nothing"
                ):  # one that tells nothing is never taken for hung: its owner has to look
                    run.stuck = "stopped"

    @rule(node=NODES)
    def kernel_line(self, node: int) -> None:
        name = self.names[node]
        sign = Signed(None, name, self.cluster.now, "gpu_lost", "Xid 79", immediate=True, source="kernel")
        self.cluster.hosts[name].bad = "gpu_lost"
        self.cluster.hosts[name].kernel.append(sign)

    @rule(state=st.sampled_from(["", "stalled", "broken"]))
    def storage(self, state: str) -> None:
        self.cluster.storage = state

    @rule()
    def damage(self) -> None:
        for folder in self.cluster.folders.values():
            for saved in list(folder.saved.values())[-1:]:
                saved.damaged = True

    @rule()
    def controller_killed(self) -> None:
        self.controller.killed()

    def _ticks(self, count: int) -> None:
        for _ in range(count):
            self.stage.tick()

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "stage"):
            assert not self.cluster.wrongs

    @invariant()
    def whoever_waits_says_why(self) -> None:
        for record in self.controller.written.values() if hasattr(self, "stage") else ():
            assert record.reason

    def teardown(self) -> None:
        """All is mended: then each job ends, or waits for a person or for a node that was taken out, and says so."""
        if not hasattr(self, "stage"):
            return
        self.cluster.storage = ""
        for host in self.cluster.hosts.values():
            host.head, host.side = True, 0
            if not host.up:
                self.cluster.power(host.name, on=True)
        for _ in range(200):  # fifty minutes: ranks that hang before they have told steps are given thirty
            self._ticks(60)
            if all(record.state in {*OVER, "held"} for record in self.controller.written.values()):
                break
        well = sum(not host.bad for host in self.cluster.hosts.values())
        for record in self.controller.written.values():
            waits = record.state == "queued" and record.job.nodes.least > well
            assert record.state in {*OVER, "held"} or waits, (record.job.id, record.state, record.reason)
            assert record.state in {"queued", "held"} or not self.cluster.live(record.job.id)
        assert not self.cluster.wrongs
        healthy = [name for name in self.controller.drained if not self.cluster.hosts[name].bad]
        assert not healthy


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
