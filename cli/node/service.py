"""`aiops node drain|resume`: nodes leave service and come back."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.changing import changing
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, JsonOption, QuietOption, YesOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import ConflictError, InputError, Problem

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.draining import Standing
    from aiops.layers.l1_cluster.health.node_state import NodeState
    from aiops.layers.l1_cluster.health.register import Register

NodesArgument = Annotated[
    str, typer.Argument(metavar="NODES", help="A node, or a node set such as `gpu[01-04],@workers`.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever sees it drained.")]


def drain(
    context: typer.Context,
    nodes: NodesArgument,
    *,
    reason: ReasonOption,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Give nodes no new work; what runs there goes on to its end. Twice is harmless."""
    from aiops.layers.l1_cluster.draining import standings
    from aiops.layers.l1_cluster.health.hold_reason import OPERATOR
    from aiops.layers.l1_cluster.health.node_state import IN_SERVICE, require
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.withdrawal import Cause, Withdrawal

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    chosen = read.select(nodes)
    if not reason.strip():
        raise InputError(
            "a drain needs a reason: others will ask why",
            code="usage.reason",
            hints=[f"`aiops node drain {shlex.quote(nodes)} --reason 'what is wrong'`"],
        )
    with changing(aiops, screen, read, ["aiops", "node", "drain", nodes, "--reason", reason]) as change:
        register = Register(change.store, read.cluster)
        states = register.states()
        found = standings(change.workloads, chosen)
        _require_known(found)
        _require_ours(found, "drain")
        wanted = [node for node in chosen if states.get(node.name, "new") != "draining"]
        for node in wanted:
            if states.get(node.name, "new") not in {*IN_SERVICE, "drained"}:
                require(node.name, states.get(node.name, "new"), "draining")
        actor = f"{change.owner.user} on {change.owner.host}"
        cause = Cause(f"{OPERATOR} {change.owner.user}, run {change.events.run}: {reason}", reason)
        withdrawal = Withdrawal(
            register, change.workloads, change.events, lock=change.lock, clock=aiops.clock, actor=actor
        )
        withdrawal.drain(chosen, {node.name: cause for node in chosen}, states, found)
        after = standings(change.workloads, chosen)
        change.journal.end(Exit.DONE)
    _show(screen, chosen, register.states(), after)
    working = [name for name, one in after.items() if one.work]
    if working:
        screen.hint(f"wait for what runs there: `aiops node show {shlex.quote(working[0])}`")
    return Exit.DONE


def resume(
    context: typer.Context,
    nodes: NodesArgument,
    *,
    inventory: InventoryOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Give nodes work again that we have drained; a node that somebody else has drained stays as it is.

    Of a node that is out for service (rma) it is asked whether it is back and in order.
    """
    from aiops.layers.l1_cluster.draining import standings
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.withdrawal import Withdrawal

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    chosen = read.select(nodes)
    if not _back_from_service(aiops, screen, read.cluster, chosen, yes=yes):
        screen.note("nothing was changed")
        return Exit.FAILED
    with changing(aiops, screen, read, ["aiops", "node", "resume", nodes]) as change:
        register = Register(change.store, read.cluster)
        found = standings(change.workloads, chosen)
        _require_known(found)
        _require_ours(found, "resume")
        _require_done(register, chosen)
        actor = f"{change.owner.user} on {change.owner.host}"
        withdrawal = Withdrawal(
            register, change.workloads, change.events, lock=change.lock, clock=aiops.clock, actor=actor
        )
        withdrawal.readmit(chosen, f"back from service, says {actor}", register.states())
        withdrawal.resume(chosen, f"given back by {actor}", register.states(), found)
        after = standings(change.workloads, chosen)
        change.journal.end(Exit.DONE)
    _show(screen, chosen, register.states(), after)
    return Exit.DONE


def _back_from_service(aiops: App, screen: Screen, cluster: str, nodes: "tuple[Node, ...]", *, yes: bool) -> bool:
    """Whether a person says that those of `nodes` which are out for service are back and in order.

    Raises:
        InputError: Nobody can be asked.
    """
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l1_cluster.health.register import Register

    with aiops.store() as store:
        last = Register(store, cluster).last()
    away = [node.name for node in nodes if node.name in last and last[node.name].after == "rma"]
    for name in away:
        screen.note(f"{name} is out for service (rma) since {screen.time(last[name].at)}: {last[name].cause}")
    if not away:
        return True
    are = "Is" if len(away) == 1 else "Are"
    return screen.confirm(f"{are} {fold(away)} back from service and in order?", yes=yes)


def _require_done(register: "Register", nodes: "tuple[Node, ...]") -> None:
    """Refuse nodes whose repair was cut off: what it has stopped there is not started yet.

    Raises:
        ConflictError: There is one.
    """
    from aiops.layers.l1_cluster.health.node_state import require

    states = register.states()
    for node in nodes:
        if states.get(node.name) == "repairing":
            require(node.name, "repairing", "ready")


def _require_known(found: "Mapping[str, Standing]") -> None:
    """Refuse where it cannot be told what runs on a node.

    Raises:
        ConflictError: So it is on some.
    """
    unknown = {name: one.reason for name, one in found.items() if one.state == "unknown"}
    if unknown:
        raise ConflictError(
            "nothing was changed, for it is not known what runs there",
            code="node.unknown",
            hints=["once whoever runs work there answers: the same command again"],
            problems=[Problem(f"{name}: {reason}") for name, reason in unknown.items()],
        )


def _require_ours(found: "Mapping[str, Standing]", verb: str) -> None:
    """Refuse what somebody else has drained.

    Raises:
        ConflictError: So it is with some.
    """
    from aiops.layers.l1_cluster.health.repairable import holder_of

    others = {
        name: one.reason
        for name, one in found.items()
        if one.state in {"draining", "drained"} and holder_of(one) == "others"
    }
    if others:
        name = next(iter(others))
        raise ConflictError(
            f"nothing was changed: somebody else has drained {', '.join(others)}",
            code="node.not_ours",
            hints=[
                f"ask them, or give it back as they drained it: `scontrol update NodeName={name} State=RESUME`",
                f"then `aiops node {verb} {name}{' --reason TEXT' if verb == 'drain' else ''}`",
            ],
            problems=[Problem(f"{name}: {reason or 'no reason was given'}") for name, reason in others.items()],
        )


def _show(
    screen: Screen, nodes: "tuple[Node, ...]", states: "Mapping[str, NodeState]", found: "Mapping[str, Standing]"
) -> None:
    rows = [(node.name, states.get(node.name, "new"), found.get(node.name)) for node in nodes]
    if screen.json:
        screen.document(
            [
                {
                    "node": name,
                    "state": state,
                    "standing": None if one is None else one.state,
                    "reason": None if one is None else one.reason or None,
                    "work": [] if one is None else list(one.work),
                }
                for name, state, one in rows
            ]
        )
        return
    screen.table(
        ("node", "state", "work", "reason"),
        [
            (
                name,
                state,
                None if one is None else ", ".join(one.work) or None,
                None if one is None else one.reason or None,
            )
            for name, state, one in rows
        ],
    )
