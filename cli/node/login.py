"""`aiops node ssh`: a shell on a node, by the system's own ssh and the same configuration."""

import os
import shlex
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryOption, QuietOption
from aiops.layers.core.errors import FailedError, InputError


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
) -> None:
    """Log in to a node; ssh takes the place of this process."""
    from aiops.layers.l0_nodes.ssh_config import ssh_words

    aiops: App = context.obj
    found = aiops.inventory(inventory).node(node)
    if found.connection.kind == "local":
        raise InputError(f"{node} is this machine", code="ssh.local", hints=["you are there already"])
    options = ["-q"] if quiet else []
    address = found.connection.address or found.name
    argv = ["ssh", *options, *ssh_words(found.connection), "--", address, *([shlex.join(words)] if words else [])]
    aiops.stdout.flush()
    try:
        os.execvpe(argv[0], argv, dict(aiops.environment))  # noqa: S606 - there is no shell to go through
    except OSError as error:
        raise FailedError(
            f"cannot start ssh: {error.strerror}",
            code="ssh.missing",
            hints=["install it: `apt-get install openssh-client`"],
        ) from error
