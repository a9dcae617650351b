"""`aiops node ssh`: a shell on a node, by the system's own ssh and the same configuration."""

import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, QuietOption
from aiops.layers.core.errors import FailedError, InputError, UnreachableError

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node

_SSH_FAILED = 255  # or the command on the node ended so: both are passed on by ssh alike
_SIGNALLED = 128


def ssh(
    context: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its name in the inventory.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="A command instead of a shell; a shell line is `sh -c '...'`."),
    ] = None,
    *,
    inventory: InventoryOption = None,
    quiet: QuietOption = False,
) -> int:
    """Log in to a node; ends with the status of what ran there, or 3 where the node cannot be reached."""
    from aiops.layers.l0_nodes.ssh_config import ssh_words

    aiops: App = context.obj
    read = aiops.inventory(inventory)
    found = read.node(node)
    if found.connection.kind == "local":
        raise InputError(f"{node} is this machine", code="ssh.local", hints=["you are there already"])
    options = ["-q"] if quiet else []
    address = found.connection.address or found.name
    argv = ["ssh", *options, *ssh_words(found.connection), "--", address, *([shlex.join(words)] if words else [])]
    aiops.stdout.flush()
    status = _run(argv, aiops.environment)
    if status == _SSH_FAILED:
        _require_reachable(aiops, read, found)
    return status


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """The status of a program that has the terminal meanwhile; Ctrl-C is for it, and it ends when we are ended."""
    interrupts: list[int] = []
    kept = signal.getsignal(signal.SIGINT)
    if kept is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))  # a program's own are as ever
    try:
        with subprocess.Popen(argv, env=dict(environment)) as process:
            try:
                status = process.wait()
            except BaseException:
                process.terminate()
                raise
    except OSError as error:
        raise FailedError(
            f"cannot start ssh: {error.strerror}",
            code="ssh.missing",
            hints=["install it: `apt-get install openssh-client`"],
        ) from error
    finally:
        signal.signal(signal.SIGINT, kept)
    if interrupts and status in (_SSH_FAILED, -signal.SIGINT):
        return Exit.INTERRUPTED
    return status if status >= 0 else _SIGNALLED - status


def _require_reachable(aiops: App, inventory: "Inventory", node: "Node") -> None:
    """Tell ssh's own failure from a command's status: a node that answers now has ended the command itself.

    Raises:
        UnreachableError: The node does not answer, or does not let us in; with what to do about it.
    """
    from aiops.layers.core.command import Command

    with aiops.fleet(inventory, [node], root=False) as fleet:
        for outcome in fleet.each([node], lambda transport: transport.run(Command(("true",)))):
            if isinstance(outcome.error, UnreachableError):
                raise outcome.error
