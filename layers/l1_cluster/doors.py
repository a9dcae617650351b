"""What a deploy is given, and what it reaches the world through."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiops.layers.core.clock import Clock
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

from .bundle.offer import Offer
from .draining import Workload
from .gate import Gate
from .ledger import Ledger
from .member import Members
from .phase import Phase
from .plan import Plan
from .playbook import Played, TaskFailure
from .rollout import Share, Stop
from .survey import Memory, Prober


class HeldLock(Protocol):
    """The cluster lock while we hold it.

    Attributes:
        lost: Set once it is known that another holds it.
    """

    lost: threading.Event

    @property
    def epoch(self) -> int:
        """What every changing step carries; only `surpass` raises it."""
        ...

    def guard(self) -> None:
        """Return only while it is ours."""
        ...

    def renew(self) -> None:
        """Ask its keeper now; sets `lost` when it is another's."""
        ...

    def surpass(self, seen: int) -> None:
        """Raise the epoch above `seen`; return only while it is ours."""
        ...


class Applier(Protocol):
    """Who runs `apply.yml`."""

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
        """Run it for the nodes in `hosts`; end it on the way once `cancel` says yes."""
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What a deploy reaches the world through; tests give it others.

    Attributes:
        lock: Takes the cluster lock; not called for a dry run.
        confirm: Asked once, with a plan that changes something; False: nothing is done.
        here: `(machine_id, boot_id)` of the machine this runs on, which is never rebooted; None where unknown.
        on_start: Told of tasks as nodes begin them (node, task), for a screen.
        on_task: Told of tasks as nodes have done them, likewise.
        pair_mismatch: See `preflight.Situation`.
        memory: What nodes that do not answer said in earlier deploys; None: nothing is remembered.
        members: Where the nodes that are deployed to are written down before; None: nowhere.
        workloads: Who may run work on the nodes; nodes in service are drained before they are rebooted.
    """

    prober: Prober
    gate: Gate
    lock: Callable[[], AbstractContextManager[HeldLock]]
    applier: Applier
    confirm: Callable[[Plan], bool]
    clock: Clock
    here: tuple[str, str] | None = None
    on_start: Callable[[str, str], None] | None = None
    on_task: Callable[[str, str], None] | None = None
    pair_mismatch: Callable[[Facts], str | None] | None = None
    memory: Memory | None = None
    members: Members | None = None
    workloads: tuple[Workload, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be deployed.

    Attributes:
        phases: The chosen ones, in order.
        nodes: The chosen ones. Facts are asked of all nodes of the inventory, for files that list them.
        private: The deploy's private directory.
        logs: Where Ansible's words of each phase are kept, without secrets; None: nowhere.
        write: Where a dry run writes what plain `ansible-playbook` needs to do it.
        bundle: What nodes with `aiops_repository: bundle` install from; its archive is there.
        batch: How many workers go through all phases together; None: all.
        max_fail: How many nodes may fail before the rollout stops; None: any number.
        drain_seconds: How long what runs on a node has to end before it is given up.
    """

    inventory: Inventory
    phases: tuple[Phase, ...]
    nodes: tuple[Node, ...]
    private: Path
    dry_run: bool = False
    write: Path | None = None
    logs: Path | None = None
    bundle: Offer | None = None
    batch: Share | None = None
    max_fail: Share | None = None
    drain_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Deployed:
    """The end of a deploy.

    Attributes:
        declined: The plan was shown and refused; nothing was done.
        stop: Why it ended before it came to all nodes; None when it did come to them.
        drained: Nodes that it has drained and not given back.
    """

    plan: Plan
    ledger: Ledger
    declined: bool = False
    stop: Stop | None = None
    drained: tuple[str, ...] = ()


def this_machine() -> tuple[str, str] | None:
    """`(machine_id, boot_id)` of the machine this runs on; None where it does not tell."""
    try:
        machine = Path("/etc/machine-id").read_text("ascii").strip()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
    return (machine, boot) if boot else None
