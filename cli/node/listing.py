"""`aiops node list|show`: the nodes as the inventory has them; nobody is contacted."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.node_state import NodeState, StateChange

_LATELY = timedelta(days=30)
_TOLD = 5

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its name in the inventory.")]


def list_(
    context: typer.Context,
    *,
    on: OnOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the nodes of the inventory, their addresses, roles, groups, and states as last seen."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    nodes = read.select(on)
    states = _states(aiops, read.cluster)
    if json:
        screen.document([{**_document(node), "state": states.get(node.name, "new")} for node in nodes])
        return
    screen.table(
        ("node", "address", "user", "roles", "groups", "state"),
        [
            (
                node.name,
                _place(node),
                node.connection.user,
                ",".join(sorted(node.roles)) or None,
                ",".join(node.groups) or None,
                states.get(node.name, "new"),
            )
            for node in nodes
        ],
    )


def show(
    context: typer.Context,
    node: NodeArgument,
    *,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show how a node is reached, after ssh's own configuration, its variables, and its state as last seen."""
    from aiops.layers.l0_nodes.variables import variables_of

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    found = read.node(node)
    changes = _changes(aiops, read.cluster, node)
    reached = _reached(aiops, found)
    given = variables_of(found).model_dump(mode="json", exclude_defaults=True)
    variables = {name: _open_value(found, name, value) for name, value in given.items()}
    if json:
        state = {"state": changes[-1].after if changes else "new", "changes": [one.document() for one in changes]}
        screen.document({**_document(found), "reached": reached, "variables": variables, **state})
        return
    rows: list[tuple[str, Any]] = [
        ("node", found.name),
        ("roles", ",".join(sorted(found.roles)) or None),
        ("groups", ",".join(found.groups) or None),
        *reached.items(),
        *variables.items(),
        ("state", changes[-1].after if changes else "new"),
        *((f"since {screen.time(one.at)}", _change(one)) for one in reversed(changes)),
    ]
    screen.table(("what", "value"), [(name, _text(value)) for name, value in rows])


def _remembers(aiops: App) -> bool:
    """Whether anything was ever written down here."""
    return bool(aiops.environment.get("AIOPS_DB")) or (aiops.home / "aiops.db").exists()


def _states(aiops: App, cluster: str) -> "Mapping[str, NodeState]":
    """The states of nodes by name; one that is not in it is new."""
    if not _remembers(aiops):
        return {}
    from aiops.layers.l1_cluster.health.register import Register

    with aiops.store() as store:
        return Register(store, cluster).states()


def _changes(aiops: App, cluster: str, node: str) -> "tuple[StateChange, ...]":
    """The last changes of a node's state, oldest first; none where nothing was ever written down here."""
    if not _remembers(aiops):
        return ()
    from aiops.layers.l1_cluster.health.register import Register

    with aiops.store() as store:
        return Register(store, cluster).changes(aiops.clock.now() - _LATELY, [node])[-_TOLD:]


def _change(one: "StateChange") -> str:
    """`draining: gpu.ecc: 2 errors (policy, run r-1)`."""
    by = ", ".join(part for part in (one.actor, f"run {one.run}" if one.run else "") if part)
    return f"{one.after}: {one.cause}" + (f" ({by})" if by else "")


def _open_value(node: "Node", name: str, value: Any) -> Any:
    """A variable's value, unless it is a secret or may rest on one: then a word for it, or what was written."""
    from aiops.layers.l0_nodes.template import is_templated, is_vaulted
    from aiops.layers.l0_nodes.withheld import Variables

    variables = node.variables
    if isinstance(variables, Variables) and name in variables.withheld:
        return "(withheld)"
    written = variables.get(name)
    if is_vaulted(written):
        return "(vaulted)"
    return written if is_templated(written) else value


def _document(node: "Node") -> dict[str, Any]:
    connection = node.connection
    return {
        "node": node.name,
        "address": connection.address or node.name,
        "port": connection.port,
        "user": connection.user,
        "connection": connection.kind,
        "become": connection.become.enabled,
        "roles": sorted(node.roles),
        "groups": list(node.groups),
    }


def _place(node: "Node") -> str:
    if node.connection.kind == "local":
        return "this machine"
    address = node.connection.address or node.name
    return address if node.connection.port is None else f"{address}:{node.connection.port}"


def _reached(aiops: App, node: "Node") -> dict[str, Any]:
    """The connection as ssh resolves it."""
    if node.connection.kind == "local":
        return {"connection": "this machine"}
    from aiops.layers.l0_nodes.ssh_config import Resolver

    config = Resolver(aiops.environment).of_node(node.name, node.connection)
    become = node.connection.become
    return {
        "connection": f"{config.user}@{config.host}:{config.port}",
        "jump": config.proxy_jump or config.proxy_command,
        "keys": [file for file in config.identity_files if _exists(file)],
        "agent": config.agent,
        "known_hosts": list(config.user_known_hosts),
        "host_keys": {"yes": "strict", "ask": "strict"}.get(config.strict, config.strict),
        "root": f"{become.method} to {become.user}" if become.enabled else None,
    }


def _exists(file: str) -> bool:
    from pathlib import Path

    return Path(file).exists()


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value) or None
    if isinstance(value, dict):
        return ", ".join(f"{name}: {part}" for name, part in value.items()) or None
    return str(value) if isinstance(value, bool) else value
