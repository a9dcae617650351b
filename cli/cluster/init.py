"""`aiops cluster init`: a commented inventory to begin with."""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import JsonOption, QuietOption
from aiops.layers.core.errors import InputError


def init(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path("inventory.yml"),
    hosts: Annotated[
        str | None,
        typer.Option("--from", metavar="HOSTS", help="A node set, or a file with a host to a line: `NAME [ADDRESS]`."),
    ] = None,
    head: Annotated[str | None, typer.Option("--head", metavar="NODE", help="Which of HOSTS is the head.")] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a commented inventory.yml."""
    from aiops.layers.core.file import write_new
    from aiops.layers.l0_nodes.inventory_draft import draft, head_of, named_hosts, parse_hosts
    from aiops.layers.l0_nodes.nodeset import fold

    app: App = context.obj
    screen = app.screen(json=json, quiet=quiet)
    text = (files("aiops") / "reference" / "inventory.yml").read_text("utf-8")
    path = app.working_folder / file
    if head is not None and hosts is None:
        raise InputError(
            "`--head` chooses among the hosts of `--from`",
            code="usage.head",
            hints=["aiops cluster init --from 'head,gpu[01-04]' --head head"],
        )
    answer: dict[str, object] = {"path": str(path)}
    if hosts is not None:
        source = app.working_folder / hosts
        given = parse_hosts(_text(source), hosts) if source.is_file() else named_hosts(hosts)
        chosen = head_of(given, head)
        text = draft(text, given, chosen)
        workers = [host.name for host in given if host is not chosen]
        answer |= {"head": chosen.name, "workers": workers}
        screen.note(f"head {chosen.name}, workers {fold(workers) or 'none'}")
    try:
        write_new(path, text.encode())
    except FileExistsError as error:
        raise InputError(
            f"{path} exists, and is left as it is",
            code="inventory.exists",
            hints=[f"name another file: `aiops cluster init {shlex.quote(str(file.with_stem(file.stem + '-new')))}`"],
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}",
            code="inventory.unwritable",
            hints=[f"`mkdir -p {shlex.quote(str(path.parent))}`, or name another file"],
        ) from error
    if json:
        screen.document(answer)
    else:
        screen.line(str(path))
    screen.hint(f"edit it, then `aiops cluster validate {shlex.quote(str(file))}`")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(
            f"{file} cannot be read: {reason}", code="inventory.hosts", hints=[f"`ls -l {shlex.quote(str(file))}`"]
        ) from error
