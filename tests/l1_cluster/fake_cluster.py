"""A cluster of fake hosts, which answers what a deploy asks and keeps what it is given."""

import ast
import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from aiops.layers.core.errors import AiopsError, ConflictError, UnreachableError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.facts import ClockReading, Disk, Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.deploy import deploy
from aiops.layers.l1_cluster.doors import Deployed, Doors, HeldLock, Request
from aiops.layers.l1_cluster.draining import Workload
from aiops.layers.l1_cluster.gate import STALE
from aiops.layers.l1_cluster.observation import DIGESTS, REBOOT_MARKER, STAT, UNITS
from aiops.layers.l1_cluster.phase import read_phases
from aiops.layers.l1_cluster.plan import Plan
from aiops.layers.l1_cluster.playbook import Played, TaskFailure
from aiops.layers.l1_cluster.remote import files as remote
from aiops.layers.l1_cluster.rollout import Share
from aiops.layers.l1_cluster.secrets import Secrets
from aiops.layers.l1_cluster.survey import AsksFor

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
BASE = """
phase: base
resources:
  - file: /etc/hosts
    content: "{% for node in cluster.nodes %}{{ node.name }} {% endfor %}"
"""
SCHEDULER = """
phase: scheduler
after: [base]
on: [head, workers]
needs: [head]
resources:
  - file: /etc/slurm.conf
    content: "boot {{ cluster.head.facts.kernel }}"
    restarts: [slurmd]
  - file: /etc/munge.key
    secret: munge_key
    restarts: [slurmd]
  - service: slurmd
"""
KERNEL = """
phase: kernel
after: [base]
resources:
  - file: /etc/kernel
    content: new
    reboots: true
  - reboot: the kernel has changed
    when_changed: []
"""
DRIVER = """
phase: driver
after: [kernel]
on: workers
resources:
  - file: /etc/driver
    content: new
    reboots: true
  - reboot: the driver has changed
    when_changed: []
"""


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Host:
    """A node that keeps what it is told."""

    name: str
    files: dict[str, tuple[str, str]] = field(default_factory=dict)  # path: (mode, digest)
    units: dict[str, str] = field(default_factory=dict)
    running: dict[str, dict[str, str]] = field(default_factory=dict)  # unit: the digests of all files when it started
    boots: int = 0
    dead: bool = False
    slow_starts: int = 0

    def answer(self, ask: Ask) -> Answer:
        names = ask.argv[ask.argv.index("--") + 1 :] if "--" in ask.argv else ()
        text = ""
        if ask.name == STAT:
            text = "".join(
                f"{int(self.files[path][0], 8) | 0o100000:x}\troot\troot\t{path}\n"
                for path in names
                if path in self.files
            )
        elif ask.name == DIGESTS:
            text = "".join(f"{self.files[path][1]}  {path}\n" for path in names if path in self.files)
        elif ask.name == UNITS:
            text = "\n".join(self._unit(unit) for unit in names)
        return Answer(ask.name, exit_status=0, stdout=text)

    def _unit(self, unit: str) -> str:
        state = self.units.get(unit, "inactive")
        if state == "active" and self.slow_starts:
            self.slow_starts -= 1
            state = "activating"
        load = "loaded" if unit in self.units else "not-found"
        enabled = "enabled" if unit in self.units else ""
        return f"LoadState={load}\nActiveState={state}\nUnitFileState={enabled}\nType=simple\n"


