"""A lab: a head and workers, booted on this machine, reached like any other nodes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.errors import ConflictError, InputError, NotFoundError
from aiops.layers.core.event import EventStream
from aiops.layers.core.home import ensure_folder
from aiops.layers.core.identifier import run_id
from aiops.layers.l0_nodes.vendor import Vendor

from .device import simulated_tool
from .fault import Order, Target, kind_called, refuse_impossible, survivors
from .host import answers
from .image import IMAGE_MIB, build_image, image_path, locked, machine_recipe
from .machine import require_fit, require_room, resources
from .network import choose_subnet, machine_lock
from .rig import Rig
from .specification import LabSpec, Simulated, require_sense
from .state import HostState, LabState, plan_lab, read_state, write_state

LOCK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host now.

    Attributes:
        running: Whether any of its processes lives.
        reachable: Whether its sshd answers.
        memory_mib: What it uses, page cache included; None where nothing counts it.
        faults: Kinds that are on.
        group: Its group of alike workers; empty where the lab has none.
        release: Its operating system.
        accelerator: What is on its bus, or None.
    """

    name: str
    role: str
    address: str
    running: bool
    reachable: bool
    memory_mib: int | None
    faults: tuple[str, ...]
    group: str
    release: str
    accelerator: Simulated | None


def labs_folder(home: Path) -> Path:
    """Where the labs of this AIOPS_HOME are."""
    return home / "labs"


def lab_names(home: Path) -> tuple[str, ...]:
    """The labs there are, whole or not, sorted."""
    return tuple(sorted(path.parent.name for path in labs_folder(home).glob("*/state.json")))


