"""A controller inside another command: where none runs, whoever follows a job decides about it meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.counter import AtDesk, knock, myself, place_of
from aiops.cli.screen import Screen
from aiops.layers.core.errors import ConflictError, FailedError

if TYPE_CHECKING:
    from aiops.cli.counter import Counter

_JOIN_SECONDS = 10.0


@contextmanager
def deciding(aiops: App, screen: Screen, inventory: Path | None) -> "Iterator[Counter]":
    """Where to ask, of somebody who decides: the controller that runs here, else one for the time of the block.

    Args:
        aiops: The outside world.
        screen: Where it is said what was done to nodes.
        inventory: As the option says, for a controller of our own.

    Raises:
        ConflictError: The jobs of the inventory's cluster are decided about on its head (`controller.elsewhere`).
        InputError: There is no inventory, or it is wrong.
    """
    door = knock(aiops)
    if door is not None:
        try:
            yield door
        finally:
            door.close()
        return
    from aiops.layers.l2_jobs.controller.visitor import FILE

    from .assembly import assembled

    read = aiops.inventory(inventory)
    if read.head is not None and read.head.connection.kind != "local":
        look = f"`aiops node exec --on {read.head.name} -- systemctl status aiops-controller`"
        raise ConflictError(
            f"the jobs of {read.cluster} are its head's, and no controller runs on {read.head.name}",
            code="controller.elsewhere",
            hints=[
                f"install it there: `aiops cluster deploy {read.path} --only jobs`",
                f"or see why it does not run: {look}",
                "or decide here, for nodes of the engine ssh: by an inventory of them without a head",
            ],
        )
    with assembled(aiops, screen, read) as running:
        defects: list[BaseException] = []

        def run() -> None:
            try:
                running.run()
            except BaseException as defect:  # noqa: BLE001 - told by whoever follows
                defects.append(defect)

        thread = threading.Thread(target=run, name="controller", daemon=True)
        thread.start()
        try:
            desk = AtDesk(running.desk, myself(), decided=True, place=place_of(aiops.home / FILE))
            yield _Embedded(desk, defects)
        finally:
            running.ended.set()
            thread.join(_JOIN_SECONDS)


def planned(aiops: App, screen: Screen, inventory: Path | None, words: dict[str, Any]) -> dict[str, Any]:
    """What would run of a job file, without a controller: as a desk's `plan` says it.

    Raises:
        InputError: The job, or the inventory, is wrong.
    """
    from aiops.layers.l1_cluster.draining import workloads_of
    from aiops.layers.l2_jobs.controller.desk import Submission
    from aiops.layers.l2_jobs.controller.ledger import Ledger
    from aiops.layers.l2_jobs.site import read_site
    from aiops.layers.l2_jobs.steady import Steady

    from .compiling import Compiler
    from .shelves import Shelves
    from .sites import Sites

    read = aiops.inventory(inventory)
    now = Steady(aiops.clock)
    with aiops.store() as store, aiops.fleet(read) as fleet:
        sites = Sites(aiops, store, fleet, read, workloads=workloads_of(aiops.plugins, read, fleet), now=now)
        sites.known()
        shelves = Shelves(aiops, fleet, list(sites.nodes.values()), now, warn=screen.warn)
        compiler = Compiler(aiops, fleet, sites, shelves, now, settings=read_site(read.settings))
        plan = compiler.plan(Submission(**words), myself().account, Ledger(store).alive())
    return {"document": plan.document(), "lines": list(plan.lines())}


class _Embedded:
    """Asks a controller in this process, and fails where that has failed."""

    decided = True

    def __init__(self, desk: AtDesk, defects: list[BaseException]) -> None:
        self._desk = desk
        self._defects = defects
        self.place = desk.place

    def ask(self, verb: str, **words: object) -> object:
        """The desk's answer."""
        if self._defects:
            defect = self._defects[0]
            raise defect if isinstance(defect, Exception) else FailedError(str(defect), code="controller.ended")
        return self._desk.ask(verb, **words)
