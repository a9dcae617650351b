"""The nodes as places for work: what L1 knows of them, looked at anew where that is too old."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.examining import round_of

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.facts import Facts
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.draining import Standing, Workload
    from aiops.layers.l1_cluster.health.round import Round
    from aiops.layers.l2_jobs.job import EngineName, Job
    from aiops.layers.l2_jobs.node import Place
    from aiops.layers.l2_jobs.spec import Seat

_WORTH_TELLING = 5.0
"""A verdict that is newer by less, in seconds, is the same look's."""


class Sites:
    """The places of one cluster; safe to use from several threads."""

    def __init__(
        self,
        aiops: App,
        store: "Store",
        fleet: "Fleet",
        inventory: "Inventory",
        *,
        workloads: "Sequence[Workload]",
        now: Callable[[], float],
    ) -> None:
        from aiops.layers.l2_jobs.controller.places import engine_of, workers_of

        self._aiops = aiops
        self._store = store
        self._fleet = fleet
        self._inventory = inventory
        self._workloads = tuple(workloads)
        self._now = now
        slurm = _has_slurm(store, inventory)
        self.nodes = {node.name: node for node in workers_of(inventory.nodes)}
        self.engines: dict[str, EngineName] = {name: engine_of(node, slurm=slurm) for name, node in self.nodes.items()}
        self._facts: dict[str, Facts] = {}
        self._places: dict[str, Place] = {}
        self._learned: set[str] = set()
        """Nodes that have answered, and whose place was made since."""
        self._lock = threading.Lock()

    def known(self) -> "dict[str, Place]":
        """All places as they are known without asking anybody."""
        return self._made(list(self.nodes), {}, {})

    def examine(self, names: Sequence[str]) -> "Mapping[str, Place]":
        """Those places as they are now, by a quick look of L1.

        Raises:
            FailedError: The store cannot be written.
        """
        from aiops.layers.l1_cluster.draining import standings

        wanted = [self.nodes[name] for name in names if name in self.nodes]
        begun = self._now()
        report = self._round().make(wanted, on_facts=self._learn)
        found = {name: (str(verdict), begun) for name, verdict in report.verdicts.items()}
        stand = standings(self._workloads, wanted)
        return self._made([node.name for node in wanted], found, stand)

    def learned(self) -> "dict[str, Place]":
        """All places, those that never answered looked at first."""
        strange = [name for name in self.nodes if name not in self._learned]
        if strange:
            self.examine(strange)
        with self._lock:
            return dict(self._places)

    def seat(self, job: "Job", name: str) -> "Seat":
        """Where a rank group of `job` would run."""
        from aiops.layers.l0_nodes.variables import variables_of
        from aiops.layers.l2_jobs.spec import Seat

        node = self.nodes[name]
        variables = variables_of(node)
        address = variables.aiops_address or node.connection.address or node.name
        return Seat(address, job.devices.vendor or self.vendor(name), root=variables.aiops_jobs_as_root)

    def refresh(self) -> "Mapping[str, Place]":
        """Places that somebody has drained, given back, or looked at since they were looked at here."""
        from aiops.layers.l1_cluster.health.register import Register
        from aiops.layers.l2_jobs.controller.places import reopened

        last = Register(self._store, self._inventory.cluster).last()
        with self._lock:
            changed = reopened(
                self._places,
                {name: one.after for name, one in last.items()},
                {name: one.cause for name, one in last.items()},
            )
            self._places.update(changed)
            warm = self._warmer()
            self._places.update(warm)
        return {**changed, **warm}

    def _warmer(self) -> "dict[str, Place]":
        """Places of which L1 has a newer verdict, by a look that somebody else has made."""
        from dataclasses import replace

        from aiops.layers.l1_cluster.health.history import HealthHistory

        newer = {}
        for name, one in HealthHistory(self._store, self._inventory.cluster).latest(list(self._facts)).items():
            at, place = one.last.timestamp(), self._places[name]
            if place.verdict_at is None or at > place.verdict_at + _WORTH_TELLING:
                newer[name] = replace(place, verdict=one.verdict, verdict_at=at)
        return newer

    def vendor(self, name: str) -> str | None:
        """The maker of a node's accelerators; None without any, or before it was looked at."""
        place = self._places.get(name)
        return None if place is None else place.vendor

    def _made(
        self, names: Sequence[str], verdicts: Mapping[str, tuple[str, float]], stand: "Mapping[str, Standing]"
    ) -> "dict[str, Place]":
        from aiops.layers.l1_cluster.health.register import Register
        from aiops.layers.l2_jobs.controller.places import place_of

        last = Register(self._store, self._inventory.cluster).last()
        with self._lock:
            facts = dict(self._facts)  # others may look at nodes meanwhile
        made = {}
        for name in names:
            verdict, at = verdicts.get(name, ("unknown", None))
            change = last.get(name)
            made[name] = place_of(
                self.nodes[name],
                self.engines[name],
                facts=facts.get(name),
                state="new" if change is None else change.after,
                cause="" if change is None else change.cause,
                standing=stand.get(name),
                verdict=verdict,
                verdict_at=at,
                before=self._places.get(name),
            )
        with self._lock:
            self._places.update(made)
            self._learned.update(name for name in made if name in facts)
        return made

    def _learn(self, facts: "Facts") -> None:
        with self._lock:
            self._facts[facts.node] = facts

    def _round(self) -> "Round":
        from aiops.layers.l1_cluster.health.catalogue import checks_of
        from aiops.layers.l1_cluster.health.site import read_site

        checks = checks_of(self._aiops.plugins)
        groups = {group for node in self._inventory.nodes for group in node.groups}
        return round_of(
            self._aiops,
            self._store,
            self._fleet,
            self._inventory,
            nodes=list(self.nodes.values()),
            checks=checks,
            site=read_site(self._inventory.settings, checks, groups),
            level="quick",
        )


def _has_slurm(store: "Store", inventory: "Inventory") -> bool:
    """Whether we have deployed Slurm to the head, and not taken it back."""
    from aiops.layers.l1_cluster.phase import providers
    from aiops.layers.l1_cluster.run import Runs
    from aiops.layers.l1_cluster.status import in_place

    head = inventory.head
    return head is not None and in_place(Runs(store).latest_results(inventory.cluster), providers("slurm"), head.name)