class Lab:
    """One lab. `Lab.up` makes it, `Lab.open` finds it again."""

    def __init__(self, home: Path, state: LabState, vendors: Sequence[Vendor], events: EventStream) -> None:
        self._home = home
        self._events = events
        self._rig = Rig(labs_folder(home) / state.name, state, vendors, events)

    # ---------------------------------------------------------------- making, finding, removing

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
        folder = labs_folder(home) / spec.name
        require_sense(spec, folder)
        recipes = {release: machine_recipe(release) for release in spec.releases}
        images = {release: image_path(home, recipe) for release, recipe in recipes.items()}
        unbuilt = [release for release, image in images.items() if not image.is_dir()]
        require_fit(building=bool(unbuilt))
        require_room(resources(home), spec.size, image_mib=2 * IMAGE_MIB * len(unbuilt))
        for accelerator in spec.accelerators:
            simulated_tool(vendors, accelerator)  # refuses what cannot be simulated before anything is made
        with held(home, spec.name):
            cls._clear_broken(home, spec.name, vendors, events)
            for release in unbuilt:
                events.emit("image_started", f"building the base image of {release} (once; a minute or two)")
                started = clock.monotonic()
                build_image(home, recipes[release])
                events.emit("image_built", f"base image of {release}", seconds=clock.monotonic() - started)
            ensure_folder(folder)
            with machine_lock() as shared:
                state = plan_lab(spec, folder, choose_subnet(), images.__getitem__, clock.now().isoformat())
                write_state(folder, state)
                lab = cls(home, state, vendors, events)
                lab._rig.claim(shared)
            lab._rig.make()
            lab._rig.boot(state.hosts)
            lab._note(replace(state, stage="up"))
            events.emit("lab_made", f"lab `{spec.name}`", inventory=str(lab.inventory_path))
        return lab

    @classmethod
    def open(cls, name: str, *, home: Path, vendors: Sequence[Vendor] = (), events: EventStream | None = None) -> Self:
        """The lab called `name`.

        Raises:
            NotFoundError: There is none.
        """
        return cls(home, read_state(labs_folder(home) / name), vendors, events or silent(SystemClock()))

    @staticmethod
    def _clear_broken(home: Path, name: str, vendors: Sequence[Vendor], events: EventStream) -> None:
        folder = labs_folder(home) / name
        try:
            state = read_state(folder)
        except NotFoundError:
            return
        rig = Rig(folder, state, vendors, events)
        if state.stage == "up" and rig.whole.populated:
            raise ConflictError(
                f"lab `{name}` is up already, with {len(state.hosts)} hosts",
                code="lab.exists",
                hints=[f"`aiops lab status --name {name}`", f"`aiops lab down --name {name}`, or take another name"],
            )
        events.emit("remains_found", f"removing what an earlier lab `{name}` left")
        rig.remove()

    def down(self) -> None:
        """Remove everything the lab is made of. Can be repeated, whatever was killed when.

        Raises:
            ConflictError: Someone else works on the lab.
            FailedError: Something cannot be removed; it is named.
        """
        with held(self._home, self.state.name):
            if self._rig.folder.exists():
                self._note(replace(self.state, stage="making"))
            self._rig.remove()

    def remains(self) -> list[str]:
        """What of the lab exists on this machine now; nothing after `down`."""
        return self._rig.remains()

    # ---------------------------------------------------------------- what it has

    @property
    def state(self) -> LabState:
        """The record, as this object last saw it."""
        return self._rig.state

    @property
    def folder(self) -> Path:
        """Where all its files are."""
        return self._rig.folder

    @property
    def inventory_path(self) -> Path:
        """The inventory that every other command takes."""
        return self._rig.inventory_path

    @property
    def hosts(self) -> tuple[HostState, ...]:
        """The hosts, the head first."""
        return self.state.hosts

    def root(self, node: str) -> Path:
        """The running host's root folder as this machine sees it.

        Raises:
            NotFoundError: There is no such host.
            ConflictError: It is off.
        """
        launch = self._rig.launch(self.state.host(node))
        return launch.seen(launch.root)

    def status(self) -> tuple[HostStatus, ...]:
        """Every host as it is now."""
        return tuple(self._status(host) for host in self.state.hosts)

    def _status(self, host: HostState) -> HostStatus:
        group = self._rig.group(host)
        running = group.populated
        return HostStatus(
            name=host.name,
            role=host.role,
            address=host.address,
            running=running,
            reachable=running and answers(host.address),
            memory_mib=group.memory_mib,
            faults=tuple(sorted(self.state.faults.get(host.name, {}))),
            group=host.group,
            release=host.release,
            accelerator=host.accelerator,
        )

    @property
    def memory_mib(self) -> int | None:
        """What all hosts together use, page cache included; None where nothing counts it."""
        return self._rig.whole.memory_mib

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lab against others and see its newest state."""
        with held(self._home, self.state.name):
            self._rig.state = read_state(self.folder)
            yield

    def _note(self, state: LabState) -> None:
        """Write down a new state, before what it tells of is done."""
        write_state(self.folder, state)
        self._rig.state = state

    # ---------------------------------------------------------------- snapshots

    def snapshot(self, name: str) -> None:
        """Keep what is on the hosts' disks and what they share, as `name`: they shut down, and boot again on top of it.

        Raises:
            ConflictError: There is one of that name, or a fault is on.
            InputError: It is no name.
        """
        if not name or not name.isascii() or not name.replace("-", "").isalnum():
            raise InputError(f"`{name}` is no name for a snapshot", code="lab.snapshot_name")
        with self._changing():
            layers = self.state.snapshots
            if name in layers:
                raise ConflictError(f"lab `{self.state.name}` has a snapshot `{name}`", code="lab.snapshot_exists")
            if any(self.state.faults.values()):
                raise ConflictError("a fault is on", code="lab.fault_on", hints=["heal it first: `aiops lab status`"])
            started = time.monotonic()
            self._note(replace(self.state, stage="making"))
            self._rig.stop()
            for host in self.state.hosts:
                self._rig.disk(host).freeze_layer(name)
            self._rig.keep_shared(name)
            self._note(replace(self.state, snapshots=(*layers, name)))
            self._rig.boot(self.state.hosts)
            self._note(replace(self.state, stage="up"))
            self._events.emit("snapshot_taken", f"snapshot `{name}`", seconds=time.monotonic() - started)

    def reset(self, name: str | None = None) -> None:
        """Put disks and the shared folder back to the snapshot `name` (by default the last), heal all faults, boot.

        Later snapshots are dropped; a lab without any goes back to bare hosts. Nothing is asked of the hosts, so
        it works on broken ones too, and on a lab whose snapshot or reset was killed half-way.

        Raises:
            NotFoundError: There is no such snapshot.
        """
        with self._changing():
            known = self.state.snapshots
            if name is not None and name not in known:
                raise NotFoundError(
                    f"lab `{self.state.name}` has no snapshot `{name}`",
                    code="lab.unknown_snapshot",
                    hints=[f"it has: {', '.join(known) or 'none'}"],
                )
            started = time.monotonic()
            layers = known if name is None else known[: known.index(name) + 1]
            self._note(replace(self.state, stage="making", faults={}))
            self._rig.kill()
            for host in self.state.hosts:
                if not layers:
                    self._rig.furnish(host)
                self._rig.show_devices(host)
            self._rig.restore_shared(layers[-1] if layers else None)
            self._rig.rewire()
            self._note(replace(self.state, snapshots=layers))
            self._rig.boot(self.state.hosts, fresh=True)
            self._note(replace(self.state, stage="up"))
            self._events.emit("lab_reset", f"lab `{self.state.name}`", seconds=time.monotonic() - started)

    # ---------------------------------------------------------------- faults

    def fault(self, node: str, kind: str, *, device: int = 0, value: str | None = None) -> None:
        """Make something go wrong on a host; returns when the effect is there.

        Args:
            node: The host.
            kind: One of `aiops lab kinds`.
            device: Number of the accelerator, for kinds about one.
            value: What the kind takes; None for its default.

        Raises:
            InputError: The kind or the value makes no sense there.
            NotFoundError: There is no such host or device.
            ConflictError: It is on already, the host is off, or its disk is full.
        """
        chosen, order = kind_called(kind), Order(device, value)
        with self._changing():
            host = self.state.host(node)
            target = self._target(host)
            refuse_impossible(target, chosen, order)
            if chosen.lasts:
                self._note_fault(host, {**target.faults, kind: {"device": device, "value": value}})
            try:
                chosen.inject(target, order)
            except OSError as error:
                self._note_fault(host, target.faults)
                raise ConflictError(
                    f"{node}: `{kind}` cannot be made: {error.strerror}",
                    code="lab.fault_failed",
                    hints=[f"`aiops lab heal {node} --name {self.state.spec.name}`"],
                ) from error
            if kind in {"power-loss", "reboot"}:
                self._note_fault(host, survivors(self.state.faults.get(node, {})))
            self._events.emit("fault_injected", kind, node=node, device=device, value=value)

    def heal(self, node: str, kind: str | None = None) -> tuple[str, ...]:
        """Undo a fault of a host, or all of them; return the kinds that were healed.

        A host that is off without a fault (it was shut down from within) is booted when all are to be healed.

        Raises:
            InputError: There is no such kind.
            NotFoundError: There is no such host, or that fault is not on.
        """
        if kind is not None:
            kind_called(kind)
        with self._changing():
            host = self.state.host(node)
            on = self.state.faults.get(node, {})
            if kind is not None and kind not in on:
                raise NotFoundError(f"{node}: `{kind}` is not on", code="lab.fault_off", hints=["aiops lab status"])
            # The cable first: a host that boots is waited for. Then power: some faults are healed from within.
            order = {"network-cut": 0, "power-loss": 1}
            healed = sorted([kind] if kind else on, key=lambda name: order.get(name, 2))
            for name in healed:
                if kind is None and name not in order:
                    self._start(host)
                kind_called(name).heal(self._target(host))
                left = {other: given for other, given in self.state.faults[node].items() if other != name}
                self._note_fault(host, left)
                self._events.emit("fault_healed", name, node=node)
            if kind is None:
                self._start(host)
        return tuple(healed)

    def _start(self, host: HostState) -> None:
        """Boot a host that is off, whatever the reason."""
        group = self._rig.group(host)
        if not group.populated:
            if group.frozen:  # it was killed while it stood still
                group.freeze(frozen=False)
            self._rig.boot([host])

    def _target(self, host: HostState) -> Target:
        faults = self.state.faults.get(host.name, {})
        return Target(
            launch=self._rig.launch(host),
            group=self._rig.group(host),
            disk=self._rig.disk(host),
            tool=self._rig.tool(host),
            driver=self.state.spec.driver,
            faults=faults,
            start=lambda: self._rig.boot([host], wait="network-cut" not in faults),
        )

    def _note_fault(self, host: HostState, faults: Mapping[str, Mapping[str, Any]]) -> None:
        self._note(replace(self.state, faults={**self.state.faults, host.name: faults}))


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
