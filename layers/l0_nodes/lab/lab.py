"""A lab: a head and workers, booted on this machine, reached like any other nodes."""

import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Self

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.errors import ConflictError, NotFoundError
from aiops.layers.core.event import EventStream
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.core.identifier import run_id
from aiops.layers.l0_nodes.vendor import SimulatedTool, Vendor

from .cgroup import Group, machine_hierarchies, remove_parent
from .device import simulated_tool, tool_files, tool_links, write_bus, write_tool_state
from .disk import Disk, loop_devices, mounts_below, unmount_below
from .host import BUS_UNIT, Launch, answers, boot, identity_files, wait_up, write_files
from .identity import host_keys, known_hosts, make_keys
from .image import IMAGE_MIB, build_image, image_path, locked, machine_recipe
from .inventory import inventory_text
from .machine import require_fit, require_room, resources
from .network import connect_hosts, leftovers, make_bridge, remove_network, subnet_choice
from .state import HostState, LabSpec, LabState, plan_lab, read_state, write_state

LOCK_SECONDS = 120.0
NSPAWN = Path("/run/systemd/nspawn")


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host now.

    Attributes:
        running: Whether any of its processes lives.
        reachable: Whether its sshd answers.
        memory_mib: What it uses, page cache included; None where nothing counts it.
        faults: Kinds that are on.
    """

    name: str
    role: str
    address: str
    running: bool
    reachable: bool
    memory_mib: int | None
    faults: tuple[str, ...]


def labs_folder(home: Path) -> Path:
    """Where the labs of this AIOPS_HOME are."""
    return home / "labs"


def lab_names(home: Path) -> tuple[str, ...]:
    """The labs there are, whole or not, sorted."""
    return tuple(sorted(path.parent.name for path in labs_folder(home).glob("*/state.json")))


class Lab:
    """One lab. `Lab.up` makes it, `Lab.open` finds it again."""

    def __init__(self, home: Path, state: LabState, vendors: Sequence[Vendor], events: EventStream) -> None:
        self.state = state
        self.folder = labs_folder(home) / state.name
        self._home = home
        self._vendors = tuple(vendors)
        self._events = events
        self._where = machine_hierarchies()

    # ---------------------------------------------------------------- making and finding

    @classmethod
    def up(
        cls,
        spec: LabSpec,
        *,
        home: Path,
        vendors: Sequence[Vendor] = (),
        events: EventStream | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Make a lab and wait until every host answers. What an earlier, broken one left is removed first.

        Raises:
            InputError: The specification, or this machine, does not allow it; nothing was changed.
            ConflictError: A lab of this name is up, or someone works on it now.
            FailedError: Something failed on the way; `down` removes what was made.
        """
        clock = clock or SystemClock()
        events = events or silent(clock)
        recipe = machine_recipe()
        built = image_path(home, recipe).is_dir()
        require_fit(building=not built)
        require_room(resources(home), spec.nodes + 1, image_mib=0 if built else 2 * IMAGE_MIB)
        folder = labs_folder(home) / spec.name
        image = image_path(home, recipe)
        plan_lab(spec, folder, IPv4Network("10.199.0.0/24"), image, "")  # says what is wrong before anything is made
        tool = simulated_tool(vendors, spec.accelerator) if spec.accelerator else None
        with held(home, spec.name):
            cls._clear_broken(home, spec.name, vendors, events)
            if not built:
                events.emit("image_started", "building the base image (once; a minute or two)")
                started = clock.monotonic()
                build_image(home, recipe)
                events.emit("image_built", "base image", seconds=clock.monotonic() - started)
            ensure_folder(folder)
            with subnet_choice() as subnet:
                state = plan_lab(spec, folder, subnet, image, clock.now().isoformat())
                write_state(folder, state)
                lab = cls(home, state, vendors, events)
                make_bridge(state)
            lab._make(tool)
            lab.boot(state.hosts)
            lab.note(replace(state, stage="up"))
            events.emit("lab_made", f"lab `{spec.name}`", inventory=str(lab.inventory_path))
        return lab

    @classmethod
    def open(cls, name: str, *, home: Path, vendors: Sequence[Vendor] = (), events: EventStream | None = None) -> Self:
        """The lab called `name`.

        Raises:
            NotFoundError: There is none.
        """
        return cls(home, read_state(labs_folder(home) / name), vendors, events or silent(SystemClock()))

    @classmethod
    def _clear_broken(cls, home: Path, name: str, vendors: Sequence[Vendor], events: EventStream) -> None:
        try:
            lab = cls.open(name, home=home, vendors=vendors, events=events)
        except NotFoundError:
            return
        if lab.state.stage == "up" and any(lab.group(host).populated for host in lab.state.hosts):
            raise ConflictError(
                f"lab `{name}` is up already, with {len(lab.state.hosts)} hosts",
                code="lab.exists",
                hints=[f"`aiops lab status --name {name}`", f"`aiops lab down --name {name}`, or take another name"],
            )
        events.emit("remains_found", f"removing what an earlier lab `{name}` left")
        lab.remove()

    # ---------------------------------------------------------------- what it has

    @property
    def inventory_path(self) -> Path:
        """The inventory that every other command takes."""
        return self.folder / "inventory.yml"

    @property
    def hosts(self) -> tuple[HostState, ...]:
        """The hosts, the head first."""
        return self.state.hosts

    def group(self, host: HostState) -> Group:
        """The control group of a host."""
        return Group(self._where, f"{self.state.cgroup}/{host.name}")

    def launch(self, host: HostState) -> Launch:
        """Where everything of a host is."""
        folder = self.folder / "hosts" / host.name
        return Launch(host, folder, self.folder / "shared", self.group(host).entrances)

    def disk(self, host: HostState) -> Disk:
        """The disk of a host."""
        return Disk(self.folder / "hosts" / host.name, Path(self.state.image))

    def tool(self, host: HostState) -> SimulatedTool | None:
        """The simulated vendor's tool of a host, where it has accelerators."""
        accelerator = self.state.spec.accelerator
        if accelerator is None or host.role == "head":
            return None
        return simulated_tool(self._vendors, accelerator)

    def status(self) -> tuple[HostStatus, ...]:
        """Every host as it is now."""
        return tuple(
            HostStatus(
                name=host.name,
                role=host.role,
                address=host.address,
                running=self.group(host).populated,
                reachable=self.group(host).populated and answers(host.address),
                memory_mib=self.group(host).memory_mib,
                faults=tuple(sorted(self.state.faults.get(host.name, {}))),
            )
            for host in self.state.hosts
        )

    def emit(self, kind: str, message: str, *, node: str | None = None, **data: object) -> None:
        """Tell the listeners."""
        self._events.emit(kind, message, node=node, **data)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lab against others and see its newest state.

        Raises:
            ConflictError: Someone else works on it.
            NotFoundError: It is gone.
        """
        with held(self._home, self.state.name):
            self.state = read_state(self.folder)
            yield

    def note(self, state: LabState) -> None:
        """Write down a new state, before what it tells of is done."""
        write_state(self.folder, state)
        self.state = state

    # ---------------------------------------------------------------- steps

    def _make(self, tool: SimulatedTool | None) -> None:
        """Everything but booting."""
        state, started = self.state, time.monotonic()
        for group in (Group(self._where, state.cgroup), *(self.group(host) for host in state.hosts)):
            group.make()
        if state.spec.memory_mib is not None:
            Group(self._where, state.cgroup).limit_memory(state.spec.memory_mib)
        make_keys(self.folder, state.hosts)
        write_atomic(self.folder / "known_hosts", known_hosts(self.folder, state.hosts).encode())
        write_atomic(self.inventory_path, inventory_text(state, self.folder).encode())
        (self.folder / "shared").mkdir(exist_ok=True)
        (self.folder / "shared").chmod(0o1777)
        for host in state.hosts:
            self._make_host(host, tool if host.role == "workers" else None)
        self.emit("hosts_made", f"{len(state.hosts)} hosts", seconds=time.monotonic() - started)

    def _make_host(self, host: HostState, tool: SimulatedTool | None) -> None:
        launch, disk = self.launch(host), self.disk(host)
        for folder in (launch.folder, launch.state):
            folder.mkdir(parents=True, exist_ok=True)
        launch.folder.chmod(0o755)
        disk.make(host.disk_mib)
        disk.mount(())
        driver = self.state.spec.driver
        files = dict(
            identity_files(
                host,
                lab=self.state.name,
                keys=host_keys(self.folder, host),
                simulated=["host", "kernel-log", "pci-bus", *(["accelerators"] if tool else [])],
            )
        )
        links = {f"etc/systemd/system/local-fs.target.wants/{BUS_UNIT}": f"/usr/lib/systemd/system/{BUS_UNIT}"}
        if tool:
            files.update(tool_files(tool))
            links |= tool_links(tool, with_driver=driver is not None)
            write_tool_state(launch.state, tool, {**tool.state, "driver": driver})
        write_files(disk.root, files, links)
        (disk.root / "root/.ssh").chmod(0o700)
        write_bus(launch.bus, tool)

    def stop(self, *, seconds: float = 30.0) -> None:
        """Shut all hosts down in good order; after `seconds` the power is cut."""
        groups = [self.group(host) for host in self.state.hosts]
        for group in groups:
            group.signal_supervisor(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(group.populated for group in groups) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """Cut the power of all hosts."""
        for host in self.state.hosts:
            self.group(host).kill()

    def boot(self, hosts: Iterable[HostState]) -> None:
        """Boot hosts that are off and mounted, and wait until each answers.

        Their cables are made anew: what a host did to its addresses does not outlive it.

        Raises:
            FailedError: A host does not come up.
        """
        chosen, started = tuple(hosts), time.monotonic()
        connect_hosts(self.state, chosen)
        for host in chosen:
            boot(self.launch(host))

        def came(host: HostState, seconds: float) -> None:
            self.emit("host_booted", f"{host.name} answers at {host.address}", node=host.name, seconds=seconds)

        wait_up([(self.launch(host), self.group(host)) for host in chosen], came)
        self.emit("hosts_booted", f"{len(chosen)} hosts answer", seconds=time.monotonic() - started)

    # ---------------------------------------------------------------- removing

    def down(self) -> None:
        """Remove everything the lab is made of. Can be repeated, whatever was killed when.

        Raises:
            ConflictError: Someone else works on the lab.
            FailedError: Something cannot be removed; it is named.
        """
        with held(self._home, self.state.name):
            self.remove()

    def remove(self) -> None:
        """What `down` does, for who holds the lab already."""
        started = time.monotonic()
        state = self.state
        if self.folder.exists():
            self.note(replace(state, stage="making"))
        whole = Group(self._where, state.cgroup)
        whole.kill()
        inodes = [self.disk(host).lock_name() for host in state.hosts]
        unmount_below(self.folder)
        remove_network(state)
        whole.remove()
        remove_parent(self._where, str(Path(state.cgroup).parent))
        for host in state.hosts:
            shutil.rmtree(NSPAWN / "propagate" / host.machine, ignore_errors=True)
        for name in inodes:
            if name:
                (NSPAWN / "locks" / name).unlink(missing_ok=True)
        _remove_folder(self.folder)
        self.emit("lab_removed", f"lab `{state.name}`", seconds=time.monotonic() - started)

    def remains(self) -> list[str]:
        """What of the lab exists on this machine now: links, namespaces, tables, mounts, loops, processes, folder."""
        found = leftovers(self.state)
        found += [f"mount {point}" for point in mounts_below(self.folder)]
        found += [f"loop device {device}" for device in loop_devices(self.folder)]
        found += [f"process {process}" for process in Group(self._where, self.state.cgroup).processes()]
        found += [f"group {path}" for path in Group(self._where, self.state.cgroup).folders if path.exists()]
        return found + ([f"folder {self.folder}"] if self.folder.exists() else [])


def _remove_folder(folder: Path) -> None:
    """Remove the lab's folder, its record last, so that a killed removal is still known as a lab."""
    if not folder.exists():
        return
    for child in folder.iterdir():
        if child.name == "state.json":
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
    shutil.rmtree(folder)


@contextmanager
def held(home: Path, name: str) -> Iterator[None]:
    """Hold the lab `name` against others for as long as the `with` lasts; a killed holder lets go at once.

    Raises:
        ConflictError: Someone else holds it.
    """
    folder = ensure_folder(labs_folder(home))
    with locked(folder / f".{name}.lock", wait=LOCK_SECONDS, busy=f"another aiops works on lab `{name}`"):
        yield


def silent(clock: Clock) -> EventStream:
    """A stream nobody listens to."""
    return EventStream(run_id(clock.now()), clock)
