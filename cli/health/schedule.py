"""`aiops health schedule|unschedule`: have cron look at the nodes."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.duration import parse
from aiops.cli.options import InventoryOption, JsonOption, OnOption, QuietOption
from aiops.layers.core.errors import FailedError, InputError, NotFoundError
from aiops.layers.core.file import write_atomic

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory

FOLDER = Path("/etc/cron.d")
_HOUR, _DAY = 60, 1440
_DAEMONS = ("cron", "crond")

SpanOption = Annotated[str, typer.Option("--every", metavar="SPAN", help="How often: `5m`, `1h` ...")]
ActOption = Annotated[bool, typer.Option("--act", help="Drain and give back by policy.")]


def schedule(
    context: typer.Context,
    *,
    every: SpanOption = "5m",
    act: ActOption = False,
    on: OnOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have cron of this machine look at the nodes; again with other options replaces it."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    read.select(on)
    times = expression(every)
    _require_cron(FOLDER)
    path = FOLDER / entry_name(read.cluster)
    words = [_program(), "health", "--cron", "-i", str(read.path.absolute())]
    words += (["--act"] if act else []) + (["--on", on] if on else [])
    text = entry(read.cluster, times, words, {"AIOPS_HOME": str(aiops.home)})
    try:
        write_atomic(path, text.encode(), 0o644)
    except OSError as error:
        raise FailedError(
            f"{path} cannot be written: {error.strerror}", code="schedule.write", hints=["type it as root"]
        ) from error
    if json:
        screen.document({"cluster": read.cluster, "file": str(path), "times": times, "command": shlex.join(words)})
    else:
        screen.line(str(path))
        screen.hint("it is silent while nothing changes; what it says, cron mails to root")


def unschedule(
    context: typer.Context, *, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Take that back."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read: Inventory = aiops.inventory(inventory)
    path = FOLDER / entry_name(read.cluster)
    try:
        path.unlink()
    except FileNotFoundError:
        raise NotFoundError(
            f"{read.cluster} is not looked at by cron of this machine",
            code="schedule.none",
            hints=["have it looked at: `aiops health schedule`"],
        ) from None
    except OSError as error:
        raise FailedError(
            f"{path} cannot be removed: {error.strerror}", code="schedule.write", hints=["type it as root"]
        ) from error
    if json:
        screen.document({"cluster": read.cluster, "file": str(path)})
    else:
        screen.note(f"removed {path}")


def expression(span: str) -> str:
    """The five fields of cron for `5m`, `1h`, `1d`: what divides an hour, or a day, evenly.

    Raises:
        InputError: cron cannot do that.
    """
    seconds = parse(span).total_seconds()
    minutes = int(seconds // 60)
    if seconds == minutes * 60 and minutes > 0:
        if minutes < _HOUR and _HOUR % minutes == 0:
            return f"*/{minutes} * * * *" if minutes > 1 else "* * * * *"
        hours = minutes // _HOUR
        if minutes % _HOUR == 0 and hours < _DAY // _HOUR and (_DAY // _HOUR) % hours == 0:
            return f"0 */{hours} * * *" if hours > 1 else "0 * * * *"
        if minutes == _DAY:
            return "0 0 * * *"
    raise InputError(
        f"cron cannot do something every `{span}`",
        code="schedule.span",
        hints=["minutes that divide an hour, hours that divide a day, or a day: `5m`, `15m`, `1h`, `6h`, `1d`"],
    )


def entry_name(cluster: str) -> str:
    """The name of a cluster's file; cron reads only names of letters, digits, `-` and `_`."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in cluster)
    return f"aiops-health-{plain}"


def entry(cluster: str, times: str, words: list[str], environment: dict[str, str]) -> str:
    """The file's content. A `%` is a line's end to cron."""
    command = shlex.join(words).replace("%", "\\%")
    head = f"# aiops looks at the nodes of {cluster}; `aiops health unschedule` removes this file"
    lines = [f"{name}={value}" for name, value in environment.items()]
    return "\n".join([head, *lines, f"{times} root {command}", ""])


def _program() -> str:
    """This very aiops, by its whole path: cron's PATH has hardly anything."""
    beside = Path(sys.argv[0])
    if beside.name == "aiops" and beside.exists():
        return str(beside.absolute())
    return shutil.which("aiops") or str(Path(sys.executable).with_name("aiops"))


def _require_cron(folder: Path) -> None:
    """Refuse where nothing would ever read the file.

    Raises:
        FailedError: There is no cron.
    """
    daemon = any(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in _DAEMONS)
    if not folder.is_dir() or not daemon:
        raise FailedError(
            "there is no cron on this machine", code="schedule.no_cron", hints=["install it: `apt-get install cron`"]
        )
