"""The machinery of one lab on this machine: makes, boots, stops and removes what its record names.

It neither locks nor records; `Lab` does, before it calls.
"""

import shutil
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from aiops.layers.core.event import EventStream
from aiops.layers.core.file import write_atomic
from aiops.layers.l0_nodes.vendor import SimulatedTool, Vendor

from .cgroup import Group, machine_hierarchies, remove_parent
from .device import simulated_tool, tool_files, tool_links, write_bus, write_tool_state
from .disk import Disk, loop_devices, mounts_below, release_loops, unmount_below
from .host import BUS_UNIT, Launch, boot, identity_files, wait_up, write_files
from .identity import host_keys, known_hosts, make_keys
from .inventory import inventory_text
from .limit import raise_limit, restore_limit
from .machine import run
from .network import connect_hosts, leftovers, machine_lock, make_bridge, remove_network
from .state import HostState, LabState

NSPAWN = Path("/run/systemd/nspawn")


class Rig:
    """All that a lab's record names, as objects."""

    def __init__(self, folder: Path, state: LabState, vendors: Sequence[Vendor], events: EventStream) -> None:
        """Name it; nothing is made."""
        self.folder = folder
        self.state = state
        self._vendors = tuple(vendors)
        self._events = events
        self._where = machine_hierarchies()

    @property
    def inventory_path(self) -> Path:
        """The inventory that every other command takes."""
        return self.folder / "inventory.yml"

    @property
    def whole(self) -> Group:
        """The control group of all hosts together."""
        return Group(self._where, self.state.cgroup)

    def group(self, host: HostState) -> Group:
        """The control group of a host."""
        return Group(self._where, f"{self.state.cgroup}/{host.name}")

    def launch(self, host: HostState) -> Launch:
        """Where everything of a host is."""
        folder = self.folder / "hosts" / host.name
        entrances, launcher = self.group(host).entrances, self._launcher(host).entrances
        return Launch(host, folder, self._shared, entrances, launcher, self.state.spec.binds)

    def _launcher(self, host: HostState) -> Group:
        return Group(self._where, f"{self.state.cgroup}/{host.name}/launcher")

    def disk(self, host: HostState) -> Disk:
        """The disk of a host."""
        return Disk(self.folder / "hosts" / host.name, Path(host.image))

    def tool(self, host: HostState) -> SimulatedTool | None:
        """The simulated vendor's tool of a host, where it has accelerators."""
        return simulated_tool(self._vendors, host.accelerator) if host.accelerator is not None else None

    def claim(self, shared: Path) -> None:
        """Make what no two labs of this machine may have, and what they share; the caller holds the machine's lock."""
        raise_limit(shared, self._where, self._parent, len(self.state.hosts))
        for host in self.state.hosts:
            self._launcher(host).make()
        make_bridge(self.state)

    @property
    def _parent(self) -> str:
        return str(Path(self.state.cgroup).parent)

    def make(self) -> None:
        """Make everything but what was claimed; nothing boots."""
        state, started = self.state, time.monotonic()
        if state.spec.memory_mib is not None:
            self.whole.limit_memory(state.spec.memory_mib)
        connect_hosts(state, state.hosts)
        make_keys(self.folder, state.hosts)
        write_atomic(self.folder / "known_hosts", known_hosts(self.folder, state.hosts).encode())
        write_atomic(self.inventory_path, inventory_text(state, self.folder).encode())
        self._shared.mkdir(exist_ok=True)
        self._shared.chmod(0o1777)
        for host in state.hosts:
            launch, disk = self.launch(host), self.disk(host)
            launch.state.mkdir(parents=True, exist_ok=True)
            launch.folder.chmod(0o755)
            disk.make(host.disk_mib)
            self.furnish(host)
            self.show_devices(host)
        self._events.emit(
            "hosts_made", f"{len(state.hosts)} host{'s' * (len(state.hosts) != 1)}", seconds=time.monotonic() - started
        )

    def furnish(self, host: HostState) -> None:
        """Have what makes a bare root this host copied onto it at the next boot."""
        root, tool = self.disk(host).stage, self.tool(host)
        root.mkdir(exist_ok=True)
        root.chmod(0o755)
        simulated = ["host", "kernel-log", "pci-bus", *(["accelerators"] if tool else [])]
        keys = host_keys(self.folder, host)
        files = dict(identity_files(host, lab=self.state.name, keys=keys, simulated=simulated))
        links = {f"etc/systemd/system/local-fs.target.wants/{BUS_UNIT}": f"/usr/lib/systemd/system/{BUS_UNIT}"}
        if tool:
            files |= tool_files(tool)
            links |= tool_links(tool, with_driver=self.state.spec.driver is not None)
        write_files(root, files, links)
        (root / "root/.ssh").chmod(0o700)

    def keep_shared(self, snapshot: str) -> None:
        """Copy what the hosts share, for `snapshot`."""
        kept = self.folder / "snapshots" / snapshot
        kept.mkdir(parents=True)
        run(["cp", "-a", "--reflink=auto", f"{self._shared}/.", str(kept)], timeout=600)

    def restore_shared(self, snapshot: str | None) -> None:
        """Put back what they shared at `snapshot`, or nothing; the hosts must be off."""
        shutil.rmtree(self._shared)
        self._shared.mkdir()
        if snapshot is not None:
            run(
                ["cp", "-a", "--reflink=auto", f"{self.folder / 'snapshots' / snapshot}/.", str(self._shared)],
                timeout=600,
            )
        self._shared.chmod(0o1777)

    @property
    def _shared(self) -> Path:
        return self.folder / "shared"

    def show_devices(self, host: HostState) -> None:
        """Make the host's bus and its vendor's tool show that all is well."""
        launch, tool = self.launch(host), self.tool(host)
        write_bus(launch.bus, tool)
        if tool:
            write_tool_state(launch.state, tool, {**tool.state, "driver": self.state.spec.driver})

    def boot(self, hosts: Iterable[HostState], *, wait: bool = True, fresh: bool = False) -> None:
        """Boot hosts that are off, and wait until each answers.

        Args:
            hosts: The hosts.
            wait: Whether to wait.
            fresh: Whether they forget all that was written since the last snapshot.

        Raises:
            FailedError: A host does not come up.
        """
        chosen, started = tuple(hosts), time.monotonic()
        for host in chosen:
            self.disk(host).wait_free()
            boot(self.launch(host), self.disk(host).mount_script(self.state.snapshots, fresh=fresh))
        if not wait:
            return

        def came(host: HostState, seconds: float) -> None:
            self._events.emit("host_booted", f"{host.name} answers", node=host.name, seconds=seconds)

        wait_up([(self.launch(host), self.group(host)) for host in chosen], came)
        self._events.emit(
            "hosts_booted",
            "1 host answers" if len(chosen) == 1 else f"{len(chosen)} hosts answer",
            seconds=time.monotonic() - started,
        )

    def rewire(self) -> None:
        """Give all hosts, which are off, new cables: what they and faults did to the old ones is gone."""
        connect_hosts(self.state, self.state.hosts)

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
        """Cut the power of all hosts; none stays frozen."""
        for host in self.state.hosts:
            self.group(host).kill()

    def remove(self) -> None:
        """Remove everything; what is not there is fine.

        Raises:
            FailedError: Something cannot be removed; it is named.
        """
        started, state = time.monotonic(), self.state
        self.whole.kill()
        unmount_below(self.folder)
        release_loops(self.folder)
        remove_network(state)
        self.whole.remove()
        with machine_lock() as shared:
            remove_parent(self._where, self._parent)
            restore_limit(shared, self._where, self._parent)
        for host in state.hosts:
            shutil.rmtree(NSPAWN / "propagate" / host.machine, ignore_errors=True)
        _remove_folder(self.folder)
        self._events.emit("lab_removed", f"lab `{state.name}`", seconds=time.monotonic() - started)

    def remains(self) -> list[str]:
        """What of the lab exists on this machine now: links, namespaces, tables, mounts, loops, processes, folders."""
        found = leftovers(self.state)
        found += [f"mount {point}" for point in mounts_below(self.folder)]
        found += [f"loop device {device}" for device in loop_devices(self.folder)]
        found += [f"process {process}" for process in self.whole.processes()]
        found += [f"group {path}" for path in self.whole.folders if path.exists()]
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
