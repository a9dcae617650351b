"""`aiops cluster reset`: undo what deploys did, for the whole cluster or some nodes of it."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.journal import journal_of
from aiops.cli.options import (
    DryRunOption,
    InventoryArgument,
    InventoryOption,
    JsonOption,
    OnOption,
    QuietOption,
    YesOption,
    chosen_inventory,
)
from aiops.cli.screen import Screen, error_document
from aiops.cli.signals import TerminatedError
from aiops.layers.core.errors import FailedError, InputError, Problem
from aiops.layers.l0_nodes.nodeset import fold

from .deploy import ForksOption
from .membership import everyone, forget_members
from .progress import Progress
from .succession import lock_of, succeed

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l1_cluster.lock import Lock
    from aiops.layers.l1_cluster.reset import Doors, Ended

ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="NAME", help="The cluster's name, where nobody can be asked for it.")
]

ForgetOption = Annotated[
    bool, typer.Option("--forget", help="Reach nobody: forget nodes that left the inventory and are gone for good.")
]


def reset(
    context: typer.Context,
    *,
    inventory: InventoryArgument = None,
    inventory_option: InventoryOption = None,
    on: OnOption = None,
    confirm: ConfirmOption = None,
    forget: ForgetOption = False,
    forks: ForksOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Undo what deploys did; each node goes back to what it was. Asks for the cluster's name."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(chosen_inventory(inventory, inventory_option))
    if forget:
        return forget_members(aiops, screen, read, on)
    if not dry_run:
        _require_name(screen, read.cluster, confirm, yes=yes)
    return _Reset(aiops, screen, read, Wish(on, confirm, forks, dry_run)).perform()


def _require_name(screen: Screen, cluster: str, confirm: str | None, *, yes: bool) -> None:
    """Refuse at once what could not be confirmed later."""
    if confirm is not None and confirm != cluster:
        raise InputError(
            f"`--confirm {confirm}` is not the cluster's name", code="reset.wrong_name", hints=[f"it is `{cluster}`"]
        )
    if confirm is None and (yes or not screen.interactive):
        raise InputError(
            "a reset is confirmed by the cluster's name"
            + (", `--yes` does not do" if yes else ", nobody can be asked"),
            code="reset.needs_name",
            hints=[f"add `--confirm {shlex.quote(cluster)}`", "see what would be undone: add `--dry-run`"],
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    on: str | None
    confirm: str | None
    forks: int | None
    dry_run: bool


class _Reset:
    """One `reset`, from its wish to its answer."""

    def __init__(self, aiops: App, screen: Screen, inventory: "Inventory", wish: Wish) -> None:
        from aiops.layers.core.event import EventStream
        from aiops.layers.core.identifier import run_id
        from aiops.layers.l1_cluster.doors import this_machine
        from aiops.layers.l1_cluster.member import Members, choose
        from aiops.layers.l1_cluster.reset import Request

        self._aiops = aiops
        self._screen = screen
        self._inventory = inventory
        self._wish = wish
        self._folder = aiops.home / "clusters" / inventory.cluster
        self._members: Members = Members.of(self._folder)
        nodes = choose(inventory, self._members, wish.on)
        here = this_machine()
        listed = {node.name for node in inventory.nodes}
        self._request: Request = Request(
            inventory.cluster,
            nodes,
            inventory.head,
            whole=wish.on is None,
            boot=here[1] if here else "",
            others=tuple(node for node in inventory.nodes if node not in nodes),
            gone=frozenset(node.name for node in nodes if node.name not in listed),
        )
        words = ["aiops", "cluster", "reset", str(inventory.path), *(["--on", wish.on] if wish.on else [])]
        self._command = shlex.join(words)
        self._events: EventStream = EventStream(run_id(aiops.clock.now()), aiops.clock)
        self._progress = Progress(screen)
        self._events.subscribe(self._progress.listen)

    def perform(self) -> int:
        """Look or reset, show it, and give the exit code."""
        try:
            return self._perform()
        except (KeyboardInterrupt, TerminatedError) as cut:
            if not self._wish.dry_run:
                cut.add_note(f"see how far run {self._events.run} came: `aiops run show {self._events.run}`")
                cut.add_note(f"type it again, it goes on where it was: `{self._command}`")
            raise

    def _perform(self) -> int:
        from aiops.layers.l1_cluster.reset import look, reset

        wish, nodes = self._wish, self._request.nodes
        run = [] if wish.dry_run else [f"run {self._events.run}"]
        count = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
        self._screen.note(" · ".join([self._inventory.cluster, count, *run]) + "\n")
        with ExitStack() as stack:
            journal = None
            if not wish.dry_run:
                recorded = journal_of(self._aiops, self._events, self._inventory.cluster, self._command)
                _, journal = stack.enter_context(recorded)
            stack.callback(self._progress.close)
            width = wish.forks or self._inventory.settings.forks
            known = nodes if wish.dry_run else everyone(self._aiops, self._inventory)
            fleet = stack.enter_context(self._aiops.fleet(self._inventory, known, width=width))
            doors = self._doors(fleet)
            ended = (look if wish.dry_run else reset)(self._request, doors, self._events)
            code = self._code(ended)
            if journal is not None:
                first = next(iter(ended.ledger.failures), None)
                journal.end(code, "declined" if ended.declined else f"{first.node}: {first.reason}" if first else "")
        if self._screen.json:
            self._screen.document(self._document(ended))
        else:
            self._answer(ended)
        return code

    def _doors(self, fleet: "Fleet") -> "Doors":
        from aiops.layers.l1_cluster.draining import workloads_of
        from aiops.layers.l1_cluster.reset import Doors

        aiops = self._aiops
        workloads = workloads_of(aiops.plugins, self._inventory, fleet)
        return Doors(fleet, lambda: self._acquire(fleet), self._confirm, self._members, aiops.clock, workloads)

    def _acquire(self, fleet: "Fleet") -> "Lock":
        from aiops.layers.l1_cluster.gate import FleetGate
        from aiops.layers.l1_cluster.owner import Owner

        aiops, inventory = self._aiops, self._inventory
        headless = self._wish.confirm is not None  # said by name, so that no mistake in an inventory does it
        without = f"`{self._command} --confirm {shlex.quote(inventory.cluster)}`"
        return succeed(
            lock_of(aiops, inventory, fleet, headless=headless),
            Owner.here(self._events.run),
            self._command,
            everyone(aiops, inventory),
            gate=FleetGate(fleet),
            screen=self._screen,
            unanswered=f"if it is gone for good, take it out of {inventory.path}, then: {without}",
        )

    def _confirm(self, lines: Sequence[str]) -> bool:
        self._screen.note("")
        for line in lines:
            self._screen.note(self._screen.wrapped(f"  {line}", 4, aside=True))
        if self._wish.confirm is not None:
            return True
        typed = self._screen.ask(f"Type the name of the cluster, {self._inventory.cluster}, to undo this: ")
        return typed == self._inventory.cluster

    def _code(self, ended: "Ended") -> Exit:
        if self._wish.dry_run:
            return Exit.UNREACHABLE if ended.ledger.failures else Exit.DONE
        return Exit.DONE if ended.ledger.ok and not ended.declined else Exit.FAILED

    def _document(self, ended: "Ended") -> dict[str, Any]:
        dry = self._wish.dry_run
        outcome = "planned" if dry else "declined" if ended.declined else "done" if ended.ledger.ok else "failed"
        error = self._error(ended)
        return {
            "run": None if dry else self._events.run,
            "cluster": self._inventory.cluster,
            "outcome": outcome,
            "planned": {name: undone.document() for name, undone in ended.planned.items()},
            "undone": {name: undone.document() for name, undone in ended.undone.items()},
            "work": {name: list(work) for name, work in ended.work.items()},
            "failures": [entry.document() for entry in ended.ledger.failures],
            **({} if error is None else {"error": error_document(error, self._screen.pasteable)}),
        }

    def _error(self, ended: "Ended") -> FailedError | None:
        if ended.declined:
            return FailedError("nothing was changed", code="reset.declined", hints=[f"look again: `{self._command}`"])
        failures = ended.ledger.failures
        if not failures:
            return None
        again = self._command + (" --dry-run" if self._wish.dry_run else "")
        more = [] if self._wish.dry_run else [f"read everything with `aiops run show {self._events.run}`"]
        hints = [*more, f"once that is mended, go on with `{again}`"]
        verb = "cannot be looked at" if self._wish.dry_run else "not reset"
        if len(failures) == 1:
            one = failures[0]
            return FailedError(f"{one.node} {verb}: {one.reason}", code="reset.failed", hints=hints)
        problems = [Problem(f"{one.node}: {one.reason}") for one in failures]
        message = f"{len(failures)} of {len(self._request.nodes)} nodes {verb}"
        return FailedError(message, code="reset.failed", hints=hints, problems=problems)

    def _answer(self, ended: "Ended") -> None:
        from aiops.layers.l1_cluster.reset import summary

        screen = self._screen
        if self._wish.dry_run:
            for line in summary(ended):
                screen.line(screen.wrapped(line, 4))
        error = self._error(ended)
        if ended.declined:
            screen.note("that is not the cluster's name; nothing was changed")
            return
        if not self._wish.dry_run:
            self._told_done(ended)
        if error is not None:
            screen.error(error)

    def _told_done(self, ended: "Ended") -> None:
        screen = self._screen
        failed = {entry.node for entry in ended.ledger.failures}
        clean = [name for name, undone in ended.undone.items() if name not in failed and undone.known]
        strange = [name for name, undone in ended.undone.items() if name not in failed and not undone.known]
        if clean:
            screen.note(f"{fold(clean)} {'is' if len(clean) == 1 else 'are'} as before the first deploy")
        if strange:
            screen.note(f"no deploy has changed {fold(strange)}")
        for what, names in _folded((what, name) for name, one in ended.undone.items() for what in one.kept).items():
            screen.note(f"  kept on {fold(names)}: {what[0]} ({what[1]})")
        reboots = _folded((one.reboot, name) for name, one in ended.undone.items() if one.reboot and name not in failed)
        for why, names in reboots.items():
            screen.hint(f"what is loaded stays until a reboot of {fold(names)} ({why})")


def _folded(pairs: "Iterator[tuple[Any, str]]") -> dict[Any, list[str]]:
    """Nodes by what they have in common, in the order it came."""
    found: dict[Any, list[str]] = {}
    for what, name in pairs:
        found.setdefault(what, []).append(name)
    return found
