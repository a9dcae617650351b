"""`aiops node exec`: one command on many nodes at once, equal answers folded."""

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit, exit_of, worst
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError

from . import failures

if TYPE_CHECKING:
    from aiops.layers.core.command import Completed

DEFAULT_SECONDS = 60.0
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127


def execute(
    context: typer.Context,
    words: Annotated[
        list[str], typer.Argument(metavar="-- CMD...", help="The command and its words; a shell line is `sh -c '...'`.")
    ],
    *,
    on: OnOption = None,
    root: Annotated[bool, typer.Option("--root", "-b", help="As root, by the inventory's become settings.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", min=0.1, help="End it on a node after S seconds.")
    ] = DEFAULT_SECONDS,
    forks: Annotated[int | None, typer.Option("--forks", metavar="N", min=1, help="Nodes at once.")] = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Run a command on nodes; exit 1 where it failed, 3 where a node could not be reached."""
    from aiops.layers.core.command import Command

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    nodes = read.select(on)
    command = Command(tuple(words), timeout=timeout, root=root)
    done: dict[str, Completed] = {}
    errors: dict[str, AiopsError] = {}
    with aiops.fleet(read, nodes, width=forks, root=root) as fleet:
        for outcome in fleet.each(nodes, lambda transport: transport.run(command)):
            if outcome.value is not None:
                done[outcome.node.name] = outcome.value
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
    names = [node.name for node in nodes]
    done = {name: done[name] for name in names if name in done}
    errors = {name: errors[name] for name in names if name in errors}
    if json:
        screen.document(
            {
                "command": list(words),
                "results": [_document(name, one) for name, one in done.items()],
                "errors": [failures.document(screen, name, error) for name, error in errors.items()],
            }
        )
    elif screen.terminal:
        _folded(screen, done)
    else:
        _rows(screen, done)
    failures.tell(screen, errors)
    _advise(screen, words, done)
    codes = [Exit.DONE if one.ok else Exit.FAILED for one in done.values()]
    return worst([*codes, *(_code(error) for error in errors.values())])


def _code(error: AiopsError) -> Exit:
    code = exit_of(error)
    return code if code is Exit.UNREACHABLE else Exit.FAILED


def _document(node: str, one: "Completed") -> dict[str, Any]:
    return {
        "node": node,
        "exit_status": one.exit_status,
        "timed_out": one.timed_out,
        "seconds": round(one.seconds, 3),
        "stdout": one.text,
        "stderr": _stderr(one).decode("utf-8", "replace"),
    }


def _stderr(one: "Completed") -> bytes:
    from aiops.layers.l0_nodes.shell import without_wrapper

    return without_wrapper(one.stderr) if one.exit_status in (_NOT_EXECUTABLE, _NOT_FOUND) else one.stderr


def _end(one: "Completed") -> str:
    if one.timed_out:
        return f"timed out after {one.command.timeout:g} s"
    return "" if one.exit_status == 0 else f"exit {one.exit_status}"


def _folded(screen: Screen, done: "dict[str, Completed]") -> None:
    """Nodes with the same answer under one heading, the largest group first."""
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, bytes, bytes], list[str]] = defaultdict(list)
    for name, one in done.items():
        groups[_end(one), one.stdout, _stderr(one)].append(name)
    for (end, stdout, stderr), names in sorted(groups.items(), key=lambda group: -len(group[1])):
        count = f"  ({len(names)})" if len(names) > 1 else ""
        screen.line(f"{fold(names)}{count}{'  ' + end if end else ''}")
        for line in (stdout + stderr).decode("utf-8", "replace").splitlines():
            screen.line(f"  {_visible(line)}")


def _rows(screen: Screen, done: "dict[str, Completed]") -> None:
    """Node, exit status and one line of stdout per row, at least one row per node; stderr goes to stderr."""
    from aiops.layers.l0_nodes.nodeset import fold

    rows = []
    complaints: dict[bytes, list[str]] = defaultdict(list)
    for name, one in done.items():
        status = "timeout" if one.timed_out else str(one.exit_status)
        rows += [(name, status, _visible(line)) for line in one.text.splitlines() or [""]]
        if stderr := _stderr(one):
            complaints[stderr].append(name)
    screen.table(("node", "exit", "output"), rows)
    for stderr, names in complaints.items():
        for line in stderr.decode("utf-8", "replace").splitlines():
            screen.note(f"{fold(names)}: {_visible(line)}")


def _advise(screen: Screen, words: list[str], done: "dict[str, Completed]") -> None:
    if len(words) == 1 and " " in words[0] and any(one.exit_status == _NOT_FOUND for one in done.values()):
        screen.hint(f"a shell line needs a shell: `aiops node exec -- sh -c '{words[0]}'`")


def _visible(line: str) -> str:
    """A line without what would drive the terminal; tabs stay."""
    return "".join(letter if letter == "\t" or letter.isprintable() else "?" for letter in line)
