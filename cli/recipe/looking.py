"""Looking at nodes for a plan: through the controller where one answers, which asks as the user; else by ourselves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.counter import knock
from aiops.cli.head import cluster_of
from aiops.layers.core.errors import AiopsError, InputError, UnreachableError

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.ask import Ask, Record
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l2_jobs.survey import Survey
    from aiops.layers.l3_tuning.plan.machine import Machine
    from aiops.layers.l3_tuning.recipe import Recipe

_UNABLE = frozenset({"desk.verb", "controller.none"})
"""What a controller says that asks nobody's questions: it is an older one, or none that reaches nodes."""


@dataclass(frozen=True)
class Seen:
    """The nodes that a recipe may be placed on, and what they have said, word for word."""

    machines: "tuple[Machine, ...]"
    records: "tuple[Record, ...]" = ()


@contextmanager
def asker(aiops: App, inventory: Path | None) -> "Iterator[Counter | None]":
    """Who asks nodes for us: the controller here; None where we do it ourselves.

    We do where none runs here, and where the inventory is another cluster's than the controller's. One that is
    installed here and away is somebody whom we cannot ask, see `look`.

    Raises:
        InputError: The inventory that is named is not there, or is wrong.
    """
    try:
        door = knock(aiops)
    except UnreachableError as error:
        yield _Away(error)
        return
    if door is None:
        yield None
        return
    try:
        read = cluster_of(aiops, inventory)
        yield door if read is None or door.ask("status").get("cluster") == read.cluster else None
    finally:
        door.close()


class _Away:
    """A controller that does not answer."""

    decided = False
    place = ""

    def __init__(self, error: UnreachableError) -> None:
        self._error = error

    def ask(self, verb: str, **_words: Any) -> Any:  # noqa: ARG002 - it answers nothing
        """Raise why."""
        raise self._error


def look(aiops: App, screen: "Screen", recipe: "Recipe", inventory: Path | None, desk: "Counter | None") -> Seen:
    """The nodes that a recipe may be placed on, asked once each, and what they said.

    Args:
        aiops: The outside world.
        screen: Where it is shown.
        recipe: What is to be placed.
        inventory: As the option says, for questions of our own.
        desk: Who asks for us, as us; None where we ask ourselves. Where it cannot, we do if we may read an inventory;
            else no node has answered.

    Raises:
        InputError: There is no inventory and nobody to ask, or none of the nodes may be used.
    """
    from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
    from aiops.layers.l0_nodes.vendor import vendors_of
    from aiops.layers.l3_tuning.plan.asking import machine_of, plan_asks, silent, unasked
    from aiops.layers.l3_tuning.trainer import trainers_of

    vendors = vendors_of(aiops.plugins)
    trainer = trainers_of(aiops.plugins).get(recipe.trainer)
    asks = (*fact_asks(vendors), *(plan_asks(recipe) if trainer is None else plan_asks(recipe, trainer.environment)))
    if desk is None:
        found = _asked(aiops, screen, recipe, asks, _inventory(aiops, inventory))
    else:
        try:
            found = _told(screen, recipe, asks, desk)
        except AiopsError as error:
            if not (error.code in _UNABLE or isinstance(error, UnreachableError)):
                raise
            try:
                read = aiops.inventory(inventory)
            except InputError:
                return Seen(unasked(recipe, error.message))
            found = _asked(aiops, screen, recipe, asks, read)
    made = [machine_of(record, facts_of(record, vendors)) for record in found.records]
    made += [silent(name, why) for name, why in found.silent.items()]
    return Seen(tuple(sorted(made, key=lambda one: one.name)), found.records)


def _inventory(aiops: App, inventory: Path | None) -> "Inventory":
    try:
        return aiops.inventory(inventory)
    except InputError as error:
        imagine = "or plan for nodes that you do not have: `--device-memory '80 GiB'`"
        raise InputError(error.message, code=error.code, hints=[*error.hints, imagine]) from error


def _told(screen: "Screen", recipe: "Recipe", asks: "Sequence[Ask]", desk: "Counter") -> "Survey":
    """What nodes say to a controller, which asks some of them at a time.

    Raises:
        InputError: None of its nodes may be used; or it knows no such question, or does not take ours.
        UnreachableError: It is busy, or has gone.
    """
    from aiops.layers.l2_jobs.survey import Survey

    documents = [ask.document() for ask in asks]
    records: list[Record] = []
    silent: dict[str, str] = {}
    wanted: list[str] | None = sorted(recipe.placement.only) or None
    with screen.step("nodes") as step:
        while wanted is None or wanted:
            try:
                found = Survey.of(desk.ask("survey", asks=documents, nodes=wanted))
            except InputError as error:
                raise _no_nodes() if error.code == "survey.nodes" else error from error
            for record in found.records:
                step.done(record.node)
            for name in found.silent:
                step.done(name, failed=True)
            records += found.records
            silent |= found.silent
            wanted = list(found.left) if found.records or found.silent else []
    return Survey(tuple(records), silent)


def _asked(aiops: App, screen: "Screen", recipe: "Recipe", asks: "tuple[Ask, ...]", read: "Inventory") -> "Survey":
    """What nodes say to us.

    Raises:
        InputError: None of the inventory's may be used.
    """
    from aiops.layers.l0_nodes.probe import probe
    from aiops.layers.l2_jobs.controller.places import workers_of
    from aiops.layers.l2_jobs.survey import Survey

    only = recipe.placement.only
    nodes = [node for node in workers_of(read.nodes) if not only or node.name in only]
    if not nodes:
        raise _no_nodes()
    records: list[Record] = []
    silent: dict[str, str] = {}
    with aiops.fleet(read, nodes) as fleet, screen.step("nodes", nodes=[node.name for node in nodes]) as step:
        for outcome in probe(fleet, nodes, lambda _: asks, aiops.clock):
            if outcome.value is not None:
                records.append(outcome.value)
            else:
                silent[outcome.node.name] = outcome.error.message if outcome.error else "it did not answer"
            step.done(outcome.node.name, failed=outcome.value is None)
    return Survey(tuple(records), silent)


def _no_nodes() -> InputError:
    return InputError(
        "the recipe's `placement.only` names no node that jobs may be placed on",
        code="plan.nodes",
        hints=["`aiops node list` shows all nodes"],
    )
