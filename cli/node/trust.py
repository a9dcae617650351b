"""`aiops node trust`: writing host keys down, after somebody has looked at their fingerprints."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, JsonOption, QuietOption, YesOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError, ConflictError

from . import failures

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.known_hosts import HostKey, Verdict
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l0_nodes.ssh_config import SshConfig


@dataclass(frozen=True, slots=True)
class _Seen:
    """A node's keys and what known_hosts says of them."""

    config: "SshConfig"
    name: str
    keys: "tuple[HostKey, ...]"
    verdicts: "tuple[Verdict, ...]"

    def having(self, kind: str) -> "list[HostKey]":
        """The keys of one verdict."""
        return [key for key, verdict in zip(self.keys, self.verdicts, strict=True) if verdict.kind == kind]

    @property
    def state(self) -> str:
        """`revoked`, `changed`, `new` or `known`."""
        kinds = {verdict.kind for verdict in self.verdicts}
        if kinds & {"revoked", "broken"}:
            return "revoked"
        # A key of a kind that was not known beside known ones of others is an addition, not a change.
        if "known" in kinds:
            return "known"
        return "changed" if "changed" in kinds else "new"


def trust(
    context: typer.Context,
    nodes: Annotated[str, typer.Argument(metavar="NODES", help="Node set, e.g. `gpu[01-04],@workers`; `@all`.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let new keys take the place of known ones: the hosts were reinstalled.")
    ] = False,
    inventory: InventoryOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Fetch the host keys of nodes, show their fingerprints, and trust them once you have agreed."""
    from aiops.layers.l0_nodes.connector import Connector
    from aiops.layers.l0_nodes.fleet import Fleet

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    chosen = [node for node in aiops.inventory(inventory).select(nodes) if node.connection.kind == "ssh"]
    connector = Connector(aiops.environment)
    seen: dict[str, _Seen] = {}
    errors: dict[str, AiopsError] = {}
    with (
        Fleet(connector) as fleet,
        screen.step("host keys", nodes=[node.name for node in chosen]) as step,
    ):
        for outcome in fleet.each(chosen, lambda transport: _look(connector, transport.node)):
            if outcome.value is not None:
                seen[outcome.node.name] = outcome.value
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
            step.done(outcome.node.name, failed=outcome.error is not None)
    seen = {node.name: seen[node.name] for node in chosen if node.name in seen}
    wanted = {}
    for name, one in seen.items():
        refusal = _refusal(name, one, replace=replace)
        if refusal is not None:
            errors[name] = refusal
        elif one.state != "known":
            wanted[name] = one
    _show(screen, seen)
    trusted: list[str] = []
    if wanted and screen.confirm(f"Trust the keys of {len(wanted)} hosts?", yes=yes):
        trusted = _write(wanted, errors)
    if json:
        screen.document(_document(screen, seen, trusted, errors))
    failures.tell(screen, errors)
    screen.note(f"{len(trusted)} trusted, {sum(one.state == 'known' for one in seen.values())} were known already")
    return Exit.FAILED if errors or len(trusted) < len(wanted) else Exit.DONE


def _look(connector: Any, node: "Node") -> _Seen:
    from aiops.layers.l0_nodes.known_hosts import judge
    from aiops.layers.l0_nodes.trust import known_lines, name_of

    config = connector.resolver.of_node(node.name, node.connection)
    name = name_of(config)
    lines = known_lines(config, name)
    keys = connector.host_keys(node)
    return _Seen(config, name, keys, tuple(judge(lines, key) for key in keys))


def _refusal(node: str, one: _Seen, *, replace: bool) -> AiopsError | None:
    worst = next((verdict for verdict in one.verdicts if verdict.kind in ("revoked", "broken")), None)
    if worst is not None:
        return ConflictError(
            f"{node}: {worst.place} forbids a key that {one.name} shows",
            code="ssh.host_key_revoked",
            hints=["do not trust this host; its administrator must give it a new key"],
        )
    if one.state == "changed" and not replace:
        place = next(verdict.place for verdict in one.verdicts if verdict.kind == "changed")
        return ConflictError(
            f"{node}: {one.name} is known by another key, in {place}",
            code="ssh.host_key_changed",
            hints=[f"if the host was installed anew: `aiops node trust {node} --replace`"],
        )
    return None


def _show(screen: Screen, seen: dict[str, _Seen]) -> None:
    if screen.json:
        return
    rows = [
        (name, one.name, key.kind, key.fingerprint, verdict.kind)
        for name, one in seen.items()
        for key, verdict in zip(one.keys, one.verdicts, strict=True)
    ]
    screen.table(("node", "host", "kind", "fingerprint", "state"), rows)


def _write(wanted: dict[str, _Seen], errors: dict[str, AiopsError]) -> list[str]:
    from aiops.layers.l0_nodes.trust import add, forget

    trusted = []
    for name, one in wanted.items():
        try:
            if one.state == "changed":
                forget(one.config, one.name)
            add(one.config, [(one.name, key) for key in one.keys])
        except AiopsError as error:
            errors[name] = error
        else:
            trusted.append(name)
    return trusted


def _document(
    screen: Screen, seen: dict[str, _Seen], trusted: list[str], errors: dict[str, AiopsError]
) -> dict[str, Any]:
    return {
        "nodes": [
            {
                "node": name,
                "host": one.name,
                "state": "trusted" if name in trusted else one.state,
                "keys": [{"kind": key.kind, "fingerprint": key.fingerprint} for key in one.keys],
            }
            for name, one in seen.items()
        ],
        "errors": [failures.document(screen, name, error) for name, error in errors.items()],
    }