class World:
    """A cluster of fake hosts: it answers probes and applies what Ansible would be given."""

    def __init__(self, folder: Path, names: Sequence[str] = ("head", "w1", "w2")) -> None:
        self.folder = folder
        self.hosts = {name: Host(name) for name in names}
        self.applied: list[tuple[str, tuple[str, ...]]] = []
        self.failing: dict[tuple[str, str], str] = {}
        self.failing_late: set[tuple[str, str]] = set()
        self.doing_nothing: set[tuple[str, str]] = set()
        self.trouble: dict[str, str] = {}
        self.installing: dict[str, float] = {}  # until when another program does
        self.lost = threading.Event()
        self.taken_over = False
        self.shut: dict[str, str] = {}  # nodes that refuse us, with what they say
        self.ahead: dict[str, int] = {}  # nodes that have seen a higher epoch than ours
        self.epoch = 7
        self.opened: set[str] = set()
        self.unreachable: set[tuple[str, str]] = set()  # Ansible says of them that it cannot reach them
        self.failing_midway: set[tuple[str, str]] = set()  # between files and services
        self.events: list[Event] = []
        self.written: list[Sequence[Event]] = []  # as the journal gets them, each at once
        self.clock = FakeClock()
        self.locked = 0
        self.on: Callable[[str], None] = lambda moment: None
        self.kernels: dict[str, str] = {}
        self.confirmed = True
        self.plans: list[Plan] = []
        self.workloads: list[Workload] = []

    @property
    def inventory(self) -> Inventory:
        nodes = tuple(
            Node(
                name,
                roles=frozenset({"head"} if name == "head" else {"workers"}),
                connection=Connection(address=f"10.0.0.{number}"),
                variables={"aiops_repository": "system"},
            )
            for number, name in enumerate(self.hosts)
        )
        return Inventory(Path("inventory.yml"), "test", nodes, {"all": tuple(self.hosts)})

    # What `Prober` asks for

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        self.on("probe")
        for node in nodes:
            host = self.hosts[node.name]
            if host.dead:
                error = UnreachableError(f"{node.name} did not answer on 10.0.0.1:22", code="ssh.timeout")
                yield Outcome(node, error=error)
            else:
                yield Outcome(
                    node, value=Record(node.name, NOW, {ask.name: host.answer(ask) for ask in asks_for(node)})
                )

    def fact_asks(self, node: Node, *, devices: bool = True) -> tuple[Ask, ...]:
        return ()

    def facts(self, record: Record, devices_of: Facts | None = None) -> Facts:
        host = self.hosts[record.node]
        number = list(self.hosts).index(record.node)
        return Facts(
            record.node,
            NOW,
            hostname=record.node,
            os_id="debian",
            os_version="12",
            os_codename="bookworm",
            os_name="Debian 12",
            kernel=self.kernels.get(record.node, "6.1"),
            architecture="x86_64",
            boot_id=f"boot-{record.node}-{host.boots}",
            machine_id=f"{number:032x}",
            virtualization="none",
            container=False,
            cgroup="v2",
            memory_mib=64000,
            swap_mib=0,
            swaps=(),
            disks=(Disk("/", 100_000, 90_000), Disk("/var", 100_000, 90_000)),
            hosts="",
            interfaces=(),
            bus_accelerators=(),
            accelerators=(),
            clock=ClockReading(NOW.timestamp(), NOW.timestamp()),
            python="3.11.2",
            kernel_packages=(),
            package_lock_held=self.clock.seconds < self.installing.get(record.node, 0.0),
        )

    # What `Gate` does

    def open(self, nodes: Sequence[Node], epoch: int, programs: Mapping[str, str]) -> dict[str, AiopsError]:
        self.on("gate")
        assert epoch == self.epoch
        assert set(programs) <= {node.name for node in nodes}
        errors: dict[str, AiopsError] = {}
        for node in nodes:
            if self.hosts[node.name].dead:
                errors[node.name] = UnreachableError(f"{node.name} did not answer on 10.0.0.1:22", code="ssh.timeout")
            elif node.name in self.shut:
                errors[node.name] = ConflictError(f"{node.name}: {self.shut[node.name]}", code=STALE)
            elif self.ahead.get(node.name, 0) > epoch:
                reason = f"fence: epoch {epoch} is stale, this node has seen {self.ahead[node.name]}"
                errors[node.name] = ConflictError(f"{node.name}: {reason}", code=STALE)
        self.opened = {node.name for node in nodes} - set(errors)
        return errors

    # What `Applier` does

    def apply(
        self,
        phase: str,
        hosts: Path,
        *,
        cancel: Callable[[], bool] | None = None,
        on_start: Callable[[str, str], None] | None = None,
        on_task: Callable[[str, str], None] | None = None,
        on_failure: Callable[[TaskFailure], None] | None = None,
    ) -> Played:
        self.on(f"apply {phase}")
        if cancel is not None and cancel():
            return Played({}, "ended on the way")
        given = yaml.load(hosts.read_text(), Loader=_Loader)["all"]["hosts"]  # noqa: S506 - a SafeLoader with one tag
        self.applied.append((phase, tuple(given)))
        failures = {}
        for name, variables in given.items():
            assert variables["aiops_gated"]
            assert variables["ansible_python_interpreter"].endswith(f"-{self.epoch}")
            assert name in self.opened
            desired = variables["aiops_desired"]
            if (phase, name) in self.unreachable:
                failures[name] = TaskFailure(name, "Install packages", "Data could not be sent", (), unreachable=True)
            elif (phase, name) in self.failing:
                failures[name] = TaskFailure(name, "Install packages", self.failing[phase, name], ("E: line",))
                if (phase, name) in self.failing_late:
                    self._put(self.hosts[name], desired, variables.get("aiops_files"))
                    self._start(self.hosts[name], desired)
                if on_failure:
                    on_failure(failures[name])
            elif (phase, name) not in self.doing_nothing:
                self._put(self.hosts[name], desired, variables.get("aiops_files"))
                self.on(f"services {name}")
                if (phase, name) in self.failing_midway:
                    failures[name] = TaskFailure(name, "Load kernel settings", "no such setting")
                else:
                    self._start(self.hosts[name], desired)
        return Played(failures, self.trouble.get(phase))

    def _put(self, host: Host, desired: Mapping[str, Any], program: str | None) -> None:
        if desired["mark_reboot"]:
            host.files[REBOOT_MARKER] = ("0644", "")
        if program is not None:
            call = Path(program).read_text().rstrip().rpartition("\nmain(")[2]
            for entry in remote.unpack(ast.literal_eval(call.removesuffix(")"))):
                host.files.update({f"{remote.RESTARTS}/{unit}": ("0644", "") for unit in entry["restarts"]})
                content = base64.b64decode(entry["content"])
                host.files[entry["path"]] = (entry["mode"], hashlib.sha256(content).hexdigest())

    def _start(self, host: Host, desired: Mapping[str, Any]) -> None:
        if desired["reboot"]:
            host.boots += 1
            host.running.clear()
            for path in [path for path in host.files if path.startswith("/run/")]:
                del host.files[path]
        for service in desired["services"]:
            name = service["name"]
            host.units[name] = "active"
            if service["state"] == "restarted" or name not in host.running:
                host.running[name] = {path: digest for path, (_, digest) in host.files.items()}
        for path in desired["restarted"]:
            host.files.pop(path, None)

    @contextmanager
    def lock(self) -> Iterator[HeldLock]:
        self.locked += 1
        try:
            yield _Lock(self)
        finally:
            self.locked -= 1

    def confirm(self, plan: Plan) -> bool:
        self.on("confirm")
        self.plans.append(plan)
        return self.confirmed

    def deploy(
        self,
        *phases: str,
        on: str | None = None,
        dry_run: bool = False,
        here: str | None = None,
        batch: Share | None = None,
        max_fail: Share | None = None,
    ) -> Deployed:
        for text in phases:
            path = self.folder / "phases" / yaml.safe_load(text)["phase"] / "phase.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        private = self.folder / "private"
        private.mkdir(exist_ok=True)
        events = EventStream("r-1", self.clock)
        events.subscribe(self.events.append)
        events.record(self.written.append)
        doors = Doors(
            prober=self,
            gate=self,
            lock=self.lock,
            applier=self,
            confirm=self.confirm,
            clock=self.clock,
            here=("machine", here) if here else None,
            workloads=tuple(self.workloads),
        )
        inventory = self.inventory
        request = Request(
            inventory,
            read_phases(self.folder / "phases"),
            inventory.select(on),
            private,
            dry_run=dry_run,
            batch=batch,
            max_fail=max_fail,
        )
        return deploy(request, doors, Secrets(self.folder / "secrets"), events)

    def kinds(self, node: str | None = None) -> list[str]:
        return [event.kind for event in self.events if node in (None, event.node)]


class _Lock:
    def __init__(self, world: World) -> None:
        self._world = world
        self.lost = world.lost

    @property
    def epoch(self) -> int:
        return self._world.epoch

    def surpass(self, seen: int) -> None:
        self.renew()
        self.guard()
        self._world.epoch = max(self._world.epoch, seen + 1)

    def renew(self) -> None:
        self._world.on("renew")
        if self._world.taken_over:
            self.lost.set()

    def guard(self) -> None:
        self._world.on("guard")
        if self.lost.is_set():
            raise ConflictError("lost", code="lock.lost")


class _Loader(yaml.SafeLoader):
    """Reads Ansible's one tag too."""


def _unsafe(loader: _Loader, node: yaml.ScalarNode) -> str:
    return loader.construct_scalar(node)


_Loader.add_constructor("!unsafe", _unsafe)


def outcomes(done: Deployed) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in done.ledger:
        found.setdefault(entry.phase, {})[entry.node] = entry.outcome
    return found
